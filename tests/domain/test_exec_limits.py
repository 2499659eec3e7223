"""What no Linux can start is refused, and named; what it can start is accepted to the last byte, and does start."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.exec_limits import (
    MAX_LINE,
    MAX_STRING,
    MAX_STRINGS,
    MAX_VARIABLES,
    MAX_WORDS,
    is_too_long,
)
from cluster.domain.job.lines import first_longer
from cluster.domain.job.spec import JobSpec, validate

LONGEST = "x" * MAX_STRING
LONGEST_LINE = b"x" * (MAX_STRING - len("CLUSTER_LINE="))
TOO_MUCH = tuple(("x" * 100_000,) * 16)

WRONG = {
    "word 2 of the command has 131072 bytes: Linux starts nothing with more than 131071": JobSpec(("a", LONGEST + "x")),
    "word 2 of the command has 131072 bytes": JobSpec(("a", "ä" * 65_536)),  # in bytes, not in characters
    "word 3 of the command": JobSpec(("sh",), script="s", script_args=(LONGEST + "x",)),
    "the variable 'NAME' has 131072 bytes": JobSpec(("a",), env=(("NAME", "x" * (MAX_STRING - 4)),)),
    "line 2 of --each-line has 4194305 bytes: the most are 4194304; put it into a file": JobSpec(
        ("a",), lines=b"x\n" + b"x" * (MAX_LINE + 1) + b"\n"
    ),
    "line 3 of --each-line has 131058 bytes: for word 2 .* most are 131057; leave out {}, .*CLUSTER_LINE_FILE": JobSpec(
        ("a", "0123456789abcd{}"), lines=b"\n\n" + LONGEST_LINE
    ),
    "line 1 .*: the command takes it 17 times, so that the most are 9[0-9]{4}; put": JobSpec(
        ("a", *["{}"] * 16), lines=LONGEST_LINE
    ),
    "command and environment have 1600154 bytes, .* the limit is 1572864": JobSpec(("a", *TOO_MUCH)),
    "32769 words: the most are 32768": JobSpec(("a",) * (MAX_WORDS + 1)),
    "4097 environment variables: the most are 4096": JobSpec(("a",), env=(("A", ""),) * (MAX_VARIABLES + 1)),
    "--cwd has 4096 bytes": JobSpec(("a",), cwd="/" * 4096),
    "--script has 5000 bytes": JobSpec(("a",), script="x" * 5000),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_can_never_start_is_refused_with_its_size_and_the_limit(message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        validate(WRONG[message])


@pytest.mark.parametrize(
    "spec",
    [
        JobSpec(("true", LONGEST)),
        JobSpec(("true",), env=(("NAME", "x" * (MAX_STRING - 5)),)),
        JobSpec(("true",), lines=LONGEST_LINE),
        JobSpec(("true",), lines=LONGEST_LINE + b"x"),
        JobSpec(("true",), lines=b"x" * MAX_LINE),
        JobSpec(("true", "{}", "{}", "a{}b"), lines=LONGEST_LINE[:1000] + b"\n" + LONGEST_LINE),
        JobSpec(("true", *["x"] * (MAX_WORDS - 1))),
        JobSpec(("true", *("x" * (MAX_STRING - 9),) * 11), env=(("A", "x" * 100_000),)),
    ],
)
def test_what_is_accepted_can_be_started(spec: JobSpec) -> None:
    validate(spec)
    line = max(spec.lines.split(b"\n"), key=len).decode()
    words = [word.replace("{}", line) for word in spec.argv] if line else list(spec.argv)
    own = {"CLUSTER_LINE_FILE": "/x"} if is_too_long(line) else {"CLUSTER_LINE": line} if line else {}
    env = {**dict(spec.env), "PATH": os.defpath, **own}
    assert sum(len(text) + 9 for text in (*words, *map("=".join, env.items()))) < MAX_STRINGS + 1000
    assert subprocess.run(words, env=env, check=False).returncode == 0
    assert sys.platform == "linux"


@given(st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")), min_size=1), st.integers(0, 9))
def test_the_first_line_that_is_too_long_is_found(lines: list[bytes], most: int) -> None:
    longer = [(number, len(line)) for number, line in enumerate(lines, start=1) if len(line) > most]
    assert first_longer(b"\n".join(lines), most) == (longer[0] if longer else None)

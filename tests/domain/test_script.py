"""A script that travels with its job: what is refused, what runs it, and the options in its head."""

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.script import MAX_SCRIPT, interpreter_of, wrong_script
from cluster.domain.job.script_lines import options_in
from cluster.domain.job.spec import OPTIONS, JobSpec, validate

FLAGGED = [option for option in OPTIONS if option.flag]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (b"echo\n", ("/bin/sh",)),
        (b"#!/bin/bash\n", ("/bin/bash",)),
        (b"#! /usr/bin/env -S python3 -u \nx", ("/usr/bin/env", "-S python3 -u")),  # one argument, as the kernel has it
        (b"#!/bin/\xe9", ("/bin/\udce9",)),
    ],
)
def test_its_first_line_says_what_runs_it(script: bytes, words: tuple[str, ...]) -> None:
    assert interpreter_of(script) == words
    assert wrong_script(script) == ""


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (b"#!/bin/sh\necho \0", "line 2, column 6: a NUL byte, so this is no script; a program must be on the workers"),
        (b"#!/bin/sh\r\necho\r\n", "line 1: it ends in CR LF, and no interpreter is called so; `sed"),
        (b"\xef\xbb\xbf#!/bin/sh\n", "line 1: it begins with a byte order mark"),
        (b"#! \n", "line 1: no interpreter follows #!"),
        (b"x" * (MAX_SCRIPT + 1), f"it has {MAX_SCRIPT + 1} bytes, and the most are 1.0 MiB"),
    ],
)
def test_what_could_never_run_is_refused(script: bytes, why: str) -> None:
    assert wrong_script(script).startswith(why)
    with pytest.raises(InvalidInput, match=r"^--script-file: "):
        validate(JobSpec((), script_text=script))


def test_there_is_one_script() -> None:
    validate(JobSpec((), script_text=b"true\n", script_args=("x",)))
    with pytest.raises(InvalidInput, match=r"--script 'a.sh' and --script-file exclude each other"):
        validate(JobSpec((), script="a.sh", script_text=b"true\n"))


def test_lists_have_its_beginning_alone() -> None:
    spec = JobSpec((), script_text=b"#!/bin/sh\n" + b"x" * 1000, env=(("A", "1"),))
    assert spec.for_lists() == JobSpec((), script_text=b"#!/bin/sh\n" + b"x" * 54)
    short = JobSpec((), script_text=b"true\n")
    assert short.for_lists() is short


HEAD = b"""#!/bin/bash
# A comment.

#CLUSTER --cpus 2 --array=1-10:3 --merge-output
#CLUSTER\t--env A=1 --env 'B=two words' --after 5,last --after "x y"
# CLUSTER --cpus 9
#CLUSTERS --cpus 9
#CLUSTER --name caf\xe9 --each-line "rows \\"1\\".txt" --env C='x'\\ "y\\z" --env D=''
echo begun
#CLUSTER --retries 7
"""


def test_the_head_gives_options() -> None:
    found = dict(options_in(HEAD, "job.sh", FLAGGED))
    assert str(found.pop("array")) == "(ArraySegment(first=1, last=10, step=3),)"
    assert found == {
        "cpus": 2000,
        "merge_output": True,
        "env": ("A=1", "B=two words", "C=x y\\z", "D="),
        "after": ("5", "last", "x y"),
        "name": "caf\udce9",
        "each_line": 'rows "1".txt',
    }
    assert options_in(b"echo\n#CLUSTER --cpus 2\n", "job.sh", FLAGGED) == {}
    assert options_in(b"#CLUSTER --cpus 2\r\n\r\n#CLUSTER --retries 1\r\n", "job.sh", FLAGGED) == {
        "cpus": 2000,
        "retries": 1,
    }


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("#CLUSTER --cpu 2", "column 10: '--cpu' is no option of a job that a script can give; is --cpus meant?"),
        ("#CLUSTER  --cpus two", "column 18: 'two' is no number of cpus"),
        ("#CLUSTER --cpus=0", "column 17: '0' is no number of cpus: use 0.001 or more"),
        ("#CLUSTER --cpus", "column 10: --cpus needs a value: CPUS"),
        ("#CLUSTER --cpus\n#CLUSTER 2", "column 10: --cpus needs a value"),
        ("#CLUSTER --merge-output=yes", "column 10: --merge-output takes no value"),
        ("#CLUSTER --name 'x", "column 17: a quotation that does not end"),
        ("#CLUSTER echo", "column 10: 'echo' is no option of a job that a script can give; options begin with --"),
        ("#CLUSTER --retries -1", "column 20: '-1' is no number: use 0 or more"),
        ("#CLUSTER --max-output 1", "column 23: --max-output 1: use 64k to 64G"),
    ],
)
def test_what_is_wrong_there_is_told_with_its_place(line: str, why: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        options_in(b"#!/bin/sh\n\n" + line.encode() + b"\n", "job.sh", FLAGGED)
    assert str(raised.value).startswith(f"job.sh, line 3, {why}")

"""What is wrong with a job is one clear line, whatever it is about; nothing is handed in then, and nothing is lost."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.acceptance.test_cli_jobs import submit

pytestmark = pytest.mark.slow

FILES = {
    "ragged.csv": "a,b\n1,2\n3\n",
    "open.json": '{"a": 1\n',
    "cron.toml": '[jobs.a]\ncommand = "x"\n\nevery = "61 * * * *"\n',
    "circle.toml": '[jobs.a]\ncommand = "x"\nafter = "b"\n[jobs.b]\ncommand = "x"\nafter = "a"\n',
    "unknown.toml": '[jobs.a]\ncommand = "x"\nafter = "nobody-of-that-name"\n',
    "head.sh": "#!/bin/sh\n#CLUSTER --cpus 2 --timeout 5x\necho\n",
    "number.json": '{"type": 5}',
}
# What is typed before the command, and what is said.
WRONG: Mapping[tuple[str, ...], str] = {
    ("--every", "61 * * * *"): "minute '61' is none: use 0-59",
    ("--every", "0 6 * * *@Nowhere/Town"): "no time zone 'Nowhere/Town' is known",
    ("--timeout", "5x"): "'5x' is no duration: use seconds, or units",
    ("--backoff", "5m..1s"): "it goes backwards, from 5m00s to 1.0s",
    ("--need", 'zone = "a"'): "column 6: use == to compare",
    ("--prefer", "cpus >"): "column 7: it ends too early",
    ("--after", "999999"): "there is no job 999999",
    ("--after-each", "nobody-of-that-name"): "there is no job 'nobody-of-that-name'",
    ("--check-output", "regex:("): "--check-output 'regex:(': no pattern: missing )",
    ("--check-output", "schema:number.json"): "the schema is wrong: #/type: 5 is no type",
    ("--check-output", "xml"): "use regex:PATTERN",
    ("--from-csv", "ragged.csv"): "ragged.csv, row 2 (line 3), column 2: it has 1 column, and the header 2",
    ("--from-json", "open.json"): "open.json, line 2, column 1: here a comma or } should stand",
    ("--script-file", "head.sh"): "head.sh, line 2, column 29: '5x' is no duration",
    ("--at", "2020-01-01T00:00Z"): "--at 2020-01-01T00:00:00Z is past: it is ",
    ("--deadline", "2020-01-01T00:00Z"): "--deadline 2020-01-01T00:00:00Z is past: it is ",
    ("--at", "25:00"): "'25:00' is no time",
    ("--array", "5-1"): "'5-1' goes down",
    ("--retry-on", "exitt:3"): "'exitt:3' is no cause",
    ("--resource", "licence=0"): "'licence=0' is no amount",
    ("--grow", "cpus=2x"): "'cpus=2x' does not say how memory grows",
    ("--name", "123"): "a job cannot be called '123': as a selector that means job 123",
    ("--name", "last"): "as a selector that means the newest job; use a letter before it",
    ("--catch-up",): "--overlap and --catch-up need --every",
}
OF_FILES = {
    "cron.toml": ":4:1: job a: every = '61 * * * *': minute '61' is none",
    "circle.toml": ":3:1: these jobs wait for each other in a circle: a -> b -> a",
    "unknown.toml": ":3:1: job a: after = 'nobody-of-that-name': there is no job",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)


def told_in_one_line(err: str) -> str:
    """The line; below it may be what points at a column."""
    line, *below = err.splitlines()
    assert line.startswith("cluster: "), err
    assert not below or (len(below), below[1].strip()) == (2, "^"), err
    return line


@pytest.mark.usefixtures("here")
def test_what_is_wrong_is_one_line_and_nothing_is_handed_in(cluster: Command) -> None:
    before = cluster.ok("job", "list", "-q").text
    for words, said in WRONG.items():
        refused = cluster("job", "submit", *words, "--", "true")
        assert refused.code in (1, 2), words
        assert said in told_in_one_line(refused.err)
    for file, said in OF_FILES.items():
        for verb in (("run",), ("job", "submit"), ("job", "submit", "--check")):
            refused = cluster(*verb, "--file", file)
            assert refused.code == 2, (verb, file)
            assert f"cluster: {file}{said}" in told_in_one_line(refused.err)
    assert cluster.ok("job", "list", "-q").text == before


def test_a_resource_that_nobody_has_is_said_and_the_job_waits_for_it(cluster: Command) -> None:
    told = cluster.ok("job", "submit", "-q", "--resource", "fpga=1", "--", "true")
    assert "needs 1 fpga a task; no worker offers any fpga" in told_in_one_line(told.err)
    assert cluster.ok("job", "show", "--json", told.text.strip()).json["state"] == "ready"
    cluster.ok("job", "cancel", told.text.strip())


def test_clocks_of_zero_are_none(cluster: Command) -> None:
    clocks = ("--timeout", "--queue-timeout", "--quiet-timeout", "--deadline", "--delay")
    job = submit(cluster, *(word for clock in clocks for word in (clock, "0")), "--", "true")
    assert cluster.ok("job", "wait", job).text == f"job {job} succeeded\n"
    shown = cluster.ok("job", "show", "--json", job).json
    assert [shown[clock[2:].replace("-", "_")] for clock in clocks] == [None] * len(clocks)

"""What an attempt wrote is judged once its program has succeeded. Real processes."""

import os
from pathlib import Path

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.spec import JobSpec, validate
from cluster.domain.launcher.messages import Ended
from cluster.domain.launcher.template import Template
from cluster.launcher import output_check
from cluster.launcher.output_check import Checker, judge, verdict
from tests.integration.fifos import reach
from tests.integration.launchers import Lab, one, run

JSON = b'{"a": [1, 2],\n "b": tru}\n'
SCHEMA = 'schema:{"properties":{"a":{"items":{"type":"integer"}}}}'


@pytest.mark.parametrize(
    ("check", "output", "wrong"),
    [
        ("json", b'{"a": 1}\n', ""),
        ("json", JSON, "stdout is no JSON: line 2, column 7: Expecting value"),
        ("json", b"", "stdout is no JSON: line 1, column 1: Expecting value"),
        ("json", b'["a",\n"\xff"]', "stdout is no JSON: line 2, column 2: what is there is not UTF-8"),
        ("json", b"[" * 100_000, "stdout is JSON in too many levels"),
        ("json", b"9" * 5000, ""),
        ("json", b'\xef\xbb\xbf{"a": 1.5e400}', ""),
        ("json", b'{"a": NaN}', "stdout is no JSON: NaN is no number of JSON"),
        ("json", b"[-Infinity]", "stdout is no JSON: -Infinity is no number of JSON"),
        ("json", "[1]".encode("utf-16"), "stdout is no JSON: line 1, column 1: what is there is not UTF-8"),
        ("regex:^done [0-9]+$", b"begun\ndone 17\nbye\n", ""),
        (
            "regex:^done$",
            b"begun\ndone it\n",
            "'^done$' is not found in stdout, whose last line is line 2: 'done it'",
        ),
        ("regex:.", b"", "stdout is empty, and '.' is to be found in it"),
        ("regex:ü", "grün\n".encode(), ""),
        (SCHEMA, b'{"a": [1]}', ""),
        (SCHEMA, b'{"a": [1, null]}', "stdout is not as its schema says: $.a[1]: null is not of type integer"),
        (SCHEMA, JSON, "stdout is no JSON: line 2, column 7: Expecting value"),
        (SCHEMA, b'{"a": [NaN]}', "stdout is no JSON: NaN is no number of JSON"),
        ('schema:{"allOf":[{"$ref":"#"}]}', b"1", "stdout is JSON in too many levels"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(check: str, output: bytes, wrong: str) -> None:  # S4.6
    assert judge(check, output) == wrong


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (
            "regex:(",
            r"--check-output 'regex:\(': no pattern: missing \), unterminated subpattern, at character 1 of it",
        ),
        ("regex:", "there is no pattern after regex:"),
        ("regex:" + "x" * 5000, "its pattern has 5000 characters, and the most are 4096"),
        ("jsn", "--check-output 'jsn': use regex:PATTERN, as in regex:.done., json or schema:FILE"),
        ("schema:x", "no JSON: line 1, column 1: Expecting value"),
    ],
)
def test_a_check_that_does_not_parse_is_refused(check: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        validate(JobSpec(("true",), check_output=check))


def test_a_check_has_so_much_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its attempt has no clock."""
    monkeypatch.setattr(output_check, "SECONDS", 0.1)
    (tmp_path / "out").write_bytes(b"0" * 64)
    checker = Checker(Template(("true",), (), "/", check_output="regex:^(0+)+$x"), None)
    for pid, words, command in checker.begin(str(tmp_path / "out")):
        _, status = os.waitpid(pid, 0)
        assert verdict(status, words, command) == "the check of stdout took longer than 0.1 s"


def test_what_is_larger_than_a_check_looks_at_is_wrong(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        file.truncate(output_check.MOST + 1)
    checker = Checker(Template(("true",), (), "/", check_output="json"), None)
    for pid, words, command in checker.begin(str(tmp_path / "out")):
        _, status = os.waitpid(pid, 0)
        assert "stdout has 67108865 bytes, and a check looks at 67108864" in verdict(status, words, command)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def ends(lab: Lab, *attempts: tuple[str, dict[str, str]]) -> list[Ended]:
    """Of a script each, with its checks, one after another in one slot."""
    found: list[Ended] = []

    async def main() -> None:
        async with lab.agent(1000) as agent:
            for number, (script, checks) in enumerate(attempts, start=1):
                found.append(await agent.end_of(one(agent, lab.shell(script, **checks), f"1.{number}#1")))

    run(main())
    return found


@pytest.mark.slow
def test_a_check_gives_a_success_another_end_and_a_failure_its_own(lab: Lab) -> None:  # S4.5, S4.6
    results = ends(
        lab,
        ("echo '{}'", {"check_output": "json"}),
        ("echo '{'", {"check_output": "json"}),
        ("echo '{'; exit 3", {"check_output": "json"}),
        ("echo 5", {"check_output": "json", "check_with": 'read n; test $n = 5 && test -n "$HOME$PATH"'}),
        ("echo 6", {"check_with": 'read n; echo "$n is not 5" >&2; exit 4'}),
        ("true", {"check_with": "grep ."}),
        ("echo x", {"check_output": "json", "check_with": "exit 9"}),
        ("echo x; sleep 100 & ", {"check_output": "regex:x"}),
    )
    assert [(end.reason, end.code) for end in results] == [
        ("ok", 0),
        ("format_error", 0),
        ("exit:3", 3),
        ("ok", 0),
        ("format_error", 0),
        ("format_error", 0),
        ("format_error", 0),
        ("ok", 0),
    ]
    assert [end.text for end in results if end.text] == [
        "stdout is no JSON: line 2, column 1: Expecting property name enclosed in double quotes",
        "--check-with 'read n; echo \"$n is not 5\" >&2; exit 4' left with exit code 4: 6 is not 5",
        "--check-with 'grep .' left with exit code 1",
        "stdout is no JSON: line 1, column 1: Expecting value",
    ]
    assert results[1].out == 2


@pytest.mark.slow
def test_a_pattern_that_never_comes_to_an_end_is_stopped_by_the_clock_of_its_attempt(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent(1000) as agent:
            hopeless = lab.shell("printf '%064d' 0", check_output="regex:^(0+)+$x", timeout=1.0)
            end = await agent.end_of(one(agent, hopeless))
            assert (end.reason, end.text) == ("timeout:run", "the check of stdout was stopped before it had ended")
            assert end.duration >= 900_000
            last = await agent.end_of(one(agent, lab.shell("echo y", check_output="regex:y"), "1.2#1"))
            assert last.reason == "ok"

    run(main())


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can run a command as somebody else")
def test_a_check_reads_what_a_job_of_another_user_wrote(lab: Lab) -> None:
    """Also where that user may not enter the directory of the worker, as is usual where a worker runs as root."""
    other = {"uid": 65534, "gid": 65534, "cwd": "/"}

    async def main() -> None:
        async with lab.agent(1000) as agent:
            checks = [{"check_output": "json"}, {"check_with": "grep '{' && test $(id -u) = 65534"}]
            for number, check in enumerate(checks, start=1):
                job = lab.template("sh", "-c", "echo '{}'", **other, **check)
                end = await agent.end_of(one(agent, job, f"1.{number}#1"))
                assert (end.reason, end.text) == ("ok", "")

    run(main())


@pytest.mark.slow
def test_who_is_stopped_in_its_check_was_stopped(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent(1000) as agent:
            for number, answer in enumerate(("exec sleep 100", "trap 'exit 3' TERM; sleep 100 & wait")):
                reached = lab.fifo()
                job = lab.shell("echo x", check_with=f"echo >{reached}; {answer}")
                key = one(agent, job, f"1.{number}#1")
                await reach(reached)
                agent.client.stop([key], grace=10.0)
                assert (await agent.end_of(key)).reason == "cancelled"

    run(main())


def test_what_a_check_says_takes_so_much_room(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"x")
    template = Template(("true",), (("PATH", os.environ["PATH"]),), "/", check_with="yes >&2; exit 1")
    checker = Checker(template, None)
    for pid, words, command in checker.begin(str(tmp_path / "out")):
        _, status = os.waitpid(pid, 0)
        assert os.fstat(words).st_size == 4096
        assert verdict(status, words, command).endswith("left with exit code 1: y")

"""Several commands in one attempt: which of them run, as whom, and what their end is called. Real processes."""

import os
import signal
from pathlib import Path

import pytest

from cluster.domain.launcher.template import Item
from tests.integration.launchers import Lab, one, run

pytestmark = pytest.mark.slow


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def sh(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


@pytest.mark.parametrize(
    ("commands", "out", "end", "text"),
    [
        ((sh("echo 1"), sh("echo 2"), sh("echo 3")), "1\n2\n3\n", ("ok", 0, None), ""),
        ((sh("echo 1"), sh("echo 2; exit 3"), sh("echo 3")), "1\n2\n", ("exit:3", 3, None),
         "command 2 of 3: sh -c 'echo 2; exit 3'"),
        ((sh("exit 7"), sh("echo 2")), "", ("exit:7", 7, None), "command 1 of 2: sh -c 'exit 7'"),
        ((sh("echo 1"), ("/no/such", "x")), "1\n", ("exit:127", 127, None),
         "command 2 of 2: cannot start '/no/such': no such file"),
        ((("/etc/passwd",), sh("echo 2")), "", ("exit:126", 126, None),
         "command 1 of 2: cannot start '/etc/passwd': Permission denied"),
        ((sh("true"), sh("kill -SEGV $$"), sh("echo 3")), "", ("signal:SIGSEGV", None, "SIGSEGV"),
         "command 2 of 3: sh -c 'kill -SEGV $$'"),
        ((sh("true"), sh("kill -KILL $$")), "", ("signal:SIGKILL", None, "SIGKILL"),
         "command 2 of 2: sh -c 'kill -KILL $$'"),
    ],
)  # fmt: skip
def test_one_after_another_until_the_first_that_fails(  # S3.3
    lab: Lab, commands: tuple[tuple[str, ...], ...], out: str, end: tuple[str, int | None, str | None], text: str
) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            first, *then = commands
            for key in ("1.0#1", "1.1#1"):  # the second in a slot that has just run one
                number = {"number": 1} if key == "1.1#1" else {}
                ended = await agent.end_of(one(agent, lab.template(*first, then=tuple(then)), key, **number))
                assert (ended.reason, ended.code, ended.signal) == end
                assert ended.text == text
                assert (lab.output(f"{key[2]}.1") if ended.out else "") == out
        assert not lab.processes()

    run(main())


def test_each_has_the_line_and_the_attempts_variables_and_its_time_counts(lab: Lab) -> None:
    busy = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo $CLUSTER_ATTEMPT {}"

    async def main() -> None:
        async with lab.agent() as agent:
            template = lab.shell("echo '<{}>'", then=(sh(busy), sh(busy)))
            agent.client.start(agent.client.define(template), [Item("1.0#1", 5, "a b")])
            end = await agent.end_of("1.0#1")
            assert lab.output("0.1") == "<a b>\n1.5#1 a b\n1.5#1 a b\n"
            assert end.cpu > 10_000, "microseconds of what its commands took"

    run(main())


def test_a_stop_reaches_what_runs_and_nothing_more_begins(lab: Lab) -> None:
    ready, answers = lab.fifo(), "trap 'echo bye; exit 0' TERM; echo up > {}; sleep 1000 & wait"

    async def main() -> None:
        async with lab.agent() as agent:
            template = lab.shell("echo first", then=(sh(answers.format(ready)), sh("echo never")))
            key = one(agent, template)
            await agent.start_of(key)
            assert ready.read_text() == "up\n"
            agent.client.stop([key], "cancelled")
            end = await agent.end_of(key)
            assert (end.reason, end.code, end.signal) == ("cancelled", None, "SIGTERM")
            assert lab.output("0.1") == "first\nbye\n"
        assert not lab.processes()

    run(main())


def test_who_ignores_the_stop_is_killed_with_all_of_it(lab: Lab) -> None:
    ready = lab.fifo()

    async def main() -> None:
        async with lab.agent() as agent:
            template = lab.shell("true", then=(sh(f"trap '' TERM; echo up > {ready}; while :; do sleep 1; done"),))
            key = one(agent, template)
            await agent.start_of(key)
            assert ready.read_text() == "up\n"
            agent.client.stop([key], "cancelled", 0.2)
            end = await agent.end_of(key)
            assert (end.reason, end.signal) == ("cancelled", "SIGKILL")
        assert not lab.processes()

    run(main())


def test_a_timeout_is_for_all_of_them_together(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            template = lab.shell("sleep 0.3", then=(sh("sleep 1000"),), timeout=0.6)
            end = await agent.end_of(one(agent, template))
            assert (end.reason, end.signal) == ("timeout:run", "SIGTERM")
            assert end.text == "command 2 of 2: sh -c 'sleep 1000'"

    run(main())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts processes as another user: run this as root")
def test_none_of_them_has_more_rights_than_its_user(lab: Lab) -> None:
    lab.outputs.chmod(0o777)
    show = "grep -E '^(Uid|Gid|Groups)' /proc/self/status /proc/$PPID/status | tr -d '\\n'; echo"

    async def main() -> None:
        async with lab.agent() as agent:
            template = lab.shell(show, then=(sh(show),), cwd="/", uid=65534, gid=65534)
            end = await agent.end_of(one(agent, template))
            assert end.reason == "ok"
            first, second = lab.output("0.1").splitlines()
            assert first == second
            assert first.count("\t65534" * 4) == 4, first  # user and group, of the command and of who leads it
            assert "\t0\t" not in first

    run(main())


def test_when_its_slot_dies_nothing_goes_on(lab: Lab) -> None:
    ready = lab.fifo()

    async def main() -> None:
        async with lab.agent() as agent:
            template = lab.shell("true", then=(sh(f"echo $PPID > {ready}; exec sleep 1000"), sh("echo never")))
            key = one(agent, template)
            await agent.start_of(key)
            leader = int(ready.read_text())
            os.kill(parent(leader), signal.SIGKILL)
            assert (await agent.end_of(key)).reason == "lost"
        assert not lab.processes()
        assert lab.output("0.1") == ""

    run(main())

"""Stopping whole process trees, with jobs that resist. Real processes.

Each job tells through a fifo when it is where the test wants it, so nothing waits for time to pass.
"""

from pathlib import Path

import pytest

from cluster.launcher import clock
from tests.integration.fifos import reach
from tests.integration.launchers import Agent, Lab, Watched, leave_daemon, one, run

pytestmark = pytest.mark.slow

# Every generation forks the next and dies: by the time a pid is read it is gone. Signals are ignored.
RUNNER = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    open(sys.argv[1], "w").close()
    while True:
        if os.fork():
            os._exit(0)
signal.pause()
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_stop_ends_it_with_sigterm(lab: Lab) -> None:  # S2.11
    async def main() -> None:
        async with lab.agent() as agent:
            key = one(agent, lab.template("sleep", "1000"))
            await agent.start_of(key)
            agent.client.stop([key])
            end = await agent.end_of(key)
            assert (end.reason, end.signal) == ("cancelled", "SIGTERM")

    run(main())


def test_a_job_may_handle_the_signal_and_exit_by_itself(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            fifo = lab.fifo()
            key = one(agent, lab.shell(f"trap 'echo bye; exit 7' INT; echo > {fifo}; sleep 1000 & wait"))
            await reach(fifo)
            agent.client.stop([key], signal="SIGINT")
            end = await agent.end_of(key)
            assert (end.reason, end.code, end.signal) == ("cancelled", 7, "SIGINT")
            assert lab.output("0.1") == "bye\n"

    run(main())


def test_who_ignores_sigterm_is_killed_after_the_grace(lab: Lab) -> None:  # S2.11
    async def main() -> None:
        async with lab.agent() as agent:
            fifo = lab.fifo()
            key = one(agent, lab.shell(f"trap '' TERM; echo > {fifo}; while :; do sleep 1000; done", grace=0.01))
            await reach(fifo)
            agent.client.stop([key])
            end = await agent.end_of(key)
            assert (end.reason, end.signal) == ("cancelled", "SIGKILL")

    run(main())


def test_a_daemon_that_ignores_sigterm_dies_with_its_attempt(lab: Lab) -> None:  # S2.11
    async def main() -> None:
        async with lab.agent() as agent:
            key, daemon = await leave_daemon(lab, agent, "exec sleep 1000", grace=0.01)
            agent.client.stop([key])
            await agent.end_of(key)
            assert daemon.is_gone()

    run(main())


def test_nothing_outlives_the_leader(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            key, daemon = await leave_daemon(lab, agent, "exit 4")
            end = await agent.end_of(key)
            assert (end.reason, end.code, end.signal) == ("exit:4", 4, None)
            assert daemon.is_gone()

    run(main())


def test_a_daemon_that_hides_dies_with_its_attempt_whatever_else_runs(lab: Lab) -> None:
    """With a session and an empty environment of its own, it is still below its slot, and no other attempt is."""

    async def main() -> None:
        async with lab.agent() as agent:
            gate = lab.fifo()
            other = one(agent, lab.template("sleep", "1000"), "1.1#1")
            running = Watched((await agent.start_of(other)).pid)
            key, daemon = await leave_daemon(lab, agent, f"read x < {gate}", hidden=True)
            gate.write_text("go\n")
            assert (await agent.end_of(key)).reason == "ok"
            assert daemon.is_gone()
            assert not running.is_gone()

    run(main())


def test_another_attempts_daemon_is_left_alone(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            key, daemon = await leave_daemon(lab, agent, "exec sleep 1000")
            assert (await agent.end_of(one(agent, lab.template("true"), "1.1#1"))).reason == "ok"
            assert not daemon.is_gone()
            agent.client.stop([key], grace=0)
            await agent.end_of(key)
            assert daemon.is_gone()

    run(main())


def test_a_process_that_always_forks_away_is_caught(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            fifo = lab.fifo()
            (lab.root / "runner.py").write_text(RUNNER)
            key = one(agent, lab.template("python3", "runner.py", str(fifo)))
            await reach(fifo)
            agent.client.stop([key], grace=0)
            end = await agent.end_of(key)
            assert end.reason == "cancelled"
            assert not lab.processes()

    run(main())


def test_a_run_that_takes_too_long_is_stopped(lab: Lab) -> None:  # S3.12
    async def main() -> None:
        async with lab.agent() as agent:
            end = await agent.end_of(one(agent, lab.template("sleep", "1000", timeout=0.05)))
            assert (end.reason, end.signal) == ("timeout:run", "SIGTERM")

    run(main())


def test_the_leash_ends_it_without_an_agent(lab: Lab) -> None:
    async def main() -> None:
        agent = await lab.connect()
        for index, leash in enumerate((0.5, 5.0, 50.0)):  # the longer ones where even a start takes longer
            agent.client.confirm_lease(clock.now())
            stubborn = lab.shell("trap '' TERM; while :; do sleep 1000; done", leash=leash)
            key = one(agent, stubborn, f"1.{index}#1")
            await begun_or_ended(agent, key)
            if key in agent.starts() and not (job := Watched(agent.starts()[key].pid)).is_gone():
                break
        await agent.client.close()
        assert await job.gone()
        async with lab.agent() as later:
            end = await later.end_of(key)
            assert (end.reason, end.signal) == ("lease", "SIGKILL")

    run(main())


async def begun_or_ended(agent: Agent, key: str) -> None:
    await agent.until(lambda: key in agent.starts() or key in agent.ends())


def test_a_renewed_leash_holds(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            agent.client.confirm_lease(clock.now())
            gate = lab.fifo()
            key = one(agent, lab.shell(f"read x < {gate}", leash=1000.0))
            await agent.start_of(key)
            agent.client.confirm_lease(clock.now())
            gate.write_text("go\n")
            assert (await agent.end_of(key)).reason == "ok"

    run(main())


def test_stopping_what_ended_or_never_was_does_nothing(lab: Lab) -> None:  # S2.11
    async def main() -> None:
        async with lab.agent() as agent:
            key = one(agent, lab.template("true"))
            await agent.end_of(key)
            agent.client.stop([key, "9.9#9"])
            assert (await agent.end_of(one(agent, lab.template("true"), "1.1#1"))).reason == "ok"
            assert len(agent.ends()) == 2

    run(main())


def test_many_are_stopped_together(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            fifo = lab.fifo()
            template = lab.shell(f"trap '' TERM; sleep 1000 & echo > {fifo}; wait; sleep 1000", cpus=0, grace=0.01)
            keys = []
            for i in range(30):
                keys.append(one(agent, template, f"1.{i}#1"))
                await reach(fifo)
            agent.client.stop(keys)
            await agent.until(lambda: len(agent.ends()) == 30)
            assert {(e.reason, e.signal) for e in agent.ends().values()} == {("cancelled", "SIGKILL")}
            assert not lab.processes()

    run(main())


def test_what_has_not_started_can_be_returned(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent(millicpus=1000) as agent:
            gate = lab.fifo()
            first = one(agent, lab.shell(f"read x < {gate}"))
            await agent.start_of(first)
            second = one(agent, lab.template("true"), "1.1#1")
            third = one(agent, lab.template("true"), "1.2#1")
            agent.client.recall([first, second])
            assert (await agent.end_of(second)).reason == "returned"
            gate.write_text("go\n")
            assert (await agent.end_of(third)).reason == "ok"
            assert (await agent.end_of(first)).reason == "ok"
            assert not (lab.outputs / "1.1.out").exists()

    run(main())

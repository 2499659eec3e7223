"""Attempts that are frozen, with all that they have started. Real processes, whose states the kernel tells."""

from pathlib import Path

import pytest

from cluster.launcher import tree
from tests.integration.fifos import reach
from tests.integration.launchers import Lab, Watched, one, run

pytestmark = pytest.mark.slow

# A shell with a child of its own, and one in another session that nobody is the parent of any more.
FAMILY = "setsid sh -c 'sleep 1000 & wait' & sleep 1000 & echo > {ready}; read x < {gate}; echo went on"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def states(leader: int) -> list[str]:
    """Of the leader and all below it, as the kernel tells them."""
    found = [tree.read_process(leader), *tree.below(leader).values()]
    return [process.state for process in found if process is not None]


def test_all_of_it_stands_still_whoever_restarts_and_goes_on_when_it_may(lab: Lab) -> None:
    async def main() -> None:
        ready, gate = lab.fifo(), lab.fifo()
        async with lab.agent() as agent:
            key = one(agent, lab.shell(FAMILY.format(ready=ready, gate=gate), timeout=1000.0))
            await reach(ready)
            leader = (await agent.start_of(key)).pid
            agent.client.freeze([key])
            await agent.end_of(one(agent, lab.template("true"), "1.8#1"))
            assert set(states(leader)) == {"T"}
            assert len(states(leader)) >= 3
            later = await lab.connect()
            assert (later.hello.running, later.hello.frozen) == ([key], [key])
            later.client.freeze([key], thaw=True)
            await later.end_of(one(later, lab.template("true"), "1.9#1"))
            assert "T" not in states(leader)
            gate.write_text("go\n")
            assert (await later.end_of(key)).reason == "ok"
            assert lab.output("0.1") == "went on\n"

    run(main())


def test_the_time_that_it_may_run_stands_still(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            key = one(agent, lab.template("sleep", "1000", timeout=0.2))
            agent.client.freeze([key])
            assert (await agent.end_of(one(agent, lab.template("sleep", "0.5"), "1.8#1"))).reason == "ok"
            assert key not in agent.ends()
            agent.client.freeze([key], thaw=True)
            assert (await agent.end_of(key)).reason == "timeout:run"

    run(main())


def test_what_is_frozen_can_be_stopped_and_killed(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            first, second = lab.fifo(), lab.fifo()
            obedient = one(agent, lab.shell(f"trap 'exit 7' TERM; echo > {first}; sleep 1000 & wait"))
            stubborn = one(agent, lab.shell(f"trap '' TERM; echo > {second}; while :; do sleep 1000; done"), "1.1#1")
            for fifo in (first, second):
                await reach(fifo)
            agent.client.freeze([obedient, stubborn])
            agent.client.stop([obedient], grace=1000.0)
            agent.client.stop([stubborn], grace=0.05)
            assert (await agent.end_of(obedient)).reason == "cancelled"
            assert (await agent.end_of(stubborn)).signal == "SIGKILL"

    run(main())


def test_nothing_frozen_outlives_its_launcher(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            key = one(agent, lab.template("sleep", "1000"))
            job = Watched((await agent.start_of(key)).pid)
            agent.client.freeze([key])
            await agent.end_of(one(agent, lab.template("true"), "1.8#1"))
            await lab.kill_launcher(agent)
            assert await job.gone()
            later = await lab.connect()
            assert (await later.end_of(key)).reason == "lost"

    run(main())

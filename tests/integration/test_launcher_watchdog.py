"""What a launcher leaves is killed even when nobody starts another; nothing else ever is. Real processes."""

import asyncio
import fcntl
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.launcher import cgroup, tree, watchdog
from tests.integration.fifos import let_go, reach
from tests.integration.launchers import AGENT, Agent, Lab, Watched, leave_daemon, one, run

pytestmark = pytest.mark.slow


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_a_tree_does_not_outlive_its_agent_and_launcher_when_both_are_killed(lab: Lab) -> None:
    """Its leader, which ignores SIGTERM, and a grandchild in a session of its own."""

    async def main() -> None:
        fifo = lab.fifo()
        script = f"trap '' TERM; setsid sh -c 'echo $$ $PPID > {fifo}; exec sleep 1000' & sleep 1000"
        argv = [sys.executable, "-c", AGENT, lab.directory, str(lab.outputs), script]
        agent = await asyncio.create_subprocess_exec(*argv)
        grandchild, leader = map(Watched, (await reach(fifo)).split())
        guard = lab.watchdog()
        launcher = int((Path(lab.directory) / "launcher.lock").read_text())
        os.kill(agent.pid, signal.SIGKILL)
        os.kill(launcher, signal.SIGKILL)
        assert await leader.gone()
        assert await grandchild.gone()
        assert await guard.gone()
        await agent.wait()
        assert lab.processes() == []
        async with lab.agent() as later:
            assert (await later.end_of("1.0#1")).reason == "lost"

    run(main())


def test_what_was_spawned_but_not_told_yet_is_killed_too(lab: Lab) -> None:
    """Its pid is not in the journal, nor is the end of the journal whole."""

    async def main() -> None:
        agent, fifo = await lab.connect(), lab.fifo()
        key = one(agent, lab.shell(f"echo > {fifo}; exec sleep 1000"))
        await reach(fifo)
        leader, guard = Watched((await agent.start_of(key)).pid), lab.watchdog()
        await lab.kill_launcher(agent, stopped=[guard.pid, slot_of(leader)])
        journal = Path(lab.directory) / "journal"
        journal.write_text(
            "".join(journal.read_text().rstrip("\0").splitlines(keepends=True)[:-1]) + '["started",1,"1.'
        )
        assert not leader.is_gone()
        os.kill(guard.pid, signal.SIGCONT)
        assert await leader.gone()
        async with lab.agent() as later:
            assert (await later.end_of(key)).reason == "lost"

    run(main())


def slot_of(leader: Watched) -> int:
    """The pid of the slot that runs it."""
    found = tree.read_process(leader.pid)
    assert found is not None
    return found.parent


def test_a_slot_kills_what_it_runs_when_its_launcher_dies(lab: Lab) -> None:
    """Not even the watchdog is needed, which is stopped; only who stops the slot, too, has to wait for another."""

    async def main() -> None:
        agent = await lab.connect()
        _, daemon = await leave_daemon(lab, agent, "exec sleep 1000", hidden=True)
        guard = lab.watchdog()
        os.kill(guard.pid, signal.SIGSTOP)
        await lab.kill_launcher(agent)
        assert await daemon.gone()
        async with lab.agent():
            assert guard.is_gone()

    run(main())


def test_a_watchdog_and_a_slot_that_are_stopped_hold_up_no_launcher(lab: Lab) -> None:
    """It ends them and all that the slot ran before it starts anything."""

    async def main() -> None:
        agent = await lab.connect()
        old = lab.watchdog()
        leader = Watched((await agent.start_of(one(agent, lab.template("sleep", "1000")))).pid)
        slot = Watched(slot_of(leader))
        await lab.kill_launcher(agent, stopped=[old.pid, slot.pid])
        with (Path(lab.directory) / watchdog.LOCK).open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # its launcher is gone, and still it is held
        assert not leader.is_gone()
        later = await lab.connect()
        assert old.is_gone()
        assert slot.is_gone()
        assert leader.is_gone()
        gate, new = lab.fifo(), lab.watchdog()
        key = one(later, lab.shell(f"read x < {gate}; exit 3"), "1.1#1")
        await let_go(gate)
        assert (await later.end_of(key)).code == 3
        assert not new.is_gone()
        await lab.quit()

    run(main())


@pytest.mark.parametrize(
    "end",
    [
        lambda agent: agent.client.quit(),
        lambda agent: agent.client.quit(kill=True),
        lambda agent: os.kill(agent.hello.pid, signal.SIGTERM),
    ],
    ids=["quit", "kill", "SIGTERM"],
)
def test_a_launcher_that_ends_in_order_leaves_no_watchdog(lab: Lab, end: Callable[[Agent], None]) -> None:
    async def main() -> None:
        agent = await lab.connect()
        await agent.end_of(one(agent, lab.template("true")))
        launcher, guard = Watched(agent.hello.pid), lab.watchdog()
        assert not guard.is_gone()
        end(agent)
        assert await launcher.gone()
        assert guard.is_gone()

    run(main())
    assert "killed what it left" not in (Path(lab.directory) / "launcher.log").read_text()


def test_a_watchdog_that_is_killed_is_replaced(lab: Lab) -> None:
    async def main() -> None:
        agent = await lab.connect()
        leader = Watched((await agent.start_of(one(agent, lab.template("sleep", "1000")))).pid)
        first = lab.watchdog()
        os.kill(first.pid, signal.SIGKILL)
        assert await first.gone()
        # A launcher that has reaped what ended later has reaped this, too.
        await agent.end_of(one(agent, lab.template("true"), "1.1#1"))
        second = lab.watchdog()
        assert second.pid != first.pid
        assert not leader.is_gone()
        await lab.kill_launcher(agent)
        assert await leader.gone()
        assert await second.gone()
        async with lab.agent():
            pass

    run(main())
    assert "the watchdog was killed; it has been started again" in (Path(lab.directory) / "launcher.log").read_text()


def test_a_watchdog_that_cannot_be_replaced_at_once_is_replaced_later(lab: Lab) -> None:
    log = Path(lab.directory) / "launcher.log"

    async def until_it_says(words: str, launcher: Watched) -> None:
        while words not in log.read_text():
            assert not launcher.is_gone()
            await asyncio.sleep(0)

    async def main() -> None:
        agent = await lab.connect()
        launcher = Watched(agent.hello.pid)
        leader = Watched((await agent.start_of(one(agent, lab.template("sleep", "1000")))).pid)
        first = lab.watchdog()
        before = resource.prlimit(agent.hello.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(agent.hello.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        os.kill(first.pid, signal.SIGKILL)
        await until_it_says("the watchdog was killed, and there is no other: Too many open files", launcher)
        resource.prlimit(agent.hello.pid, resource.RLIMIT_NOFILE, before)
        await until_it_says("the watchdog was killed; it has been started again", launcher)
        assert not leader.is_gone()
        await lab.kill_launcher(agent)
        assert await leader.gone()
        async with lab.agent():
            pass

    run(main())


@pytest.mark.skipif(cgroup.own_group() is None or os.getuid() != 0, reason="needs cgroup v2 that we may write")
def test_a_watchdog_is_not_in_the_group_that_it_kills(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            first = lab.watchdog()
            os.kill(first.pid, signal.SIGKILL)
            assert await first.gone()
            await agent.end_of(one(agent, lab.template("true"), "1.1#1"))
            _, daemon = await leave_daemon(lab, agent, "exec sleep 1000", hidden=True)
            group = Path((Path(lab.directory) / "group").read_text().rstrip())
            assert str(daemon.pid) in (group / "slot-0" / "cgroup.procs").read_text().split()
            guard = lab.watchdog()
            await lab.kill_launcher(agent)
            assert await daemon.gone()
            assert await guard.gone()
            assert not await asyncio.to_thread(group.exists)  # one that is killed with it cannot remove it

    run(main())


def test_a_watchdog_is_nobodys_stray(lab: Lab) -> None:
    """Of a child of the launcher that tells nothing, any attempt that runs might be the owner."""

    async def main() -> None:
        async with lab.agent() as agent:
            guard = lab.watchdog()
            key, daemon = await leave_daemon(lab, agent, "exit 0", hidden=True)
            assert (await agent.end_of(key)).reason == "ok"
            assert daemon.is_gone()
            assert not guard.is_gone()
            found = tree.read_process(guard.pid)
            assert found is not None
            assert found.parent == agent.hello.pid

    run(main())

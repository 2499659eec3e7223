"""Agents and launchers that die: nothing is lost, nothing runs twice, nothing runs on unseen. Real processes."""

import asyncio
import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from cluster.domain.launcher.template import Item
from cluster.domain.session.offer import Offer
from cluster.launcher import cgroup, client, wire
from cluster.launcher.client import LauncherClient, LauncherUnavailable
from cluster.launcher.orphans import identity
from tests.descriptors import open_files
from tests.integration.fifos import let_go, reach
from tests.integration.launchers import AGENT, Lab, Watched, leave_daemon, one, run
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_jobs_outlive_an_agent_that_is_killed(lab: Lab) -> None:
    async def main() -> None:
        fifo, gate = lab.fifo(), lab.fifo()
        script = f"echo $$ > {fifo}; read x < {gate}; exit 5"
        argv = [sys.executable, "-c", AGENT, lab.directory, str(lab.outputs), script]
        agent = await asyncio.create_subprocess_exec(*argv)
        job = Watched(await reach(fifo))
        agent.kill()
        await agent.wait()
        assert not job.is_gone()
        async with lab.agent() as later:
            assert "1.0#1" in (*later.hello.running, *later.hello.backlog)
            await later.start_of("1.0#1")
            gate.write_text("go\n")
            assert (await later.end_of("1.0#1")).code == 5

    run(main())


def test_every_report_comes_until_it_is_acknowledged(lab: Lab) -> None:
    async def main() -> None:
        agent = await lab.connect()
        template = agent.client.define(lab.template("true"))
        agent.client.start(template, [Item(f"1.{i}#1", i) for i in range(10)])
        await agent.until(lambda: len(agent.ends()) == 10)
        count = len(agent.reports)
        agent.client.ack(agent.reports[4].seq)
        await agent.client.close()
        async with lab.agent() as later:
            assert later.hello.seq == count
            await later.until(lambda: len(later.reports) == count - 5)
            assert later.reports == agent.reports[5:]

    run(main())


def test_a_gpu_stays_with_its_attempt_whatever_agent_comes(lab: Lab) -> None:
    offer, needs = Offer(gpus=("0", "7")), {"amounts": (("gpus", 1),)}
    said = "echo gpu $CUDA_VISIBLE_DEVICES"

    async def main() -> None:
        async with lab.agent(offer=offer) as agent:
            fifo = lab.fifo()
            await agent.start_of(one(agent, lab.shell(f"{said}; read x < {fifo}", **needs), "1.0#1"))
            await agent.client.close()
            later = await lab.connect(offer=offer)
            for index in (1, 2):
                await later.end_of(one(later, lab.shell(said, **needs), f"1.{index}#1"))
            last = one(later, lab.shell(said, amounts=(("gpus", 2),)), "1.3#1")
            await let_go(fifo)
            await later.end_of(last)
        assert [lab.output(f"{index}.1") for index in range(4)] == ["gpu 0\n", "gpu 7\n", "gpu 7\n", "gpu 0,7\n"]

    run(main())


def test_the_newest_agent_wins(lab: Lab) -> None:
    async def main() -> None:
        old = await lab.connect()
        async with lab.agent() as new:
            await old.until_gone()
            assert (await new.end_of(one(new, lab.template("true")))).reason == "ok"
            assert new.hello.pid == old.hello.pid

    run(main())


def test_an_agent_that_does_not_read_stalls_nothing_and_misses_nothing(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            deaf = await lab.dial()
            deaf.sendall(wire.encode(("hello", 1000)))
            long = wire.encode_template(lab.template("true", refusal="x" * 5000))
            deaf.sendall(wire.encode(("define", 1, long)))
            deaf.sendall(wire.encode(("start", 1, [f"{i}.0#1" for i in range(500)])))
            deaf.sendall(wire.encode(("define", 2, wire.encode_template(lab.shell("echo > done")))))
            fifo = lab.root / "done"
            os.mkfifo(fifo)
            deaf.sendall(wire.encode(("start", 2, ["500.0#1"])))
            await reach(fifo)
            words: list[str] = []
            with deaf, deaf.makefile("rb") as lines:
                while words.count("ended") < 501:
                    words.append(wire.decode(await asyncio.to_thread(lines.readline))[0])
            assert words[0] == "hello"
            assert len(agent.reports) == 0

    run(main())


def test_a_directory_that_cannot_be_used_is_named(lab: Lab) -> None:
    Path(lab.directory).write_text("a file")

    async def main() -> None:
        with pytest.raises(LauncherUnavailable, match=r"cannot use .*launcher for a launcher: Not a directory"):
            await lab.connect()

    run(main())


def test_a_directory_that_others_may_enter_is_refused(lab: Lab) -> None:
    Path(lab.directory).mkdir()
    Path(lab.directory).chmod(0o755)

    async def main() -> None:
        with pytest.raises(LauncherUnavailable, match=r"did not start .*launcher\.log"):
            await lab.connect()

    run(main())
    assert "closed to others" in (Path(lab.directory) / "launcher.log").read_text()


def test_only_a_greeted_agent_takes_the_place_of_another(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            with await lab.dial() as silent, await lab.dial() as first, await lab.dial() as second:
                one(agent, lab.shell("echo still heard"))
                assert (await agent.end_of("1.0#1")).code == 0
                for caller in (first, second):
                    caller.sendall(wire.encode(("hello", 1000)))
                for caller in (first, second):  # greeted, even if another came before the answer had gone out
                    assert wire.decode(await asyncio.to_thread(caller.makefile("rb").readline))[0] == "hello"
                await agent.until_gone()
                silent.sendall(wire.encode(("start", 1, ["2.0#1"])))
                refusal = await asyncio.to_thread(silent.makefile("rb").readline)
                assert wire.decode(refusal) == ["refused", "not a message: the first message must be hello"]

    run(main())


def test_two_agents_that_start_at_once_get_one_launcher(lab: Lab) -> None:
    async def main() -> None:
        both = await asyncio.gather(
            LauncherClient.connect_or_start(lab.directory, 1000),
            LauncherClient.connect_or_start(lab.directory, 1000),
        )
        assert both[0].hello.pid == both[1].hello.pid
        await lab.quit()

    run(main())


def test_a_launcher_that_waits_for_an_earlier_ones_watchdog_is_waited_for(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then it holds its lock and does not listen."""
    Path(lab.directory).mkdir(mode=0o700)
    lock = os.open(Path(lab.directory) / "launcher.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if sum(pauses) > 30:
            fcntl.flock(lock, fcntl.LOCK_UN)

    monkeypatch.setattr(asyncio, "sleep", pause)

    async def main() -> None:
        async with lab.agent():
            assert pauses[0] < 0.1  # one that is just ending keeps nobody waiting
            assert pauses == sorted(pauses)

    run(main())
    os.close(lock)


def test_a_launcher_that_is_stopped_and_has_more_callers_than_it_listens_for_stalls_no_agent(lab: Lab) -> None:
    Path(lab.directory).mkdir(mode=0o700)
    found: list[socket.socket | None] = []
    with socket.socket(socket.AF_UNIX) as launcher, socket.socket(socket.AF_UNIX) as caller:
        directory = os.open(lab.directory, os.O_PATH)
        address = f"/proc/self/fd/{directory}/{wire.SOCKET_NAME}"
        launcher.bind(address)
        launcher.listen(0)
        caller.connect(address)
        os.close(directory)
        asking = Thread(target=lambda: found.append(client._connect(lab.directory)), daemon=True)
        asking.start()
        asking.join(PATIENCE)
    assert found == [None]


def test_an_agent_ends_although_its_launcher_is_stopped_and_reads_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "LAST_WORDS", 0.0)

    async def main() -> None:
        async with lab.agent():
            agent = await lab.connect()
            os.kill(agent.hello.pid, signal.SIGSTOP)
            try:
                agent.client.recall(["1.0#1" * 1_000_000])  # more than a socket takes
                await agent.client.close()
            finally:
                os.kill(agent.hello.pid, signal.SIGCONT)

    run(main())


def test_an_agent_without_a_descriptor_for_its_launcher_says_so_and_tries_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_socket(*_: int) -> socket.socket:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    Path(lab.directory).mkdir(mode=0o700)
    before = open_files(os.getpid())
    monkeypatch.setattr(socket, "socket", no_socket)
    with pytest.raises(LauncherUnavailable, match="Too many open files"):
        client._connect(lab.directory)
    assert open_files(os.getpid()) == before


by_watchdog_and_by_successor = pytest.mark.parametrize("alone", [True, False], ids=["watchdog", "successor"])


@by_watchdog_and_by_successor
def test_a_launcher_that_is_killed_leaves_nothing_running_and_loses_it_openly(lab: Lab, alone: bool) -> None:
    async def main() -> None:
        agent = await lab.connect(1000)
        fifo = lab.fifo()
        await agent.end_of(one(agent, lab.template("true"), "1.0#1"))
        key = one(agent, lab.shell(f"trap '' TERM; setsid sleep 1000 & echo $! > {fifo}; exec sleep 1000"), "1.1#1")
        one(agent, lab.template("true"), "1.2#1")
        daemon = Watched(await reach(fifo))
        leader = Watched((await agent.start_of(key)).pid)
        await lab.kill_launcher(agent, alone)
        async with lab.agent() as later:
            assert leader.is_gone()
            assert daemon.is_gone()
            lost = await later.end_of(key)
            assert (lost.reason, lost.duration > 0) == ("lost", True)
            assert later.hello.incarnation == agent.hello.incarnation
            assert later.hello.backlog == later.hello.running == []
            assert later.reports[:-1] == agent.reports
            assert "1.2#1" not in later.ends()  # same incarnation, not held, not reported: it never started

    run(main())


@by_watchdog_and_by_successor
def test_what_cleared_its_environment_is_found_by_its_session(lab: Lab, alone: bool) -> None:
    async def main() -> None:
        agent = await lab.connect(1000)
        fifo = lab.fifo()
        key = one(agent, lab.shell(f"exec env -i sh -c 'sleep 1000 & echo $! > {fifo}; exec sleep 1000'"))
        child = Watched(await reach(fifo))
        leader = Watched((await agent.start_of(key)).pid)
        await lab.kill_launcher(agent, alone)
        async with lab.agent():
            assert leader.is_gone()
            assert child.is_gone()

    run(main())


@pytest.mark.skipif(cgroup.own_group() is None or os.getuid() != 0, reason="needs cgroup v2 that we may write")
@by_watchdog_and_by_successor
def test_not_even_a_daemon_that_hides_outlives_a_launcher_that_is_killed(lab: Lab, alone: bool) -> None:
    async def main() -> None:
        agent = await lab.connect(1000)
        _, daemon = await leave_daemon(lab, agent, "exec sleep 1000", hidden=True)
        await lab.kill_launcher(agent, alone)
        assert alone or not daemon.is_gone()
        async with lab.agent():
            assert daemon.is_gone()

    run(main())


@pytest.mark.skipif(cgroup.own_group() is None or os.getuid() != 0, reason="needs cgroup v2 that we may write")
def test_a_launcher_removes_the_groups_of_those_before_it_also_without_their_note(lab: Lab) -> None:
    """Killed with its watchdog, a launcher leaves its group; of two the note names only the last."""

    async def main() -> None:
        groups = []
        for _ in range(2):
            agent = await lab.connect(1000)
            groups.append(Path((Path(lab.directory) / "group").read_text().rstrip()))
            await agent.start_of(one(agent, lab.template("sleep", "1000")))
            await lab.kill_launcher(agent, alone=False)
            (Path(lab.directory) / "group").write_text("")
            assert groups[-1].is_dir()
        # Of another directory, and of a process that lives: nobody tidies that up.
        other = groups[0].with_name(f"cluster-1{identity(lab.directory)}-{os.getpid()}")
        other.mkdir()
        try:
            async with lab.agent():
                assert not any(map(Path.exists, groups))
                assert other.is_dir()
        finally:
            other.rmdir()

    run(main())


@pytest.mark.parametrize("tail", [b"", b'["ended",3,"1.', b'["begin","1.9#'])
def test_a_torn_last_line_is_ignored(lab: Lab, tail: bytes) -> None:
    async def main() -> None:
        agent = await lab.connect()
        await agent.end_of(one(agent, lab.template("true")))
        os.kill(agent.hello.pid, signal.SIGKILL)
        await agent.until_gone()
        with (Path(lab.directory) / "journal").open("ab") as f:
            f.write(tail)
        async with lab.agent() as later:
            assert later.hello.incarnation == agent.hello.incarnation
            await later.end_of("1.0#1")
            assert later.reports == agent.reports
            await later.end_of(one(later, lab.template("true"), "1.1#1"))
            assert [r.seq for r in later.reports] == list(range(1, len(later.reports) + 1))

    run(main())


@pytest.mark.parametrize("damage", ["none", "garbage", "other boot"])
def test_a_launcher_that_may_have_forgotten_says_so(lab: Lab, damage: str) -> None:
    async def main() -> None:
        agent = await lab.connect()
        gate = lab.fifo()
        key = one(agent, lab.shell(f"read x < {gate}"))
        job = Watched((await agent.start_of(key)).pid)
        await lab.kill_launcher(agent, alone=False)
        journal = Path(lab.directory) / "journal"
        header, *lines = journal.read_text().rstrip("\0").splitlines(keepends=True)
        if damage == "none":
            journal.unlink()
        elif damage == "garbage":
            journal.write_text("".join([header, "garbage\n", *lines]))
        else:
            word, version, incarnation, _, seq = json.loads(header)
            new = json.dumps([word, version, incarnation, "0" * 36, seq]) + "\n"
            journal.write_text("".join([new, *lines]))
        async with lab.agent() as later:
            assert later.hello.incarnation != agent.hello.incarnation
            assert job.is_gone()
            if damage == "other boot":
                assert (await later.end_of(key)).reason == "lost"

    run(main())


def test_the_journal_stays_small(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            template = agent.client.define(lab.template("true", refusal="x" * 5000))
            sizes = []
            for i in range(400):
                agent.client.start(template, [Item(f"1.{i}#1", i)])
                agent.client.ack((await agent.end_of(f"1.{i}#1")).seq)
                sizes.append((Path(lab.directory) / "journal").stat().st_size)
            assert sum(len(repr(r)) for r in agent.reports) > 2_000_000
            assert max(sizes) < 1_200_000

    run(main())


def test_quit_ends_everything_and_a_new_one_can_start(lab: Lab) -> None:
    async def main() -> None:
        agent = await lab.connect()
        key = one(agent, lab.template("sleep", "1000"))
        launcher = Watched(agent.hello.pid)
        await agent.start_of(key)
        agent.client.quit(kill=True)
        assert (await agent.end_of(key)).reason == "signal:SIGKILL"
        await agent.until_gone()
        assert await launcher.gone()
        async with lab.agent() as later:
            assert (await later.end_of(key)).reason == "signal:SIGKILL"
            assert later.hello.pid != agent.hello.pid

    run(main())


def test_what_was_acknowledged_does_not_come_again_after_a_quit(lab: Lab) -> None:
    async def main() -> None:
        agent = await lab.connect()
        await agent.end_of(one(agent, lab.template("true"), "1.0#1"))
        agent.client.ack(agent.reports[-1].seq)
        await agent.end_of(one(agent, lab.template("true"), "1.1#1"))
        agent.client.quit()
        await agent.until_gone()
        async with lab.agent() as later:
            assert later.hello.incarnation == agent.hello.incarnation
            await later.end_of("1.1#1")
            assert "1.0#1" not in later.ends()

    run(main())


def test_sigterm_to_the_launcher_is_a_quit(lab: Lab) -> None:
    async def main() -> None:
        agent = await lab.connect()
        key = one(agent, lab.template("sleep", "1000"))
        await agent.start_of(key)
        os.kill(agent.hello.pid, signal.SIGTERM)
        assert (await agent.end_of(key)).reason == "signal:SIGKILL"
        await agent.until_gone()

    run(main())


def test_it_never_imports_grpc_asyncio_or_subprocess() -> None:
    script = "import sys, cluster.launcher.main; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert not {"grpc", "asyncio", "subprocess", "cryptography", "logging"} & set(out.split())

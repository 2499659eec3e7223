"""Launchers on disks without a byte or an inode: they start there, forget nothing, and start nothing before there is
room.
"""

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.domain.launcher.core import LauncherCore
from cluster.launcher import cgroup, clock, main
from cluster.launcher.journal import RESERVE
from cluster.launcher.journal_pipeline import JOURNAL_PAUSE, JournalPipeline
from cluster.launcher.orphans import identity
from tests.faults import no_file_may_exceed
from tests.integration.fifos import let_go
from tests.integration.launchers import Agent, Lab, Watched, one, run
from tests.small_disk import SmallDisk, small_disk


@pytest.fixture(name="disk")
def _disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "launcher", 8, inodes=100) as disk:
        yield disk


@pytest.fixture(name="lab")
def _lab(tmp_path: Path, disk: SmallDisk) -> Lab:
    return Lab(tmp_path)


async def gone(agent: Agent, *, killed: bool) -> None:
    launcher = Watched(agent.hello.pid)
    if killed:
        os.kill(launcher.pid, signal.SIGKILL)
    else:
        agent.client.quit()
    await agent.until_gone()
    assert await launcher.gone()


def content(journal: Path) -> list[str]:
    return journal.read_text().rstrip("\0").splitlines(keepends=True)


@pytest.mark.parametrize("killed", [False, True])
def test_a_launcher_starts_on_a_full_disk_and_works_when_there_is_room(lab: Lab, disk: SmallDisk, killed: bool) -> None:
    async def body() -> None:
        agent = await lab.connect()
        first = await agent.end_of(one(agent, lab.template("true")))
        agent.client.ack(first.seq)
        await gone(agent, killed=killed)
        (disk.path / "journal.new").unlink()  # as where an earlier version ran, which kept no room
        disk.fill()
        disk.fill_inodes()
        async with lab.agent() as later:
            assert later.hello.incarnation == agent.hello.incarnation
            refused = await later.end_of(one(later, lab.template("true"), "1.1#1"))
            assert refused.reason == "returned"
            assert refused.text == "the launcher cannot write its journal: No space left on device"
            disk.free()
            assert (await later.end_of(one(later, lab.template("true"), "1.2#1"))).reason == "ok"

    run(body())


def test_what_had_begun_before_a_full_disk_is_lost_once_and_never_forgotten(lab: Lab, disk: SmallDisk) -> None:
    """Each of three launchers says so, until somebody acknowledges it."""

    async def body() -> None:
        agent = await lab.connect()
        ended, running = one(agent, lab.template("true")), one(agent, lab.template("sleep", "1000"), "1.1#1")
        start = await agent.start_of(running)
        end = await agent.end_of(ended)
        await gone(agent, killed=True)
        journal = disk.path / "journal"
        lines = [line for line in content(journal) if not line.startswith(f'["started",{start.seq},')]
        journal.write_text("".join(lines))  # as if it had died before it heard of that: only the slot's note is left
        (disk.path / "journal.new").unlink()
        disk.fill()
        disk.fill_inodes()
        for _ in range(3):
            later = await lab.connect()
            assert await later.end_of(ended) == end
            assert (await later.end_of(running)).reason == "lost"
            assert not later.hello.running
            assert later.hello.incarnation == agent.hello.incarnation
            await gone(later, killed=True)
        disk.free()
        async with lab.agent() as last:
            assert (await last.end_of(running)).reason == "lost"
            last.client.ack(last.reports[-1].seq)
            assert (await last.end_of(one(last, lab.template("true"), "1.2#1"))).reason == "ok"

    run(body())


def test_ends_that_come_on_a_full_disk_survive_the_launcher(lab: Lab, disk: SmallDisk) -> None:
    async def body() -> None:
        agent, gates = await lab.connect(8000), [lab.fifo() for _ in range(8)]
        keys = [one(agent, lab.shell(f"read x < {gate}"), f"1.{n}#1") for n, gate in enumerate(gates)]
        for key in keys:
            await agent.start_of(key)
        disk.fill()
        for gate in gates:
            await let_go(gate)
        ends = [await agent.end_of(key) for key in keys]
        assert (disk.path / "journal").stat().st_size >= RESERVE // 2
        await gone(agent, killed=True)
        async with lab.agent() as later:
            assert [await later.end_of(key) for key in keys] == ends

    run(body())


def test_lock_and_note_keep_their_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever gives it back, if for a moment, may not get it again."""
    lock, note = tmp_path / "launcher.lock", tmp_path / "group"
    for path in (lock, note):
        path.write_text("of the last one\n")
    monkeypatch.chdir(tmp_path)
    group = cgroup.Group(str(tmp_path), identity(str(tmp_path)))
    with no_file_may_exceed(0):
        fd = main._lock()
        group._take_note("/a/group")
    assert fd is not None
    os.close(fd)
    assert [path.read_text() for path in (lock, note)] == ["of the last one\n"] * 2
    os.close(main._lock() or -1)
    group._take_note("/a/group")
    assert int(lock.read_text()) == os.getpid()
    assert note.read_text().strip() == "/a/group"


def test_a_journal_that_cannot_be_written_is_tried_again_after_a_pause() -> None:
    """At once, it took a whole core and filled the log. What an agent is to hear goes out meanwhile."""

    def fails() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    host: Any = SimpleNamespace(has_news=False, now=clock.now, log=lambda _: None)
    journal: Any = SimpleNamespace(has_news=True, is_ours=True, write=fails)
    unused: Any = None
    pipeline = JournalPipeline(LauncherCore(1000), host, journal, unused, unused)
    assert pipeline.until_flush() == 0
    list(pipeline._flush_journal())
    assert 0 < (pipeline.until_flush() or 0) <= JOURNAL_PAUSE
    host.has_news = True
    assert pipeline.until_flush() == 0

"""Processes of workers that stall: nothing runs twice, and nothing is killed whose lease held. Real processes.

Each worker under test runs one attempt, which writes down several times a second that it runs; then some of its
processes are stopped, or its disk is frozen, for a while. A worker that joins after all have begun has room for
whatever is lost.
"""

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.domain.scheduler.state import LEASE
from cluster.domain.session.leashes import lost_after_in_force, survived_absence
from cluster.launcher import tree, watchdog
from tests.integration.schedulers import running
from tests.integration.workers import Site, WorkerProcess

pytestmark = pytest.mark.slow

# Writes down which attempt it is and when it runs, until a file tells it to end.
ATTEMPT = """
import os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
while not os.path.exists(sys.argv[2]):
    line = f"{os.environ['CLUSTER_ATTEMPT'].partition('#')[2]} {os.getpid()} {time.clock_gettime(time.CLOCK_BOOTTIME)}"
    os.write(fd, line.encode() + b"\\n")
    time.sleep(0.05)
"""
STALLING = ("agent", "launcher", "watchdog", "slot")
MANY = 40_000  # millicpus of the worker that takes what is lost


@dataclass(frozen=True, slots=True)
class Stall:
    """Which processes of a worker stall, by which means, and for how many seconds."""

    who: tuple[str, ...]
    seconds: float
    means: str = "stop"

    @property
    def name(self) -> str:
        return f"{self.means} {'+'.join(self.who)} {self.seconds:g} s"


@dataclass(slots=True)
class Case:
    """A worker under test, and what its attempts write."""

    stall: Stall
    worker: WorkerProcess
    log: Path
    job: int = 0

    def begun(self) -> bool:
        return self.log.exists() and self.log.stat().st_size > 0

    def runs(self) -> dict[int, tuple[float, float]]:
        """Of each attempt when (boot clock, s) it was first and last seen to run."""
        seen: dict[int, list[float]] = {}
        for line in self.log.read_text().splitlines():
            attempt, _, at = line.split()
            seen.setdefault(int(attempt), []).append(float(at))
        return {attempt: (min(times), max(times)) for attempt, times in seen.items()}

    def pids(self) -> dict[str, int]:
        leader = tree.read_process(int(self.log.read_text().split()[1]))
        assert leader is not None
        lock = self.worker.directory / "launcher" / watchdog.LOCK
        return {
            "agent": self.worker.process.pid,
            "launcher": self.worker.launcher_pid,
            "watchdog": int(lock.read_text().split()[0]),
            "slot": leader.parent,
        }


async def stall(case: Case, site: Site) -> None:
    if case.stall.means == "freeze":
        await frozen(case, site)
        return
    pids = case.pids()
    stopped = [pids[who] for who in case.stall.who]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(case.stall.seconds)
    for pid in stopped:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            assert pid == pids["slot"]  # killed by its leash


async def frozen(case: Case, site: Site) -> None:
    """The worker's disk hangs, while it is given something to start."""
    where = case.worker.directory.parent
    await call("fsfreeze", "-f", str(where))
    try:
        await site.user.submit("true", worker=case.worker.ready["id"], millicpus=0)
        await asyncio.sleep(case.stall.seconds)
    finally:
        await call("fsfreeze", "-u", str(where))


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 (it is another process that makes it true)
        await asyncio.sleep(0.05)


async def call(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, command


@asynccontextmanager
async def disk(where: Path) -> AsyncIterator[Path]:
    """A small file system of its own."""
    image = where.with_suffix(".image")
    with image.open("wb") as file:
        file.truncate(64 << 20)
    os.mkdir(where)
    await call("mkfs.ext4", "-q", "-F", str(image))
    await call("mount", "-o", "loop", str(image), str(where))
    try:
        yield where
    finally:
        await call("umount", "-l", str(where))


async def play(root: Path, stalls: Iterable[Stall], wished: float, lease: float) -> list[str]:
    """All of these at once, on a worker each. Answers what went wrong."""
    end = root / "end"
    loss = lost_after_in_force(wished, lease)
    cases: list[Case] = []
    async with running(root / "scheduler", lease) as cluster, contextlib.AsyncExitStack() as stack:
        site = Site(root, cluster)
        site.announce()
        try:
            for number, each in enumerate(stalls):
                place = root
                if each.means == "freeze":
                    place = await stack.enter_async_context(disk(root / f"disk{number}"))
                worker = WorkerProcess(place / f"w{number}", local_scheduler=str(cluster.directory), millicpus=1000)
                site.workers.append(worker)
                cases.append(Case(each, await worker.started(), root / f"log{number}"))
                argv = (sys.executable, "-S", "-c", ATTEMPT, str(cases[-1].log), str(end))
                job = await site.user.submit(*argv, retries=1, lost_after=wished, cwd="/")
                cases[-1].job = job.number
                await until(cases[-1].begun)
            await site.worker("spare", millicpus=MANY).started()
            await asyncio.gather(*(stall(case, site) for case in cases))
            await asyncio.sleep(2 * lease)  # whoever lost its session is back, whatever was to be killed is
            end.touch()
            await site.user.wait(*(str(case.job) for case in cases))
            return [text for case in cases for text in await judge(site, case, loss, lease)]
        finally:
            end.touch()
            for worker in site.workers:
                await worker.clean_up()


async def judge(site: Site, case: Case, loss: float, lease: float) -> list[str]:
    wrong = []
    runs = case.runs()
    if len(runs) > 1 and runs[1][1] > runs[2][0]:
        wrong.append(f"{case.stall.name}: two attempts ran at once, for {runs[1][1] - runs[2][0]:.2f} s")
    held = "agent" not in case.stall.who or case.stall.seconds < survived_absence(loss, lease)
    if held and len(runs) > 1:
        wrong.append(f"{case.stall.name}: it was killed although its lease held")
    [job] = await site.user.jobs(str(case.job))
    if job.counts.succeeded != 1:
        wrong.append(f"{case.stall.name}: it did not succeed: {job.counts}")
    return wrong


def targets() -> list[tuple[str, ...]]:
    """Each process, and each pair."""
    return [*((one,) for one in STALLING), *itertools.combinations(STALLING, 2)]


def test_nothing_runs_twice_or_is_killed_in_vain_whoever_is_stopped(tmp_path: Path) -> None:
    """Pairs: what two of them do not hold up, one of them does not; and a disk, where one can be frozen."""
    stalls = [Stall(who, 8.0) for who in targets() if len(who) == 2]
    if os.geteuid() == 0 and shutil.which("fsfreeze"):
        stalls.append(Stall(("disk",), 8.0, "freeze"))
    assert asyncio.run(play(tmp_path, stalls, 6.0, 3.0)) == []


@pytest.mark.extra_stalls
@pytest.mark.parametrize("repeat", range(3))
@pytest.mark.parametrize("lost_after", [20.0, 60.0])
@pytest.mark.parametrize("means", ["stop", "freeze"])
def test_nothing_runs_twice_or_is_killed_in_vain_for_long(
    tmp_path: Path, means: str, lost_after: float, repeat: int
) -> None:
    if means == "freeze" and (os.geteuid() != 0 or shutil.which("fsfreeze") is None):
        pytest.skip("needs root, and fsfreeze of util-linux (apt-get install util-linux)")
    who = targets() if means == "stop" else [("disk",)]
    stalls = [Stall(each, seconds, means) for each in who for seconds in (20.0, 45.0, 90.0)]
    assert asyncio.run(play(tmp_path, stalls, lost_after, LEASE)) == []

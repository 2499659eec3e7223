"""What grows with jobs and workers: the scheduler's core, and its driver with a real store, in a house that is full.

1,000 workers run 100,000 tasks, as one array or as a job for each task, and others wait behind. Measured is the CPU
that the scheduler spends, in a turn of its own each time, on a heartbeat, on a report of one end when nothing waits,
and on one when something does, which brings a placement. Then come 100,000 jobs of one task that nobody has room for.

Beside it: `bars`, in microseconds. Nothing here uses the network; `scheduler_cpu` does, for a task of a short array.

    python3 -m bench.scale [--workers 1000] [--tasks 100000] [--rounds 1000] [--without-driver]
"""

import argparse
import asyncio
import random
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.base.now import Now
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import PACKED, OkEnds
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.target import Target
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.events import (
    CancelRequested,
    Event,
    HeartbeatReceived,
    JobSubmitted,
    ReportReceived,
    SessionOpened,
    WorkerRegistered,
)
from cluster.domain.session.messages import Attempts, Downward, Hello, Report
from cluster.scheduler.driver import Driver
from cluster.scheduler.garbage_collection import look_at_each_object_once
from cluster.store.sqlite.store import SqliteStore

ONE = struct.pack(PACKED, 1.7e9, 100_000_000, 400, 0, 0)  # ran for 100 s, so that nothing is given in advance
BARS = {"heartbeat": 30, "end": 150, "placement": 1000, "submission": 3000, "longest turn": 50_000}


class House:
    """A scheduler's core whose workers are all taken."""

    def __init__(self, workers: int) -> None:
        self.core = SchedulerCore(epoch=1)
        self.now = 0.0
        self.longest = 0.0  # turn, in CPU seconds
        self._names = [f"00000000-0000-7000-8000-{number:012}" for number in range(workers)]

    def turn(self, *events: Event) -> float:
        """CPU seconds that it took; what it left for later turns it has, too, and they do not count."""
        self.now += 1e-6
        took = self._one(events)
        while (due := self.core.next_deadline()) is not None and due <= self.now:
            self._one(())
        return took

    def _one(self, events: Sequence[Event]) -> float:
        began = time.process_time()
        self.core.turn(events, Now(self.now, self.now))
        took = time.process_time() - began
        self.longest = max(self.longest, took)
        return took

    def workers_come(self, cpus: int) -> None:
        for number, name in enumerate(self._names):
            self.turn(WorkerRegistered(0, name, name, 1000 * cpus))
            self.turn(SessionOpened(number, name, Hello("inc", 1000 * cpus, 1)))

    def submit(self, tasks: int, **fields: object) -> float:
        array = (ArraySegment(1, tasks),) if tasks > 1 else ()
        spec = JobSpec(argv=("true",), array=array, **fields)  # type: ignore[arg-type]
        return self.turn(JobSubmitted(0, f"job-{self.core.next_number}", "me", spec))

    def all_start(self) -> None:
        """Every worker says that it has started what it holds."""
        for session, worker in list(self.core.sessions.items()):
            held = [(n, a, t) for n in sorted(worker.jobs) for a, t in self.core.jobs[n].held_by(worker.id)]
            started = tuple(Attempts(number, attempt, tuple(tasks.ranges())) for number, attempt, tasks in held)
            self.turn(ReportReceived(session, Report(1, started=started)))

    def heartbeats(self, draw: random.Random) -> Event:
        return HeartbeatReceived(draw.choice(list(self.core.sessions)), 1)

    def an_end(self, draw: random.Random) -> Event:
        """Of any task of any worker."""
        session, worker = draw.choice(list(self.core.sessions.items()))
        while not worker.jobs:
            session, worker = draw.choice(list(self.core.sessions.items()))
        job = self.core.jobs[draw.choice(sorted(worker.jobs))]
        attempt, tasks = next(iter(job.held_by(worker.id)))
        index = draw.choice(list(IntervalSet(tasks.ranges())))
        return ReportReceived(session, Report(2, ok=(OkEnds(job.number, attempt, index, 1, ONE),)))


def filled(workers: int, tasks: int, *, one_job: bool) -> House:
    house = House(workers)
    house.workers_come(tasks // workers)
    if one_job:
        house.submit(tasks)
    else:
        for _ in range(tasks):
            house.submit(1)
    house.all_start()
    return house


def each(times: Iterable[float], what: str, bar: str) -> None:
    micros = sorted(1e6 * t for t in times)
    middle, mean = statistics.median(micros), statistics.fmean(micros)
    print(
        f"{what:<58} mean {mean:9.1f} µs  median {middle:9.1f}  max {micros[-1]:10.1f}  (bar {BARS[bar]})", flush=True
    )


def the_core(workers: int, tasks: int, rounds: int, *, one_job: bool) -> None:
    shape = "one array" if one_job else "one-task jobs"
    house, draw = filled(workers, tasks, one_job=one_job), random.Random(1)
    each((house.turn(house.heartbeats(draw)) for _ in range(rounds)), f"core, {shape}: heartbeat", "heartbeat")
    each((house.turn(house.an_end(draw)) for _ in range(rounds)), f"core, {shape}: one end, nothing waits", "end")
    each((house.submit(1) for _ in range(rounds // 2)), f"core, {shape}: one job submitted and placed", "placement")
    for _ in range(1 if one_job else 2 * rounds):
        house.submit(tasks if one_job else 1)
    each((house.turn(house.an_end(draw)) for _ in range(rounds)), f"core, {shape}: one end, one placement", "placement")


def pending(workers: int, jobs: int, rounds: int) -> None:
    """Nobody has room for what comes."""
    house = filled(workers, workers, one_job=True)
    house.longest = 0.0
    times = [house.submit(1) for _ in range(jobs)]
    each(times, f"core, {jobs} pending jobs: submission", "submission")
    each(times[-rounds:], f"core, {jobs} pending jobs: the last {rounds} submissions", "submission")
    draw = random.Random(1)
    each((house.turn(house.heartbeats(draw)) for _ in range(rounds)), "core, pending jobs: heartbeat", "heartbeat")
    each(
        (house.turn(house.an_end(draw)) for _ in range(rounds)),
        "core, pending jobs: one end, one placement",
        "placement",
    )
    house.turn(WorkerRegistered(0, "large", "large", 1_000_000))
    house.turn(SessionOpened(10**6, "large", Hello("inc", 1_000_000, 1)))
    for number in range(jobs // 2, jobs, 500):
        house.turn(CancelRequested(0, tuple(Target(n) for n in range(number, min(jobs, number + 500))), "me"))
    each([house.longest], "core, pending jobs: the longest turn of all", "longest turn")


class _Line:
    """A worker that says nothing of itself."""

    def send(self, messages: Sequence[Downward]) -> None:
        pass

    def close(self, why: str) -> None:
        pass


async def the_driver(workers: int, tasks: int, rounds: int, *, one_job: bool) -> None:
    """CPU of all threads, with a store on the disk. One after another, and then many at once, as they would come."""
    shape = "one array" if one_job else "one-task jobs"
    house, draw = filled(workers, tasks, one_job=one_job), random.Random(1)
    with tempfile.TemporaryDirectory() as directory:
        store = SqliteStore(Path(directory, "cluster.db"), "id")
        store.load()
        driver = Driver(house.core, store, lambda: Now(house.now, house.now))
        for _ in range(workers):
            driver.open_session(_Line())
        running = asyncio.create_task(driver.run())

        async def used(events: Sequence[Event], at_once: int) -> float:
            began = time.process_time()
            for start in range(0, len(events), at_once):
                house.now += 1e-6
                await asyncio.gather(*map(driver.tell, events[start : start + at_once]))
            return (time.process_time() - began) / len(events)

        for at_once in (1, 50):
            beats = [house.heartbeats(draw) for _ in range(rounds)]
            each([await used(beats, at_once)], f"driver, {shape}: heartbeat, {at_once} at once", "heartbeat")
            ends = _different(lambda: house.an_end(draw), rounds)
            each([await used(ends, at_once)], f"driver, {shape}: one end, {at_once} at once", "end")
        driver.stop()
        await running
        store.close()


def _different(draw: Callable[[], Event], count: int) -> list[Event]:
    """So many ends, none of them twice."""
    found: dict[tuple[int, int], Event] = {}
    while len(found) < count:
        event = draw()
        assert isinstance(event, ReportReceived)
        found[event.report.ok[0].job, event.report.ok[0].first] = event
    return list(found.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--without-driver", action="store_true")
    args = parser.parse_args()
    look_at_each_object_once()
    for one_job in (True, False):
        the_core(args.workers, args.tasks, args.rounds, one_job=one_job)
        if not args.without_driver:
            asyncio.run(the_driver(args.workers, args.tasks, args.rounds, one_job=one_job))
    pending(args.workers, args.tasks, args.rounds)


if __name__ == "__main__":
    main()

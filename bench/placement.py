"""What a placement costs the scheduler's core, with many workers, request classes and jobs that wait. CPU time, in this
process, without a store or a network.

All workers are full. Each class has jobs waiting, of which each asks for something else beside cpus (memory, a gpu, a
licence, an expression over labels), so that none can stand for another. Measured: *the end of one task*, whose worker
may then take one of any class, and *a job of a new class*, for which all workers are looked at. Beside both: classes of
cpus alone. Bar: 1,000 workers and 100 classes, 5 ms a placement.

    python3 -m bench.placement [--workers 1000] [--classes 100] [--jobs 1000] [--rounds 200]
"""

import argparse
import struct
import time
from collections.abc import Callable, Sequence

from bench.harness import show
from cluster.domain.base.now import Now
from cluster.domain.job.records import PACKED, OkEnds
from cluster.domain.job.spec import JobSpec
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.events import Event, JobSubmitted, ReportReceived, SessionOpened, WorkerRegistered
from cluster.domain.session.messages import Hello, Report
from cluster.domain.session.offer import Offer

G = 1 << 30
CPUS = 16
ZONES = 10
Make = Callable[[int], JobSpec]


def asks_for_more(kind: int) -> JobSpec:
    """Of the kind-th class: each kind is another one."""
    memory, need = (1 + kind % 7) * G, f'zone != "y{kind % ZONES}" and cpus >= {1 + kind % CPUS}'
    name = f"name != 'x{kind}'"
    gpus, resources = (kind % 3 == 1), ("licence=1",) if kind % 3 == 2 else ()
    return JobSpec(("true",), memory=memory, need=f"{need} and {name}", gpus=int(gpus), resources=resources)


def asks_for_cpus(kind: int) -> JobSpec:
    return JobSpec(("true",), millicpus=max(1, 1000 - kind))


def asks_for_what_nobody_is(kind: int) -> JobSpec:
    return JobSpec(("true",), memory=G, need=f"zone == 'y{kind}'")


def prefers(kind: int) -> JobSpec:
    return JobSpec(("true",), memory=G, prefer=f"zone == 'z{kind % ZONES}' and name != 'x{kind}'", spread=True)


class Cluster:
    def __init__(self, workers: int) -> None:
        self.core = SchedulerCore(1, lease=1e9)
        self._mono = 0.0
        self._ask = self._next = 0
        self.longest = 0.0  # turn, in CPU milliseconds
        offer = [
            Offer((("licence", 4), ("mem", 64 * G)), tuple(map(str, range(4))), (("zone", f"z{number}"),))
            for number in range(ZONES)
        ]
        for number in range(workers):
            there = offer[number % ZONES]
            name = f"w{number}"
            self.turn(WorkerRegistered(0, name, name, CPUS * 1000, offer=there))
            self.turn(SessionOpened(number + 1, name, Hello("inc", CPUS * 1000, 1, offer=there)))
        self._workers = workers

    def turn(self, *events: Event) -> float:
        """The CPU milliseconds that it took, with the turns that follow at once."""
        self._mono += 0.001
        now = Now(self._mono, 1.7e9 + self._mono)
        took = self._one(events, now)
        while (due := self.core.next_deadline()) is not None and due <= self._mono:
            took += self._one((), now)
        return took

    def _one(self, events: Sequence[Event], now: Now) -> float:
        began = time.process_time()
        self.core.turn(events, now)
        took = (time.process_time() - began) * 1e3
        self.longest = max(self.longest, took)
        return took

    def submit(self, spec: JobSpec) -> float:
        self._ask += 1
        return self.turn(JobSubmitted(0, f"00000000-0000-7000-8000-{self._ask:012}", "ada", spec))

    def fill(self) -> None:
        """Every cpu is taken, by jobs of one task each."""
        for _ in range(self._workers):
            for _ in range(CPUS):
                self.submit(JobSpec(("true",)))

    def end_one(self) -> float:
        """One task ends. Its worker takes something else."""
        self._next = (self._next + 1) % self._workers
        worker = self.core.workers[f"w{self._next}"]
        number = min(worker.jobs)
        packed = struct.pack(PACKED, 1.7e9, 10_000_000, 0, 0, 0)
        assert worker.session is not None
        before = worker.held
        took = self.turn(ReportReceived(worker.session, Report(0, ok=(OkEnds(number, 1, 0, 1, packed),))))
        assert worker.held >= before, "something was placed in its stead"
        return took


def measure(what: str, make: Make, workers: int, classes: int, jobs: int, rounds: int) -> None:
    cluster = Cluster(workers)
    cluster.fill()
    for number in range(max(jobs, classes)):
        cluster.submit(make(number % classes))
    cluster.longest = 0.0
    ends = [cluster.end_one() for _ in range(rounds)]
    show(f"{what}: the end of one task", ends, "ms")
    show(f"{what}: the longest turn of these", [cluster.longest], "ms")
    cluster = Cluster(workers)
    for number in range(classes):
        cluster.submit(make(number))
    show(f"{what}: a job of a new class", [cluster.submit(make(classes + n)) for n in range(rounds)], "ms")
    show(f"{what}: one more of a class", [cluster.submit(make(n % classes)) for n in range(rounds)], "ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=200)
    args = parser.parse_args()
    for workers, classes, jobs in (
        (args.workers, args.classes, args.jobs),
        (args.workers, args.classes, args.jobs * 10),
        (args.workers, max(1, args.classes // 10), args.jobs),
        (max(1, args.workers // 10), args.classes, args.jobs),
    ):
        print(f"\n{workers} workers, {classes} classes, {jobs} jobs waiting")
        measure("cpus alone", asks_for_cpus, workers, classes, jobs, args.rounds)
        measure("more than cpus", asks_for_more, workers, classes, jobs, args.rounds)
    cluster = Cluster(args.workers)
    for what, make in (("what nobody is", asks_for_what_nobody_is), ("--prefer and --spread", prefers)):
        show(f"a job of a new class: {what}", [cluster.submit(make(n)) for n in range(args.rounds)], "ms")


if __name__ == "__main__":
    main()

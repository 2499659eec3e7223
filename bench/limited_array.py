"""One large array of which a hundredth fails and is tried again, and of which no more than so many run at once: what
the scheduler's core costs for a task, and how much memory it takes. Its workers have room for all that may run, and end
it at once; each turn commits to a store on the disk.

Beside it: `bars`.

    python3 -m bench.limited_array [--tasks 1000000] [--at-once 500] [--workers 50] [--failing 100]
"""

import argparse
import random
import resource
import struct
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.base.now import Now
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import PACKED, OkEnds, TaskEnd
from cluster.domain.job.spec import JobSpec
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Send
from cluster.domain.scheduler.events import Event, JobSubmitted, ReportReceived, SessionOpened, WorkerRegistered
from cluster.domain.scheduler.uncommitted import Waiting
from cluster.domain.session.messages import Assign, Hello, Report
from cluster.scheduler.garbage_collection import look_at_each_object_once
from cluster.store.sqlite.store import SqliteStore

ONE = struct.pack(PACKED, 1.7e9, 500, 400, 0, 0)  # ran for 0.5 ms
BARS = {"µs of CPU a task": 20, "MiB at most": 300}


class Array:
    """The workers' side of it: what each holds, and what becomes of it."""

    def __init__(self, workers: int, failing: int) -> None:
        self.held: list[dict[int, IntervalSet]] = [{} for _ in range(workers)]  # by attempt
        self._draw, self._failing = random.Random(1), failing

    def take(self, sent: Send) -> None:
        if isinstance(sent.message, Assign):
            attempts = sent.message.attempts
            self.held[sent.session].setdefault(attempts.attempt, IntervalSet()).update(attempts.ranges)

    def reports(self, turn: int) -> list[Event]:
        """Everything that is held has ended; of first attempts a few badly."""
        found: list[Event] = []
        for session, held in enumerate(self.held):
            ok: list[OkEnds] = []
            ended: list[TaskEnd] = []
            for attempt, tasks in held.items():
                bad = {i for i in tasks if attempt == 1 and not self._draw.randrange(self._failing)}
                ended += [TaskEnd(1, index, attempt, "exit:1", exit_code=1) for index in sorted(bad)]
                tasks.difference_update((index, index + 1) for index in bad)
                ok += [_ok(attempt, piece) for piece in tasks.ranges()]
            self.held[session] = {}
            if ok or ended:
                found.append(ReportReceived(session, Report(turn, ok=tuple(ok), ended=tuple(ended))))
        return found


def _ok(attempt: int, piece: Range) -> OkEnds:
    return OkEnds(1, attempt, piece.start, piece.size, ONE * piece.size)


def measure(tasks: int, at_once: int, workers: int, failing: int, path: Path) -> Iterable[tuple[str, float]]:
    store = SqliteStore(path, "id")
    store.load()
    core, array, waiting = SchedulerCore(epoch=1), Array(workers, failing), Waiting()
    millicpus = 1000 * -(-at_once // workers)
    spec = JobSpec(("true",), array=(ArraySegment(1, tasks),), retries=3, max_running=at_once)
    events: list[Event] = [JobSubmitted(0, "id", "me", spec)]
    for number in range(workers):
        name = f"w{number}"
        events.append(WorkerRegistered(0, name, name, millicpus))
        events.append(SessionOpened(number, name, Hello("inc", millicpus, 1)))
    used, turn, most = 0.0, 0, 0
    while 1 not in core.jobs or core.jobs[1].live:
        turn += 1
        now = Now(turn * 0.01, turn * 0.01)
        began = time.process_time()
        decided = core.turn(events, now)
        waiting.add(decided)
        store.commit(waiting.saves)
        used += time.process_time() - began
        waiting = Waiting()
        most = max(most, sum(map(len, core.jobs[1].held.values())))
        for act in decided.acts:
            if isinstance(act, Send):
                array.take(act)
        events = array.reports(turn)
    store.close()
    assert most == at_once, f"{most} at once"
    assert core.jobs[1].succeeded == IntervalSet([(0, tasks)])
    yield "µs of CPU a task", used / tasks * 1e6
    yield "MiB at most", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--at-once", type=int, default=500)
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--failing", type=int, default=100, help="one in so many first attempts")
    args = parser.parse_args()
    look_at_each_object_once()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "cluster.db")
        for what, value in measure(args.tasks, args.at_once, args.workers, args.failing, path):
            print(f"{what:<20} {value:8.1f}  (bar {BARS[what]})", flush=True)


if __name__ == "__main__":
    main()

"""What an array costs of which some tasks fail and are tried again: the scheduler's core and its store in one process,
workers that end everything at once, and no wire. CPU and peak memory are those of the whole process.

Beside it: what the same process time is for committing one row a task to SQLite in batches of 1,000.

    python3 -m bench.retries [--tasks 1000000] [--failing 100] [--max-running 500] [--rounds 1]
"""

import argparse
import resource
import struct
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

from bench.harness import in_turn, show
from bench.scheduler_cpu import rows
from cluster.domain.base.now import Now
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import PACKED, OkEnds, TaskEnd
from cluster.domain.job.spec import JobSpec
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Amended, Send
from cluster.domain.scheduler.events import Event, JobSubmitted, ReportReceived, SessionOpened, WorkerRegistered
from cluster.domain.session.messages import Assign, Attempts, Hello, Report
from cluster.store.sqlite.store import SqliteStore

ONE = struct.pack(PACKED, 1.7e9, 500, 400, 0, 0)  # ran for 0.5 ms
JOB = "0190b5a0-0000-7000-8000-000000000000"


def scheduler(tasks: int, failing: int, max_running: int) -> float:
    """CPU microseconds a task. Of `failing` tasks one fails the first time."""
    with tempfile.TemporaryDirectory() as directory:
        store = SqliteStore(Path(directory) / "db", "0" * 16)
        begin = time.process_time()
        core = SchedulerCore(store.load().epoch)
        spec = JobSpec(("true",), array=(ArraySegment(1, tasks),), retries=3, max_running=max_running)
        events: list[Event] = [WorkerRegistered(0, "w", "w", 4000), SessionOpened(1, "w", Hello("inc", 4000, 1))]
        events.append(JobSubmitted(0, JOB, "me", spec))
        now = 0.0
        while events or (any(core.unfinished()) and core.next_deadline() is not None):
            decided = core.turn(events, Now(now, 1.7e9 + now))
            store.commit([save.record if isinstance(save, Amended) else save for save in decided.saves])
            assigned = [
                act.message for act in decided.acts if isinstance(act, Send) and isinstance(act.message, Assign)
            ]
            events = [ReportReceived(1, _report([each.attempts for each in assigned], failing))] if assigned else []
            due = core.next_deadline()
            now = now + 0.001 if events or due is None else max(now, due)
        used = time.process_time() - begin
        ((progress,),) = (store.progress_of([1]),)
        assert progress.reason == "", progress.reason
        store.close()
    return used / tasks * 1e6


def _report(assigned: list[Attempts], failing: int) -> Report:
    ok: list[OkEnds] = []
    ended: list[TaskEnd] = []
    for attempts in assigned:
        for start, stop in attempts.ranges:
            bad = list(range(start + -start % failing, stop, failing)) if attempts.attempt == 1 else []
            ended += [TaskEnd(1, index, 1, "exit:75", exit_code=75) for index in bad]
            ok += _between([start - 1, *bad, stop], attempts.attempt)
    return Report(0, ok=tuple(ok), ended=tuple(ended))


def _between(bounds: list[int], attempt: int) -> Iterator[OkEnds]:
    for before, after in pairwise(bounds):
        if after - before > 1:
            yield OkEnds(1, attempt, before + 1, after - before - 1, ONE * (after - before - 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--failing", type=int, default=100, help="one of so many fails the first time")
    parser.add_argument("--max-running", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    ours = partial(scheduler, args.tasks, args.failing, args.max_running)
    pairs = in_turn(args.rounds, ours, lambda: rows(args.tasks))
    show("core and store", [a for a, _ in pairs], "µs a task")
    show("a row a task", [b for _, b in pairs], "µs a task")
    show("ratio", [a / b for a, b in pairs], "")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    show("peak memory", [peak], "MiB")


if __name__ == "__main__":
    main()

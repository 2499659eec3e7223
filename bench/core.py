"""What the scheduler's core alone costs for a task: no store, no wire, workers that end everything at once.

Beside it: a plain scheduler with one dict and one small object for each task, which decides nothing, persists nothing
and survives nothing: put in a queue, popped for a worker, marked as running, marked as done.

    python3 -m bench.core [--tasks 200000] [--workers 4] [--batch 100] [--rounds 3]
"""

import argparse
import struct
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from bench.harness import in_turn, show
from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.base.now import Now
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import PACKED, OkEnds, TaskEnd
from cluster.domain.job.spec import JobSpec
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Send
from cluster.domain.scheduler.events import Event, JobSubmitted, ReportReceived, SessionOpened, WorkerRegistered
from cluster.domain.session.messages import Assign, Hello, Report

ONE = struct.pack(PACKED, 1.7e9, 500, 400, 0, 0)  # ran for 0.5 ms


def core(tasks: int, workers: int, failing: int, batch: int) -> float:
    """CPU microseconds a task. Every `failing`-th task fails; 0: none does. `batch`: ends in one report."""
    scheduler = SchedulerCore(epoch=1)
    for number in range(workers):
        name = f"w{number}"
        scheduler.turn([WorkerRegistered(0, name, name, 2000)], Now(0.0, 0.0))
        scheduler.turn([SessionOpened(number, name, Hello("inc", 2000, 1))], Now(0.0, 0.0))
    spec = JobSpec(argv=("true",), array=(ArraySegment(1, tasks),))
    events: list[Event] = [JobSubmitted(0, "id", "me", spec)]
    held: list[IntervalSet] = [IntervalSet() for _ in range(workers)]
    used, turn = 0.0, 0
    while events:
        turn += 1
        begin = time.process_time()
        acts = scheduler.turn(events, Now(turn * 0.01, turn * 0.01)).acts
        used += time.process_time() - begin
        for act in acts:
            if isinstance(act, Send) and isinstance(act.message, Assign):
                held[act.session].update(act.message.attempts.ranges)
        events = [ReportReceived(n, _report(tasks.take(batch), turn, failing)) for n, tasks in enumerate(held) if tasks]
    assert not scheduler.jobs[1].live
    return used / tasks * 1e6


def _report(ranges: Iterable[Range], sequence: int, failing: int) -> Report:
    """These tasks of job 1 have ended."""
    ok: list[OkEnds] = []
    ended: list[TaskEnd] = []
    for start, stop in ranges:
        bad = range(start + -start % failing, stop, failing) if failing else range(0)
        ended += [TaskEnd(1, index, 1, "exit:1", exit_code=1) for index in bad]
        for before, after in pairwise([start - 1, *bad, stop]):
            if after - before > 1:
                ok.append(OkEnds(1, 1, before + 1, after - before - 1, ONE * (after - before - 1)))
    return Report(sequence, ok=tuple(ok), ended=tuple(ended))


@dataclass(slots=True)
class _Task:
    index: int
    state: str = "ready"
    worker: int = -1


def plain(tasks: int, workers: int) -> float:
    """CPU microseconds a task of the baseline."""
    begin = time.process_time()
    by_index = {index: _Task(index) for index in range(tasks)}
    ready = deque(by_index)
    running: set[int] = set()
    turn = 0
    while ready:
        index = ready.popleft()
        task = by_index[index]
        task.state, task.worker = "running", turn % workers
        running.add(index)
        turn += 1
        task.state = "succeeded"
        running.discard(index)
    return (time.process_time() - begin) / tasks * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=100, help="ends in one report")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    for name, failing in (("all succeed", 0), ("every tenth fails", 10)):
        ours = partial(core, args.tasks, args.workers, failing, args.batch)
        pairs = in_turn(args.rounds, ours, lambda: plain(args.tasks, args.workers))
        show(f"core, {name}", [a for a, _ in pairs], "µs a task")
        show("a dict and an object a task", [b for _, b in pairs], "µs a task")
        show("ratio", [a / b for a, b in pairs], "")


if __name__ == "__main__":
    main()

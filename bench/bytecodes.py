"""What a job of a graph costs the scheduler's core and its store's rows, in Python's own steps: the same whatever else
the machine does, and whatever machine it is. For finding what a change of some per cent does where seconds are noise.

Jobs as of bench.workflows: each after three of the layer before, handed in at once, their ends reported so many at a
time. Counted are the steps from the hand-in to the last end; what is written in C counts as one step. Beside it: which
functions most of them are in.

    python3 -m bench.bytecodes [--jobs 1000] [--batch 128] [--most 20]
"""

import argparse
import random
import struct
import sys
from collections import Counter, deque
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from bench.workflows import LAYERS, PARENTS
from cluster.client.job_fields import new_job_id
from cluster.domain.base.now import Now
from cluster.domain.job.records import PACKED, OkEnds
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.workflow import NewJob
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Send
from cluster.domain.scheduler.events import Event, JobsSubmitted, ReportReceived, SessionOpened, WorkerRegistered
from cluster.domain.scheduler.uncommitted import Waiting
from cluster.domain.session.messages import Assign, Attempts, Hello, Report
from cluster.store.sqlite.rows import by_statement

AT = 1.7e9  # Unix seconds
ONE = struct.pack(PACKED, AT + 5, 500, 400, 0, 0)  # ran for 0.5 ms


def graph(count: int) -> tuple[NewJob, ...]:
    choose, layer = random.Random(7), max(PARENTS, count // LAYERS)
    ids = [new_job_id() for _ in range(count)]
    jobs = []
    for number, job_id in enumerate(ids):
        before = ids[max(0, number // layer - 1) * layer : number // layer * layer]
        jobs.append(NewJob(job_id, JobSpec(("true",), after=tuple(choose.sample(before, PARENTS)) if before else ())))
    return tuple(jobs)


def live(jobs: tuple[NewJob, ...], batch: int) -> None:
    """Their life in a core with one worker, which ends what it is given at once, `batch` jobs in a report."""
    core, now, ended = SchedulerCore(epoch=1), 0.0, 0
    core.turn([WorkerRegistered(0, "id", "name", 2000)], Now(now, AT))
    core.turn([SessionOpened(1, "id", Hello("inc", 2000, 1))], Now(now, AT))
    events: list[Event] = [JobsSubmitted(0, "me", jobs)]
    waiting, given = Waiting(), deque[Attempts]()
    while ended < len(jobs):
        now += 0.01
        decided = core.turn(events, Now(now, AT + now))
        waiting.add(decided)
        if not decided.goes_on:
            by_statement(waiting.saves)
            core.let_go(waiting.ended)
            messages = [act.message for act in waiting.acts if isinstance(act, Send)]
            given += [message.attempts for message in messages if isinstance(message, Assign)]
            waiting = Waiting()
        some = [given.popleft() for _ in range(min(batch, len(given)))]
        ended += len(some)
        ok = tuple(OkEnds(each.job, each.attempt, 0, 1, ONE) for each in some)
        events = [ReportReceived(1, Report(ended, ok=ok))] if ok else []


def steps(work: Callable[[], None]) -> Counter[CodeType]:
    """How many steps were taken in each function."""
    taken: Counter[CodeType] = Counter()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode":
            taken[frame.f_code] += 1
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=128, help="ends in one report")
    parser.add_argument("--most", type=int, default=20, help="functions that are shown")
    args = parser.parse_args()
    live(graph(100), args.batch)  # what is made once, by the first
    jobs = graph(args.jobs)
    taken = steps(lambda: live(jobs, args.batch))
    print(f"{sum(taken.values()) / args.jobs:10.1f} steps a job")
    for code, count in taken.most_common(args.most):
        print(f"{count / args.jobs:10.1f} {code.co_qualname} ({code.co_filename.rpartition('/')[2]})")


if __name__ == "__main__":
    main()

"""What anybody may ask of the core takes a time that grows with what it is about, never with its square.

Each case took half a minute or more when every range was handled apart. The limit is far from what it takes now
(well below a second), so that a slow machine breaks nothing.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cluster.domain.base.intervals import Range
from cluster.domain.job.job import Job
from cluster.domain.job.records import JobRecord, TaskEnd
from cluster.domain.job.target import Target
from cluster.domain.scheduler.effects import Reply
from cluster.domain.scheduler.events import CancelRequested, SessionClosed, SessionOpened
from cluster.domain.scheduler.placement import MOST_HELD
from cluster.domain.scheduler.worker_record import MAX_MILLICPUS
from cluster.domain.session.messages import Attempts, Hello
from tests.domain.core_bench import Bench, spec


@contextmanager
def within(seconds: float = 10.0) -> Iterator[None]:
    began = time.thread_time()  # of the processor alone: others use this machine, too
    yield
    assert time.thread_time() - began < seconds


def cancel(bench: Bench, *ranges: Range) -> int | str | Exception:
    targets = (Target(1, ranges or None),)
    acts = bench.core.turn([CancelRequested(1, targets, "ann")], bench.now).acts
    (reply,) = (act for act in acts if isinstance(act, Reply))
    return reply.value


def test_tasks_of_which_every_other_one_was_cancelled_are_cancelled() -> None:
    bench, count = Bench(), 1_000_000
    bench.submit(spec(count, millicpus=10**9))
    odd = [Range(i, i + 1) for i in range(1, count, 2)]
    with within():
        assert cancel(bench, *odd) == len(odd)
        assert cancel(bench) == count - len(odd)
    assert bench.core.jobs[1].ended_at


def test_tasks_that_are_ready_in_fragments_are_assigned() -> None:
    job = Job(JobRecord(1, "id", "ann", spec(1_000_000), 0.0))
    job.ready.difference_update([(i, i + 1) for i in range(0, 1_000_000, 2)])
    with within():
        for _ in range(50):
            ((attempt, ranges),) = job.assign("w", 4096)
            assert (attempt, len(ranges)) == (1, 4096)


@pytest.mark.parametrize("apart", [False, True])
def test_a_hello_may_list_tasks_in_any_order_and_apart(apart: bool) -> None:
    bench, count = Bench(), 200_000
    bench.submit(spec(count, millicpus=10**9))
    bench.register("w")
    job = bench.core.jobs[1]
    job.ready.difference_update([(0, count)])
    down = [Range(i, i + 1) for i in range(count - 2, -1, -2)]
    running = tuple(Attempts(1, 1, (r,)) for r in down) if apart else (Attempts(1, 1, tuple(down)),)
    with within():
        acts = bench.core.turn([SessionOpened(1, "w", Hello("inc", 2000, 1, running=running))], bench.now).acts
    assert len(acts) < 10


def test_what_a_worker_holds_is_bounded_and_so_is_what_is_lost_with_it() -> None:
    bench = Bench()
    session = bench.worker("w", MAX_MILLICPUS)
    bench.submit(spec(10_000_000, millicpus=1, retries=1))
    assert sum(map(len, bench.core.jobs[1].held.values())) == bench.core.workers["w"].held == MOST_HELD
    with within():
        bench.core.turn([SessionClosed(session)], bench.now)
        lost = bench.turn(after=61.0)
    assert sum(isinstance(e, TaskEnd) for e in lost) == MOST_HELD
    assert not bench.core.workers["w"].held

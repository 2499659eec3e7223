"""A job in many pieces is saved in chunks, and is the same after a restart."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.job import chunks, job_tasks
from cluster.domain.job.chunks import CHUNK, MANY_RANGES
from cluster.domain.job.job_tasks import MANY_HOLDERS, Holder
from cluster.domain.job.records import JobChunk, JobHeld, JobProgress
from cluster.domain.job.states import ENDED, TaskState
from cluster.domain.job.target import Target
from cluster.domain.scheduler.events import CancelRequested, ReportReceived
from cluster.domain.session.messages import Report
from tests.domain.core_bench import Bench, Effect, attempts, effects, failed, ok, spec


def saved(effects: list[Effect]) -> list[JobProgress | JobChunk]:
    return [e for e in effects if isinstance(e, JobProgress | JobChunk)]


def numbers_in(save: JobProgress | JobChunk) -> int:
    """How many numbers its sets are written down in."""
    sets = save.sets
    flats = (*(held.flat for held in sets.held), *(flat for _, flat in (*sets.states, *sets.attempts)))
    return sum(map(len, (*flats, sets.cancelling)))


def cancel(*ranges: tuple[int, int]) -> CancelRequested:
    return CancelRequested(1, (Target(1, tuple(Range(*r) for r in ranges)),), "ann")


def test_what_is_saved_of_a_job_of_a_million_pieces_is_the_chunk_that_changed() -> None:
    bench, count = Bench(), 2_000_000
    bench.submit(spec(count, millicpus=10**9))
    job = bench.core.jobs[1]
    job.cancel_unassigned(IntervalSet((i, i + 1) for i in range(0, count, 2)))
    job.saves()
    progress, chunk = saved(effects(bench.core.turn([cancel((CHUNK + 1, CHUNK + 2))], bench.now)))
    assert isinstance(progress, JobProgress)
    assert isinstance(chunk, JobChunk)
    assert (progress.chunked, numbers_in(progress), chunk.chunk) == (True, 0, 1)
    assert numbers_in(chunk) < 3 * CHUNK
    assert saved(effects(bench.core.turn([], bench.now))) == []


def test_a_job_of_few_pieces_or_of_one_chunk_is_saved_as_one_record() -> None:
    bench = Bench()
    bench.submit(spec(CHUNK + 1, millicpus=10**9))
    (whole,) = saved(bench.turn(cancel((5, 6))))
    assert not whole.chunked  # type: ignore[union-attr]
    many = tuple((i, i + 1) for i in range(0, 2 * MANY_RANGES, 2))
    assert len(saved(bench.turn(cancel(*many)))) == 3
    bench.submit(spec(CHUNK, millicpus=10**9))
    targets = (Target(2, tuple(Range(*r) for r in many)),)
    assert len(saved(bench.turn(CancelRequested(1, targets, "ann")))) == 1


def test_a_wish_to_stop_what_runs_is_saved_with_its_chunk() -> None:
    bench = Bench()
    bench.submit(spec(3 * CHUNK, millicpus=10**9))
    job = bench.core.jobs[1]
    held = IntervalSet([(CHUNK + 2, CHUNK + 4)])
    job.cancel_unassigned(IntervalSet((i, i + 1) for i in range(0, 3 * MANY_RANGES, 2)))
    job.saves()
    job.ask_to_stop(held)
    assert [(chunk.chunk, chunk.sets.cancelling) for chunk in job.saves()[1:]] == [(1, (CHUNK + 2, CHUNK + 4))]  # type: ignore[union-attr]


def test_after_a_restart_a_job_is_saved_as_it_was() -> None:
    bench = Bench()
    bench.submit(spec(2 * CHUNK, millicpus=10**9))
    bench.restart()
    (whole,) = saved(bench.turn(cancel((5, 6))))
    assert numbers_in(whole) == 6
    bench.turn(cancel(*((i, i + 1) for i in range(0, 2 * MANY_RANGES, 2))))
    bench.restart()
    progress, chunk = saved(bench.turn(cancel((CHUNK, CHUNK + 1))))
    assert (numbers_in(progress), chunk.chunk) == (0, 1)  # type: ignore[union-attr]


def test_of_a_job_that_many_workers_hold_a_report_saves_what_its_worker_holds() -> None:
    bench = Bench()
    sessions = [bench.worker(f"w{number}", 2000) for number in range(MANY_HOLDERS + 2)]
    bench.submit(spec(2 * len(sessions)))
    index = bench.core.jobs[1].held["w5", 1].first()
    effects = bench.report(sessions[5], ok=(ok(1, index, index + 1, run=100.0),))
    progress, held = (e for e in effects if isinstance(e, JobProgress | JobHeld))
    assert not progress.sets.held  # type: ignore[union-attr]
    assert held == JobHeld(1, "w5", 1, tuple(bench.core.jobs[1].held["w5", 1].flat()))
    before = copies(bench.core.jobs[1].held)
    bench.restart()
    assert bench.core.jobs[1].held == before
    bench.turn(after=100.0)
    assert not bench.held[1], "what was lost with its worker is kept no more"


def test_what_was_saved_in_chunks_is_not_found_there_when_it_is_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK", 8)
    monkeypatch.setattr(chunks, "MANY_RANGES", 2)
    monkeypatch.setattr(job_tasks, "MANY_HOLDERS", 1)
    bench = Bench()
    bench.submit(spec(40))
    bench.turn(cancel(*((i, i + 1) for i in range(20, 40, 2))))
    first = bench.worker("w", 2000)
    assert any(chunk.sets.held for chunk in bench.chunks.values())
    second = bench.worker("v", 1000)
    bench.turn(cancel((3, 40)))
    bench.report(first, ended=(failed(1, 0), failed(1, 1)))
    bench.report(second, ended=(failed(1, 2),))
    assert not any(chunk.sets.held for chunk in bench.chunks.values())
    assert not bench.held[1]


def copies(held: dict[Holder, IntervalSet]) -> dict[Holder, IntervalSet]:
    return {holder: tasks.copy() for holder, tasks in held.items()}


TASKS = 40
index = st.integers(0, TASKS - 1)
steps = st.lists(
    st.tuples(
        st.sampled_from(["ok", "failed", "started", "returned", "cancel", "later", "restart", "away"]), index, index
    ),
    max_size=30,
)


@settings(max_examples=100)
@given(steps, st.sampled_from([(2, MANY_HOLDERS), (2, 1), (MANY_RANGES, 1), (2, 0), (MANY_RANGES, 0)]))
def test_whatever_happens_a_job_that_is_saved_in_parts_is_the_same_after_a_restart(
    steps: list[tuple[str, int, int]], many: tuple[int, int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK", 8)
        patch.setattr(chunks, "MANY_RANGES", many[0])
        patch.setattr(job_tasks, "MANY_HOLDERS", many[1])
        bench = Bench()
        session = bench.worker("w", 6000)
        bench.worker("other", 6000)
        bench.submit(spec(TASKS, retries=1))
        bench.turn(cancel((3, 4), (13, 14)))
        for what, first, second in steps:
            attempt = next((n for n, tasks in bench.core.jobs[1].held_by("w") if first in tasks), 1)
            match what:
                case "ok":
                    bench.report(session, ok=(ok(1, first, first + 1, attempt),))
                case "failed":
                    bench.report(session, ended=(failed(1, first, attempt),))
                case "started" | "returned":
                    bench.turn(
                        ReportReceived(session, Report(0, **{what: (attempts(1, attempt, (first, first + 1)),)}))  # type: ignore[arg-type]
                    )
                case "cancel":
                    bench.turn(cancel((min(first, second), max(first, second))))
                case "later":
                    bench.turn(after=2.0)
                case "away":
                    bench.turn(after=70.0)
                case "restart":
                    before, held = bench.core.jobs[1].progress().sets, copies(bench.core.jobs[1].held)
                    bench.restart()
                    after = bench.core.jobs[1].progress().sets
                    if not before.of(TaskState.BACKOFF):  # else those are due now
                        assert after == before
                    assert (bench.core.jobs[1].held, after.cancelling) == (held, before.cancelling)
                    assert [after.of(state) for state in ENDED] == [before.of(state) for state in ENDED]
                    bench.hello("other")
                    bench.hello("w")
                    session = bench._session
        assert bench.progress[1].chunked == (many[0] == 2)

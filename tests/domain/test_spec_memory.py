"""What a worker remembers of the jobs that were assigned to it, and what the scheduler believes that it remembers."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.job.spec import JobSpec
from cluster.domain.scheduler.effects import CloseSession, Send
from cluster.domain.scheduler.events import HeartbeatReceived, JobSubmitted
from cluster.domain.session import spec_memory
from cluster.domain.session.messages import Assign, Attempts
from cluster.domain.session.spec_memory import SpecMemory, weigh
from cluster.domain.worker.messages import HangUp
from cluster.rpc.convert import messages_from_response, response_to_proto
from tests.domain import worker_bench
from tests.domain.core_bench import Bench, Effect, failed, spec, uuid


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spec_memory, "MOST_SPECS", 3)
    monkeypatch.setattr(spec_memory, "MOST_BYTES", 100)


def _of(size: int) -> JobSpec:
    return JobSpec(argv=("a" * size,))


def test_the_one_that_was_not_assigned_for_longest_is_forgotten_and_its_number_used_again() -> None:
    memory: SpecMemory[str] = SpecMemory()
    assert [memory.remember(job, _of(1), f"job {job}") for job in (1, 2, 3)] == [0, 1, 2]
    assert memory.get(1) == (0, 1, "job 1")
    assert memory.remember(4, _of(1), "job 4") == 1
    assert memory.get(2) is None
    assert [job for job in (1, 3, 4) if memory.get(job)] == [1, 3, 4]


def test_few_large_specs_fill_it_too_and_one_that_is_larger_than_all_of_it_is_remembered_alone() -> None:
    memory: SpecMemory[None] = SpecMemory()
    numbers = {job: memory.remember(job, _of(40), None) for job in (1, 2)}
    memory.remember(3, _of(30), None)
    assert [job for job in (1, 2, 3) if memory.get(job)] == [2, 3]
    memory.remember(4, _of(1000), None)
    assert (len(memory), memory.get(4) is not None) == (1, True)
    again = [memory.remember(job, _of(1), None) for job in (5, 6, 7)]
    assert sorted(again) == [0, 1, 2]
    assert set(numbers.values()) <= {0, 1, 2}


@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from([0, 10, 60, 200]))))
def test_both_sides_agree_whatever_is_assigned(assigned: list[tuple[int, int]]) -> None:
    """The scheduler's side has the job's own spec, the worker's what came over the wire."""
    ours: SpecMemory[None] = SpecMemory()
    theirs: SpecMemory[JobSpec] = SpecMemory()
    specs = {job: replace(_of(size), env=(("A", "ä"),)) for job, size in reversed(assigned)}
    for job, _ in assigned:
        known = ours.get(job) is not None
        message = Assign(Attempts(job, 1, ()), None if known else specs[job], 1.0, (), "" if known else "id")
        if not known:
            ours.remember(job, specs[job], None)
        [told] = messages_from_response(response_to_proto([message]))
        assert isinstance(told, Assign)
        if told.spec is not None:
            assert weigh(told.spec) == weigh(specs[job])
            theirs.remember(job, told.spec, told.spec)
        else:
            remembered = theirs.get(job)
            assert remembered is not None
            assert remembered.what == specs[job]


def test_many_jobs_that_fail_and_are_tried_again_close_no_session() -> None:
    """Each comes back after its pause, when many others have been assigned. (1,024 were remembered; 3,000 jobs with
    retries closed a healthy session four times.)"""
    scheduler, worker = Bench(), worker_bench.Bench().opened()
    session = scheduler.worker("w", 1000)

    def tell(effects: Sequence[Effect]) -> None:
        messages = [effect.message for effect in effects if isinstance(effect, Send)]
        assert not any(isinstance(effect, HangUp) for effect in worker.down(*messages))
        assert not any(isinstance(effect, CloseSession) for effect in effects)

    for number in range(1, 9):
        tell(scheduler.turn(JobSubmitted(7, uuid(number), "alice", spec(retries=3))))
    attempts = dict.fromkeys(range(1, 9), 0)
    while list(scheduler.core.unfinished()):
        held = [job.number for job in scheduler.core.unfinished() if job.is_held_by("w")]
        for number in held:
            attempts[number] += 1
            tell(scheduler.report(session, sum(attempts.values()), ended=(failed(number, 0, attempts[number]),)))
        if not held:
            scheduler.mono += 1.0
            tell(scheduler.turn(HeartbeatReceived(session, 1)))
    assert set(attempts.values()) == {4}

"""The table of a task's states: what may happen, and that everything else is an error that changes nothing."""

from itertools import product

import pytest

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job import states
from cluster.domain.job.job import Job
from cluster.domain.job.records import JobRecord
from cluster.domain.job.states import TRANSITIONS, IllegalTransition, TaskEvent, TaskState, next_state
from tests.domain.core_bench import spec

MISSING = [pair for pair in product(TaskState, TaskEvent) if pair not in TRANSITIONS]


@pytest.mark.parametrize(("state", "event"), TRANSITIONS)
def test_what_may_happen(state: TaskState, event: TaskEvent) -> None:
    assert next_state(state, event) is TRANSITIONS[state, event]


@pytest.mark.parametrize(("state", "event"), MISSING)
def test_everything_else_is_an_error_that_names_both_and_changes_nothing(state: TaskState, event: TaskEvent) -> None:
    job = Job(JobRecord(1, "id", "alice", spec(3), 0.0))
    job.sets.remove(TaskState.READY, all_three := IntervalSet([(0, 3)]))
    job.sets.add(state, all_three)
    before = job.progress()
    with pytest.raises(IllegalTransition, match=f"{state.word} cannot be {event.value}"):
        job._move(state, event, all_three)
    assert job.progress() == before


def test_ends_are_final_until_somebody_wants_what_did_not_succeed_tried_again() -> None:
    after = {pair: state for pair, state in TRANSITIONS.items() if pair[0].ended}
    without_success = (TaskState.FAILED, TaskState.CANCELLED)
    assert after == {(state, TaskEvent.REOPENED): TaskState.WAITING for state in without_success}


def test_every_state_that_tasks_can_be_in_is_reached_from_the_first() -> None:
    reached = {TaskState.WAITING}
    while more := {to for (state, _), to in TRANSITIONS.items() if state in reached} - reached:
        reached |= more
    assert reached == set(states.TRAITS)


def test_every_live_state_leads_to_an_end() -> None:
    for state in {state for state, _ in TRANSITIONS}:
        reached = {state}
        while more := {to for (at, _), to in TRANSITIONS.items() if at in reached} - reached:
            reached |= more
        assert any(other.ended for other in reached)


def test_numbers_never_change() -> None:
    """They are in the database and on the wire."""
    assert {state.word: int(state) for state in TaskState} == {
        "waiting": 1,
        "ready": 2,
        "assigned": 3,
        "running": 4,
        "backoff": 5,
        "succeeded": 6,
        "failed": 7,
        "cancelled": 8,
        "finishing": 70,
    }


def test_each_state_is_described_once() -> None:
    """No two share a rank, or which comes first would be chance."""
    assert set(TaskState) == set(states.TRAITS)
    for rank in ("job_rank", "list_rank"):
        assert len({getattr(traits, rank) for traits in states.TRAITS.values()}) == len(states.TRAITS)
    assert [state.word for state in states.BY_JOB_RANK[-3:]] == ["failed", "cancelled", "succeeded"]
    assert set(states.KEPT) | set(states.HELD) == set(states.COUNTED) == set(states.LIVE) | set(states.ENDED)

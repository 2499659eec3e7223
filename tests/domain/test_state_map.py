"""Maps of tasks' states: what they tell is what the sets hold, in bounded size."""

import random
from itertools import accumulate

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.job.state_map import StateMap, pieces_asked, state_map, states_within, tasks_asked
from cluster.domain.job.states import TaskState

READY, RUNNING, FAILED = TaskState.READY, TaskState.RUNNING, TaskState.FAILED


def states_of(told: StateMap) -> dict[int, TaskState]:
    """Each task's state, as a map of ranges tells it."""
    found: dict[int, TaskState] = {}
    for state, gaps in told.by_state.items():
        edges = list(accumulate(gaps, initial=told.tasks.start))[1:]
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            found |= dict.fromkeys(range(start, stop), state)
    return found


@pytest.mark.parametrize("seed", range(20))
def test_a_map_tells_what_the_sets_hold(seed: int) -> None:
    dice = random.Random(seed)
    count = dice.randint(1, 400)
    truth = {index: dice.choice((READY, RUNNING, FAILED)) for index in range(count)}
    sets = {state: IntervalSet() for state in TaskState}
    for index, state in truth.items():
        sets[state].add(index, index + 1)
    tasks = tasks_asked(count, first := dice.randrange(count), dice.choice((0, 1, count // 3, count * 2)))
    assert tasks.start == first
    within = states_within(sets, tasks)
    exact = state_map(within, tasks, 1000)
    assert exact.per_cell == 0
    assert states_of(exact) == {index: truth[index] for index in range(*tasks)}

    most = dice.randint(1, 20)
    summed = state_map(within, tasks, most)
    if not summed.per_cell:
        assert sum(map(len, summed.by_state.values())) <= 2 * most
        return
    assert summed.per_cell & (summed.per_cell - 1) == 0
    for state, counts in summed.by_state.items():
        assert len(counts) <= most
        for cell, told in enumerate(counts):
            start = tasks.start + cell * summed.per_cell
            there = range(start, min(tasks.stop, start + summed.per_cell))
            assert told == sum(truth[index] is state for index in there)


def test_a_million_tasks_are_few_numbers() -> None:
    sets = {state: IntervalSet() for state in TaskState}
    sets[FAILED].update_each(range(0, 1_000_000, 2))
    sets[READY].update_each(range(1, 1_000_000, 2))
    tasks = Range(0, 1_000_000)
    told = state_map(states_within(sets, tasks), tasks, 1000)
    assert told.per_cell == 1024
    assert {state: (len(counts), sum(counts)) for state, counts in told.by_state.items()} == {
        READY: (977, 500_000),
        FAILED: (977, 500_000),
    }


def test_what_is_asked_for_has_bounds() -> None:
    assert tasks_asked(10, 9, 5) == Range(9, 10)
    with pytest.raises(InvalidInput, match="first is 10, and the last of its 10 tasks is at 9"):
        tasks_asked(10, 10, 0)
    assert pieces_asked(0) == 1000
    with pytest.raises(InvalidInput, match="most is 10001: at most 10000"):
        pieces_asked(10_001)

"""Leaving out what a follower has had before a break."""

from cluster.client.had import Had
from cluster.client.types import Output


def piece(task: int, data: bytes, attempt: int = 1, stderr: bool = False) -> Output:
    return Output(1, task, attempt, stderr, data)


def fresh(had: Had, *pieces: Output) -> list[Output]:
    had.begin()
    return [rest for rest in map(had.rest_of, pieces) if rest]


def test_after_a_break_only_what_is_new_comes() -> None:
    had = Had()
    first = [piece(1, b"one"), piece(9, b"nine"), piece(2, b"two", stderr=True), piece(2, b"t")]
    assert fresh(had, *first) == first
    again = [piece(1, b"on"), piece(1, b"e"), piece(9, b"nine"), piece(2, b"two!", stderr=True), piece(2, b"two")]
    assert fresh(had, *again) == [piece(2, b"!", stderr=True), piece(2, b"wo")]
    more = [piece(2, b"again", attempt=2), piece(3, b"three")]
    assert fresh(had, *again, *more) == more


def test_a_task_whose_output_was_lost_in_the_break_holds_up_no_other() -> None:
    had = Had()
    fresh(had, piece(1, b"one"), piece(2, b"tw"))
    assert fresh(had, piece(1, b"one"), piece(3, b"three")) == [piece(3, b"three")]


def test_a_million_tasks_take_little_memory() -> None:
    had = Had()
    for task in range(1000):
        had.rest_of(piece(task, b"x"))
    assert had._whole[1].range_count() == 1

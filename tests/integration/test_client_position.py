"""Where a follower of output has come to, which is where it goes on after a break."""

from cluster.client.position import Position, read_on
from cluster.client.types import Output


def piece(task: int, end: int, attempt: int = 1, stderr: bool = False) -> Output:
    return Output(1, task, attempt, stderr, b"some", end)


def test_a_place_is_where_each_stream_of_the_present_attempt_ended() -> None:
    position = None
    places = [
        position := read_on(position, each)
        for each in (
            piece(1, 3),
            piece(9, 2),
            piece(9, 2, stderr=True),
            piece(9, 999),
            piece(9, 5, attempt=2),
            piece(2, 3),
        )
    ]
    assert places == [
        Position(1, 1, 1, 3),
        Position(1, 9, 1, 2),
        Position(1, 9, 1, 2, 2),
        Position(1, 9, 1, 999, 2),
        Position(1, 9, 2, 5),
        Position(1, 2, 1, 3),
    ]

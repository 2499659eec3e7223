"""Where a follower of output has come to, which is where it goes on after a break."""

from cluster.client.so_far import ReadSoFar, read_on
from cluster.client.types import Output


def piece(task: int, data: bytes, attempt: int = 1, stderr: bool = False) -> Output:
    return Output(1, task, attempt, stderr, data)


def test_bytes_are_counted_for_the_present_attempt_alone() -> None:
    place = None
    places = [
        place := read_on(place, each)
        for each in (
            piece(1, b"one"),
            piece(9, b"ni"),
            piece(9, b"no", stderr=True),
            piece(9, b"ne"),
            piece(9, b"again", attempt=2),
            piece(2, b"two"),
        )
    ]
    assert places == [
        ReadSoFar(1, 1, 1, 3),
        ReadSoFar(1, 9, 1, 2),
        ReadSoFar(1, 9, 1, 2, 2),
        ReadSoFar(1, 9, 1, 4, 2),
        ReadSoFar(1, 9, 2, 5),
        ReadSoFar(1, 2, 1, 3),
    ]

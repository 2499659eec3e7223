"""A process that is to stay is started again soon, and later each time while it does not."""

from cluster.domain.base.restarts import LONGEST_PAUSE, STAYS, Restarts


def test_who_does_not_stay_waits_twice_as_long_each_time() -> None:
    restarts = Restarts()
    assert [restarts.pause(STAYS - 0.1) for _ in range(9)] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, LONGEST_PAUSE]


def test_who_has_stayed_is_started_again_soon() -> None:
    restarts = Restarts()
    for _ in range(9):
        restarts.pause(0.0)
    assert [restarts.pause(STAYS), restarts.pause(0.0), restarts.pause(0.0)] == [0.5, 1.0, 2.0]

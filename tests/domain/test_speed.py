"""Rate and time left."""

from cluster.domain.base.speed import MOST, WINDOW, Speed


def test_a_steady_pace_tells_the_rate_and_what_is_left() -> None:
    speed = Speed()
    assert (speed.rate, speed.left(100)) == (0.0, None)
    speed.see(0.0, 0)
    assert (speed.rate, speed.left(100)) == (0.0, None)
    for second in range(1, 11):
        speed.see(float(second), second * 5)
    assert (speed.rate, speed.left(100), speed.left(20)) == (5.0, 10.0, 0.0)


def test_what_goes_slower_now_takes_longer() -> None:
    speed = Speed()
    for second in range(100):
        speed.see(float(second), min(second, 10) * 100 + second)
    assert speed.rate == 1.0
    for quick in range(100_000):  # many sights in a moment neither take memory nor push the older ones out
        speed.see(99 + quick / 100_000, 1000 + 99 + quick / 100_000)
    assert 0.9 < speed.rate < 1.1
    assert len(speed._sights) <= MOST + 2


def test_standing_still_has_no_end_and_a_new_start_forgets() -> None:
    speed = Speed()
    speed.see(0.0, 50)
    speed.see(WINDOW, 50)
    assert speed.left(100) is None
    speed.see(WINDOW + 1, 0)
    assert speed.left(100) is None
    speed.see(WINDOW + 2, 10)
    assert (speed.rate, speed.left(100)) == (10.0, 9.0)

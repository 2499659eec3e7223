"""Who fails too often waits, alone, and in bounded memory."""

import pytest

from cluster.domain.base.errors import Exhausted
from cluster.domain.trust.throttle import FailureThrottle


def test_a_source_that_fails_too_often_waits_and_others_do_not() -> None:
    throttle = FailureThrottle(limit=3, window=60)
    for now in (0, 10, 20):
        throttle.check("a", now)
        throttle.failed("a", now)
    with pytest.raises(Exhausted, match="from a; try again in 30 seconds"):
        throttle.check("a", 30)
    throttle.check("b", 30)
    throttle.check("a", 60)


def test_the_source_that_failed_longest_ago_is_forgotten_first() -> None:
    throttle = FailureThrottle(limit=1, sources=2)
    for source in ("a", "b", "a", "c"):
        throttle.failed(source, 0)
    throttle.check("b", 1)
    for source in ("a", "c"):
        with pytest.raises(Exhausted):
            throttle.check(source, 1)

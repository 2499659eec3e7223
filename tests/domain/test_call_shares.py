"""No crowd of attempts keeps other users' jobs from the cluster."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.base.errors import Exhausted
from cluster.domain.base.ids import AttemptKey
from cluster.domain.worker.call_shares import CallShares


def attempts(job: int) -> Iterator[AttemptKey]:
    return (AttemptKey(job, index, 1) for index in range(1000))


def test_an_attempt_has_its_bound() -> None:
    shares, key = CallShares("calls", 2, 100), AttemptKey(7, 0, 1)
    shares.take(key, "ada", 2)
    with pytest.raises(Exhausted, match="job 7 has 2 calls under way, and each attempt may have 2: wait until one of"):
        shares.take(key, "ada", 1)
    shares.take(AttemptKey(7, 1, 1), "ada", 1)
    shares.give_back(key, "ada", 1)
    shares.take(key, "ada", 1)


def test_one_user_has_as_much_as_all_others_are_left_and_is_named() -> None:
    shares, crowd = CallShares("calls", 16, 64), attempts(1)
    for key in (next(crowd), next(crowd)):
        shares.take(key, "eve", 16)
    with pytest.raises(Exhausted, match="jobs of eve have 32 calls under way on this worker, and the rest is for othe"):
        shares.take(next(crowd), "eve", 1)
    others = attempts(2)
    for _ in range(16):
        shares.take(next(others), "ada", 1)
    with pytest.raises(
        Exhausted, match="the jobs of this worker have 48 calls under way, those of eve 32: try again l"
    ):
        shares.take(next(others), "ada", 1)
    shares.take(AttemptKey(3, 0, 1), "bob", 8)
    assert shares._owners == {"eve": 32, "ada": 16, "bob": 8}


def test_nothing_stays_of_what_was_given_back() -> None:
    shares = CallShares("calls", 16, 64)
    for _ in range(100):
        for key in (AttemptKey(1, 0, 1), AttemptKey(1, 1, 1)):
            shares.take(key, "ada", 16)
        for key in (AttemptKey(1, 0, 1), AttemptKey(1, 1, 1)):
            shares.give_back(key, "ada", 16)
    assert not shares._attempts
    assert not shares._owners


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc"), st.integers(1, 16)), max_size=200))
def test_whoever_has_nothing_finds_room(asked: list[tuple[int, str, int]]) -> None:
    shares = CallShares("calls", 16, 1024)
    for index, owner, amount in asked:
        with suppress(Exhausted):
            shares.take(AttemptKey(ord(owner), index, 1), owner, amount)
    shares.take(AttemptKey(1, 0, 1), "somebody else", 16)

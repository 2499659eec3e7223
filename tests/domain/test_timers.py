"""Deadlines in order, one for each key."""

from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.base.timers import Timers


def test_the_last_word_counts() -> None:
    timers = Timers()
    timers.set("a", 3.0)
    timers.set("b", 2.0)
    timers.set("a", 1.0)
    assert timers.next() == 1.0
    timers.set("a", 5.0)
    timers.cancel("b")
    timers.cancel("never set")
    assert timers.next() == 5.0
    assert list(timers.due(4.0)) == []
    assert list(timers.due(5.0)) == ["a"]
    assert timers.next() is None


def test_what_is_set_while_things_are_due_is_due_too() -> None:
    timers = Timers()
    timers.set("a", 1.0)
    fired = []
    for key in timers.due(2.0):
        fired.append(key)
        if key == "a":
            timers.set("b", 2.0)
            timers.set("c", 2.1)
    assert fired == ["a", "b"]


def test_what_is_cancelled_takes_no_memory_for_long() -> None:
    """Behind a deadline that comes first, where nobody meets it."""
    timers = Timers()
    timers.set("first", 0.0)
    for number in range(1000):
        timers.set(number, 1.0)
        timers.cancel(number)
    assert len(timers._heap) < 100
    assert timers.next() == 0.0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 9))), st.integers(0, 9))
def test_as_a_dictionary_would(steps: list[tuple[str, int | None]], now: int) -> None:
    timers, plain = Timers(), dict[str, int]()
    for key, when in steps:
        if when is None:
            timers.cancel(key)
            plain.pop(key, None)
        else:
            timers.set(key, when)
            plain[key] = when
    assert timers.next() == min(plain.values(), default=None)
    due = list(timers.due(now))
    assert sorted(map(str, due)) == sorted(key for key, when in plain.items() if when <= now)
    assert [plain[str(key)] for key in due] == sorted(plain[str(key)] for key in due)

"""Who gets a permit for a large request, and whose is cut."""

import sys
from collections.abc import Callable, Sequence

from cluster.domain.trust.request_permits import Permit, Permits


class Bench:
    """Permits with a clock, and who has one."""

    def __init__(self) -> None:
        self.permits = Permits(most=6, most_of_one=2, sure=0.5, memory=60.0)
        self.now = 0.0
        self.held: list[Permit] = []
        self.cut: list[str] = []

    def turn(self) -> None:
        begun, cut = self.permits.turn(self.now)
        for permit in cut:
            self.cut.append(str(permit.caller))
            self.held.remove(permit)
        self.held += begun

    def ask(self, *callers: str) -> list[Permit]:
        asked = [self.permits.ask(caller) for caller in callers]
        self.turn()
        return asked

    def leave(self, permit: Permit, arrived: bool = True) -> None:
        permit.arrived = arrived
        if permit in self.held:
            self.held.remove(permit)
        self.permits.leave(permit, self.now)
        self.turn()

    def holders(self) -> Sequence[str]:
        return sorted(str(permit.caller) for permit in self.held)


def test_nobody_has_all_and_the_next_comes_when_one_is_given_back() -> None:
    bench = Bench()
    first, *_ = bench.ask("a", "a", "a", "b", "b")
    assert bench.holders() == ["a", "a", "b", "b"]
    bench.leave(first)
    assert bench.holders() == ["a", "a", "b", "b"]
    assert bench.permits.next_deadline(bench.now) is None


def test_who_sends_nothing_gives_way_to_who_has_done_no_such_thing_once_its_place_is_not_sure() -> None:
    bench = Bench()
    bench.ask("a", "a", "b", "b", "c", "c")
    bench.ask("ann")
    assert (bench.cut, bench.permits.next_deadline(bench.now)) == ([], 0.5)
    bench.now = 0.5
    bench.turn()
    assert (bench.cut, bench.holders()) == (["a"], ["a", "ann", "b", "b", "c", "c"])


def test_who_was_cut_does_not_drive_out_who_is_slow_and_honest() -> None:
    bench = Bench()
    bench.ask("a", "a", "b", "b", "c", "c")
    bench.now = 1.0
    bench.ask("ann", "bob")  # who take a while
    for _ in range(50):
        bench.now += 1.0
        bench.ask("a", "b", "c")
    assert set(bench.cut) <= {"a", "b", "c"}
    assert {"ann", "bob"} <= set(bench.holders())


def test_others_who_have_done_nothing_wrong_drive_out_only_the_worst() -> None:
    bench = Bench()
    bench.ask("ann", "a", "a", "b", "b", "c")
    bench.now = 1.0
    bench.ask("d", "e", "f")
    assert sorted(bench.cut) == ["a", "a", "b"]  # each of whom held two
    assert "ann" in bench.holders()


def test_what_has_arrived_is_never_cut() -> None:
    bench = Bench()
    for permit in bench.ask("a", "a", "b", "b", "c", "c"):
        permit.arrived = True
    bench.now = 100.0
    (waiting,) = bench.ask("ann")
    assert (bench.cut, bench.permits.next_deadline(bench.now)) == ([], None)
    bench.leave(bench.held[0])
    assert waiting in bench.held


def test_whoever_gives_up_its_place_before_it_is_lost_waits_behind_the_others() -> None:
    """Holding each for a little less than it is sure, they would have them all the time."""
    bench = Bench()
    crowd = [caller for caller in "abc" for _ in range(2)]
    held = bench.ask(*crowd)
    bench.now = 0.49
    bench.ask(*crowd)
    (ann,) = bench.ask("ann")
    bench.leave(held[0], arrived=False)
    assert ann in bench.held
    (bob,) = bench.ask("bob")
    assert (bob in bench.held, bench.cut) == (True, ["a"])  # whose permits are not sure any more


def test_failures_are_forgotten_and_so_is_everybody() -> None:
    bench = Bench()
    (permit,) = bench.ask("a")
    bench.leave(permit, arrived=False)
    assert bench.permits._callers
    bench.now = 60.0
    bench.turn()
    assert not bench.permits._callers


def test_a_crowd_that_waits_costs_nothing_for_each_that_comes_and_a_look_at_each_for_one_that_leaves() -> None:
    """A thousand workers come back at once after a restart; each looked at all permits held, for each that waited."""
    (coming, leaving), (coming_later, leaving_later) = (_cost_of_one(crowd) for crowd in (100, 400))
    assert coming_later == coming
    assert leaving_later - leaving < 8 * 300


def _cost_of_one(crowd: int) -> tuple[int, int]:
    """Calls for one that comes, and for one that leaves, while the crowd waits."""
    permits = Permits(most=32)
    for number in range(crowd):
        permits.ask(number)
    held, _ = permits.turn(0.0)

    def come() -> None:
        permits.ask("ann")
        permits.turn(0.1)
        permits.next_deadline(0.1)

    def leave() -> None:
        held[0].arrived = True
        permits.leave(held[0], 0.2)
        permits.turn(0.2)
        permits.next_deadline(0.2)

    return _calls(come), _calls(leave)


def _calls(work: Callable[[], object]) -> int:
    """How many calls of functions, and steps of generators, it takes."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls

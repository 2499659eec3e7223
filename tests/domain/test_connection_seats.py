"""Who gives way to whom, where anybody may come."""

from cluster.domain.trust.connection_seats import Seats


def test_the_oldest_of_whoever_has_most_gives_way_to_a_newcomer() -> None:
    seats: Seats[str] = Seats(4, 9)
    assert [seats.take(f"a{n}", "a") for n in range(3)] == [None] * 3
    assert seats.take("b0", "b") is None
    assert seats.take("c0", "c") == "a0"
    assert [seats.take(f"a{n}", "a") for n in (3, 4)] == ["a1", "a2"]  # its own
    assert sorted(seats) == ["a3", "a4", "b0", "c0"]


def test_no_host_has_more_than_its_own_share() -> None:
    seats: Seats[str] = Seats(9, 2)
    assert [seats.take(f"a{n}", "a") for n in range(3)] == [None, None, "a0"]
    seats.leave("a1")
    seats.leave("a1")
    assert seats.take("a3", "a") is None
    for who in list(seats):
        seats.leave(who)
    assert not seats._of

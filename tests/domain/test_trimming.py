"""What is cut of outputs that grow: what nobody keeps, and the largest first where a disk is nearly full."""

from cluster.domain.worker.trimming import LEAST_GAIN, LEAST_KEPT, Cut, Stream, cuts

MIB = 1 << 20


def stream(name: str, stored: int, limit: int = 64 * MIB) -> Stream:
    return Stream(name, stored, limit)


def test_what_is_kept_anyway_is_left_alone() -> None:
    assert cuts([stream("a", 64 * MIB), stream("b", 80 * MIB), stream("c", 0)], 0) == []


def test_what_is_longer_than_that_by_a_quarter_is_cut_to_it() -> None:
    assert cuts([stream("a", 80 * MIB + 1), stream("b", 3 * MIB, limit=65536)], 0) == [
        Cut("a", 64 * MIB),
        Cut("b", 65536),
    ]
    assert cuts([stream("b", LEAST_GAIN + 65536, limit=65536)], 0) == []  # readers would not see so small a hole


def test_where_a_disk_is_nearly_full_the_largest_is_cut_first_and_no_more_than_is_needed() -> None:
    streams = [stream("small", 5 * MIB), stream("large", 50 * MIB), stream("tiny", MIB), stream("other", 20 * MIB)]
    assert cuts(streams, 10 * MIB) == [Cut("large", 40 * MIB)]
    assert cuts(streams, 60 * MIB) == [Cut("large", LEAST_KEPT), Cut("other", 9 * MIB)]
    assert cuts(streams, 1 << 60) == [Cut("large", LEAST_KEPT), Cut("other", LEAST_KEPT), Cut("small", LEAST_KEPT)]
    assert cuts([stream("a", 10 * MIB)], 1) == [Cut("a", 10 * MIB - LEAST_GAIN)]


def test_what_was_cut_to_its_limit_may_have_to_give_more() -> None:
    assert cuts([stream("a", 100 * MIB), stream("b", 10 * MIB)], 36 * MIB) == [Cut("a", 64 * MIB)]
    assert cuts([stream("a", 100 * MIB), stream("b", 10 * MIB)], 66 * MIB) == [Cut("a", 34 * MIB)]

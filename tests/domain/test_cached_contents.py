"""What a worker's cache of contents keeps and what goes from it."""

from random import Random

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.worker.cached_contents import LEAST, MOST, CachedContents, limit_of

A, B, C, D = b"a" * 32, b"b" * 32, b"c" * 32, b"d" * 32
MB = 1 << 20


def comes(cache: CachedContents, unit: str, **contents: int) -> tuple[bool, list[str], list[bytes]]:
    """A unit of contents by their letters, which are fetched if they may be."""
    sizes = {letter.encode() * 32: size for letter, size in contents.items()}
    told = cache.admit(unit, sizes)
    if told[0]:
        for digest, size in sizes.items():
            cache.came(digest, size)
        cache.add(unit, sizes)
        cache.settle(unit)
    return told


def test_a_cache_takes_a_tenth_of_its_disk_but_no_more_than_20_gib() -> None:
    assert limit_of(100 * MB, None) == 10 * MB
    assert limit_of(1 << 50, None) == MOST
    assert limit_of(1 << 50, 5) == 5


def test_what_was_used_longest_ago_goes_first() -> None:
    cache = CachedContents(10 * MB)
    comes(cache, "one", a=4 * MB)
    comes(cache, "two", b=4 * MB)
    cache.use("one")
    cache.release("one")
    assert comes(cache, "three", c=4 * MB) == (True, ["two"], [B])
    assert set(cache.units) == {"one", "three"}


def test_what_is_in_use_stays_and_who_finds_no_room_waits_until_it_is_released() -> None:
    cache = CachedContents(10 * MB)
    comes(cache, "one", a=8 * MB)
    cache.use("one")
    cache.use("one")
    assert comes(cache, "two", b=4 * MB) == (False, [], [])
    cache.release("one")
    assert not comes(cache, "two", b=4 * MB)[0]
    cache.release("one")
    assert comes(cache, "two", b=4 * MB) == (True, ["one"], [A])


def test_what_two_units_share_counts_once_and_stays_while_one_is_here() -> None:
    cache = CachedContents(10 * MB)
    comes(cache, "one", a=4 * MB, b=4 * MB)
    comes(cache, "two", a=4 * MB, c=1 * MB)
    assert cache.total == 9 * MB
    assert comes(cache, "three", d=4 * MB) == (True, ["one"], [B])
    assert cache.has(A)


def test_the_next_version_of_an_upload_takes_the_place_of_the_last_and_keeps_what_is_the_same() -> None:
    cache = CachedContents(10 * MB)
    comes(cache, "one", a=6 * MB, b=3 * MB)
    assert comes(cache, "two", a=6 * MB, c=3 * MB) == (True, ["one"], [B])
    assert cache.has(A)


def test_what_a_broken_fetch_has_left_goes_first_but_not_what_is_coming() -> None:
    cache = CachedContents(10 * MB)
    comes(cache, "one", a=4 * MB)
    cache.came(B, 4 * MB)
    cache.came(C, 1 * MB)
    assert cache.admit("two", {C: 1 * MB, D: 4 * MB}) == (True, [], [B])
    assert cache.has(C)


def test_room_that_was_promised_is_given_to_nobody_else() -> None:
    cache = CachedContents(10 * MB)
    assert cache.admit("one", {A: 6 * MB})[0]
    assert not cache.admit("two", {B: 6 * MB})[0]
    cache.settle("one")
    assert cache.admit("two", {B: 6 * MB})[0]


def test_what_is_larger_than_the_cache_is_refused_by_its_size() -> None:
    with pytest.raises(
        InvalidInput, match=r"it takes 11.0 MiB, and this worker's cache has 10.0 MiB \(worker --cache\)"
    ):
        CachedContents(10 * MB).admit("one", {A: 11 * MB})


def test_many_small_contents_are_bounded_too() -> None:
    cache = CachedContents(10 * LEAST)
    with pytest.raises(InvalidInput):
        cache.admit("one", {bytes([n]) * 32: 1 for n in range(11)})


@pytest.mark.parametrize("seed", range(30))
def test_whatever_comes_and_goes_nothing_in_use_is_removed_and_nobody_waits_for_ever(seed: int) -> None:
    random = Random(seed)
    cache = CachedContents(10 * MB)
    sizes = {bytes([n]) * 32: random.randint(1, 4 * MB) for n in range(12)}
    uses: list[str] = []
    disk: set[bytes] = set()
    for step in range(300):
        contents = {digest: sizes[digest] for digest in random.sample(sorted(sizes), random.randint(1, 3))}
        unit = "".join(sorted(str(digest[0]) + " " for digest in contents))
        try:
            fits, _, gone = cache.admit(step, contents)
        except InvalidInput:
            continue
        disk.difference_update(gone)
        if fits:
            for digest, size in contents.items():
                cache.came(digest, size)
                disk.add(digest)
            if random.random() < 0.8:
                cache.add(unit, contents)
                cache.use(unit)
                uses.append(unit)
            cache.settle(step)
        else:
            assert uses, "nothing is in use, and somebody waits"
        assert cache.total <= cache.limit
        assert all(digest in disk for unit in uses for digest in cache.contents_of(unit))
        assert disk == {digest for digest in sizes if cache.has(digest)}
        while uses and random.random() < 0.5:
            cache.release(uses.pop(random.randrange(len(uses))))

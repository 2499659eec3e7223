"""Patterns of files: what matches, and that no pattern and no name takes long."""

import sys
from fnmatch import fnmatchcase

import pytest

from cluster.domain.files.patterns import MAX_PARTS, MAX_PATTERN, MAX_PATTERNS, Patterns, wrong_patterns


def is_matched(pattern: str, path: str) -> bool:
    """Whether the entry itself or a directory that it is in matches."""
    patterns = Patterns([pattern])
    places = patterns.start
    if patterns.matched(places):
        return True
    for name in path.encode().split(b"/"):
        places = patterns.below(places, name)
        if patterns.matched(places):
            return True
    return False


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("out", "out", True),
        ("out", "out/a/b", True),
        ("out/", "out/a", True),
        ("./out//a", "out/a", True),
        ("out/*", "out/a", True),
        ("out/*", "out/a/deep", True),
        ("out/*", "out", False),
        ("out/*", "other/a", False),
        ("*", ".hidden", False),
        (".*", ".hidden", True),
        ("*.png", "a.png", True),
        ("*.png", "a.png.txt", False),
        ("**/*.png", "a.png", True),
        ("**/*.png", "x/y/z.png", True),
        ("**/*.png", "x/.git/z.png", False),
        ("x/**", "x/y/z", True),
        ("x/**/z", "x/z", True),
        ("x/**/**/z", "x/a/b/c/z", True),
        (".", "anything", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("[a-c]1", "b1", True),
        ("[a-c]1", "d1", False),
        ("[!a-c]1", "d1", True),
        ("[!a-c]1", "b1", False),
        ("[]x]", "]", True),
        ("[z-a]", "m", False),
        ("a[", "a[", True),
        ("a+b.c", "a+b.c", True),
        ("a*b*c", "axxbyyc", True),
        ("a*b*c", "axxcyyb", False),
        ("line\nend*", "line\nends", True),
    ],
)
def test_what_matches(pattern: str, path: str, expected: bool) -> None:
    assert not wrong_patterns([pattern])
    assert is_matched(pattern, path) is expected


@pytest.mark.parametrize("seed", range(20))
def test_one_part_matches_as_in_a_shell(seed: int) -> None:
    import random

    chance = random.Random(seed)
    for _ in range(200):
        pattern = "".join(chance.choice("ab*?") for _ in range(chance.randint(1, 8)))
        name = "".join(chance.choice("ab") for _ in range(chance.randint(1, 8)))
        if pattern == "**":
            continue
        assert is_matched(pattern, name) is fnmatchcase(name, pattern), (pattern, name)


def test_where_nothing_can_match_a_walk_need_not_go() -> None:
    patterns = Patterns(["out/*.log", "a/b"])
    assert not patterns.below(patterns.start, b"other")
    assert patterns.below(patterns.start, b"out")


def test_several_are_told_apart() -> None:
    patterns = Patterns(["*.a", "x*", "nothing"])
    assert patterns.matched(patterns.below(patterns.start, b"x.a")) == {0, 1}


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        (["/etc/passwd"], "it is absolute"),
        (["../x"], "without '..'"),
        (["a/../../x"], "without '..'"),
        ([""], "it is empty"),
        (["\udcff"], "no UTF-8"),
        (["x" * (MAX_PATTERN + 1)], f"the most are {MAX_PATTERN}"),
        (["x"] * (MAX_PATTERNS + 1), f"the most are {MAX_PATTERNS}"),
        (["/".join("x" * 400), "/".join("y" * 400)], f"the most are {MAX_PARTS}"),
    ],
)
def test_what_is_wrong_is_said(patterns: list[str], words: str) -> None:
    assert words in wrong_patterns(patterns)


def test_no_pattern_makes_a_name_take_long() -> None:
    """Counted in Python's own steps: an expression that goes back and forth would take years here, not bytecodes."""
    patterns = Patterns(["*a" * 500, "**/" * 200 + "x"])
    places, steps = patterns.start, 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    sys.setprofile(count)
    try:
        for _ in range(50):
            places = patterns.below(places, b"a" * 250 + b"b") or patterns.start
    finally:
        sys.setprofile(None)
    assert steps < 200_000

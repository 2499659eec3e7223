"""Bugs that are planted: some life of the simulation must show each of them, else its lives prove nothing."""

from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest

from tests.sim import lives

Patch = pytest.MonkeyPatch
Method = Callable[..., Any]
Bug = Callable[[Patch], None]  # plants it

SEARCHED = 2000  # seeds, of which one must find a bug. Most are found within tens, those that need a rare moment later
MANY = 3  # lives that it may cost to find a bug again, before it is said which seed it was
_SEEDS: dict[Bug, tuple[int, ...]] = {}


def found_by(*seeds: int) -> Callable[[Bug], Bug]:
    """Lives that showed the bug when somebody looked last. They are played first, which saves the search. Where they
    do not show it any more, as anything else has changed, the search finds others, and `pytest -s` tells them."""

    def note(bug: Bug) -> Bug:
        _SEEDS[bug] = seeds
        return bug

    return note


def planted(*bugs: Bug) -> pytest.MarkDecorator:
    """The test is played with each of them, as `bug`."""
    return pytest.mark.parametrize("bug", bugs, ids=lambda bug: bug.__name__)


def must_be_caught(bug: Bug, patch: Patch, live: lives.Life = lives.usual, searched: int = SEARCHED) -> None:
    """With that bug one of the first `searched` seeds must fail."""
    bug(patch)
    known = [seed for seed in _SEEDS.get(bug, ()) if seed < searched]
    for count, seed in enumerate(chain(known, range(searched))):
        try:
            live(seed)
        except AssertionError as failure:
            assert "replay with" in str(failure)  # noqa: PT017 (else it is not the life that failed)
            if count > MANY:
                print(f"{bug.__name__}: found by seed {seed}")
            return
    pytest.fail(f"none of {searched} seeds has found {bug.__name__}")

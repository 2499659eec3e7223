"""How numbers lie."""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple


class Spread(NamedTuple):
    """How some numbers lie: half of them are at most the median, 95 of 100 at most p95."""

    median: float = 0.0
    p95: float = 0.0
    most: float = 0.0
    of: int = 0  # so many numbers; 0: there are none


def spread(numbers: Sequence[float]) -> Spread:
    """By nearest rank: each of the three is one of the numbers."""
    if not numbers:
        return Spread()
    ranked = sorted(numbers)
    return Spread(_rank(ranked, 0.5), _rank(ranked, 0.95), ranked[-1], len(ranked))


def _rank(ranked: Sequence[float], part: float) -> float:
    return ranked[max(0, ceil(part * len(ranked)) - 1)]

"""The history of jobs: those that have ended, the one that ended last first, in pages."""

from collections.abc import Collection
from math import inf, isfinite
from typing import NamedTuple, Self

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.states import ENDED, TaskState

MOST_JOBS = 1000  # in one page


class HistoryPlace(NamedTuple):
    """A job's place in the history. The history goes from high ones to low ones."""

    ended_at: float  # Unix seconds
    job: int

    def __str__(self) -> str:
        """As a page token: where the next page goes on."""
        return f"{self.ended_at!r}-{self.job}"

    @classmethod
    def parse(cls, token: str) -> Self:
        """InvalidInput for what no page has answered."""
        ended_at, _, job = token.rpartition("-")
        try:
            place = cls(float(ended_at), int(job))
        except ValueError:
            place = cls(inf, 0)
        if not (isfinite(place.ended_at) and place.job > 0):
            raise InvalidInput(f"{token[:60]!r} is no page of the history: give what the page before said is next")
        return place


NEWEST = HistoryPlace(inf, 0)  # comes before all


class HistoryWanted(NamedTuple):
    """Which jobs of the history."""

    owner: str | None = None  # None: anybody's
    name: str = ""  # "": any
    states: Collection[TaskState] = ENDED  # that they have ended as
    since: float = 0.0  # Unix seconds: they ended then or later,
    until: float = inf  # and before this
    after: HistoryPlace = NEWEST  # they come after this one
    most: int = MOST_JOBS

    @property
    def first(self) -> HistoryPlace:
        """All that is wanted comes after this place."""
        return min(self.after, HistoryPlace(self.until, 0))

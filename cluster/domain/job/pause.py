"""Somebody's wish that nothing more starts, of one job or of the whole queue. What runs goes on, unless the wish is
that it is frozen."""

from typing import NamedTuple

ON_SUBMISSION = "submitted with --hold"


class Pause(NamedTuple):
    """It stands until it is taken back, whoever restarts meanwhile."""

    by: str  # a user's name
    since: float  # Unix seconds
    reason: str = ""  # for people
    by_admin: bool = False  # who then alone may take it back
    stop_running: bool = False  # what runs of the job is frozen

    def said(self, now: float | None = None) -> str:
        """For people; how long ago that was, where somebody knows what time it is."""
        from cluster.domain.base.quantities import format_duration  # quick commands do without it

        ago = "" if now is None else f" {format_duration(now - self.since)} ago"
        return f"paused by {self.by}{ago}{f': {self.reason}' if self.reason else ''}"


def frozen_tasks(pause: Pause | None, running: int) -> int:
    """How many of so many running tasks of a job stand still."""
    return running if pause is not None and pause.stop_running else 0


class QueuePause(NamedTuple):
    """Whether the whole queue is paused. Persisted as one record, rewritten when that changes."""

    pause: Pause | None  # None: it is not

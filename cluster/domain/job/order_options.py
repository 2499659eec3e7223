"""The options of a job that hold it back, or let it go before others."""

from cluster.domain.job.kinds import LIMIT, MOST, NO_LIMIT, SWITCH
from cluster.domain.job.kinds import PRIORITY as PRIORITY_KIND
from cluster.domain.job.options import Scope, option
from cluster.domain.job.time_options import MAX_SECONDS

LOWEST_PRIORITY, HIGHEST_PRIORITY = -1000, 1000


def _wrong_most(running: int) -> str:
    if running < 1:
        return "nothing of it would ever start: use 1 or more; --hold hands it in paused"
    return "" if running <= NO_LIMIT else f"use 1 to {NO_LIMIT}"


def _wrong_fails(fails: int) -> str:
    return "" if 0 <= fails <= NO_LIMIT else f"use 0 to {NO_LIMIT}"


PRIORITY = option(
    PRIORITY_KIND,
    "Go before jobs of lower priority: -1000 to 1000. Only admins go above 0.",
    default=0,
    bounds=(LOWEST_PRIORITY, HIGHEST_PRIORITY),
    scope=Scope.SCHEDULER,
    alone="needs a scheduler: a worker's own job starts at once",
)
HOLD = option(
    SWITCH,
    "Hand it in paused: `cluster job resume` lets it start.",
    default=False,
    scope=Scope.SCHEDULER,
    alone="needs a scheduler: a worker's own job starts at once",
)
TIME_REQUEST = option(
    LIMIT,
    "How long a task takes at most, nothing stops it then: it passes where room is kept for others, if it ends before.",
    default=0.0,
    bounds=(0, MAX_SECONDS),
    scope=Scope.SCHEDULER,
    alone="needs a scheduler: a worker's own job starts at once",
)
MAX_RUNNING = option(
    MOST,
    "Let no more than N of its tasks run at once.",
    default=NO_LIMIT,
    check=_wrong_most,
    scope=Scope.SCHEDULER,
    alone="needs a scheduler: a worker's own job has one task",
)
MAX_FAILS = option(
    MOST,
    "When more than N of its tasks have failed for good, cancel the rest.",
    default=NO_LIMIT,
    check=_wrong_fails,
    scope=Scope.SCHEDULER,
    alone="needs a scheduler: a worker's own job has one task",
)

"""The options of a job that are about time. What follows from them is in `times`."""

from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.kinds import LIMIT
from cluster.domain.job.options import Scope, option
from cluster.domain.job.time_kinds import TIME

MAX_SECONDS = 1e9  # of any duration in a spec: 31 years
_OTHERS: dict[str, Any] = {
    "scope": Scope.SCHEDULER,
    "alone": "needs a scheduler: a worker's own job starts at once",
}


def _wrong_time(text: str) -> str:
    try:
        TIME.parse(text)
    except InvalidInput as error:
        return str(error)
    return ""


AT = option(
    TIME,
    "Start no sooner than then, as in 18:30 (the next), 'tomorrow 06:00', 2026-11-26T18:30Z. HOST:PORT: talk to this "
    "one worker instead of a scheduler (CLUSTER_AT).",
    default="",
    metavar="TIME",
    check=_wrong_time,
    **_OTHERS,
)
DELAY = option(
    LIMIT, "Start no sooner than so long after it was handed in.", default=0.0, bounds=(0, MAX_SECONDS), **_OTHERS
)

"""The options of a job that are about trying again. What follows from them is in `retry_policy`."""

from typing import Any

from cluster.domain.job.growth import wrong_growth
from cluster.domain.job.kinds import COUNT
from cluster.domain.job.options import Scope, option
from cluster.domain.job.retry_kinds import CAUSES, GROWTH, PAUSES
from cluster.domain.job.retry_policy import DEFAULT_BACKOFF, wrong_backoff, wrong_causes

MAX_RETRIES = 1_000_000  # of one task: as good as for ever
_OTHERS: dict[str, Any] = {
    "scope": Scope.SCHEDULER,
    "alone": "needs a scheduler: a worker's own job is tried once",
}

RETRIES = option(
    COUNT,
    "Try a task again that failed, so often, and as often one that was lost.",
    default=0,
    bounds=(0, MAX_RETRIES),
    **_OTHERS,
)
RETRY_ON = option(
    CAUSES,
    "Try again only what ended so, as in exit:75,oom,lost,signal,timeout (default: whatever failed).",
    default=(),
    check=wrong_causes,
    **_OTHERS,
)
GROW = option(
    GROWTH,
    "After an attempt that took too much memory (oom) ask for more, as in mem=2x or mem=1.5x,max=64G.",
    default="",
    check=wrong_growth,
    **_OTHERS,
)
BACKOFF = option(
    PAUSES,
    "The pause before that, which doubles each time, as in 2s..5m.",
    default=DEFAULT_BACKOFF,
    check=wrong_backoff,
    **_OTHERS,
)

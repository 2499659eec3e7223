"""The options of a job that say which of the files that its attempts leave are kept: its results."""

from typing import Any

from cluster.domain.files.patterns import wrong_patterns
from cluster.domain.job.kinds import COUNT, SIZE, Names
from cluster.domain.job.options import Scope, option

DEFAULT_MAX_FILES, MOST_MAX_FILES = 20_000, 400_000
DEFAULT_MAX_RESULTS, MOST_MAX_RESULTS = 16 << 30, 16 << 40  # bytes

# A worker alone has nobody who would keep them: the scheduler tells workers what is wanted.
_OF_SCHEDULER: dict[str, Any] = {
    "scope": Scope.SCHEDULER,
    "alone": "needs a scheduler, which keeps the results: a worker's own job leaves none",
}

PATTERNS = Names("pattern", "out/*,log.txt")

OUT: tuple[str, ...] = option(
    PATTERNS,
    "When an attempt ends, however, keep the files of its directory that match, as in out/* or **/*.png (job fetch).",
    default=(),
    check=wrong_patterns,
    **_OF_SCHEDULER,
)
MAX_FILES: int = option(
    COUNT,
    "Keep so many files, directories and links of one attempt, at most.",
    default=DEFAULT_MAX_FILES,
    bounds=(1, MOST_MAX_FILES),
    **_OF_SCHEDULER,
)
MAX_RESULTS: int = option(
    SIZE,
    "Keep so much of one attempt's files, all together, as in 500M or 20G.",
    default=DEFAULT_MAX_RESULTS,
    bounds=(1, MOST_MAX_RESULTS),
    **_OF_SCHEDULER,
)

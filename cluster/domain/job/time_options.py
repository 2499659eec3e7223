"""The options of a job that are about time, and about being handed in once. What follows from them is in `times`."""

from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import format_number
from cluster.domain.job.kinds import CHOICE, LIMIT, SWITCH, TEXT
from cluster.domain.job.options import Scope, option
from cluster.domain.job.time_kinds import CRON, TIME, seconds_of
from cluster.domain.job.time_kinds import DEADLINE as DEADLINE_KIND

OVERLAPS = SKIP, QUEUE, ALLOW = "skip", "queue", "allow"  # what a run does while the one before has not ended
MAX_KEY = 255  # characters
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


def _wrong_key(key: str) -> str:
    return "" if len(key) <= MAX_KEY else f"it has {len(key)} characters: the most are {MAX_KEY}"


def _wrong_cron(text: str) -> str:
    try:
        CRON.parse(text)
    except InvalidInput as error:
        return str(error)
    return ""


def _wrong_overlap(overlap: str) -> str:
    return "" if overlap in OVERLAPS else f"use {SKIP}, {QUEUE} or {ALLOW}"


def _wrong_deadline(text: str) -> str:
    seconds = seconds_of(text)
    if seconds is None:
        return _wrong_time(text)
    return "" if seconds <= MAX_SECONDS else f"use 0 to {format_number(MAX_SECONDS)} seconds, or a time"


AT = option(
    TIME,
    "Start no sooner than then, as in 18:30 (the next), 'tomorrow 06:00', 2026-11-26T18:30Z.",
    default="",
    metavar="TIME",
    check=_wrong_time,
    **_OTHERS,
)
DELAY = option(
    LIMIT, "Start no sooner than so long after it was handed in.", default=0.0, bounds=(0, MAX_SECONDS), **_OTHERS
)
QUEUE_TIMEOUT = option(
    LIMIT,
    "Give up a task that is ready for so long and does not start; 0: never.",
    default=0.0,
    bounds=(0, MAX_SECONDS),
    **_OTHERS,
)
DEADLINE = option(
    DEADLINE_KIND,
    "Stop what has not ended by then: a time as of --at, or as in 90, 10m, 2h after it was handed in.",
    default="",
    check=_wrong_deadline,
    scope=Scope.SCHEDULER,
    alone="needs a scheduler: a worker's own job has --timeout",
)
QUIET_TIMEOUT = option(
    LIMIT,
    "Stop a task that writes nothing for so long, to neither stream; 0: never.",
    default=0.0,
    bounds=(0, MAX_SECONDS),
    scope=Scope.LAUNCHER,
)
KEY = option(
    TEXT,
    "The same key again is the same job, whoever is not sure whether it was handed in.",
    default="",
    check=_wrong_key,
    scope=Scope.SCHEDULER | Scope.WORKER,
)
_AGAIN: dict[str, Any] = {"scope": Scope.SCHEDULER, "alone": "needs a scheduler: a worker's own job runs once"}
EVERY = option(
    CRON,
    "Run it again at each of these times, as in '0 6 * * mon-fri@Europe/Berlin' or @daily (default zone: UTC).",
    default="",
    check=_wrong_cron,
    **_AGAIN,
)
OVERLAP = option(
    CHOICE,
    "With --every, while the run before has not ended: skip the time (default), queue one run, or allow both.",
    default=SKIP,
    metavar="skip|queue|allow",
    check=_wrong_overlap,
    **_AGAIN,
)
CATCH_UP = option(
    SWITCH,
    "With --every: of times that were missed while the scheduler was away, make the last one good.",
    default=False,
    **_AGAIN,
)

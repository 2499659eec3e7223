"""The options that say which other jobs come first, and what becomes of a job that waits for one in vain."""

from typing import Any

from cluster.domain.job.kinds import CHOICE, JOBS
from cluster.domain.job.options import Scope, option

MAX_DEPENDENCIES = 1000  # jobs that one job waits for in one way
MAX_EACH = 16  # jobs that it waits for task by task: each of their ends is looked at with the tasks of all of them
DEPENDENCY_WISHES = END_WITH_IT, RUN_ANYWAY = "end", "run"  # what becomes of what waited for something in vain

_OTHERS = "needs a scheduler: a worker's own job waits for no other"
_DEPENDENCY: dict[str, Any] = {"scope": Scope.SCHEDULER, "alone": _OTHERS}


def _wrong_dependencies(jobs: tuple[str, ...]) -> str:
    if len(jobs) > MAX_DEPENDENCIES:
        return f"it names {len(jobs)} jobs, and the most are {MAX_DEPENDENCIES}: wait for one job that waits for some"
    return ""


def _wrong_each(jobs: tuple[str, ...]) -> str:
    if len(jobs) > MAX_EACH:
        return f"it names {len(jobs)} jobs, and the most are {MAX_EACH}: wait for all of the others with --after"
    return ""


def _wrong_wish(wish: str) -> str:
    return "" if wish in DEPENDENCY_WISHES else f"use {' or '.join(DEPENDENCY_WISHES)}"


AFTER: tuple[str, ...] = option(
    JOBS, "Start when these jobs have succeeded.", default=(), check=_wrong_dependencies, **_DEPENDENCY
)
AFTER_ANY: tuple[str, ...] = option(
    JOBS, "Start when these jobs have ended, however.", default=(), check=_wrong_dependencies, **_DEPENDENCY
)
AFTER_FAIL: tuple[str, ...] = option(
    JOBS, "Start when each of these jobs has failed.", default=(), check=_wrong_dependencies, **_DEPENDENCY
)
AFTER_EACH: tuple[str, ...] = option(
    JOBS,
    "Start each task when the task at its place in these jobs has succeeded.",
    default=(),
    check=_wrong_each,
    **_DEPENDENCY,
)
ON_DEPENDENCY_FAIL: str = option(
    CHOICE,
    "When what it waits for can't happen any more: end (default), with reason dependency, or run.",
    default=END_WITH_IT,
    metavar="end|run",
    check=_wrong_wish,
    scope=Scope.SCHEDULER,
    alone=_OTHERS,
)

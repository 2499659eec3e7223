"""What a job waits for: other jobs, each as a whole or task by task.

Users write `--after 5` and the like; the scheduler keeps the numbers of the jobs that were meant. A job can wait only
for jobs that were there before it, or come with it (`cluster.domain.job.workflow`): so nothing ever waits in a circle.
"""

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.job import Job
from cluster.domain.job.selectors import SelectorKind, parse_selector
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.spec_making import with_fields
from cluster.domain.job.states import ENDED, TaskState

MAX_NUMBER = 10**9  # of a job; more than there ever are


class DependencyKind(StrEnum):
    """The fields of JobSpec that name jobs to wait for."""

    SUCCESS = "after"
    END = "after_any"
    FAILURE = "after_fail"
    EACH = "after_each"

    def is_met_by(self, outcome: TaskState) -> bool:
        """Whether a job that has ended so is what was waited for. Not asked of EACH, which waits for tasks."""
        if self is DependencyKind.END:
            return True
        return (outcome is TaskState.SUCCEEDED) is (self is DependencyKind.SUCCESS)

    def said(self, job: int, had: str = "must") -> str:
        """What is waited for, for people; `had to`, once that can't happen any more."""
        what = {DependencyKind.END: "end", DependencyKind.FAILURE: "fail"}.get(self, "succeed")
        who = f"each task of job {job}" if self is DependencyKind.EACH else f"job {job}"
        return f"{who} {had} {what} first"


_FIELDS = tuple((kind, kind.value) for kind in DependencyKind)


class Dependency(NamedTuple):
    job: int
    kind: DependencyKind


def dependencies_of(spec: JobSpec) -> list[Dependency]:
    """All that a job with this spec waits for. Its references must be numbers: `with_references`."""
    if not spec.waits:
        return []
    return [Dependency(int(number), kind) for kind, field in _FIELDS for number in getattr(spec, field)]


def references_of(spec: JobSpec) -> tuple[str, ...]:
    """The jobs that it waits for, as it names them."""
    return (*spec.after, *spec.after_any, *spec.after_fail, *spec.after_each)


def check_reference(text: str) -> None:
    """InvalidInput where the text names no jobs that a job can wait for as a whole."""
    selector = parse_selector(text)
    if selector.kind is SelectorKind.ALL:
        raise InvalidInput("all: a job cannot wait for all jobs; name those that come first")
    if not selector.is_whole:
        whole = replace(selector, tasks=None, attempt=0, condition=None)
        raise InvalidInput(f"{text}: a job waits for whole jobs; give {whole}, or --after-each {whole}")


def check_each(who: str, other: str, theirs: JobSpec, ours: JobSpec) -> None:
    """InvalidInput where our tasks cannot wait for those of another job one by one. `who`, `other`: what people know
    us and that job by."""
    if theirs.task_count != ours.task_count:
        tasks = f"{theirs.task_count} task{'' if theirs.task_count == 1 else 's'}"
        raise InvalidInput(
            f"{other} has {tasks} and {who} {ours.task_count}: with --after-each they go "
            "together one by one; wait for all of it with --after"
        )


def with_references(spec: JobSpec, mean: Callable[[str], str]) -> JobSpec:
    """The spec with each job that it waits for named as `mean` says, in ascending order, once."""
    fields = {
        field: tuple(sorted({mean(text) for text in texts}, key=_as_number))
        for _, field in _FIELDS
        if (texts := getattr(spec, field))
    }
    return with_fields(spec, fields)


def with_references_as(spec: JobSpec, before: JobSpec) -> JobSpec | None:
    """The spec with the jobs that it waits for named as `before`, with numbers, names them; None where these cannot be
    the same jobs. Names that mean nothing any more may mean any of them."""
    fields = {}
    for _, field in _FIELDS:
        given, had = {text.strip() for text in getattr(spec, field)}, getattr(before, field)
        numbers = {text for text in given if text.isdecimal()}
        if not numbers <= set(had) or len(had) > len(given) or (given == numbers and len(had) < len(given)):
            return None
        if bool(had) != bool(given):
            return None
        fields[field] = had
    return with_fields(spec, fields)


def _as_number(text: str) -> tuple[int, str]:
    """So that numbers ascend; what is none comes after them."""
    return (int(text), "") if text.isdecimal() else (MAX_NUMBER, text)


class Course(NamedTuple):
    """How far a job is that others wait for."""

    outcome: TaskState | None  # None: it goes on
    succeeded: IntervalSet  # tasks
    failed: IntervalSet  # tasks that have ended otherwise


def ended_in(course: Course) -> IntervalSet:
    """The tasks that have ended, however."""
    ended = course.succeeded.copy()
    ended.update(course.failed)
    return ended


def course_of(job: Job) -> Course:
    failed = IntervalSet()
    for state in ENDED:
        if state is not TaskState.SUCCEEDED:
            failed.update(job.sets[state])
    return Course(None if job.live else job.outcome, job.sets[TaskState.SUCCEEDED].copy(), failed)

"""Which jobs or tasks are meant, as people type them.

    5        a job by its number        5.17 5.1-10 5.1,4-6   tasks of it, by their numbers
    last     the newest job             all                   every job
    NAME     the jobs of that name      UUID                  a job by its id

Tasks may follow `last` and a UUID as well (`last.3`). A number is always a job's number, never a name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from cluster.domain.arrays import format_array, parse_array
from cluster.domain.errors import InvalidInput, NotFound
from cluster.domain.events import Target
from cluster.domain.intervals import IntervalSet
from cluster.domain.job import ArraySegment, JobRecord, JobSpec

MAX_NAME = 255  # characters of a job's name
MAX_RANGES = 100_000  # of tasks that are not next to each other, so that a selector cannot cost seconds

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_WITH_TASKS = re.compile(rf"([0-9]{{1,9}}|last|{_UUID})(?:\.(.*))?", re.DOTALL)


class Kind(StrEnum):
    """What a selector's text says."""

    NUMBER = "number"
    ID = "id"
    NAME = "name"
    LAST = "last"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Selector:
    """One parsed selector. `value` is the number, id or name; `tasks` are task numbers, None: all tasks."""

    kind: Kind
    value: str = ""
    tasks: tuple[ArraySegment, ...] | None = None

    def __str__(self) -> str:
        head = self.value or self.kind.value
        return head if self.tasks is None else f"{head}.{format_array(self.tasks)}"


class Directory(Protocol):
    """The jobs that the asker may see. Numbers come in ascending order."""

    def numbers(self) -> Sequence[int]:
        """Of all jobs."""

    def record(self, number: int) -> JobRecord | None:
        """The job of that number; None when there is none to see."""

    def number_of_id(self, job_id: str) -> int | None:
        """The job with that UUID."""

    def numbers_of_name(self, name: str) -> Sequence[int]:
        """The jobs of that name."""


def parse_selector(text: str) -> Selector:
    """InvalidInput says what is wrong with a text that can select nothing."""
    text = text.strip()
    if not text:
        raise InvalidInput("an empty selector selects nothing: use a job's number, name or UUID, last or all")
    if text == "all":
        return Selector(Kind.ALL)
    match = _WITH_TASKS.fullmatch(text)
    if not match:
        return Selector(Kind.NAME, text)
    head, tasks = match[1], match[2]
    if tasks == "":
        raise InvalidInput(f"{text!r} names no task: give its number after the dot, as in {head}.17 or {head}.1-10")
    segments = None if tasks is None else parse_array(tasks)
    if head == "last":
        return Selector(Kind.LAST, "", segments)
    if head.isdigit():
        return Selector(Kind.NUMBER, str(int(head)), segments)
    return Selector(Kind.ID, head, segments)


def check_name(name: str) -> None:
    """InvalidInput for a name that nobody could select the job by. The empty one is no name."""
    if len(name) > MAX_NAME:
        raise InvalidInput(f"a job's name of {len(name)} characters: the limit is {MAX_NAME}")
    if name and (name != name.strip() or name == "all" or _WITH_TASKS.fullmatch(name)):
        raise InvalidInput(f"a job cannot be called {name!r}: as a selector that means something else")


def resolve(selector: Selector, jobs: Directory) -> list[Target]:
    """The jobs and tasks it selects now. `all` may be none; every other that finds nothing raises NotFound."""
    match selector.kind:
        case Kind.ALL:
            return [Target(number) for number in jobs.numbers()]
        case Kind.NAME:
            named = jobs.numbers_of_name(selector.value)
            if not named:
                raise NotFound(f"there is no job {selector.value!r}; `cluster job list` shows those there are")
            return [Target(number) for number in named]
    record = _one(selector, jobs)
    if record is None:
        raise NotFound(f"there is no job {selector.value}; `cluster job list` shows those there are")
    if selector.tasks is None:
        return [Target(record.number)]
    indexes = IntervalSet()
    for segment in selector.tasks:
        indexes.update(_indexes(record, segment))
    return [Target(record.number, tuple(indexes.ranges()))]


def _one(selector: Selector, jobs: Directory) -> JobRecord | None:
    """The one job of a number, an id or `last`."""
    if selector.kind is Kind.LAST:
        numbers = jobs.numbers()
        if not numbers:
            raise NotFound("there is no last job: none was submitted yet")
        return jobs.record(numbers[-1])
    number = int(selector.value) if selector.kind is Kind.NUMBER else jobs.number_of_id(selector.value)
    return None if number is None else jobs.record(number)


def _indexes(record: JobRecord, wanted: ArraySegment) -> list[tuple[int, int]]:
    """The index ranges of the wanted task numbers that the job has; NotFound when it has none of them."""
    found = [piece for segment, offset in _segments(record.spec) for piece in _common(segment, offset, wanted)]
    if not found:
        raise NotFound(f"job {record.number} has no task {format_array([wanted])}: {_what_it_has(record.spec)}")
    return found


def _segments(spec: JobSpec) -> list[tuple[ArraySegment, int]]:
    """The job's task numbers as segments, each with the index of its first task."""
    if not spec.array:
        first = 1 if spec.lines else 0
        return [(ArraySegment(first, first + spec.task_count - 1), 0)]
    result, offset = [], 0
    for segment in spec.array:
        result.append((segment, offset))
        offset += segment.size
    return result


def _common(segment: ArraySegment, offset: int, wanted: ArraySegment) -> list[tuple[int, int]]:
    """Index ranges of the members of `segment` that `wanted` names.

    With a step of 1 wanted, that is one range however long; else one range for each member, as there is
    no shorter way to write it.
    """
    low, high = max(segment.first, wanted.first), min(segment.last, wanted.last)
    start = -((segment.first - low) // segment.step)  # of the first member >= low, counted in the segment
    stop = (high - segment.first) // segment.step + 1
    if stop <= start:
        return []
    if wanted.step in (1, segment.step) and (segment.first + start * segment.step - wanted.first) % wanted.step == 0:
        return [(offset + start, offset + stop)]
    if stop - start > MAX_RANGES:
        raise InvalidInput(f"too many single tasks in {format_array([wanted])}: use a step of 1, or one job for each")
    return [
        (offset + i, offset + i + 1)
        for i in range(start, stop)
        if (segment.first + i * segment.step - wanted.first) % wanted.step == 0
    ]


def _what_it_has(spec: JobSpec) -> str:
    if not spec.is_array:
        return "it is a single task"
    shown = [segment for segment, _ in _segments(spec)]
    return f"its tasks are {format_array(shown[:5])}{',…' if shown[5:] else ''}"

"""Which jobs or tasks are meant, as people type them.

    5        a job by its number        5.17 5.1-10 5.1,4-6   tasks of it, by their numbers
    last     the newest job             all                   every job
    NAME     the jobs of that name      UUID                  a job by its id

Tasks may follow `last` and a UUID as well (`last.3`). A number is always a job's number, never a name.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Protocol

from cluster.domain.arrays import format_array, parse_array
from cluster.domain.errors import InvalidInput, NotFound
from cluster.domain.events import Target
from cluster.domain.intervals import IntervalSet
from cluster.domain.job import ArraySegment, JobRecord, JobSpec

MAX_NAME = 255  # characters of a job's name
# Of all selectors together, so that they cost milliseconds and not seconds:
MAX_RANGES = 25_000  # of tasks that are not next to each other
MAX_LOOKS = 30_000  # at a segment of an array for a part of a selector

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
    selection = Selection()
    record = selection.find(selector, jobs)
    if record is not None:
        selection.add_tasks(record, selector.tasks or ())
    return list(selection.targets())


class Selection:
    """The jobs and tasks that some selectors mean together. Of each call `find`; where that answers a job, the selector
    names tasks of it, for `add_tasks`, which takes longer and needs no directory any more."""

    def __init__(self) -> None:
        self._whole: dict[int, None] = {}
        self._parts: dict[int, list[range]] = {}
        self._ranges = self._looks = 0

    def find(self, selector: Selector, jobs: Directory) -> JobRecord | None:
        """NotFound for one that means no job; `all` may be none."""
        match selector.kind:
            case Kind.ALL:
                self._whole.update(dict.fromkeys(jobs.numbers()))
                return None
            case Kind.NAME:
                named = jobs.numbers_of_name(selector.value)
                if not named:
                    raise NotFound(f"there is no job {selector.value!r}; `cluster job list` shows those there are")
                self._whole.update(dict.fromkeys(named))
                return None
        record = _one(selector, jobs)
        if record is None:
            raise NotFound(f"there is no job {selector.value}; `cluster job list` shows those there are")
        if selector.tasks is None:
            self._whole[record.number] = None
            return None
        return record

    def add_tasks(self, record: JobRecord, wanted: Iterable[ArraySegment]) -> None:
        """NotFound for numbers of which the job has none, InvalidInput for more than MAX_RANGES or MAX_LOOKS."""
        numbering, parts = record.spec.numbering, self._parts.setdefault(record.number, [])
        for segment in dict.fromkeys(wanted):
            before = len(parts)
            for place in numbering.reach(segment.first, segment.last):
                self._looks += 1
                if found := numbering.common(place, segment):
                    self._ranges += 1 if found.step == 1 else len(found)
                    parts.append(found)
                if self._ranges > MAX_RANGES or self._looks > MAX_LOOKS:
                    raise InvalidInput(
                        f"too many single tasks in {format_array([segment])}: use a step of 1, or one job for each"
                    )
            if len(parts) == before:
                what = format_array([segment])
                raise NotFound(f"job {record.number} has no task {what}: {_what_it_has(record.spec)}")

    def numbers(self) -> list[int]:
        """Of the jobs of which anything is selected, ascending."""
        return sorted(self._whole.keys() | self._parts.keys())

    def targets(self) -> Iterator[Target]:
        """What is selected, in the order of the jobs."""
        return map(self.target, self.numbers())

    def target(self, number: int) -> Target:
        """What is selected of that job."""
        if number in self._whole:
            return Target(number)
        indexes = IntervalSet()
        parts = self._parts[number]
        indexes.update((part.start, part.stop) for part in parts if part.step == 1)
        for part in parts:
            if part.step != 1:
                indexes.update_each(part)
        return Target(number, tuple(indexes.ranges()))


def _one(selector: Selector, jobs: Directory) -> JobRecord | None:
    """The one job of a number, an id or `last`."""
    if selector.kind is Kind.LAST:
        numbers = jobs.numbers()
        if not numbers:
            raise NotFound("there is no last job: none was submitted yet")
        return jobs.record(numbers[-1])
    number = int(selector.value) if selector.kind is Kind.NUMBER else jobs.number_of_id(selector.value)
    return None if number is None else jobs.record(number)


def _what_it_has(spec: JobSpec) -> str:
    if not spec.is_array:
        return "it is a single task"
    shown = list(islice(spec.numbering, 6))
    return f"its tasks are {format_array(shown[:5])}{',…' if shown[5:] else ''}"

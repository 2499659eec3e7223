"""Which jobs or tasks are meant, as people type them.

    5        a job by its number        5.17 5.1-10 5.1,4-6   tasks of it, by their numbers
    last     the newest job             all                   every job
    NAME     the jobs of that name      NAME@last             the newest of them
    UUID     a job by its id
    5.17#2   an attempt of a task       5#2                   where the job has but one
    5:failed 5.1-10:lost,timeout        its tasks that are so now (`conditions`)

Tasks may follow `last`, a UUID and a name as well (`last.3`, `sweep.23`, `sweep:failed`, `sweep@last.3`). A number is
always a job's number, never a name. No job can be called `sweep.23`; one that is stored with such a name is meant
before a task of one called `sweep`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Protocol

from cluster.domain.base.errors import InvalidInput, NotFound
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.arrays import format_array, parse_array
from cluster.domain.job.conditions import KNOWN, PATTERN, WORDS, Condition, parse_condition
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.job.target import Target

if TYPE_CHECKING:  # clients, which start often, only parse selectors
    from cluster.domain.job.records import JobRecord

NEWEST = "@last"  # behind a name: the newest job of it
MAX_NAME = 255  # characters of a job's name
# Of all selectors together, so that they cost milliseconds and not seconds:
MAX_RANGES = 25_000  # of tasks that are not next to each other
MAX_LOOKS = 30_000  # at a segment of an array for a part of a selector

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ATTEMPT = r"(?:#([0-9]{1,9}))?"
_WITH_TASKS = re.compile(rf"([0-9]{{1,9}}|last|{_UUID})(?:\.([^#]*))?{_ATTEMPT}", re.DOTALL)
_NAME_WITH_TASKS = re.compile(rf"(.+?)(?:\.([0-9][0-9,:-]*))?{_ATTEMPT}", re.DOTALL)
_CONDITION, _KNOWN_CONDITION = (re.compile(rf":({words})(#[0-9]{{1,9}})?") for words in (PATTERN, KNOWN))
_LONGEST_CONDITION = 120  # characters: whoever looks for one in a long text looks at its end alone


class SelectorKind(StrEnum):
    """What a selector's text says."""

    NUMBER = "number"
    ID = "id"
    NAME = "name"
    LAST = "last"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Selector:
    """One parsed selector. `value` is the number, id or name; `tasks` are task numbers, None: all tasks; those of them
    are meant that meet the `condition`; `attempt` is one of the only task, 0: none in particular."""

    kind: SelectorKind
    value: str = ""
    tasks: tuple[ArraySegment, ...] | None = None
    attempt: int = 0
    condition: Condition | None = None

    def __str__(self) -> str:
        head = self.value or self.kind.value
        tasks = "" if self.tasks is None else f".{format_array(self.tasks)}"
        condition = "" if self.condition is None else f":{self.condition}"
        return f"{head}{tasks}{condition}{f'#{self.attempt}' if self.attempt else ''}"

    @property
    def is_whole(self) -> bool:
        """Whether it means whole jobs."""
        return self.tasks is None and self.condition is None and not self.attempt

    @property
    def newest_of(self) -> str:
        """The name of which it means the newest job; empty: it means no such one."""
        name = self.value.removesuffix(NEWEST) if self.kind is SelectorKind.NAME else ""
        return "" if name == self.value else name

    def of(self, number: int, name: str) -> "Selector":
        """What it means of the job of this number and name, which is one that it selects."""
        split = (self.kind is SelectorKind.NAME and name != self.value and self.without_tasks()) or self
        return replace(split, kind=SelectorKind.NUMBER, value=str(number))

    def without_tasks(self) -> "Selector | None":
        """The same text read as a shorter name with more behind it (`sweep.1-5`, `sweep:failed`). None: it does not
        end so."""
        plain, condition = _split(self.value, _KNOWN_CONDITION)
        match = _NAME_WITH_TASKS.fullmatch(plain)
        if match is None or match[2] is match[3] is condition is None:
            return None
        return _with_tasks(self.value, Selector(SelectorKind.NAME, match[1]), match[2], condition, match[3])


class Directory(Protocol):
    """The jobs that the asker may see. Numbers come in ascending order."""

    def numbers(self) -> Sequence[int]:
        """Of all jobs."""

    def last(self) -> int | None:
        """The newest of them."""

    def record(self, number: int) -> "JobRecord | None":
        """The job of that number; None when there is none to see."""

    def number_of_id(self, job_id: str) -> int | None:
        """The job with that UUID."""

    def numbers_of_name(self, name: str) -> Sequence[int]:
        """The jobs of that name."""


def likely(text: str) -> Selector:
    """As it most likely is meant, whichever jobs there are: `sweep.23` as a task of jobs called sweep."""
    selector = parse_selector(text)
    return (selector.kind is SelectorKind.NAME and selector.without_tasks()) or selector


def names_tasks(text: str) -> bool:
    """Whether it selects tasks of jobs, not whole ones, as it most likely is meant."""
    return not replace(likely(text), attempt=0).is_whole


def names_itself(texts: Iterable[str], number: int, job_id: str) -> bool:
    """Whether one of the texts names the job of that number and UUID by either, or as the last one."""
    kinds = {SelectorKind.NUMBER: str(number), SelectorKind.ID: job_id, SelectorKind.LAST: ""}
    found = map(parse_selector, texts)
    return any(each.kind in kinds and each.value == kinds[each.kind] for each in found)


def refuse_ended(text: str, condition: Condition) -> None:
    """InvalidInput where the condition of a selector means what has ended alone."""
    if condition.of_ended:
        again = replace(likely(text), condition=Condition((TaskState.READY, TaskState.RUNNING)))
        raise InvalidInput(f"{text}: what has ended cannot be cancelled; name what goes on, as in {again}")


def refuse_condition(text: str, condition: Condition, verb: str) -> None:
    """InvalidInput: that command takes whole jobs."""
    whole = replace(likely(text), tasks=None, condition=None)
    raise InvalidInput(f"{text}: {verb} takes whole jobs and no tasks that are {condition}; give {whole}")


def parse_selector(text: str) -> Selector:
    """InvalidInput says what is wrong with a text that can select nothing."""
    text = text.strip()
    if not text:
        raise InvalidInput("an empty selector selects nothing: use a job's number, name or UUID, last or all")
    if text == "all":
        return Selector(SelectorKind.ALL)
    plain, condition = _split(text, _CONDITION)
    match = _WITH_TASKS.fullmatch(plain)
    if plain == "all":
        raise InvalidInput(
            f"{text}: of all jobs no tasks can be selected; name jobs, or use `cluster job list --state STATE`"
        )
    if not match:
        return Selector(SelectorKind.NAME, text)
    head = match[1]
    if head == "last":
        job = Selector(SelectorKind.LAST)
    elif head.isdigit():
        job = Selector(SelectorKind.NUMBER, str(int(head)))
    else:
        job = Selector(SelectorKind.ID, head)
    return _with_tasks(text, job, match[2], condition, match[3])


def _split(text: str, condition: re.Pattern[str]) -> tuple[str, str | None]:
    """The text without the longest condition at its end, and that. None: it has none."""
    begin = len(text) - _LONGEST_CONDITION
    for at in (place for place in range(max(0, begin), len(text)) if text[place] == ":"):
        if match := condition.fullmatch(text, at):
            return text[:at] + (match[2] or ""), match[1]
    return text, None


def _with_tasks(text: str, job: Selector, tasks: str | None, condition: str | None, attempt: str | None) -> Selector:
    if tasks == "":
        raise InvalidInput(f"{text!r} names no task: give its number after the dot, as in {job}.17 or {job}.1-10")
    segments = None if tasks is None else parse_array(tasks)
    if attempt is None:
        return replace(job, tasks=segments, condition=None if condition is None else parse_condition(condition))
    if condition is not None:
        raise InvalidInput(f"{text!r} names an attempt, which has but one end: leave out :{condition}")
    if not int(attempt) or (segments and sum(segment.size for segment in segments) > 1):
        raise InvalidInput(f"{text!r} names no attempt: give one task and the attempt's number, as in {job}.17#2")
    return replace(job, tasks=segments, attempt=int(attempt))


def check_name(name: str) -> None:
    """InvalidInput for a name that nobody could select the job by. The empty one is no name."""
    if len(name) > MAX_NAME:
        raise InvalidInput(f"a job's name of {len(name)} characters: the limit is {MAX_NAME}")
    plain, _ = _split(name, _CONDITION)
    if name != name.strip():
        raise InvalidInput(f"a job cannot be called {name!r}: there is a blank at its beginning or end")
    if name and (plain == "all" or _WITH_TASKS.fullmatch(plain)):
        means = {"all": "every job", "last": "the newest job"}.get(plain, f"job {plain}, which may be another")
        raise InvalidInput(f"a job cannot be called {name!r}: as a selector that means {means}; use a letter before it")
    if name.endswith(NEWEST):
        raise InvalidInput(
            f"a job cannot be called {name!r}: as a selector that means the newest of a name; use - or _"
        )
    plain, condition = _split(name, _KNOWN_CONDITION)
    match = _NAME_WITH_TASKS.fullmatch(plain)
    if match and (match[2] or match[3] or condition):
        what = f"tasks {match[2]}" if match[2] else f"attempt {match[3]}" if match[3] else f"tasks that are {condition}"
        raise InvalidInput(
            f"a job cannot be called {name!r}: as a selector that means {what} of {match[1]!r}; use - or _ there"
        )


def resolve(selector: Selector, jobs: Directory) -> list[Target]:
    """The jobs and tasks it selects now, whatever its condition. `all` may be none; every other that finds nothing
    raises NotFound."""
    selection = Selection()
    selection.add_tasks(selection.find(selector, jobs))
    return list(selection.targets())


class Found(NamedTuple):
    """Jobs of which some tasks are meant."""

    records: "Sequence[JobRecord]" = ()
    tasks: tuple[ArraySegment, ...] | None = None  # None: the one that each has
    attempt: int = 0  # of these, 0: no certain one
    condition: Condition | None = None  # that those have to meet


class Selection:
    """The jobs and tasks that some selectors mean together. Of each call `find`; what that answers is for `add_tasks`,
    which may take longer and needs no directory any more. Where it has a condition, whoever knows the tasks asks which
    are `chosen`, and adds those that meet it by `add_meeting`.
    `attempts` are those that were named: by job and index."""

    def __init__(self) -> None:
        self.attempts: dict[tuple[int, int], int] = {}
        self._whole: dict[int, None] = {}
        self._parts: dict[int, list[range]] = {}
        self._meeting: dict[int, IntervalSet] = {}
        self._ranges = self._looks = 0

    def find(self, selector: Selector, jobs: Directory) -> Found:
        """NotFound for one that means no job; `all` may be none."""
        if selector.kind is SelectorKind.ALL:
            self.add_jobs(jobs.numbers())
            return Found()
        if selector.kind is SelectorKind.NAME:
            value, numbers = repr(selector.value), jobs.numbers_of_name(selector.value)
            if not numbers and (split := selector.without_tasks()):
                selector, numbers = split, jobs.numbers_of_name(split.value)
            if not numbers and (name := selector.newest_of):
                numbers = jobs.numbers_of_name(name)[-1:]
        else:
            record = _one(selector, jobs)
            value, numbers = selector.value, [record.number] if record else []
        if not numbers:
            hint = f" (after a colon come {WORDS})" if ":" in selector.value else ""
            raise NotFound(f"there is no job {value}{hint}; `cluster job list` shows those there are")
        if selector.is_whole:
            self.add_jobs(numbers)
            return Found()
        records = [record for number in numbers if (record := jobs.record(number))]
        return Found(records, selector.tasks, selector.attempt, selector.condition)

    def mean(self, selector: Selector, record: "JobRecord") -> Found:
        """Finds as `find` does, where it is known which one job is meant."""
        if selector.is_whole:
            self.add_jobs([record.number])
            return Found()
        return Found([record], selector.tasks, selector.attempt, selector.condition)

    def add_jobs(self, numbers: Iterable[int]) -> None:
        """All tasks of these."""
        self._whole.update(dict.fromkeys(numbers))

    def add_tasks(self, found: Found) -> None:
        """Adds them whatever their condition.
        NotFound for numbers of which no job has any, InvalidInput for more than MAX_RANGES or MAX_LOOKS."""
        if found.tasks is None and not found.attempt:
            self.add_jobs(record.number for record in found.records)
            return
        for record, parts in self._named(found):
            self._parts.setdefault(record.number, []).extend(parts)
            if found.attempt:
                self.attempts[record.number, parts[0].start] = found.attempt

    def chosen(self, found: Found) -> "list[tuple[JobRecord, IntervalSet]]":
        """The tasks that are meant by their numbers, of each job. Raises as `add_tasks`."""
        if found.tasks is None:
            return [(record, IntervalSet([(0, record.spec.task_count)])) for record in found.records]
        return [(record, _set_of(parts)) for record, parts in self._named(found)]

    def add_meeting(self, number: int, tasks: IntervalSet, of: int) -> None:
        """Adds those of the chosen tasks of that job that meet the condition. The job has so many tasks."""
        if len(tasks) == of:
            self.add_jobs([number])
        elif tasks:
            self._meeting.setdefault(number, IntervalSet()).update(tasks)

    def _named(self, found: Found) -> "Iterator[tuple[JobRecord, list[range]]]":
        missing, added = NotFound(), False
        for record in found.records:
            try:
                parts = [range(1)] if found.tasks is None else self._parts_of(record, found.tasks)
            except NotFound as error:
                missing = error
                continue
            if found.tasks is None and record.spec.is_array:
                raise InvalidInput(
                    f"job {record.number} has many tasks: name the attempt's, as in {record.number}.17#2"
                )
            added = True
            yield record, parts
        if found.records and not added:
            raise missing

    def _parts_of(self, record: "JobRecord", wanted: Iterable[ArraySegment]) -> list[range]:
        numbering, parts = record.spec.numbering, list[range]()
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
        return parts

    def leave_out(self, number: int, index: int) -> None:
        """A task that was selected by an attempt, and by nothing else."""
        self._parts[number].remove(range(index, index + 1))

    def numbers(self) -> list[int]:
        """Of the jobs of which anything is selected, ascending."""
        return sorted(self._whole.keys() | self._parts.keys() | self._meeting.keys())

    def targets(self) -> Iterator[Target]:
        """What is selected, in the order of the jobs."""
        return map(self.target, self.numbers())

    def parts(self) -> Iterator[tuple[int, IntervalSet]]:
        """The jobs of which not all is selected, in their order, and what is selected of them."""
        for number in sorted((self._parts.keys() | self._meeting.keys()) - self._whole.keys()):
            yield number, self._tasks(number)

    def tasks(self, number: int) -> IntervalSet | None:
        """What is selected of that job; None: all of it."""
        return None if number in self._whole else self._tasks(number)

    def target(self, number: int) -> Target:
        """What is selected of that job."""
        tasks = self.tasks(number)
        return Target(number, None if tasks is None else tuple(tasks.ranges()))

    def _tasks(self, number: int) -> IntervalSet:
        tasks = _set_of(self._parts.get(number, ()))
        tasks.update(self._meeting.get(number, ()))
        return tasks


def _set_of(parts: Sequence[range]) -> IntervalSet:
    indexes = IntervalSet((part.start, part.stop) for part in parts if part.step == 1)
    for part in parts:
        if part.step != 1:
            indexes.update_each(part)
    return indexes


def _one(selector: Selector, jobs: Directory) -> "JobRecord | None":
    """The one job of a number, an id or `last`."""
    if selector.kind is SelectorKind.LAST:
        last = jobs.last()
        if last is None:
            raise NotFound("there is no last job: none was submitted yet")
        return jobs.record(last)
    number = int(selector.value) if selector.kind is SelectorKind.NUMBER else jobs.number_of_id(selector.value)
    return None if number is None else jobs.record(number)


def _what_it_has(spec: JobSpec) -> str:
    if not spec.is_array:
        return "it is a single task"
    shown = list(islice(spec.numbering, 6))
    return f"its tasks are {format_array(shown[:5])}{',…' if shown[5:] else ''}"

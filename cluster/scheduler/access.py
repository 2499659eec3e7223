"""Which jobs are meant, of those that a caller may see (cluster.domain.job.visibility).

What selectors go by (number, id, name, owner, what the tasks are called) never changes, so the store is asked: of a job
that is not there yet nobody has been told. A job of a number or a UUID is looked for in memory first, so that whoever
cancels one that runs waits for no disk. By its UUID its submitter may cancel it before it is on disk.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from cluster.domain.base.errors import InvalidInput, NotFound
from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.wall_time import iso
from cluster.domain.job.conditions import Condition
from cluster.domain.job.records import JobRecord
from cluster.domain.job.selectors import Found, Selection, Selector, SelectorKind, parse_selector, refuse_condition
from cluster.domain.job.visibility import VisibleJobs
from cluster.domain.scheduler.retention import Tombstone
from cluster.domain.trust.identity import Caller
from cluster.scheduler.driver import Driver
from cluster.scheduler.job_reading import JobReader
from cluster.scheduler.meeting import meeting
from cluster.store.interface import Store

MOST_SELECTORS, MOST_CHARACTERS = 10_000, 1_000_000
MOST_CONDITIONS = 100  # in one call: for each a job's tasks and their ends are looked through
AT_ONCE = 200  # selectors that are resolved before anybody else is served
NUMBERS_AT_ONCE = 20_000  # that one question to the store brings: some milliseconds
_LONG = 4096  # characters of a selector that is resolved beside the event loop: it may name thousands of tasks


class JobDirectory:
    """The core's jobs as `cluster.domain.job.visibility.Jobs`: all, or those of one tree."""

    def __init__(self, store: Store, root: int = 0) -> None:
        self._store = store
        self._root = root
        self.number_of_id = store.number_of_id

    def numbers(self, owner: str | None) -> Sequence[int]:
        return self._store.numbers(owner, root=self._root)[::-1]

    def last(self, owner: str | None) -> int | None:
        return next(iter(self._store.numbers(owner, most=1, root=self._root)), None)

    def numbers_of_name(self, name: str, owner: str | None) -> Sequence[int]:
        return self._store.numbers_of_name(name, owner, self._root)

    def record(self, number: int) -> JobRecord | None:
        return next(iter(self._store.records([number])), None)


# Of a selector's text and its condition: raises InvalidInput where that makes no sense.
Check = Callable[[str, Condition], None]


async def select(
    driver: Driver, caller: Caller, texts: Sequence[str], check: Check = lambda text, condition: None
) -> Selection:
    """What all of these selectors mean together. InvalidInput or NotFound says what is wrong with one; so does `check`
    of one with a condition."""
    if len(texts) > MOST_SELECTORS or sum(map(len, texts)) > MOST_CHARACTERS:
        raise InvalidInput(f"too many selectors: at most {MOST_SELECTORS}, of {MOST_CHARACTERS} characters together")
    selection, conditions = Selection(), 0
    for place, text in enumerate(dict.fromkeys(texts), start=1):
        conditions += await _add(driver, caller, text, selection, check)
        if conditions > MOST_CONDITIONS:
            raise InvalidInput(f"more than {MOST_CONDITIONS} selectors with states or reasons: ask for some at a time")
        if place % AT_ONCE == 0:
            await asyncio.sleep(0)
    return selection


async def select_some(
    driver: Driver, caller: Caller, texts: Sequence[str], check: Check = lambda text, condition: None
) -> Selection:
    """Selects as `select` does, by at least one selector. NotFound also for an attempt that there has not been."""
    if not texts:
        raise InvalidInput("which job? Give its number, name or UUID, last or all")
    selection = await select(driver, caller, texts, check)
    await last_attempts(driver, selection)
    return selection


async def select_whole(driver: Driver, caller: Caller, texts: Sequence[str], verb: str) -> list[int]:
    """The numbers of the jobs that are selected by at least one selector. InvalidInput where only tasks of one are: the
    verb takes whole jobs."""
    selection = await select_some(driver, caller, texts, partial(refuse_condition, verb=verb))
    for number, _ in selection.parts():
        raise InvalidInput(f"tasks of job {number} are selected: {verb} takes whole jobs; give {number}")
    return selection.numbers()


async def the_one(driver: Driver, selection: Selection, text: str) -> int:
    """The number of the one job that was selected by that text. A name that only a schedule and its runs have means the
    schedule: it is what was called so. InvalidInput for any other several."""
    numbers = selection.numbers()
    if len(numbers) == 1 or (numbers and await are_runs(driver, selection, numbers)):
        return numbers[0]
    named = ", ".join(map(str, numbers[:5])) + (", …" if numbers[5:] else "") or "none"
    raise InvalidInput(f"{text!r} selects {len(numbers)} jobs ({named}): give the number of one")


async def are_runs(driver: Driver, selection: Selection, numbers: Sequence[int]) -> bool:
    """Whether all of these jobs, none of them in part, are the first one's runs, but for that one itself."""
    if any(True for _ in selection.parts()):
        return False
    for at in range(1, len(numbers), AT_ONCE):
        some = numbers[at : at + AT_ONCE]
        records = await driver.fetch(lambda store, some=some: store.records(some))  # type: ignore[misc]
        if any(record.schedule != numbers[0] for record in records):
            return False
    return True


async def _add(driver: Driver, caller: Caller, text: str, selection: Selection, check: Check) -> bool:
    """Whether it has a condition."""
    beside = len(text) > _LONG
    selector = await asyncio.to_thread(parse_selector, text) if beside else parse_selector(text)
    if selector.kind is SelectorKind.ALL:
        selection.add_jobs(await _all(driver, caller))
        return False

    found = await _find(driver, caller, selector, selection)
    if found.condition is not None:
        check(text, found.condition)
    add = selection.add_tasks if found.condition is None else selection.chosen
    added = await asyncio.to_thread(add, found) if beside else add(found)
    for record, chosen in added or ():
        assert found.condition is not None
        tasks = await meeting(driver, record.number, chosen, found.condition)
        selection.add_meeting(record.number, tasks, record.spec.task_count)
    return found.condition is not None


async def _find(driver: Driver, caller: Caller, selector: Selector, selection: Selection) -> Found:
    """NotFound only if no submission of the job is under way: one that was broken off may be."""

    def find(store: Store) -> Found:
        return selection.find(selector, VisibleJobs(JobDirectory(store, VisibleJobs.root_of(caller)), caller))

    # A submission has its turn, and if the store is asked about its UUID then, one more when that has answered.
    turns_to_come = 2 if selector.kind is SelectorKind.ID else 0
    while True:
        if record := _in_memory(driver, caller, selector):
            return selection.mean(selector, record)
        try:
            return await driver.fetch(find)
        except NotFound as error:
            if not turns_to_come:
                raise await _why_missing(driver, caller, selector, error) from None
        turns_to_come -= 1
        await driver.tell()


async def _why_missing(driver: Driver, caller: Caller, selector: Selector, missing: NotFound) -> NotFound:
    """Of a job that was deleted, when and why, for whoever saw it."""
    if selector.kind not in (SelectorKind.NUMBER, SelectorKind.ID):
        return missing

    def look(store: Store) -> Tombstone | None:
        keeping = store.keeping
        return (
            keeping.tombstone(int(selector.value))
            if selector.kind is SelectorKind.NUMBER
            else keeping.tombstone_of_id(selector.value)
        )

    stone = await driver.fetch(look)
    sees_all = VisibleJobs.owner_of(caller) is None and not caller.vouched
    if stone and (sees_all or stone.owner == caller.user_id):
        return NotFound(stone.said)
    if not stone and sees_all and selector.kind is SelectorKind.NUMBER:
        number = int(selector.value)
        if 0 < number < driver.peek(lambda core: core.next_number) and driver.is_on_disk(number):
            if made_at := await driver.fetch(lambda store: store.keeping.skipped(number)):
                lost = f"if it came after the backup of {iso(made_at)}, which the scheduler goes on from, it is lost"
                return NotFound(f"there is no job {number}: {lost}")
            return NotFound(f"job {number} was deleted, longer ago than is remembered")
    return missing


def _in_memory(driver: Driver, caller: Caller, selector: Selector) -> JobRecord | None:
    """The job of that number, if it is on disk, or of that UUID, if the caller sees it and it has not left memory."""
    job = None
    if selector.kind is SelectorKind.NUMBER and driver.is_on_disk(number := int(selector.value)):
        job = driver.peek(lambda core: core.jobs.get(number))
    elif selector.kind is SelectorKind.ID:
        job = driver.peek(lambda core: core.job_of_id(selector.value))
    return job.record if job and VisibleJobs.sees(caller, job.record) else None


async def _all(driver: Driver, caller: Caller) -> list[int]:
    """All that the caller may see, newest first, in pieces that hold up nobody."""
    numbers: list[int] = []
    owner, root, below = VisibleJobs.owner_of(caller), VisibleJobs.root_of(caller), None
    while some := await driver.fetch(
        lambda store, below=below: store.numbers(owner, (), below, NUMBERS_AT_ONCE, root)  # type: ignore[misc]
    ):
        numbers += some
        below = some[-1]
    return numbers


async def last_attempts(driver: Driver, selection: Selection) -> dict[tuple[int, int], int]:
    """The number of the last attempt of each task (job and index) of which an attempt was named. NotFound for an
    attempt that there has not been."""
    return {
        (number, index): await _last_attempt(driver, AttemptKey(number, index, wanted))
        for (number, index), wanted in selection.attempts.items()
    }


async def _last_attempt(driver: Driver, key: AttemptKey) -> int:
    """The number of the last attempt of `key`'s task. NotFound where the attempt of `key` is yet to come."""
    job = JobReader(driver, key.job)
    last = await job.read(lambda job: job.last_attempt(key.index))
    if last is None:
        ends = await driver.fetch(lambda store: store.ends_of_task(key.job, key.index))
        last = max((end.attempt for end in ends), default=0)
    if key.attempt > last:
        number = (await job.spec()).number_of(key.index)
        raise NotFound(f"there is no attempt {key.shown(number)}: its task has had {last or 'none'}")
    return last

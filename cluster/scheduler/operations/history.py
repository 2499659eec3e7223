"""What has been: jobs that have ended, what their attempts took, and what was used on which day."""

from collections.abc import Collection
from functools import partial
from math import inf
from typing import NamedTuple

from cluster.domain.base.errors import InvalidInput, NotFound, NotPermitted
from cluster.domain.job.history import MOST_JOBS, NEWEST, HistoryPlace, HistoryWanted
from cluster.domain.job.records import JobRecord, TaskEnd
from cluster.domain.job.selectors import SelectorKind, parse_selector
from cluster.domain.job.states import ENDED, TaskState
from cluster.domain.job.statistics import TaskStats, stats_of
from cluster.domain.job.usage import DAY, NOTHING_USED, Usage, UsageKind, UsageTotal
from cluster.domain.job.visibility import VisibleJobs
from cluster.domain.scheduler.views import JobView
from cluster.domain.trust.identity import ADMIN_NAME, Caller
from cluster.scheduler.access import select_whole
from cluster.scheduler.driver import Driver
from cluster.scheduler.message_checks import check_seconds, check_text
from cluster.scheduler.showing import page
from cluster.store.interface import Store

MOST_ATTEMPTS = 10_000  # of which statistics are made
MOST_JOBS_MEASURED = 500  # whose attempts these are
JOBS_AT_ONCE = 25  # whose ends one question to the store brings
USUAL_ROWS, MOST_ROWS = 100, 1000  # of usage in one answer


class EndedJobs(NamedTuple):
    jobs: list[JobView]  # the one that ended last first
    after: HistoryPlace | None  # there may be more after this place; None: there are none


class MeasuredJobs(NamedTuple):
    newest: JobRecord  # of those that were looked at
    first: int  # the number of the oldest of them
    jobs: int
    more: bool  # there are older jobs, or earlier attempts of these, that were not looked at
    stats: TaskStats


class UsedByDays(NamedTuple):
    rows: list[tuple[UsageTotal, str]]  # those with most CPU time first, each with its worker's name, "": none is known
    total: Usage  # also of those that are not among the rows
    more: int  # so many are not
    since: float  # Unix seconds: the beginning of the first day; 0: from the first


class HistoryOperations:
    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def history(
        self,
        caller: Caller,
        states: Collection[TaskState] = (),
        since: float = 0.0,
        until: float = 0.0,
        user: str = "",
        name: str = "",
        limit: int = 0,
        after: str = "",
    ) -> EndedJobs:
        """A page of the jobs that have ended as one of the states (none: however), `since` then and before `until`
        (Unix seconds, 0: now), of that user's id and name (empty: of any that the caller sees), at most `limit` (0: as
        many as one answer holds), after the place that a page before told."""
        if wrong := [state for state in states if not state.ended]:
            raise InvalidInput(f"{wrong[0].word} is no state in which a job has ended: use {_STATES}")
        if limit > MOST_JOBS:
            raise InvalidInput(f"a limit of {limit} jobs: at most {MOST_JOBS} come in one answer")
        check_seconds("since", since)
        check_seconds("until", until)
        check_text("the name", name)
        wanted = HistoryWanted(
            owner=await self._owner(caller, user),
            name=name,
            states=tuple(states) or ENDED,
            since=since,
            until=until or inf,
            after=HistoryPlace.parse(after) if after else NEWEST,
            most=limit or MOST_JOBS,
        )
        places = await self._driver.fetch(lambda store: store.history(wanted))
        jobs, looked, _ = await page(self._driver, [place.job for place in places], states=ENDED)
        ended = looked == len(places) < wanted.most
        return EndedJobs(jobs, None if ended or not places else places[looked - 1])

    async def stats(self, caller: Caller, selector: str) -> MeasuredJobs:
        """Of the newest jobs of a name, or of one job. NotFound where there is none, or nothing of it has ended."""
        parsed = parse_selector(selector)
        if parsed.kind is SelectorKind.NAME and parsed.is_whole and not parsed.newest_of:
            owner = VisibleJobs.owner_of(caller)
            numbers = await self._driver.fetch(
                lambda store: store.newest_of_name(parsed.value, owner, MOST_JOBS_MEASURED + 1)
            )
            if not numbers:
                raise NotFound(f"there is no job {selector}; `cluster job history` shows those that have ended")
        else:
            numbers = await select_whole(self._driver, caller, [selector], "job stats")
            if len(numbers) != 1:
                raise InvalidInput(f"{selector!r} selects {len(numbers)} jobs: give the number of one, or a name")
        ends, looked = await self._ends_of(numbers[:MOST_JOBS_MEASURED])
        if not ends:
            raise NotFound(f"nothing of {selector} has ended yet: statistics are of attempts that have")
        (newest,) = await self._driver.fetch(lambda store: store.records(numbers[:1]))
        more = looked < len(numbers) or len(ends) > MOST_ATTEMPTS
        stats = stats_of(ends[:MOST_ATTEMPTS], newest.spec.millicpus, newest.spec.memory)
        return MeasuredJobs(newest, numbers[looked - 1], looked, more, stats)

    async def usage(self, caller: Caller, by: UsageKind, since: float = 0.0, limit: int = 0) -> UsedByDays:
        """From the beginning of that day on, in UTC, by the jobs that the caller sees."""
        if limit > MOST_ROWS:
            raise InvalidInput(f"a limit of {limit} rows: at most {MOST_ROWS} come in one answer")
        check_seconds("since", since)
        day, owner = int(since // DAY), VisibleJobs.owner_of(caller)
        rows = await self._driver.fetch(lambda store: store.usage(by, day, owner))
        total = NOTHING_USED
        for row in rows:
            total = total.plus(row.usage)
        rows.sort(key=lambda row: (-row.usage.cpu_micros, -row.usage.run_micros, row.key))
        shown = rows[: limit or USUAL_ROWS]
        names = self._names() if by is UsageKind.WORKER else {}
        named = [(row, names.get(row.key, "")) for row in shown]
        return UsedByDays(named, total, len(rows) - len(shown), float(day * DAY))

    async def _ends_of(self, numbers: list[int]) -> tuple[list[TaskEnd], int]:
        """The ends of attempts of the first of these jobs, until there is one more than MOST_ATTEMPTS; and of how many
        jobs they are."""
        ends: list[TaskEnd] = []
        looked = 0
        while looked < len(numbers) and len(ends) <= MOST_ATTEMPTS:
            ask = partial(_ends_of, numbers=numbers[looked : looked + JOBS_AT_ONCE], most=MOST_ATTEMPTS + 1 - len(ends))
            found, seen = await self._driver.fetch(ask)
            ends += found
            looked += seen
        return ends, looked

    def _names(self) -> dict[str, str]:
        """Of the workers that are on the list, by their ids."""
        return self._driver.peek(lambda core: {worker.id: worker.record.name for worker in core.workers.values()})

    async def _owner(self, caller: Caller, user: str) -> str | None:
        """Whose jobs are wanted; None: everybody's. NotPermitted for those of another, NotFound for nobody's."""
        check_text("the user", user)
        visible = VisibleJobs.owner_of(caller)
        if not user or user == visible:
            return visible
        if visible is not None:
            raise NotPermitted(f"--user {user}: you see your own jobs alone; an admin or viewer sees all")
        if user != ADMIN_NAME and not await self._driver.fetch(lambda store: _is_known(store, user)):
            raise NotFound(f"there is no user {user!r}, and none was; `cluster user list` shows all")
        return user


_STATES = ", ".join(state.word for state in ENDED)


def _is_known(store: Store, user: str) -> bool:
    return bool(store.numbers(user, most=1)) or any(record.id == user for record in store.users())


def _ends_of(store: Store, numbers: list[int], most: int) -> tuple[list[TaskEnd], int]:
    """The ends of attempts of the first of these jobs, until there are so many; and of how many jobs they are."""
    ends: list[TaskEnd] = []
    for place, number in enumerate(numbers, start=1):
        ends += store.latest_ends(number, most - len(ends))[: most - len(ends)]
        if len(ends) >= most:
            return ends, place
    return ends, len(numbers)

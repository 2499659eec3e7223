"""Jobs as answers show them, in pieces that hold up nobody and in answers of bounded size."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job import endings
from cluster.domain.job.job import Job
from cluster.domain.job.states import TaskState
from cluster.domain.job.unbegun import Unbegun
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.pending_in_words import WhyNot
from cluster.domain.scheduler.view_sizes import size_of_job
from cluster.domain.scheduler.views import Detail, JobView, job_view
from cluster.scheduler.driver import Driver
from cluster.scheduler.job_reading import JobReader, Jobs, read_jobs, unfinished_of
from cluster.scheduler.meeting import last_ends, not_succeeded

# An answer ends with the job with which it reaches this. A job's command may have 1.5 MiB, and gRPC clients of other
# languages take answers of 4 MiB.
PAGE_BYTES = 1024 * 1024
PIECE_JOBS, PIECE_BYTES = 100, 128 * 1024  # that are looked at, and shown, before anybody else is served
PIECE_COSTS = 200  # the same by what it takes to tell why they wait, in units of a turn's room
WORKERS_A_UNIT = 16  # that are looked at for that
FIRST_JOBS = 8  # that are looked at first: a few may fill the answer, and what ended ones say is fetched for all
NUMBERS_AT_ONCE = 1000  # of jobs, for a list

MOST_ENDS = 100_000  # tasks of a part whose ends are looked up

Parts = Mapping[int, IntervalSet]
_WHOLE: Parts = {}


class Page(NamedTuple):
    jobs: list[JobView]
    looked: int  # how many of the numbers were looked at: the rest is for the next page
    size: int  # bytes that they take


class Changes(NamedTuple):
    """Some of the jobs that have changed at one moment."""

    jobs: list[JobView]
    more: bool  # of the same moment follow
    detail: Detail  # in which the jobs are to be shown


async def newest(
    driver: Driver, owner: str | None, root: int, states: Collection[TaskState], below: int | None, limit: int
) -> tuple[list[JobView], int]:
    """A page of the jobs of that owner (None: of anybody) and tree (0: of any), newest first, with lower numbers than
    `below`; otherwise as `page`. Also below which number the next page goes on, 0: this was the last."""
    jobs: list[JobView] = []
    room = PAGE_BYTES
    while True:
        numbers = await driver.fetch(
            lambda store, below=below: store.numbers(owner, states, below, NUMBERS_AT_ONCE, root)  # type: ignore[misc]
        )
        left = limit - len(jobs) if limit else 0
        some, looked, size = await page(driver, numbers, states=states, limit=left, room=room)
        jobs += some
        room -= size
        if looked < len(numbers) or room <= 0 or (limit and len(jobs) >= limit):
            return jobs, numbers[looked - 1] if looked else 0
        if len(numbers) < NUMBERS_AT_ONCE:
            return jobs, 0
        below = numbers[-1]


async def page(
    driver: Driver,
    numbers: Sequence[int],
    *,
    states: Collection[TaskState] = (),
    limit: int = 0,
    room: int | None = None,
    detail: Detail = Detail.LISTED,
    parts: Parts = _WHOLE,
    ended: dict[int, Job] | None = None,
    after: bool = False,
) -> Page:
    """The first of these jobs: those in one of the states (none: in any), at most `limit` (0: all), as many as one
    answer holds, of which so many bytes are left (None: all). `parts`: the tasks that are meant of some of them.
    `ended`, `after`: as of `read_jobs`."""
    jobs: list[JobView] = []
    known: WhyNot = {}
    looked = size = 0
    room = PAGE_BYTES if room is None else room
    most = min(FIRST_JOBS, PIECE_JOBS)
    while looked < len(numbers) and size < room and not (limit and len(jobs) >= limit):
        some = numbers[looked : looked + most]
        most = min(PIECE_JOBS, 2 * most)
        left = limit - len(jobs) if limit else PIECE_JOBS
        view = partial(_piece, numbers=some, states=states, room=left, detail=detail, parts=parts, known=known)
        piece, seen, bytes_shown = await read_jobs(driver, some, view, ended=ended, after=after, leave_out=True)
        jobs += piece
        looked += seen
        size += bytes_shown
        await asyncio.sleep(0)
    return Page(jobs, looked, size)


def _piece(
    core: SchedulerCore,
    among: Jobs,
    numbers: Sequence[int],
    states: Collection[TaskState],
    room: int,
    detail: Detail,
    parts: Parts,
    known: WhyNot,
) -> tuple[list[JobView], int, int]:
    """The first of these jobs, how many of the numbers were looked at for them, and the bytes that they take. What
    keeps a request class from running is looked for among all workers once a page, and is `known` to its next pieces:
    it may have changed by the few turns that came between."""
    jobs: list[JobView] = []
    size = looked = cost = 0
    for number in numbers:
        looked, classes = looked + 1, len(known)
        if number not in among:  # it was deleted meanwhile
            continue
        view = job_view(core, among[number], known, parts.get(number))
        if not states or view.state in states:
            jobs.append(view)
            size += size_of_job(view, detail)
        cost += core.judge.units() + (len(known) - classes) * len(core.workers) // WORKERS_A_UNIT
        if len(jobs) >= room or size >= PIECE_BYTES or cost >= PIECE_COSTS:
            break
    return jobs, looked, size


async def changes_of(driver: Driver, numbers: Iterable[int], parts: Parts) -> AsyncGenerator[Changes, None]:
    """All of these jobs, and then each time those of them that have changed, until all that is meant has ended: of some
    jobs only these parts of their tasks."""
    going = dict.fromkeys(numbers)  # in order
    detail = Detail.LISTED
    # A job that has ended by now changes no more; one that ends before it is watched is looked at once all the same.
    watched = await _unfinished(driver, list(going))
    async with aclosing(driver.watchers.changes(watched)) as changes:
        async for changed in changes:
            some = list(going) if changed is None else sorted(going.keys() & set(changed))
            while some or detail is Detail.LISTED:
                jobs, looked, _ = await page(driver, some, detail=detail, parts=parts)
                for place, job in enumerate(jobs):
                    number = job.record.number
                    if job.state.ended:
                        del going[number]
                        if number in parts:
                            reason, exit_code = await end_of_part(driver, number, parts[number])
                            jobs[place] = replace(job, reason=reason, exit_code=exit_code)
                for number in set(some[:looked]) - {job.record.number for job in jobs}:  # was deleted meanwhile
                    del going[number]
                some = some[looked:]
                yield Changes(jobs, bool(some), detail)
                if not some:
                    break
            detail = Detail.NONE
            if not going:
                return


async def _unfinished(driver: Driver, numbers: Sequence[int]) -> list[int]:
    found: list[int] = []
    for at in range(0, len(numbers), NUMBERS_AT_ONCE):
        found += unfinished_of(driver, numbers[at : at + NUMBERS_AT_ONCE])
        await asyncio.sleep(0)
    return found


async def end_of_part(driver: Driver, number: int, part: IntervalSet) -> tuple[str, int]:
    """Of these tasks of a job, all of which have ended: the reason of the first that did not succeed, and the highest
    exit code. Where more than MOST_ENDS did not, what is said of the whole job."""
    those, unbegun, of_job = await JobReader(driver, number).read(
        lambda job: (not_succeeded(job, part), Unbegun(job, part), (job.reason, job.exit_code))
    )
    if len(those) > MOST_ENDS:
        return of_job
    if not those:
        return endings.OK, 0
    reasons: dict[int, str] = {}
    code, first = 0, those.first()
    async with aclosing(last_ends(driver, number, those)) as several:
        async for some in several:
            ends = unbegun.leave_begun(some)
            reasons |= {end.index: end.reason_of_task for end in ends[:1]}
            code = max([code, *(end.exit_code for end in ends)])
    for reason, tasks in unbegun.by_reason():
        code = max(code, endings.exit_code(reason))
        if first in tasks:
            reasons[first] = reason
    return reasons[first], code

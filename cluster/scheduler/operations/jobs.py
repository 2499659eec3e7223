"""Submitting, listing, showing, watching and cancelling jobs."""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import UTC
from functools import partial
from typing import NamedTuple

from cluster.domain.base.errors import Conflict, InvalidInput, NotFound, NotPermitted
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.dependencies import dependencies_of
from cluster.domain.job.job import Job
from cluster.domain.job.keys import id_in_force
from cluster.domain.job.results import ResultsTotal
from cluster.domain.job.selectors import refuse_ended
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.state_map import StateMap
from cluster.domain.job.states import TaskState
from cluster.domain.job.target import Target
from cluster.domain.job.times import resolved
from cluster.domain.job.visibility import VisibleJobs
from cluster.domain.job.workflow import NewJob
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.events import JobSubmitted
from cluster.domain.scheduler.family import called_by
from cluster.domain.scheduler.retention import OutputExpired, Pin
from cluster.domain.scheduler.views import JobView, TaskView, job_view
from cluster.domain.scheduler.waiting import HasEnded
from cluster.domain.trust.identity import Caller, is_uuid
from cluster.scheduler.access import last_attempts, select, select_some, the_one
from cluster.scheduler.attempts_shown import with_attempts
from cluster.scheduler.cancelling import JOBS_AT_ONCE, cancel
from cluster.scheduler.dependencies import as_before, courses_of_ended, with_numbers
from cluster.scheduler.driver import Driver
from cluster.scheduler.job_reading import JobReader, read_jobs, unfinished_of
from cluster.scheduler.message_checks import check_seconds, check_text
from cluster.scheduler.notices.targets import NoticeTargets
from cluster.scheduler.operations.contents import ContentOperations
from cluster.scheduler.operations.ordering import check_priority
from cluster.scheduler.showing import Changes, changes_of, newest, page
from cluster.scheduler.spec_checks import check_spec
from cluster.scheduler.states_shown import states_shown
from cluster.scheduler.tasks_shown import LastBytes, TasksWanted, tasks_shown, with_last_words
from cluster.scheduler.workflows import submit_together

AT_ONCE = 200  # jobs of one call that are checked at once
LONGEST_WAIT = 30.0  # seconds that a submission may wait for the job's end
MOST_PIECES = 200_000  # ranges that a job's sets may be made of before no more than FEW_RANGES are cancelled at a time
FEW_RANGES = 100
MOST_CHILDREN = 100  # that are shown with a job: `cluster job tree` shows all


class ListedJobs(NamedTuple):
    jobs: list[JobView]  # newest first
    below: int  # there may be more: of lower numbers than this; 0: there are none


class ShownJob(NamedTuple):
    job: JobView
    tasks: list[TaskView]
    more: bool  # of the tasks that were asked for
    children: list[int]  # the newest of the jobs that it has submitted
    results: ResultsTotal | None  # None: it keeps none
    pin: Pin | None  # somebody's wish that it is kept
    output_expired: OutputExpired | None  # None: what it has written is kept


class CancelledJobs(NamedTuple):
    jobs: list[JobView]  # as they are now
    tasks: int  # how many tasks this asked to stop
    more: bool  # jobs than one answer holds; all of them were cancelled


class JobOperations:
    def __init__(
        self, driver: Driver, last_bytes: LastBytes, targets: NoticeTargets, contents: ContentOperations
    ) -> None:
        self._driver, self._targets, self._contents = driver, targets, contents
        self._last_bytes = last_bytes

    async def submit(self, caller: Caller, job_id: str, spec: JobSpec, rerun_of: int = 0) -> JobView:
        """The job when it is on disk; the same id again is the same job. InvalidInput for one that could never run,
        Exhausted while nothing can be written. `rerun_of`: the job that it repeats, 0: none."""
        if not is_uuid(job_id):
            raise InvalidInput(f"job id {job_id[:60]!r} is no lower-case UUID")
        await check_spec(spec)
        check_priority(caller, spec)
        self._targets.check(spec)
        job_id = id_in_force(job_id, caller.user_id, spec)
        if self._driver.is_troubled and not await self._driver.fetch(lambda store: store.number_of_id(job_id)):
            self._driver.expect_writable(lambda core: core.job_of_id(job_id))
        await self._contents.use(caller, job_id, spec, anybodys=bool(rerun_of))
        number = await self._accepted(caller, NewJob(job_id, spec), rerun_of)
        return await read_jobs(
            self._driver, [number], lambda core, jobs: job_view(core, jobs[number]), whole=True, after=True
        )

    async def submit_and_wait(self, caller: Caller, job_id: str, spec: JobSpec, patience: float) -> JobView:
        """The job when it has ended; before that after `patience` seconds, LONGEST_WAIT at the most, or where no worker
        could ever run it. Raises as `submit` does."""
        if not 0 <= patience <= LONGEST_WAIT:  # NaN is neither
            raise InvalidInput(f"a patience of {patience} s: give 0 to {LONGEST_WAIT:.0f}")
        job = await self.submit(caller, job_id, spec)
        if job.no_worker_ever or job.state.ended:
            return job
        with suppress(TimeoutError):
            async with (
                asyncio.timeout(patience),
                aclosing(changes_of(self._driver, [job.record.number], {})) as several,
            ):
                async for changes in several:
                    job = next(iter(changes.jobs), job)
        return job

    async def submit_many(self, caller: Caller, jobs: Sequence[NewJob]) -> list[int]:
        """Their numbers, when all of them are on disk, or else none. See `submit_together`."""
        for place, job in enumerate(jobs):
            if place % AT_ONCE == 0:
                await asyncio.sleep(0)  # others have theirs between
            check_priority(caller, job.spec)
            self._targets.check(job.spec)
        return await submit_together(self._driver, caller, jobs, self._contents)

    async def finds_files(self, number: int) -> bool:
        """Whether the job finds an upload, or reads a stdin."""
        spec = await JobReader(self._driver, number).read(lambda job: job.record.spec)
        return bool(spec.upload or spec.stdin)

    async def expect_files(self, number: int) -> None:
        """Conflict for a job whose files, which it finds, were deleted."""
        job_id = await JobReader(self._driver, number).read(lambda job: job.record.id)
        if said := await self._contents.expired(job_id):
            raise Conflict(f"job {number} cannot be tried again: {said}")

    async def _accepted(self, caller: Caller, new: NewJob, rerun_of: int) -> int:
        """Its number."""
        spec = given = resolved(new.spec, self._driver.clock().wall, UTC)
        while True:
            try:
                spec = await with_numbers(self._driver, caller, given)
                ended = await courses_of_ended(self._driver, [each.job for each in dependencies_of(spec)])
            except NotFound as gone:
                spec, ended = await as_before(self._driver, new.id, given, gone), {}
            event = partial(JobSubmitted, id=new.id, owner=caller.user_id, spec=spec, vouched=caller.vouched)
            event = partial(event, rerun_of=rerun_of)
            try:
                return int(await self._driver.ask(partial(event, ended=ended)))
            except HasEnded:
                pass  # the store has it by now

    async def list(
        self,
        caller: Caller,
        selectors: Sequence[str] = (),
        states: Collection[TaskState] = (),
        below: int = 0,
        limit: int = 0,
    ) -> ListedJobs:
        """Those that are selected (nothing: all that the caller sees) and in one of the states (none: in any), of
        numbers below that (0: from the newest), at most `limit` (0: as many as one answer holds)."""
        if not selectors or "all" in selectors:
            whose = VisibleJobs.owner_of(caller), VisibleJobs.root_of(caller)
            return ListedJobs(*await newest(self._driver, *whose, states, below or None, limit))
        numbers = (await select(self._driver, caller, selectors)).numbers()
        newest_first = numbers[: bisect_left(numbers, below) if below else len(numbers)][::-1]
        jobs, looked, _ = await page(self._driver, newest_first, states=states, limit=limit)
        return ListedJobs(jobs, newest_first[looked - 1] if looked < len(newest_first) else 0)

    async def show(
        self,
        caller: Caller,
        selector: str,
        skip: int = 0,
        most: int = 0,
        states: Collection[TaskState] = (),
        attempts: bool = False,
    ) -> ShownJob:
        """The one job, and at most so many of the tasks that are selected of it and in one of the states (none: in
        any), but for the first `skip`: running and abnormal ones first. If that is one task in all, and it failed, with
        its last words. `attempts`: each with its attempts."""
        number, among, attempt = await self._one_job(caller, selector)
        wanted = TasksWanted(among, skip, most, attempt, states)
        job, tasks, more = await tasks_shown(self._driver, number, wanted)
        if len(tasks) == 1 and not skip and not more:
            tasks = [await with_last_words(tasks[0], job.record.spec, self._last_bytes)]
        if attempts:
            asked, tasks = len(tasks), await with_attempts(self._driver, number, tasks)
            more = more or len(tasks) < asked
        children, expired = await self._driver.fetch(
            lambda store: (store.children(number, most=MOST_CHILDREN), store.keeping.output_expired(number))
        )
        results = None
        if job.record.spec.out:
            results = await self._driver.fetch(lambda store: store.results_total(number))
            results = replace(results, deleted=await self._contents.expired(job.record.id))
        pin = self._driver.peek(lambda core: core.bonds.pins.get(number))
        return ShownJob(job, tasks, more, children, results, pin, expired)

    async def map_tasks(
        self, caller: Caller, selector: str, first: int = 0, count: int = 0, most: int = 0
    ) -> tuple[int, int, StateMap]:
        """The one job's number, how many tasks it has, and a map of `count` of these from `first` on (states_shown)."""
        number, tasks, _ = await self._one_job(caller, selector)
        if tasks is not None:
            raise InvalidInput(f"{selector!r} selects tasks: a map is of a whole job; give {number}, first and count")
        return number, *await states_shown(self._driver, number, first, count, most)

    async def watch(self, caller: Caller, selectors: Sequence[str]) -> AsyncGenerator[Changes, None]:
        """All that are selected, and then each time those that have changed, until all that was selected has ended."""
        selection, parts = await select_some(self._driver, caller, selectors), dict[int, IntervalSet]()
        for place, (number, tasks) in enumerate(selection.parts(), start=1):
            parts[number] = tasks
            if place % JOBS_AT_ONCE == 0:
                await asyncio.sleep(0)
        async with aclosing(changes_of(self._driver, selection.numbers(), parts)) as several:
            async for changes in several:
                yield changes

    async def cancel(
        self,
        caller: Caller,
        selectors: Sequence[str],
        grace: float | None = None,
        reason: str = "",
        keep_children: bool = False,
    ) -> CancelledJobs:
        """Asks all that is selected to stop, and unless they are kept the jobs that these have called for. `grace`:
        seconds between SIGTERM and SIGKILL, None: as each job has it.

        A job that ends by it leaves memory. It is kept until the answer, which then needs no disk: that may hang."""
        if grace is not None:
            check_seconds("a grace of", grace)
        check_text("the reason", reason)
        selection = await select_some(self._driver, caller, selectors, refuse_ended)
        by = caller.called
        numbers, cancelled, met = selection.numbers(), 0, dict[int, Job]()
        for (number, index), last in (await last_attempts(self._driver, selection)).items():
            if selection.attempts[number, index] != last:  # it has ended, and another may run
                selection.leave_out(number, index)
        for at in range(0, len(numbers), JOBS_AT_ONCE):
            some = numbers[at : at + JOBS_AT_ONCE]
            unfinished = unfinished_of(self._driver, some)
            met |= self._driver.peek(lambda core, some=unfinished: {number: core.jobs[number] for number in some})  # type: ignore[misc]
            targets = list(map(selection.target, some))  # also what has ended: what that has called for may go on
            await asyncio.sleep(0)
            self._driver.peek(partial(_refuse_crumbs, targets))
            if caller.vouched:
                self._driver.peek(partial(_refuse_others, targets, caller.vouched.attempt.job))
            cancelled += await cancel(self._driver, targets, by, grace, reason, keep_children)
        jobs, looked, _ = await page(self._driver, numbers, ended=met, after=True)
        return CancelledJobs(jobs, cancelled, looked < len(numbers))

    async def _one_job(self, caller: Caller, selector: str) -> tuple[int, IntervalSet | None, int]:
        """Its number, which of its tasks are selected, None: all, and the attempt that was named, 0: none."""
        selection = await select_some(self._driver, caller, [selector])
        found = selection.numbers()
        if not found and selector != "all":
            raise NotFound(f"{selector}: none of its tasks is so now")
        number = await the_one(self._driver, selection, selector)
        tasks = selection.tasks(number)
        await asyncio.sleep(0)  # of many single tasks that has taken a while, and so does what follows
        return number, tasks, max(selection.attempts.values(), default=0)


def _refuse_others(targets: Iterable[Target], caller: int, core: SchedulerCore) -> None:
    """NotPermitted for what that job, which calls, has not called for."""
    for target in targets:
        job = core.jobs.get(target.job)
        if target.job == caller or (job and not called_by(job.record, {caller: None})):
            raise NotPermitted(
                f"job {caller} has not called job {target.job}: a job may cancel only what it has called"
            )


def _refuse_crumbs(targets: Iterable[Target], core: SchedulerCore) -> None:
    """Conflict where single tasks of a job were cancelled again and again, until it takes much memory."""
    for number, ranges in targets:
        job = core.jobs.get(number)  # None: it has ended meanwhile
        if job and ranges and len(ranges) > FEW_RANGES and job.live and job.pieces > MOST_PIECES:
            raise Conflict(
                f"job {number} is in more than {MOST_PIECES} pieces by now: cancel all of it, or tasks next to "
                "each other"
            )

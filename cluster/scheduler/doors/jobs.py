"""The door for users, the `Jobs` service: finds out what is meant and who may, asks the core, shows the answer."""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from functools import partial
from heapq import nsmallest

from cluster.domain.base.errors import Conflict, InvalidInput
from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.job.selectors import Selection, check_name
from cluster.domain.job.spec import JobSpec, validate
from cluster.domain.job.states import TaskState
from cluster.domain.job.target import Target
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.events import JobSubmitted
from cluster.domain.scheduler.views import JobView, job_view, worker_view
from cluster.domain.trust.identity import is_uuid
from cluster.rpc.convert import job_to_proto, worker_to_proto
from cluster.rpc.errors import Context
from cluster.rpc.gate import current_caller
from cluster.rpc.specs import spec_from_proto
from cluster.scheduler.access import last_attempts, select, visible_jobs
from cluster.scheduler.cancelling import JOBS_AT_ONCE, cancel
from cluster.scheduler.driver import Driver
from cluster.scheduler.listing import listed
from cluster.scheduler.message_checks import check_seconds, check_text
from cluster.scheduler.output.locating import Sources, Wish
from cluster.scheduler.output.reader import Position, read_tasks
from cluster.scheduler.showing import changes_of, page
from cluster.scheduler.tasks_shown import TasksWanted, tasks_shown
from cluster.v1 import job_pb2, jobs_pb2, jobs_pb2_grpc

QUICK = 16 * 1024  # bytes of a spec that is read and judged at once
MOST_PIECES = 200_000  # ranges that a job's sets may be made of before no more than FEW_RANGES are cancelled at a time
FEW_RANGES = 100


class JobsDoor(jobs_pb2_grpc.JobsServicer):
    def __init__(self, driver: Driver, sources: Sources) -> None:
        self._driver = driver
        self._sources = sources

    async def Submit(self, request: jobs_pb2.SubmitRequest, context: Context) -> jobs_pb2.SubmitResponse:
        if not is_uuid(request.id):
            raise InvalidInput(f"job id {request.id[:60]!r} is no lower-case UUID")
        spec = await _spec(request.spec)
        owner = current_caller().user_id
        self._driver.expect_writable(lambda core: core.number_of(request.id))
        number = await self._driver.ask(lambda ask: JobSubmitted(ask, request.id, owner, spec))
        (view,) = await self._driver.read_after(_views_of([number]))
        return jobs_pb2.SubmitResponse(job=job_to_proto(view))

    async def List(self, request: jobs_pb2.ListRequest, context: Context) -> jobs_pb2.ListResponse:
        caller, texts = current_caller(), [s.text for s in request.selectors]
        states = {_state(state) for state in request.states if state}
        if texts:
            numbers: Sequence[int] = (await select(self._driver, caller, texts)).numbers()
        else:
            numbers = await self._driver.read(lambda core: visible_jobs(core, caller).numbers())
        newest_first = numbers[: bisect_left(numbers, request.below) if request.below else len(numbers)][::-1]
        jobs, looked = await page(self._driver.read, newest_first, states=states, limit=request.limit)
        return jobs_pb2.ListResponse(jobs=jobs, next=newest_first[looked - 1] if looked < len(newest_first) else 0)

    async def Get(self, request: jobs_pb2.GetRequest, context: Context) -> jobs_pb2.GetResponse:
        target, attempt = await self._one_target(request.selector.text)
        wanted = TasksWanted(target.ranges, request.skip, request.max_tasks, attempt)
        job, tasks, more = await tasks_shown(self._driver, target.job, wanted)
        return jobs_pb2.GetResponse(job=job_to_proto(job), tasks=tasks, more=more)

    async def Wait(self, request: jobs_pb2.WaitRequest, context: Context) -> AsyncIterator[jobs_pb2.WaitResponse]:
        selection, parts = await self._selected([s.text for s in request.selectors]), dict[int, IntervalSet]()
        for place, (number, ranges) in enumerate(selection.parts(), start=1):
            parts[number] = IntervalSet(ranges or ())
            if place % JOBS_AT_ONCE == 0:
                await asyncio.sleep(0)
        async with aclosing(changes_of(self._driver, selection.numbers(), parts)) as responses:
            async for response in responses:
                yield response

    async def Cancel(self, request: jobs_pb2.CancelRequest, context: Context) -> jobs_pb2.CancelResponse:
        grace = request.grace if request.HasField("grace") else None
        if grace is not None:
            check_seconds("a grace of", grace)
        check_text("the reason", request.reason)
        selection, by = await self._selected([s.text for s in request.selectors]), current_caller().identity.name
        numbers, cancelled = selection.numbers(), 0
        for (number, index), last in (await last_attempts(self._driver, selection)).items():
            if selection.attempts[number, index] != last:  # it has ended, and another may run
                selection.leave_out(number, index)
        for at in range(0, len(numbers), JOBS_AT_ONCE):
            targets = list(map(selection.target, numbers[at : at + JOBS_AT_ONCE]))
            await asyncio.sleep(0)
            await self._driver.read(partial(_refuse_crumbs, targets))
            cancelled += await cancel(self._driver, targets, by, grace, request.reason)
        jobs, looked = await page(self._driver.read_after, numbers)
        return jobs_pb2.CancelResponse(jobs=jobs, cancelled=cancelled, more=looked < len(numbers))

    async def ReadOutput(
        self, request: jobs_pb2.ReadOutputRequest, context: Context
    ) -> AsyncIterator[jobs_pb2.ReadOutputResponse]:
        tail = request.tail_lines if request.HasField("tail_lines") else None
        wish = Wish(request.stdout, request.stderr, request.follow, tail)
        selection = await self._selected([request.selector.text])
        for target in map(selection.target, _from_there_on(selection.numbers(), request.position.job)):
            spec = await self._driver.read(_spec_of(target.job))
            position = _position(request.position, spec) if request.position.job == target.job else None
            for tasks in target.ranges or (Range(0, spec.task_count),):
                reading = read_tasks(self._driver, self._sources, target.job, tasks, wish, position)
                async with aclosing(reading) as pieces:
                    async for index, attempt, piece in pieces:
                        if attempt != selection.attempts.get((target.job, index), attempt):
                            continue
                        yield jobs_pb2.ReadOutputResponse(
                            job=target.job,
                            task_number=spec.number_of(index),
                            attempt=attempt,
                            stderr=piece.stderr,
                            data=piece.data,
                            end=piece.end,
                            note=piece.note,
                        )

    async def ListWorkers(self, request: jobs_pb2.ListWorkersRequest, context: Context) -> jobs_pb2.ListWorkersResponse:
        async def piece(after: str, most: int) -> list[jobs_pb2.WorkerInfo]:
            return await self._driver.read(partial(_workers_after, after, most, self._driver.clock().wall))

        workers, after = await listed(piece, lambda worker: worker.name, request.after, request.limit)
        return jobs_pb2.ListWorkersResponse(workers=workers, next=after)

    async def _selected(self, selectors: Sequence[str]) -> Selection:
        if not selectors:
            raise InvalidInput("which job? Give its number, name or UUID, last or all")
        selection = await select(self._driver, current_caller(), selectors)
        await last_attempts(self._driver, selection)
        return selection

    async def _one_target(self, selector: str) -> tuple[Target, int]:
        """And the attempt that was named, 0: none."""
        selection = await self._selected([selector])
        found = selection.numbers()
        if len(found) != 1:
            numbers = ", ".join(map(str, found[:5])) + (", …" if found[5:] else "") or "none"
            raise InvalidInput(f"{selector!r} selects {len(found)} jobs ({numbers}): give the number of one")
        target = selection.target(found[0])
        await asyncio.sleep(0)  # of many single tasks that has taken a while, and so does what follows
        return target, max(selection.attempts.values(), default=0)


def _workers_after(name: str, most: int, now: float, core: SchedulerCore) -> list[jobs_pb2.WorkerInfo]:
    later = [worker for worker in core.workers.values() if worker.record.name > name]
    first = nsmallest(most, later, key=lambda worker: worker.record.name)
    return [worker_to_proto(worker_view(core, worker), now) for worker in first]


def _refuse_crumbs(targets: Iterable[Target], core: SchedulerCore) -> None:
    """Conflict where single tasks of a job were cancelled again and again, until it takes much memory."""
    for number, ranges in targets:
        job = core.jobs[number]
        if ranges and len(ranges) > FEW_RANGES and job.live and job.pieces > MOST_PIECES:
            raise Conflict(
                f"job {number} is in more than {MOST_PIECES} pieces by now: cancel all of it, or tasks next to "
                "each other"
            )


async def _spec(message: job_pb2.JobSpec) -> JobSpec:
    """InvalidInput for one that could never run. Of a large one all is found out beside the event loop."""
    return _checked_spec(message) if message.ByteSize() <= QUICK else await asyncio.to_thread(_checked_spec, message)


def _checked_spec(message: job_pb2.JobSpec) -> JobSpec:
    """No closure, which would keep the message as long as an error of it."""
    spec = spec_from_proto(message)
    validate(spec)
    check_name(spec.name)
    return spec


def _views_of(numbers: Iterable[int]) -> Callable[[SchedulerCore], list[JobView]]:
    return lambda core: [job_view(core, number) for number in numbers]


def _spec_of(number: int) -> Callable[[SchedulerCore], JobSpec]:
    return lambda core: core.jobs[number].record.spec


def _from_there_on(numbers: list[int], job: int) -> list[int]:
    """Those from that job on; all if it is not among them."""
    return numbers[numbers.index(job) :] if job in numbers else numbers


def _position(message: jobs_pb2.Position, spec: JobSpec) -> Position:
    index = spec.index_of(message.task_number) if spec.is_array else 0
    if index is None or not message.attempt:
        raise InvalidInput(f"the job has no task {message.task_number}#{message.attempt} to go on from")
    return Position(index, message.attempt, {False: message.stdout, True: message.stderr})


def _state(number: int) -> TaskState:
    if number not in list(TaskState):
        raise InvalidInput(f"there is no state {number}: the client is of another version")
    return TaskState(number)

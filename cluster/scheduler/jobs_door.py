"""The door for users, the `Jobs` service: finds out what is meant and who may, asks the core, shows the answer."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing

from cluster.domain.errors import InvalidInput
from cluster.domain.events import CancelRequested, JobSubmitted, Target
from cluster.domain.identity import Caller, is_uuid
from cluster.domain.intervals import Range
from cluster.domain.job import JobSpec, validate
from cluster.domain.scheduler_core import SchedulerCore
from cluster.domain.selectors import check_name
from cluster.domain.states import TaskState
from cluster.domain.views import JobView, job_view, worker_view
from cluster.rpc.convert import job_to_proto, worker_to_proto
from cluster.rpc.errors import Context
from cluster.rpc.gate import current_caller
from cluster.rpc.specs import spec_from_proto
from cluster.scheduler.access import VisibleJobs, select
from cluster.scheduler.checks import check_seconds, check_text
from cluster.scheduler.driver import Driver
from cluster.scheduler.following import SoFar, read_tasks
from cluster.scheduler.reading import Sources, Wish
from cluster.scheduler.tasks_shown import tasks_shown
from cluster.v1 import job_pb2, jobs_pb2, jobs_pb2_grpc


class JobsDoor(jobs_pb2_grpc.JobsServicer):
    def __init__(self, driver: Driver, sources: Sources) -> None:
        self._driver = driver
        self._sources = sources

    async def Submit(self, request: jobs_pb2.SubmitRequest, context: Context) -> jobs_pb2.SubmitResponse:
        if not is_uuid(request.id):
            raise InvalidInput(f"job id {request.id[:60]!r} is no lower-case UUID")
        spec = spec_from_proto(request.spec)
        validate(spec)
        check_name(spec.name)
        owner = current_caller().identity.name
        self._driver.expect_writable(lambda core: core.number_of(request.id))
        number = await self._driver.ask(lambda ask: JobSubmitted(ask, request.id, owner, spec))
        (view,) = await self._driver.read_after(_views_of([number]))
        return jobs_pb2.SubmitResponse(job=job_to_proto(view))

    async def List(self, request: jobs_pb2.ListRequest, context: Context) -> jobs_pb2.ListResponse:
        caller, texts = current_caller(), [s.text for s in request.selectors]
        states = {_state(state) for state in request.states if state}

        def view(core: SchedulerCore) -> list[job_pb2.Job]:
            numbers = _distinct(select(core, caller, texts)) if texts else VisibleJobs(core, caller).numbers()
            jobs: list[job_pb2.Job] = []
            for number in reversed(numbers):  # newest first
                if request.limit and len(jobs) == request.limit:
                    break
                job = job_view(core, number)
                if not states or job.state in states:
                    jobs.append(job_to_proto(job))
            return jobs

        return jobs_pb2.ListResponse(jobs=await self._driver.read(view))

    async def Get(self, request: jobs_pb2.GetRequest, context: Context) -> jobs_pb2.GetResponse:
        target = await self._one_target(current_caller(), request.selector.text)
        job, tasks = await tasks_shown(self._driver, target.job, target.ranges, request.max_tasks)
        return jobs_pb2.GetResponse(job=job_to_proto(job), tasks=tasks)

    async def Wait(self, request: jobs_pb2.WaitRequest, context: Context) -> AsyncIterator[jobs_pb2.WaitResponse]:
        numbers = _distinct(await self._targets([s.text for s in request.selectors]))
        async with aclosing(self._driver.watchers.changes(numbers)) as changes:
            async for _ in changes:
                views = await self._views(numbers)
                yield jobs_pb2.WaitResponse(jobs=map(job_to_proto, views))
                if all(view.state.ended for view in views):
                    return

    async def Cancel(self, request: jobs_pb2.CancelRequest, context: Context) -> jobs_pb2.CancelResponse:
        grace = request.grace if request.HasField("grace") else None
        if grace is not None:
            check_seconds("a grace of", grace)
        check_text("the reason", request.reason)
        targets, by = await self._targets([s.text for s in request.selectors]), current_caller().identity.name
        cancelled = await self._driver.ask(lambda ask: CancelRequested(ask, tuple(targets), by, grace, request.reason))
        views = await self._driver.read_after(_views_of(_distinct(targets)))
        return jobs_pb2.CancelResponse(jobs=map(job_to_proto, views), cancelled=cancelled)

    async def ReadOutput(
        self, request: jobs_pb2.ReadOutputRequest, context: Context
    ) -> AsyncIterator[jobs_pb2.ReadOutputResponse]:
        tail = request.tail_lines if request.HasField("tail_lines") else None
        wish = Wish(request.stdout, request.stderr, request.follow, tail)
        for target in _from_there_on(await self._targets([request.selector.text]), request.so_far.job):
            (view,) = await self._views([target.job])
            spec = view.record.spec
            so_far = _so_far(request.so_far, spec) if request.so_far.job == target.job else None
            for tasks in target.ranges or (Range(0, spec.task_count),):
                reading = read_tasks(self._driver, self._sources, target.job, tasks, wish, so_far)
                async with aclosing(reading) as pieces:
                    async for index, attempt, piece in pieces:
                        yield jobs_pb2.ReadOutputResponse(
                            job=target.job,
                            task_number=spec.number_of(index),
                            attempt=attempt,
                            stderr=piece.stderr,
                            data=piece.data,
                            end=piece.end,
                        )

    async def ListWorkers(self, request: jobs_pb2.ListWorkersRequest, context: Context) -> jobs_pb2.ListWorkersResponse:
        def view(core: SchedulerCore) -> list[jobs_pb2.WorkerInfo]:
            now = self._driver.clock().wall
            workers = sorted(core.workers.values(), key=lambda worker: worker.record.name)
            return [worker_to_proto(worker_view(core, worker), now) for worker in workers]

        return jobs_pb2.ListWorkersResponse(workers=await self._driver.read(view))

    async def _views(self, numbers: Iterable[int]) -> list[JobView]:
        return await self._driver.read(_views_of(numbers))

    async def _targets(self, selectors: Sequence[str]) -> list[Target]:
        if not selectors:
            raise InvalidInput("which job? Give its number, name or UUID, last or all")
        caller = current_caller()
        return await self._driver.read(lambda core: select(core, caller, selectors))

    async def _one_target(self, caller: Caller, selector: str) -> Target:
        targets = await self._driver.read(lambda core: select(core, caller, [selector]))
        if len(targets) != 1:
            numbers = ", ".join(str(target.job) for target in targets[:5]) + (", …" if targets[5:] else "") or "none"
            raise InvalidInput(f"{selector!r} selects {len(targets)} jobs ({numbers}): give the number of one")
        return targets[0]


def _views_of(numbers: Iterable[int]) -> Callable[[SchedulerCore], list[JobView]]:
    return lambda core: [job_view(core, number) for number in numbers]


def _from_there_on(targets: list[Target], job: int) -> list[Target]:
    """Those from that job on; all if it is not among them."""
    return targets[next((place for place, target in enumerate(targets) if target.job == job), 0) :]


def _so_far(message: jobs_pb2.ReadSoFar, spec: JobSpec) -> SoFar:
    index = spec.index_of(message.task_number) if spec.is_array else 0
    if index is None or not message.attempt:
        raise InvalidInput(f"the job has no task {message.task_number}#{message.attempt} to go on from")
    return SoFar(index, message.attempt, {False: message.stdout, True: message.stderr})


def _state(number: int) -> TaskState:
    if number not in list(TaskState):
        raise InvalidInput(f"there is no state {number}: the client is of another version")
    return TaskState(number)


def _distinct(targets: Iterable[Target]) -> list[int]:
    """The jobs, each once."""
    return list(dict.fromkeys(target.job for target in targets))

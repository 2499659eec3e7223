"""The door for users: the `Jobs` service."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.job.usage import UsageKind
from cluster.domain.job.visibility import VisibleJobs
from cluster.domain.job.workflow import NewJob
from cluster.domain.scheduler.views import Detail
from cluster.domain.scheduler.worker_states import WorkerState
from cluster.rpc.convert import job_to_proto, task_to_proto, workers_to_proto
from cluster.rpc.errors import Context
from cluster.rpc.gate import current_caller
from cluster.rpc.history import spread_to_proto, usage_to_proto
from cluster.rpc.results import results_total_to_proto
from cluster.rpc.specs import changes_from_proto
from cluster.scheduler.doors.translating import (
    jobs_to_proto,
    output_to_proto,
    piece_to_proto,
    state_map_to_proto,
    task_results_to_proto,
    text_of,
    texts_of,
)
from cluster.scheduler.driver import system_clock
from cluster.scheduler.operations.again import AgainOperations
from cluster.scheduler.operations.families import FamilyOperations
from cluster.scheduler.operations.history import HistoryOperations, MeasuredJobs
from cluster.scheduler.operations.jobs import JobOperations
from cluster.scheduler.operations.keeping import KeepingOperations
from cluster.scheduler.operations.ordering import OrderOperations
from cluster.scheduler.operations.output import OutputOperations, ReadPosition
from cluster.scheduler.operations.results import ResultOperations
from cluster.scheduler.operations.workers import WorkerOperations, WorkersWanted
from cluster.scheduler.output.locating import Wish
from cluster.scheduler.spec_checks import QUICK
from cluster.scheduler.spec_reading import read_spec
from cluster.v1 import job_pb2, jobs_pb2, jobs_pb2_grpc


class JobsDoor(jobs_pb2_grpc.JobsServicer):
    def __init__(
        self,
        jobs: JobOperations,
        output: OutputOperations,
        workers: WorkerOperations,
        order: OrderOperations,
        families: FamilyOperations,
        again: AgainOperations,
        history: HistoryOperations,
        results: ResultOperations,
        keeping: KeepingOperations,
    ) -> None:
        self._jobs = jobs
        self._output = output
        self._workers = workers
        self._order = order
        self._families = families
        self._again = again
        self._history = history
        self._results = results
        self._keeping = keeping

    async def Submit(self, request: jobs_pb2.SubmitRequest, context: Context) -> jobs_pb2.SubmitResponse:
        job = await self._jobs.submit(current_caller(), request.id, await _spec(request.spec))
        return jobs_pb2.SubmitResponse(job=job_to_proto(job))

    async def SubmitAndWait(
        self, request: jobs_pb2.SubmitAndWaitRequest, context: Context
    ) -> jobs_pb2.SubmitAndWaitResponse:
        spec = await _spec(request.spec)
        job = await self._jobs.submit_and_wait(current_caller(), request.id, spec, request.patience)
        output = await self._output.small(job.record) if job.state.ended else None
        return jobs_pb2.SubmitAndWaitResponse(
            job=job_to_proto(job, Detail.NONE),
            with_output=output is not None,
            output=map(output_to_proto, output or ()),
        )

    async def SubmitMany(self, request: jobs_pb2.SubmitManyRequest, context: Context) -> jobs_pb2.SubmitManyResponse:
        quick = request.ByteSize() <= QUICK
        jobs = _new_jobs(request) if quick else await asyncio.to_thread(_new_jobs, request)
        return jobs_pb2.SubmitManyResponse(numbers=await self._jobs.submit_many(current_caller(), jobs))

    async def List(self, request: jobs_pb2.ListRequest, context: Context) -> jobs_pb2.ListResponse:
        states = {_state(state) for state in request.states if state}
        texts = texts_of(request.selectors)
        found = await self._jobs.list(current_caller(), texts, states, request.below, request.limit)
        return jobs_pb2.ListResponse(jobs=await jobs_to_proto(found.jobs, Detail.LISTED), next=found.below)

    async def Get(self, request: jobs_pb2.GetRequest, context: Context) -> jobs_pb2.GetResponse:
        states = {_state(state) for state in request.states if state}
        text, skip, most = text_of(request.selector), request.skip, request.max_tasks
        shown = await self._jobs.show(current_caller(), text, skip, most, states, request.attempts)
        tasks = map(task_to_proto, shown.tasks)
        job, pin, expired = job_to_proto(shown.job), shown.pin, shown.output_expired
        return jobs_pb2.GetResponse(
            job=job,
            tasks=tasks,
            more=shown.more,
            children=shown.children,
            results=results_total_to_proto(shown.results) if shown.results else None,
            pin=jobs_pb2.PinInfo(by=pin.by, at=pin.at) if pin else None,
            output_expired=jobs_pb2.OutputExpiry(at=expired.at, why=expired.why) if expired else None,
        )

    async def MapTasks(self, request: jobs_pb2.MapTasksRequest, context: Context) -> jobs_pb2.MapTasksResponse:
        which = request.first, request.count, request.most
        return state_map_to_proto(*await self._jobs.map_tasks(current_caller(), text_of(request.selector), *which))

    async def Wait(self, request: jobs_pb2.WaitRequest, context: Context) -> AsyncIterator[jobs_pb2.WaitResponse]:
        async with aclosing(self._jobs.watch(current_caller(), texts_of(request.selectors))) as several:
            async for jobs, more, detail in several:
                if request.ends_only:
                    jobs = [job for job in jobs if job.state.ended]
                    if not jobs:
                        continue
                yield jobs_pb2.WaitResponse(jobs=await jobs_to_proto(jobs, detail), more=more)

    async def Cancel(self, request: jobs_pb2.CancelRequest, context: Context) -> jobs_pb2.CancelResponse:
        grace = request.grace if request.HasField("grace") else None
        texts = texts_of(request.selectors)
        done = await self._jobs.cancel(current_caller(), texts, grace, request.reason, request.keep_children)
        jobs = await jobs_to_proto(done.jobs, Detail.LISTED)
        return jobs_pb2.CancelResponse(jobs=jobs, cancelled=done.tasks, more=done.more)

    async def Pause(self, request: jobs_pb2.PauseRequest, context: Context) -> jobs_pb2.PauseResponse:
        texts = texts_of(request.selectors)
        jobs, paused, more = await self._order.pause(
            current_caller(), texts, request.reason, stop_running=request.stop_running
        )
        return jobs_pb2.PauseResponse(jobs=await jobs_to_proto(jobs, Detail.LISTED), paused=paused, more=more)

    async def Resume(self, request: jobs_pb2.ResumeRequest, context: Context) -> jobs_pb2.ResumeResponse:
        jobs, resumed, more = await self._order.resume(current_caller(), texts_of(request.selectors))
        return jobs_pb2.ResumeResponse(jobs=await jobs_to_proto(jobs, Detail.LISTED), resumed=resumed, more=more)

    async def Tree(self, request: jobs_pb2.TreeRequest, context: Context) -> AsyncIterator[jobs_pb2.TreeResponse]:
        async with aclosing(self._families.tree(current_caller(), text_of(request.selector))) as several:
            async for jobs, cut in several:
                yield jobs_pb2.TreeResponse(jobs=await jobs_to_proto(jobs, Detail.LISTED), cut=cut)

    async def SetState(self, request: jobs_pb2.SetStateRequest, context: Context) -> jobs_pb2.SetStateResponse:
        await self._families.set_state(current_caller(), dict(request.values))
        return jobs_pb2.SetStateResponse()

    async def GetState(self, request: jobs_pb2.GetStateRequest, context: Context) -> jobs_pb2.GetStateResponse:
        job, values = await self._families.state(current_caller(), text_of(request.selector))
        return jobs_pb2.GetStateResponse(job=job, values=values)

    async def SetPriority(self, request: jobs_pb2.SetPriorityRequest, context: Context) -> jobs_pb2.SetPriorityResponse:
        texts = texts_of(request.selectors)
        jobs, changed, more = await self._order.set_priority(current_caller(), texts, request.priority)
        return jobs_pb2.SetPriorityResponse(jobs=await jobs_to_proto(jobs, Detail.LISTED), changed=changed, more=more)

    async def Set(self, request: jobs_pb2.SetRequest, context: Context) -> jobs_pb2.SetResponse:
        texts, changes = texts_of(request.selectors), changes_from_proto(request.changes)
        jobs, changed, more = await self._order.set(current_caller(), texts, changes)
        return jobs_pb2.SetResponse(jobs=await jobs_to_proto(jobs, Detail.LISTED), changed=changed, more=more)

    async def Retry(self, request: jobs_pb2.RetryRequest, context: Context) -> jobs_pb2.RetryResponse:
        jobs, tasks, more = await self._again.retry(current_caller(), texts_of(request.selectors))
        return jobs_pb2.RetryResponse(jobs=await jobs_to_proto(jobs, Detail.LISTED), tasks=tasks, more=more)

    async def Rerun(self, request: jobs_pb2.RerunRequest, context: Context) -> jobs_pb2.RerunResponse:
        job = await self._again.rerun(current_caller(), text_of(request.selector), request.id, once=request.once)
        return jobs_pb2.RerunResponse(job=job_to_proto(job))

    async def Delete(self, request: jobs_pb2.DeleteRequest, context: Context) -> jobs_pb2.DeleteResponse:
        done = await self._keeping.delete(current_caller(), texts_of(request.selectors))
        return jobs_pb2.DeleteResponse(jobs=done.numbers, deleted=done.total, kept=done.kept)

    async def Pin(self, request: jobs_pb2.PinRequest, context: Context) -> jobs_pb2.PinResponse:
        jobs, count = await self._keeping.pin(current_caller(), texts_of(request.selectors))
        return jobs_pb2.PinResponse(jobs=jobs, pinned=count)

    async def Unpin(self, request: jobs_pb2.UnpinRequest, context: Context) -> jobs_pb2.UnpinResponse:
        jobs, count = await self._keeping.unpin(current_caller(), texts_of(request.selectors))
        return jobs_pb2.UnpinResponse(jobs=jobs, unpinned=count)

    async def ReadOutput(
        self, request: jobs_pb2.ReadOutputRequest, context: Context
    ) -> AsyncIterator[jobs_pb2.ReadOutputResponse]:
        tail = request.tail_lines if request.HasField("tail_lines") else None
        wish = Wish(request.stdout, request.stderr, request.follow, tail)
        reading = self._output.read(current_caller(), text_of(request.selector), wish, _position(request.position))
        async with aclosing(reading) as pieces:
            async for each in pieces:
                yield output_to_proto(each)

    async def ListResults(
        self, request: jobs_pb2.ListResultsRequest, context: Context
    ) -> AsyncIterator[jobs_pb2.ListResultsResponse]:
        listing = self._results.listed(current_caller(), texts_of(request.selectors), follow=request.follow)
        async with aclosing(listing) as several:
            async for some in several:
                yield jobs_pb2.ListResultsResponse(tasks=map(task_results_to_proto, some))

    async def ReadResults(
        self, request: jobs_pb2.ReadResultsRequest, context: Context
    ) -> AsyncIterator[jobs_pb2.ReadResultsResponse]:
        key = AttemptKey(request.job, request.index, request.attempt)
        reading = self._results.read(current_caller(), key, request.digests, request.offset)
        async with aclosing(reading) as messages:
            async for pieces in messages:
                yield jobs_pb2.ReadResultsResponse(pieces=map(piece_to_proto, pieces))

    async def ListWorkers(self, request: jobs_pb2.ListWorkersRequest, context: Context) -> jobs_pb2.ListWorkersResponse:
        states = {_worker_state(state) for state in request.states if state}
        able = await _spec(request.able) if request.HasField("able") else None
        caller = current_caller()
        owner, is_told = VisibleJobs.owner_of(caller), request.jobs and not VisibleJobs.root_of(caller)
        wanted = WorkersWanted(tuple(request.workers), states, able, request.free, is_told)
        workers, after = await self._workers.list(request.after, request.limit, wanted)
        return jobs_pb2.ListWorkersResponse(
            workers=workers_to_proto(workers, system_clock().wall, lambda whose: owner in (None, whose)),
            next=after,
        )

    async def History(self, request: jobs_pb2.HistoryRequest, context: Context) -> jobs_pb2.HistoryResponse:
        states = [_state(state) for state in request.states if state]
        which = (states, request.since, request.until, request.user, request.name, request.limit, request.after)
        found = await self._history.history(current_caller(), *which)
        jobs = await jobs_to_proto(found.jobs, Detail.LISTED)
        return jobs_pb2.HistoryResponse(jobs=jobs, next=str(found.after or ""))

    async def Stats(self, request: jobs_pb2.StatsRequest, context: Context) -> jobs_pb2.StatsResponse:
        return _stats(await self._history.stats(current_caller(), text_of(request.selector)))

    async def Usage(self, request: jobs_pb2.UsageRequest, context: Context) -> jobs_pb2.UsageResponse:
        if request.by not in _KINDS:
            raise InvalidInput(f"usage by {request.by} is not known: the client is of another version")
        used = await self._history.usage(current_caller(), _KINDS[request.by], request.since, request.limit)
        rows = [
            jobs_pb2.UsageRow(key=row.key, worker_name=name, used=usage_to_proto(row.usage)) for row, name in used.rows
        ]
        return jobs_pb2.UsageResponse(rows=rows, total=usage_to_proto(used.total), more=used.more, since=used.since)


_KINDS: Mapping[int, UsageKind] = {
    jobs_pb2.USAGE_KIND_UNSPECIFIED: UsageKind.USER,
    jobs_pb2.USAGE_KIND_USER: UsageKind.USER,
    jobs_pb2.USAGE_KIND_NAME: UsageKind.NAME,
    jobs_pb2.USAGE_KIND_WORKER: UsageKind.WORKER,
}


def _stats(found: MeasuredJobs) -> jobs_pb2.StatsResponse:
    stats, newest = found.stats, found.newest
    return jobs_pb2.StatsResponse(
        first_job=found.first,
        last_job=newest.number,
        jobs=found.jobs,
        more=found.more,
        attempts=stats.attempts,
        failed=stats.failed,
        failures=[jobs_pb2.FailureCount(reason=reason, attempts=count) for reason, count in stats.reasons],
        since=stats.since,
        until=stats.until,
        run_seconds=spread_to_proto(stats.run),
        cpus=spread_to_proto(stats.cpus),
        peak_memory_bytes=spread_to_proto(stats.memory),
        asked_millicpus=newest.spec.millicpus,
        asked_memory=newest.spec.memory,
        proposed_millicpus=stats.advice.millicpus,
        cpus_because=stats.advice.cpus_because,
        proposed_memory=stats.advice.memory,
        memory_because=stats.advice.memory_because,
    )


async def _spec(message: job_pb2.JobSpec) -> JobSpec:
    """A large one is read beside the event loop."""
    return read_spec(message) if message.ByteSize() <= QUICK else await asyncio.to_thread(read_spec, message)


def _new_jobs(request: jobs_pb2.SubmitManyRequest) -> list[NewJob]:
    return [NewJob(job.id, read_spec(job.spec)) for job in request.jobs]


def _position(message: jobs_pb2.Position) -> ReadPosition | None:
    """None: from the beginning."""
    if not message.job:
        return None
    return ReadPosition(message.job, message.task_number, message.attempt, message.stdout, message.stderr)


def _state(number: int) -> TaskState:
    if number not in list(TaskState):
        raise InvalidInput(f"there is no state {number}: the client is of another version")
    return TaskState(number)


def _worker_state(number: int) -> WorkerState:
    if number not in list(WorkerState):
        raise InvalidInput(f"no worker is in a state {number}: the client is of another version")
    return WorkerState(number)

"""The worker's own gRPC door, the service `Worker`: start, stop, status, wait, output. Mutual TLS."""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence

from cluster.domain.base.errors import InvalidInput, NotFound, NotPermitted
from cluster.domain.job.last_words import TAIL_BYTES, last_words
from cluster.domain.job.records import JobRecord
from cluster.domain.job.request import amounts_of
from cluster.domain.job.selectors import likely, parse_selector, refuse_ended, resolve
from cluster.domain.job.states import TaskState
from cluster.domain.job.visibility import VisibleJobs
from cluster.domain.session.offer import Offer, more_than_there_is
from cluster.domain.trust.identity import ADMIN_NAME, Identity, IdentityKind, Role, Standing, is_uuid
from cluster.rpc import selectors
from cluster.rpc.errors import Context
from cluster.rpc.exceptions import add_last_words
from cluster.rpc.gate import current_caller
from cluster.rpc.specs import spec_from_proto, spec_to_proto
from cluster.v1 import job_pb2, jobs_pb2, worker_pb2, worker_pb2_grpc
from cluster.worker.output.readers import Readers, Wanted
from cluster.worker.own.jobs import OwnJobs, key_of
from cluster.worker.own.store import OwnJob, OwnStore

PAGE_BYTES = 1024 * 1024  # an answer ends with the job with which it reaches this
AT_ONCE = 20  # jobs that are looked up in the database at once, before others of the store's users have their turn

_MOST_TEXT = 1000  # characters of a reason


def standing_of(identity: Identity) -> Standing | None:
    """The role in which somebody acts here. Users are on the scheduler's list; the admin is known without it. Nobody
    else has a role at this door: NotPermitted tells other users so."""
    if identity.kind is not IdentityKind.USER:
        return None
    if identity.name != ADMIN_NAME:
        raise NotPermitted(f"{identity} is not the admin, who alone may use a worker's own API: ask the scheduler")
    return Standing(Role.ADMIN, ADMIN_NAME)


def standing_alone(identity: Identity) -> Standing | None:
    """The same at a worker that stands alone: gateways, of its own CA, pass calls on."""
    return Standing(Role.GATEWAY) if identity.kind is IdentityKind.GATEWAY else standing_of(identity)


class _StoredJobs:
    """The store's jobs as `cluster.domain.job.visibility.Jobs`. Blocks."""

    def __init__(self, store: OwnStore) -> None:
        self._store = store
        self.numbers = store.numbers

    def last(self, owner: str | None) -> int | None:
        return max(self.numbers(owner), default=None)

    def record(self, number: int) -> JobRecord | None:
        job = self._store.get(number)
        return job.record if job else None

    def number_of_id(self, job_id: str) -> int | None:
        job = self._store.by_id(job_id)
        return job.number if job else None

    def numbers_of_name(self, name: str, owner: str | None) -> Sequence[int]:
        """Looks through all of them."""
        records = filter(None, map(self.record, self.numbers(owner)))
        return [record.number for record in records if record.spec.name == name]


class OwnDoor(worker_pb2_grpc.WorkerServicer):
    def __init__(
        self, jobs: OwnJobs, readers: Readers, worker_id: str, worker_name: str, millicpus: int, offer: Offer
    ) -> None:
        """`millicpus`, `offer`: what this worker has."""
        self._jobs = jobs
        self._readers = readers
        self._worker = (worker_id, worker_name)
        self._millicpus, self._offer = millicpus, offer

    async def StartJob(self, request: worker_pb2.StartJobRequest, context: Context) -> worker_pb2.StartJobResponse:
        if not is_uuid(request.id):
            raise InvalidInput(f"job id {request.id[:60]!r} is no lower-case UUID")
        spec = spec_from_proto(request.spec)
        if spec.worker and spec.worker not in self._worker:
            raise InvalidInput(f"--worker {spec.worker!r} is another worker than this, {self._worker[1]!r}")
        job = await self._jobs.start(request.id, current_caller().user_id, spec)
        return worker_pb2.StartJobResponse(job=self._job(job), task=self._task(job))

    async def StopJob(self, request: worker_pb2.StopJobRequest, context: Context) -> worker_pb2.StopJobResponse:
        grace = request.grace if request.HasField("grace") else None
        if grace is not None and not 0 <= grace < 1e9:
            raise InvalidInput(f"a grace of {grace:g} s: use 0 or more")
        if len(request.reason) > _MOST_TEXT:
            raise InvalidInput(f"the reason has {len(request.reason)} characters: the limit is {_MOST_TEXT}")
        selector = _text_of(request.selector)
        if condition := likely(selector).condition:
            refuse_ended(selector, condition)
        by, answer = current_caller().identity.name, worker_pb2.StopJobResponse()
        for number in await self._numbers(selector):
            await self._jobs.stop(number, grace, by, request.reason)
            if answer.ByteSize() < PAGE_BYTES:
                answer.jobs.extend(self._job(job, whole=False) for job in await self._load([number]))
        return answer

    async def RecordJobStatus(
        self, request: worker_pb2.RecordJobStatusRequest, context: Context
    ) -> worker_pb2.RecordJobStatusResponse:
        if not request.status or len(request.status) > _MOST_TEXT:
            raise InvalidInput(f"a status of {len(request.status)} characters: use 1 to {_MOST_TEXT}")
        found = await self._one(_text_of(request.selector))
        job = await self._jobs.record(found.number, request.status)
        return worker_pb2.RecordJobStatusResponse(job=self._job(job), task=self._task(job))

    async def GetJobs(self, request: worker_pb2.GetJobsRequest, context: Context) -> worker_pb2.GetJobsResponse:
        wanted = _text_of(request.selector) if request.HasField("selector") else "all"
        numbers = await self._numbers(wanted)
        newest_first = numbers[: bisect_left(numbers, request.below) if request.below else len(numbers)][::-1]
        answer = worker_pb2.GetJobsResponse()
        for begin in range(0, len(newest_first), AT_ONCE):
            for job in await self._load(newest_first[begin : begin + AT_ONCE]):
                if answer.ByteSize() >= PAGE_BYTES:
                    answer.next = answer.jobs[-1].number
                    return answer
                answer.jobs.append(self._job(job, whole=len(numbers) == 1))
                answer.tasks.append(self._task(job))
                if len(numbers) == 1 and job.state is TaskState.FAILED:
                    await self._add_last_words(job, answer.tasks[0])
        return answer

    async def WaitJob(self, request: worker_pb2.WaitJobRequest, context: Context) -> worker_pb2.WaitJobResponse:
        job = await self._jobs.ended((await self._one(_text_of(request.selector))).number)
        if job is None:
            raise NotFound("the job is no longer kept")
        return worker_pb2.WaitJobResponse(job=self._job(job), task=self._task(job))

    async def ReadJobOutput(
        self, request: worker_pb2.ReadJobOutputRequest, context: Context
    ) -> AsyncIterator[worker_pb2.ReadJobOutputResponse]:
        tail = request.tail_lines if request.HasField("tail_lines") else None
        start = (request.position.stdout, request.position.stderr)
        wanted = Wanted(request.stdout, request.stderr, request.follow, tail, start)
        async for chunk in self._readers.read(key_of((await self._one(_text_of(request.selector))).number), wanted):
            yield worker_pb2.ReadJobOutputResponse(stderr=chunk.stderr, data=chunk.data, end=chunk.end)

    async def _numbers(self, text: str) -> list[int]:
        """What is selected of what the caller may see, ascending. InvalidInput or NotFound."""
        selector, caller = parse_selector(text), current_caller()
        if selector.attempt > 1:
            raise NotFound(f"there is no attempt {text}: a worker's own job is tried once")
        targets = await self._jobs.read(lambda store: resolve(selector, VisibleJobs(_StoredJobs(store), caller)))
        numbers = [target.job for target in targets]
        if condition := likely(text).condition:
            return [job.number for job in await self._load(numbers) if condition.is_met(job.state, job.reason)]
        return numbers

    async def _load(self, numbers: Sequence[int]) -> list[OwnJob]:
        """Those of them that are still kept."""
        return await self._jobs.read(lambda store: list(filter(None, map(store.get, numbers))))

    async def _one(self, text: str) -> OwnJob:
        found = await self._numbers(text)
        jobs = await self._load(found) if len(found) == 1 else []
        if not jobs:
            raise InvalidInput(f"{text!r} selects {len(found)} jobs: give one")
        return jobs[0]

    async def _add_last_words(self, job: OwnJob, task: job_pb2.Task) -> None:
        tail = await self._readers.last_bytes(key_of(job.number), not job.spec.merge_output, TAIL_BYTES)
        add_last_words(task, await asyncio.to_thread(last_words, tail))

    def _task(self, job: OwnJob) -> job_pb2.Task:
        return job_pb2.Task(
            state=_state(job),
            attempt=1,
            reason=job.reason,
            exit_code=job.exit_code,
            signal=job.signal,
            worker_id=self._worker[0],
            worker_name=self._worker[1],
            started_at=job.started_at,
            ended_at=job.ended_at,
            cpu_seconds=job.cpu_seconds,
            peak_memory_bytes=job.peak_memory,
            detail=job.detail,
        )

    def _job(self, job: OwnJob, *, whole: bool = True) -> job_pb2.Job:
        """The job for answers; with its environment only if `whole`."""
        waits, amounts = job.state is TaskState.READY, amounts_of(job.spec)
        never = more_than_there_is(job.spec.millicpus, amounts, self._millicpus, self._offer)
        why = never or f"the worker's {' or '.join(('cpus', *(name for name, _ in amounts)))} are in use"
        return job_pb2.Job(
            number=job.number,
            id=job.id,
            owner=job.owner,
            spec=spec_to_proto(job.spec, with_env=whole),
            state=_state(job),
            reason=job.reason,
            counts=job_pb2.TaskCounts(**{job.state.word: 1}),
            submitted_at=job.submitted_at,
            started_at=job.started_at,
            ended_at=job.ended_at,
            exit_code=job.exit_code,
            pending_because=[why] if waits else [],
            no_worker_can=waits and bool(never),
            no_worker_ever=waits and bool(never),
            cancelled_by=job.cancelled_by,
            cancel_reason=job.cancel_reason,
            recorded_status=job.recorded,
            recorded_at=job.recorded_at,
        )


def _text_of(selector: jobs_pb2.Selector) -> str:
    """As people type it, a key being one of the caller's."""
    return selectors.text_of(selector, current_caller().user_id)


def _state(job: OwnJob) -> job_pb2.TaskState:
    return job.state.value  # type: ignore[return-value]  # the numbers are the same

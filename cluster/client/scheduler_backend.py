"""The client's verbs on a scheduler. gRPC is loaded where it is used: a job's calls do without."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from cluster.client.backend import WantedHistory, WantedOutput
from cluster.client.connection import hanging_up, ready
from cluster.client.content_calls import ContentCalls
from cluster.client.keeping_calls import KeepingCalls
from cluster.client.messages import (
    job_of,
    kept_of,
    output_fields,
    queue_of,
    revoked_of,
    selectors_of,
    spec_message,
    task_of,
    token_of,
    user_of,
    worker_of,
)
from cluster.client.past import stats_of, usage_of
from cluster.client.pools import PoolCalls
from cluster.client.result_calls import ResultCalls
from cluster.client.types import (
    ClusterEvent,
    HistoryPage,
    Job,
    JobStats,
    JobTree,
    Me,
    Output,
    QueueStatus,
    RemovedWorker,
    RevocationResult,
    SchedulerPlace,
    Task,
    Token,
    UsageReport,
    User,
    Worker,
)
from cluster.domain.job.changes import Changes
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.job.workflow import NewJob
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import scheduler_server_name
from cluster.rpc.results import results_total_from_proto
from cluster.rpc.specs import changes_to_proto
from cluster.v1 import jobs_pb2

# Where services are that are not with the admin's.
_FILES = {"Events": "events", "Files": "files", "Pools": "pools", "Room": "room"}


class JobsServiceBackend(ContentCalls, ResultCalls, KeepingCalls, PoolCalls):
    """The verbs as calls of the Jobs service, which a `stub` makes: gRPC's, or one like it. Subclasses say how it is
    reached."""

    def __init__(self, address: str, stub: Any) -> None:
        self.address = address
        self._jobs = stub

    async def submit(self, job_id: str, spec: JobSpec, patience: float) -> Job:
        request = jobs_pb2.SubmitRequest(id=job_id, spec=spec_message(spec))
        with self._calling():
            await self._ready(patience)
            return job_of((await self._jobs.Submit(request)).job)

    async def submit_many(self, jobs: Sequence[NewJob], patience: float) -> tuple[int, ...]:
        each = [jobs_pb2.SubmitRequest(id=job.id, spec=spec_message(job.spec)) for job in jobs]
        with self._calling():
            await self._ready(patience)
            return tuple((await self._jobs.SubmitMany(jobs_pb2.SubmitManyRequest(jobs=each))).numbers)

    async def list(self, selectors: Sequence[str], states: Sequence[TaskState], limit: int) -> tuple[Job, ...]:
        request = jobs_pb2.ListRequest(selectors=selectors_of(selectors), states=_numbers(states))
        jobs: list[Job] = []
        with self._calling():
            while True:
                request.limit = limit - len(jobs) if limit else 0
                answer = await self._jobs.List(request)
                jobs += map(job_of, answer.jobs)
                if not answer.next or (limit and len(jobs) >= limit):
                    return tuple(jobs)
                request.below = answer.next

    async def history(self, wanted: WantedHistory) -> HistoryPage:
        request = jobs_pb2.HistoryRequest(
            states=_numbers(wanted.states),
            since=wanted.since,
            until=wanted.until,
            user=wanted.user,
            name=wanted.name,
            limit=wanted.limit,
            after=wanted.page,
        )
        with self._calling():
            answer = await self._jobs.History(request)
        return HistoryPage(tuple(map(job_of, answer.jobs)), answer.next)

    async def stats(self, selector: str) -> JobStats:
        with self._calling():
            return stats_of(await self._jobs.Stats(jobs_pb2.StatsRequest(selector=selectors_of([selector])[0])))

    async def usage(self, by: str, since: float, limit: int) -> UsageReport:
        kind: Any = f"USAGE_KIND_{by.upper()}"
        with self._calling():
            return usage_of(await self._jobs.Usage(jobs_pb2.UsageRequest(by=kind, since=since, limit=limit)))

    async def get(
        self, selector: str, max_tasks: int, states: Sequence[TaskState], attempts: bool = False
    ) -> tuple[Job, tuple[Task, ...]]:
        one = selectors_of([selector])[0]
        request = jobs_pb2.GetRequest(selector=one, states=_numbers(states), attempts=attempts)
        tasks: list[Task] = []
        with self._calling():
            while True:
                request.skip, request.max_tasks = len(tasks), max_tasks - len(tasks)
                answer = await self._jobs.Get(request)
                tasks += map(task_of, answer.tasks)
                if not answer.more or len(tasks) >= max_tasks or not answer.tasks:
                    results = results_total_from_proto(answer.results) if answer.HasField("results") else None
                    children = tuple(answer.children)
                    job = replace(job_of(answer.job), children=children, results=results, kept=kept_of(answer))
                    return job, tuple(tasks)

    async def watch(self, selectors: Sequence[str], patience: float) -> AsyncGenerator[tuple[Job, ...], None]:
        request = jobs_pb2.WaitRequest(selectors=selectors_of(selectors))
        jobs: dict[int, Job] = {}
        with self._calling():
            await self._ready(patience)
            with hanging_up(self._jobs.Wait(request)) as call:
                async for answer in call:
                    for message in answer.jobs:
                        job = job_of(message)
                        if not message.HasField("spec"):  # as it was
                            job = replace(job, spec=jobs[job.number].spec)
                        jobs[job.number] = job
                    if not answer.more:
                        yield tuple(jobs.values())

    async def logs(
        self, wanted: WantedOutput, patience: float, connected: Callable[[], object]
    ) -> AsyncGenerator[Output, None]:
        request = jobs_pb2.ReadOutputRequest(**output_fields(wanted))
        with self._calling():
            await self._ready(patience)
            connected()
            with hanging_up(self._jobs.ReadOutput(request)) as call:
                async for piece in call:
                    where = (piece.job, piece.task_number, piece.attempt)
                    yield Output(*where, piece.stderr, piece.data, piece.end, piece.note)

    async def cancel(
        self, selectors: Sequence[str], grace: float | None, reason: str, keep_children: bool
    ) -> tuple[tuple[Job, ...], int]:
        request = jobs_pb2.CancelRequest(
            selectors=selectors_of(selectors), grace=grace, reason=reason, keep_children=keep_children
        )
        with self._calling():
            answer = await self._jobs.Cancel(request)
        return await self._all_of(answer, selectors), answer.cancelled

    async def pause(self, selectors: Sequence[str], reason: str, stop_running: bool) -> tuple[tuple[Job, ...], int]:
        request = jobs_pb2.PauseRequest(selectors=selectors_of(selectors), reason=reason, stop_running=stop_running)
        with self._calling():
            answer = await self._jobs.Pause(request)
        return await self._all_of(answer, selectors), answer.paused

    async def resume(self, selectors: Sequence[str]) -> tuple[tuple[Job, ...], int]:
        with self._calling():
            answer = await self._jobs.Resume(jobs_pb2.ResumeRequest(selectors=selectors_of(selectors)))
        return await self._all_of(answer, selectors), answer.resumed

    async def retry(self, selectors: Sequence[str]) -> tuple[tuple[Job, ...], int]:
        with self._calling():
            answer = await self._jobs.Retry(jobs_pb2.RetryRequest(selectors=selectors_of(selectors)))
        return await self._all_of(answer, selectors), answer.tasks

    async def rerun(self, selector: str, job_id: str, once: bool) -> Job:
        request = jobs_pb2.RerunRequest(selector=selectors_of([selector])[0], id=job_id, once=once)
        with self._calling():
            return job_of((await self._jobs.Rerun(request)).job)

    async def _all_of(self, answer: Any, selectors: Sequence[str]) -> tuple[Job, ...]:
        """The jobs that were selected, of which the answer may hold only the first."""
        if answer.more:
            return (await self.list(selectors, (), 0))[::-1]
        return tuple(map(job_of, answer.jobs))

    async def set_priority(self, selectors: Sequence[str], priority: int) -> tuple[tuple[Job, ...], int]:
        request = jobs_pb2.SetPriorityRequest(selectors=selectors_of(selectors), priority=priority)
        with self._calling():
            answer = await self._jobs.SetPriority(request)
        return await self._all_of(answer, selectors), answer.changed

    async def set_options(self, selectors: Sequence[str], changes: Changes) -> tuple[tuple[Job, ...], int]:
        request = jobs_pb2.SetRequest(selectors=selectors_of(selectors), changes=changes_to_proto(changes))
        with self._calling():
            answer = await self._jobs.Set(request)
        return await self._all_of(answer, selectors), answer.changed

    async def set_share(self, user: str, weight: float) -> QueueStatus:
        from cluster.v1 import admin_pb2

        with self._calling():
            answer = await self._beside("Queue").SetShare(admin_pb2.SetShareRequest(user=user, weight=weight))
        return queue_of(answer.queue)

    async def queue(self) -> QueueStatus:
        from cluster.v1 import admin_pb2

        with self._calling():
            answer = await self._beside("Queue").ShowQueue(admin_pb2.ShowQueueRequest())
        return queue_of(answer.queue)

    async def pause_queue(self, reason: str) -> QueueStatus:
        from cluster.v1 import admin_pb2

        with self._calling():
            answer = await self._beside("Queue").PauseQueue(admin_pb2.PauseQueueRequest(reason=reason))
        return queue_of(answer.queue)

    async def resume_queue(self) -> QueueStatus:
        from cluster.v1 import admin_pb2

        with self._calling():
            answer = await self._beside("Queue").ResumeQueue(admin_pb2.ResumeQueueRequest())
        return queue_of(answer.queue)

    async def tree(self, selector: str) -> JobTree:
        jobs, cut = list[Job](), False
        request = jobs_pb2.TreeRequest(selector=selectors_of([selector])[0])
        with self._calling(), hanging_up(self._jobs.Tree(request)) as call:
            async for answer in call:
                jobs += map(job_of, answer.jobs)
                cut = cut or answer.cut
        return JobTree(tuple(jobs), cut)

    async def set_state(self, values: Mapping[str, str]) -> None:
        with self._calling():
            await self._jobs.SetState(jobs_pb2.SetStateRequest(values=values))

    async def state(self, selector: str) -> Mapping[str, str]:
        with self._calling():
            answer = await self._jobs.GetState(jobs_pb2.GetStateRequest(selector=selectors_of([selector])[0]))
        return dict(sorted(answer.values.items()))  # which come in any order

    async def events(
        self, since: int | None, selectors: Sequence[str], patience: float, *, follow: bool
    ) -> AsyncGenerator[tuple[Sequence[ClusterEvent], int], None]:
        from cluster.client.messages import event_of
        from cluster.v1 import events_pb2

        request = events_pb2.FollowRequest(since=since, follow=follow, selectors=selectors_of(selectors))
        with self._calling():
            await self._ready(patience)
            with hanging_up(self._beside("Events").Follow(request)) as call:
                async for answer in call:
                    yield list(map(event_of, answer.events)), answer.position

    async def workers(self) -> tuple[Worker, ...]:
        pages = self._pages(self._jobs.ListWorkers, jobs_pb2.ListWorkersRequest())
        return tuple([worker_of(worker) async for page in pages for worker in page.workers])

    async def create_token(self, role: str, life: float, uses: int, user: str, http: bool) -> tuple[Token, str]:
        from cluster.v1 import admin_pb2

        request = admin_pb2.CreateTokenRequest(role=role, life=life, uses=uses, user=user, http=http)
        with self._calling():
            answer = await self._beside("Tokens").CreateToken(request)
        return token_of(answer.token), answer.join_token

    async def tokens(self) -> tuple[Token, ...]:
        from cluster.v1 import admin_pb2

        pages = self._pages(self._beside("Tokens").ListTokens, admin_pb2.ListTokensRequest())
        return tuple([token_of(token) async for page in pages for token in page.tokens])

    async def revoke_token(self, token_id: str, and_joined: bool, keep_jobs: bool) -> RevocationResult:
        from cluster.v1 import admin_pb2

        request = admin_pb2.RevokeTokenRequest(id=token_id, and_joined=and_joined, keep_jobs=keep_jobs)
        with self._calling():
            answer = await self._beside("Tokens").RevokeToken(request)
        return revoked_of(answer)

    async def who_am_i(self) -> Me:
        from cluster.v1 import admin_pb2

        with self._calling():
            answer = await self._beside("Users").WhoAmI(admin_pb2.WhoAmIRequest())
        schedulers = tuple(SchedulerPlace(each.address, each.leads, each.silent) for each in answer.schedulers)
        return Me(answer.name, answer.role, answer.id, schedulers)

    async def users(self) -> tuple[User, ...]:
        from cluster.v1 import admin_pb2

        pages = self._pages(self._beside("Users").ListUsers, admin_pb2.ListUsersRequest())
        return tuple([user_of(user) async for page in pages for user in page.users])

    async def revoke_user(self, name: str, and_joined: bool, keep_jobs: bool) -> RevocationResult:
        from cluster.v1 import admin_pb2

        request = admin_pb2.RevokeUserRequest(name=name, and_joined=and_joined, keep_jobs=keep_jobs)
        with self._calling():
            answer = await self._beside("Users").RevokeUser(request)
        return revoked_of(answer)

    async def remove_worker(self, worker: str, revoke: bool) -> RemovedWorker:
        from cluster.v1 import admin_pb2

        with self._calling():
            answer = await self._beside("Workers").RemoveWorker(
                admin_pb2.RemoveWorkerRequest(worker=worker, revoke=revoke)
            )
        return RemovedWorker(answer.id, answer.name, answer.held, tuple(answer.tokens))

    async def drain_workers(self, workers: Sequence[str], reason: str, within: float | None) -> tuple[Worker, ...]:
        from cluster.v1 import admin_pb2

        with self._calling():
            answer = await self._beside("Workers").DrainWorkers(
                admin_pb2.DrainWorkersRequest(workers=workers, reason=reason, within=within)
            )
        return tuple(map(worker_of, answer.workers))

    async def resume_workers(self, workers: Sequence[str]) -> tuple[Worker, ...]:
        from cluster.v1 import admin_pb2

        with self._calling():
            answer = await self._beside("Workers").ResumeWorkers(admin_pb2.ResumeWorkersRequest(workers=workers))
        return tuple(map(worker_of, answer.workers))

    @abstractmethod
    async def close(self) -> None:
        """Closes the connection."""

    @abstractmethod
    def _calling(self) -> AbstractContextManager[None]:
        """What a call in the body of this raises becomes the ClusterError that it stands for."""

    @abstractmethod
    async def _ready(self, patience: float) -> None:
        """Waits so many seconds for a connection; Unreachable."""

    @abstractmethod
    def _beside(self, service: str) -> Any:
        """The stub of another service than Jobs."""

    async def _pages(self, method: Any, request: Any) -> AsyncGenerator[Any, None]:
        """Each answer, until there are no more."""
        while True:
            with self._calling():
                answer = await method(request)
            yield answer
            if not answer.next:
                return
            request.after = answer.next


class SchedulerBackend(JobsServiceBackend):
    """One channel to one scheduler. Make it inside a running event loop."""

    def __init__(self, address: str, credentials: Credentials) -> None:
        from cluster.rpc.channel import dial
        from cluster.v1 import jobs_pb2_grpc

        self._channel = dial(address, credentials, scheduler_server_name(credentials.identity.cluster_id))
        super().__init__(address, jobs_pb2_grpc.JobsStub(self._channel))

    async def close(self) -> None:
        await self._channel.close()

    def _calling(self) -> AbstractContextManager[None]:
        from cluster.rpc.errors import calling

        return calling(self.address)

    async def _ready(self, patience: float) -> None:
        await ready(self._channel, self.address, patience)

    def _beside(self, service: str) -> Any:
        """Loaded only for whoever calls it."""
        from importlib import import_module

        module: Any = import_module(f"cluster.v1.{_FILES.get(service, 'admin')}_pb2_grpc")
        return getattr(module, f"{service}Stub")(self._channel)


def _numbers(states: Sequence[TaskState]) -> list[Any]:
    """As messages have them: the numbers are the same."""
    return [state.value for state in states]

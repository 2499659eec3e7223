"""The client for asyncio."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

from cluster.client.arguments import selector_text, selector_texts, worker_names
from cluster.client.backend import Backend, WantedOutput
from cluster.client.discovery import Endpoint, find
from cluster.client.events import follow_events
from cluster.client.following import CallAge, FollowedJobs
from cluster.client.handy_specs import from_here, spec_of
from cluster.client.job_fields import new_job_id
from cluster.client.ordering import OrderVerbs
from cluster.client.position import Position, read_on
from cluster.client.renewing import renew_if_due
from cluster.client.retrying import PAUSE, AbsenceListener, RetryPatience
from cluster.client.types import (
    ClusterEvent,
    Job,
    JobTree,
    Output,
    RemovedWorker,
    RevocationResult,
    Task,
    Token,
    User,
    Worker,
)
from cluster.domain.base.errors import InvalidInput, NotReached, Unreachable
from cluster.domain.job.selectors import check_name, likely
from cluster.domain.job.spec import JobSpec, validate
from cluster.domain.job.states import TaskState
from cluster.domain.job.times import resolved
from cluster.domain.job.workflow import NewJob, Workflow

T = TypeVar("T")

# Seconds to wait for a connection that worked before: a scheduler that is started again is back within a few.
PATIENCE = 30.0
# Seconds after a break in which a submission that breaks again is repeated: a scheduler that is just stopping answers
# errors until its last commit is done. One that answers errors for longer has failed, and the user should know soon.
STOPPING = 5.0


class AsyncClient(OrderVerbs):
    """Submits jobs and asks for them. Use it as a context manager, or close it; it connects with the first call."""

    def __init__(self, endpoint: Endpoint, *, answered: bool = False, listener: AbsenceListener | None = None) -> None:
        """`answered`: by another connection it has answered already, so a break of this one is waited for. `listener`
        is told when a call breaks and is tried again, and when there is an answer again."""
        self.endpoint = endpoint
        self._opened: Backend | None = None
        self._patience = RetryPatience(listener)  # one for all calls: whoever answers one call is there for the others
        if answered:
            self._patience.renew()
            self._patience.begin_absence(Unreachable(f"{endpoint.address} does not answer"))

    @classmethod
    def connect(
        cls,
        scheduler: str | None = None,
        *,
        direct: str | None = None,
        credentials: str | os.PathLike[str] | None = None,
        home: str | os.PathLike[str] | None = None,
    ) -> Self:
        """A client of the scheduler at `scheduler` (host:port), or of the lone worker at `at`.

        What is left out comes from CLUSTER_SCHEDULER, CLUSTER_DIRECT, CLUSTER_CREDENTIALS and CLUSTER_HOME, then from
        the configuration file, then from `cluster login`, then from the scheduler's directory on this machine.
        """
        return cls(find(scheduler=scheduler, direct=direct, credentials=credentials, home=home))

    async def submit(self, command: JobSpec | Sequence[str], *, id: str | None = None, **options: Any) -> Job:
        """Hands a job in; once this returns it is on disk.

        `command` is a JobSpec, or argv with `options` as JobSpec's fields (`array` may be text as in "1-10:2", `env`
        a mapping). In an embedded cluster it runs in the caller's directory unless `cwd` says otherwise, which may be
        relative to that. If the connection breaks on the way the call is repeated with the same id, which cannot submit
        twice.
        """
        spec = self.from_here(command if isinstance(command, JobSpec) else spec_of(command, **options))
        validate(spec)
        check_name(spec.name)
        job_id = id or new_job_id()
        return await self._hand_in(f"job {job_id}", lambda patience: self._backend().submit(job_id, spec, patience))

    async def submit_many(
        self, jobs: Iterable[JobSpec | Mapping[str, Any]], *, ids: Sequence[str] = ()
    ) -> tuple[int, ...]:
        """Hands in many jobs, all of them or none, and answers their numbers; once this returns they are on disk.

        Each is a JobSpec, or a mapping with its `command` and options as of `submit`. What one waits for (`after` and
        its like) may be another of them, in any order: by its name, which means the one of this call then, or by its
        id. `ids`: one for each job, as of `submit`; without them they are made.
        """
        specs = [self.from_here(job if isinstance(job, JobSpec) else spec_of(**job)) for job in jobs]
        if ids and len(ids) != len(specs):
            raise InvalidInput(f"{len(ids)} ids for {len(specs)} jobs: give one for each, or none")
        new = [NewJob(job_id, spec) for job_id, spec in zip(ids or (new_job_id() for _ in specs), specs, strict=False)]
        if not new:
            return ()
        Workflow(new).validate()
        what = f"job {new[0].id} and the others"
        return await self._hand_in(what, lambda patience: self._backend().submit_many(new, patience))

    def from_here(self, spec: JobSpec) -> JobSpec:
        """The spec as it is handed in: with times of our zone, and in an embedded cluster for the directory we are
        in."""
        if self.endpoint.is_embedded and not spec.cwd.startswith("/"):
            spec = replace(spec, cwd=from_here(spec.cwd))
        return resolved(spec, time.time(), None)

    async def _hand_in(self, what: str, call: Callable[[float], Awaitable[T]]) -> T:
        """Makes the call, which gets its patience in seconds; repeats one that broke, for STOPPING seconds, and raises
        Unreachable after that."""
        try:
            answer = await call(0.0)
        except NotReached:
            raise  # it was not there before either: whoever waits at a prompt wants to know now
        except Unreachable:
            answer = await self._hand_in_again(what, call)
        self._patience.renew()
        return answer

    async def _hand_in_again(self, what: str, call: Callable[[float], Awaitable[T]]) -> T:
        until = time.monotonic() + STOPPING
        while True:
            try:
                return await call(PATIENCE)
            except Unreachable as error:
                if time.monotonic() >= until:
                    raise Unreachable(f"{error}; {what} may have been accepted all the same") from None
            await asyncio.sleep(PAUSE)

    async def list(self, *selectors: str | int, states: Sequence[TaskState] = (), limit: int = 0) -> tuple[Job, ...]:
        """Jobs, newest first; all of them without selectors, states and limit."""
        return await self._backend().list(selector_texts(selectors), states, limit)

    async def get(
        self, selector: str | int, *, max_tasks: int = 100, states: Sequence[TaskState] = (), attempts: bool = False
    ) -> tuple[Job, tuple[Task, ...]]:
        """One job, and so many of its tasks in these states (none: in any): running and abnormal ones first. If that is
        one task in all, and it failed, with the end of its stderr and the exception that its program raised.
        `attempts`: each task with its attempts, the last 100 of them."""
        return await self._backend().get(selector_text(selector), max_tasks, states, attempts)

    async def watch(self, *selectors: str | int) -> AsyncGenerator[tuple[Job, ...], None]:
        """Yields the jobs at once and after each change, until all have ended. Outlasts a restart of the scheduler.

        The jobs are those that the selectors mean at first, whatever is submitted later."""
        backend, patience, texts = self._backend(), self._patience, list(selector_texts(selectors))
        numbers: set[int] | None = None
        while True:
            try:
                texts = [await self._lasting(text) for text in texts]
                async with aclosing(backend.watch(texts, patience.left())) as changes:
                    async for jobs in changes:
                        patience.renew()
                        if numbers is None:
                            numbers, texts = {job.number for job in jobs}, _pinned(texts, jobs)
                        same = tuple(job for job in jobs if job.number in numbers)
                        yield same
                        if len(same) < len(jobs) and all(job.state.ended for job in same):
                            return  # the scheduler would go on for the others
                return
            except Unreachable as error:
                await patience.pause(error)

    async def wait(self, *selectors: str | int) -> tuple[Job, ...]:
        """The jobs once all have ended."""
        latest: tuple[Job, ...] = ()
        async with aclosing(self.watch(*selectors)) as changes:
            async for jobs in changes:
                latest = jobs
        return latest

    async def logs(
        self,
        selector: str | int,
        *,
        follow: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        tail: int | None = None,
        position: Position | None = None,
    ) -> AsyncGenerator[Output, None]:
        """Output from byte 0 or `position`, or the last `tail` lines of each stream; `follow`: until the tasks end.

        A follower without `tail` outlasts a restart of the scheduler: it goes on where it was.
        """
        backend, patience = self._backend(), self._patience
        wanted = WantedOutput(selector_text(selector), stdout, stderr, follow, tail, position)
        followed = FollowedJobs(wanted.selector)
        while True:
            age = CallAge(patience)
            try:
                if follow:
                    await followed.settle(backend, wanted.position)
                for one in followed.selectors:
                    asked = replace(wanted, selector=one)
                    async with aclosing(backend.logs(asked, patience.left(), age.begin)) as pieces:
                        async for piece in pieces:
                            patience.renew()
                            if not piece.note:
                                wanted = asked = replace(asked, position=read_on(wanted.position, piece))
                            yield piece
                return
            except Unreachable as error:
                # A task that waits, or is quiet, has no output to answer with: a call that was long counts as answered.
                if not isinstance(error, NotReached) and age.is_long():
                    patience.renew()
                if not follow or tail is not None:
                    raise
                await patience.pause(error)
                followed.broken = True
            finally:
                age.end()

    async def cancel(
        self, *selectors: str | int, grace: float | None = None, reason: str = "", keep_children: bool = False
    ) -> tuple[tuple[Job, ...], int]:
        """Asks tasks to stop: SIGTERM, after `grace` seconds SIGKILL, to the whole process tree; and unless they are
        kept the jobs that these have called for.

        Answers the jobs as they are now and how many tasks were asked. Those that had ended stay as they were.
        """
        return await self._backend().cancel(selector_texts(selectors), grace, reason, keep_children)

    async def tree(self, selector: str | int) -> JobTree:
        """The job with all that has to do with it, whether it has ended or not: what it was called by and has called,
        what it waits for and what waits for it, and so on from each of these."""
        return await self._backend().tree(selector_text(selector))

    async def set_state(self, **values: str) -> None:
        """Inside a job: keeps these for others to read, until the job sets them to something else."""
        if self.endpoint.inside is None:
            raise InvalidInput("only a job sets its own state: call this inside of one")
        await self._backend().set_state(values)

    async def state(self, selector: str | int) -> Mapping[str, str]:
        """What a job keeps for others to read."""
        return await self._backend().state(selector_text(selector))

    async def events(
        self, *selectors: str | int, since: int | None = 0, follow: bool = False
    ) -> AsyncGenerator[ClusterEvent, None]:
        """What happened after the event of number `since` (None: nothing), and with `follow` what happens, without end,
        across restarts of the scheduler. With selectors only what is about these jobs. See docs/events.md."""
        texts = selector_texts(selectors)
        async with aclosing(follow_events(self._backend(), self._patience, since, texts, follow=follow)) as found:
            async for event in found:
                yield event

    async def workers(self) -> tuple[Worker, ...]:
        """The workers that the scheduler knows."""
        return await self._backend().workers()

    async def create_token(
        self, role: str = "worker", *, life: float, uses: int = 1, user: str = ""
    ) -> tuple[Token, str]:
        """A join token: its record, and the text to paste. `life` in seconds; uses 0: without limit."""
        return await self._backend().create_token(role, life, uses, user)

    async def tokens(self) -> tuple[Token, ...]:
        """All join tokens, used up and revoked ones included."""
        return await self._backend().tokens()

    async def revoke_token(
        self, token_id: str, *, and_joined: bool = False, keep_jobs: bool = False
    ) -> RevocationResult:
        """From now on nobody can join with it; with `and_joined` who has is expelled, and so is who joined by tokens of
        theirs. Their jobs are cancelled."""
        return await self._backend().revoke_token(token_id, and_joined, keep_jobs)

    async def users(self) -> tuple[User, ...]:
        """All users, revoked ones included."""
        return await self._backend().users()

    async def revoke_user(self, name: str, *, and_joined: bool = False, keep_jobs: bool = False) -> RevocationResult:
        """From now on no certificate of the user is let in, and no token that it made; with `and_joined` neither who
        joined by those. Jobs of theirs are cancelled."""
        return await self._backend().revoke_user(name, and_joined, keep_jobs)

    async def remove_worker(self, worker: str, *, revoke: bool = False) -> RemovedWorker:
        """Takes the worker of that id or name off the list; with `revoke` no certificate of it is let in any more.

        Conflict for one that is connected and is not revoked."""
        return await self._backend().remove_worker(worker, revoke)

    async def drain_workers(
        self, workers: Sequence[str], *, reason: str = "", within: float | None = None
    ) -> tuple[Worker, ...]:
        """From now on these workers, by ids or names, get nothing more, until they are resumed: what has not started
        there comes back. What runs goes on; what still runs after `within` seconds is stopped, and tried again
        elsewhere if its job may be. Answers how they are now. NotFound: then nothing has changed."""
        return await self._backend().drain_workers(worker_names(workers), reason, within)

    async def resume_workers(self, workers: Sequence[str]) -> tuple[Worker, ...]:
        """From now on these workers, by ids or names, take work again. Answers how they are now. NotFound: then nothing
        has changed."""
        return await self._backend().resume_workers(worker_names(workers))

    async def close(self) -> None:
        """Closes the connection, and renews the caller's certificate when that is due."""
        if self._opened is not None:
            await renew_if_due(self.endpoint)
            await self._opened.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _lasting(self, selector: str) -> str:
        """The selector by the job's number, where it means one job: after a break `last` or a name may mean others."""
        followed = FollowedJobs(selector)
        await followed.settle(self._backend(), None)
        return followed.selectors[0]

    def _backend(self) -> Backend:
        if self._opened is None:
            if self.endpoint.inside is not None:
                from cluster.client.jobs_backend import JobsBackend

                self._opened = JobsBackend(self.endpoint.inside)
            elif self.endpoint.is_worker:
                from cluster.client.worker_backend import WorkerBackend

                self._opened = WorkerBackend(self.endpoint.address, self.endpoint.certificate)
            else:
                from cluster.client.scheduler_backend import SchedulerBackend

                self._opened = SchedulerBackend(self.endpoint.address, self.endpoint.certificate)
        return self._opened


def _pinned(texts: list[str], jobs: Sequence[Job]) -> list[str]:
    """The same selectors; if one has a condition, the tasks that meet it now, by their numbers, where these are few
    enough to be told."""
    parts = [f"{job.number}.{job.part}" if job.part else str(job.number) for job in jobs]
    named = any(likely(text).condition for text in texts) and not any("…" in part for part in parts)
    return parts if named else texts

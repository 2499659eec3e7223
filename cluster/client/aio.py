"""The client for asyncio."""

import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

from cluster.client.arguments import selector_text, selector_texts, worker_names
from cluster.client.backend import Backend, WantedOutput
from cluster.client.discovery import Endpoint, find
from cluster.client.events import follow_events
from cluster.client.following import CallAge, FollowedJobs
from cluster.client.keeping import AsyncKeeping
from cluster.client.known_schedulers import are_due, keep_schedulers
from cluster.client.ordering import OrderVerbs
from cluster.client.past import PastVerbs
from cluster.client.pools import AsyncPools
from cluster.client.position import Position, read_on
from cluster.client.renewing import renew_if_due
from cluster.client.result_verbs import ResultVerbs
from cluster.client.retrying import AbsenceListener, RetryPatience
from cluster.client.submitting import SubmitVerbs
from cluster.client.takeover import wait_for_lead
from cluster.client.types import (
    ClusterEvent,
    Job,
    JobTree,
    Me,
    Output,
    RemovedWorker,
    RevocationResult,
    Task,
    Token,
    User,
    Worker,
)
from cluster.domain.base.errors import ClusterError, InvalidInput, NotReached, Unreachable
from cluster.domain.job.selectors import likely
from cluster.domain.job.states import TaskState

T = TypeVar("T")


class AsyncClient(SubmitVerbs, OrderVerbs, PastVerbs, ResultVerbs, AsyncKeeping, AsyncPools):
    """Submits jobs, shows and changes them. Use it as a context manager, or close it; the first call connects.

    Selectors name jobs and tasks as on the command line: 5, "5.1-10", "5:failed", "last", a job's name. Durations and
    times are seconds; times are Unix time. Every method raises a ClusterError that says what was wrong: NotFound for an
    unknown job, InvalidInput for a value that cannot be right, NotPermitted, Unreachable.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        answered: bool = False,
        listener: AbsenceListener | None = None,
        nobody_leads: Callable[[Unreachable], None] | None = None,
    ) -> None:
        """`answered` says that the cluster has answered on another connection already, so that a call which finds
        nobody waits for it. `listener` hears when a call breaks and is repeated, and when there is an answer again.
        `nobody_leads`: whoever enters waits where none of several schedulers answers, and this is told; None: nobody
        waits."""
        self.endpoint = endpoint
        self._opened: Backend | None = None
        self._nobody_leads = nobody_leads
        self._patience = RetryPatience(listener)  # one for all calls, which have one scheduler
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
        """A client of the scheduler at `scheduler` (host:port), or of the lone worker at `direct`.

        What is not given comes from CLUSTER_SCHEDULER, CLUSTER_DIRECT, CLUSTER_CREDENTIALS and CLUSTER_HOME, then from
        the configuration file, then from `cluster login`, then from the scheduler's directory on this machine.
        """
        return cls(find(scheduler=scheduler, direct=direct, credentials=credentials, home=home))

    async def list(self, *selectors: str | int, states: Sequence[TaskState] = (), limit: int = 0) -> tuple[Job, ...]:
        """Jobs, newest first: those selected and in one of the states, at most `limit`. Each may be left out."""
        return await self._backend().list(selector_texts(selectors), states, limit)

    async def get(
        self, selector: str | int, *, max_tasks: int = 100, states: Sequence[TaskState] = (), attempts: bool = False
    ) -> tuple[Job, tuple[Task, ...]]:
        """One job and at most `max_tasks` of its selected tasks in `states` (empty: any), running and abnormal ones
        first.

        When a single failed task is selected it comes with the end of its stderr and the exception that it raised.
        With `attempts` each task comes with its last 100 attempts."""
        return await self._backend().get(selector_text(selector), max_tasks, states, attempts)

    async def watch(self, *selectors: str | int) -> AsyncGenerator[tuple[Job, ...], None]:
        """Yields the jobs at once and after each change, until all have ended. Goes on after a restart of the
        scheduler.

        The jobs are those that the selectors meant at the first answer, whatever is submitted later."""
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
                            return  # only jobs that came later still run
                return
            except Unreachable as error:
                await patience.pause(error)

    async def wait(self, *selectors: str | int) -> tuple[Job, ...]:
        """Waits until all of these jobs have ended, and returns them."""
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
        """Yields output from byte 0, from `position`, or the last `tail` lines of each stream; with `follow` until the
        tasks have ended.

        A follower without `tail` goes on where it was after a restart of the scheduler.
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
                # A waiting or quiet task has no output, so a call that kept its connection for long counts as answered.
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
        """Stops the selected tasks: SIGTERM to the whole process tree, SIGKILL after `grace` seconds (None: the job's
        own).

        Jobs that these jobs submitted are cancelled too, unless `keep_children`. Returns the jobs as they are now and
        how many tasks were asked to stop. Tasks that had ended stay as they were.
        """
        return await self._backend().cancel(selector_texts(selectors), grace, reason, keep_children)

    async def tree(self, selector: str | int) -> JobTree:
        """The job and all jobs related to it: the one that submitted it and those that it submitted, those that it
        waits for and those that wait for it, and so on from each of these."""
        return await self._backend().tree(selector_text(selector))

    async def set_state(self, **values: str) -> None:
        """Inside a job: sets values of its state, which other jobs of its tree can read. Other values stay."""
        if self.endpoint.inside is None:
            raise InvalidInput("only a job sets its own state: call this inside of one")
        await self._backend().set_state(values)

    async def state(self, selector: str | int) -> Mapping[str, str]:
        """The values that a job has set as its state."""
        return await self._backend().state(selector_text(selector))

    async def events(
        self, *selectors: str | int, since: int | None = 0, follow: bool = False
    ) -> AsyncGenerator[ClusterEvent, None]:
        """Yields the events after that of number `since` (None: only new ones); with `follow` also those to come,
        without end and across restarts of the scheduler. Selectors limit them to these jobs. See docs/events.md."""
        texts = selector_texts(selectors)
        async with aclosing(follow_events(self._backend(), self._patience, since, texts, follow=follow)) as found:
            async for event in found:
                yield event

    async def workers(self) -> tuple[Worker, ...]:
        """The workers that the scheduler knows."""
        return await self._backend().workers()

    async def create_token(
        self, role: str = "worker", *, life: float, uses: int = 1, user: str = "", http: bool = False
    ) -> tuple[Token, str]:
        """Makes a join token, or with `http` a bearer token; returns its record and the text to paste. `uses` 0 means
        without limit."""
        return await self._backend().create_token(role, life, uses, user, http)

    async def tokens(self) -> tuple[Token, ...]:
        """All tokens, used up and revoked ones included."""
        return await self._backend().tokens()

    async def revoke_token(
        self, token_id: str, *, and_joined: bool = False, keep_jobs: bool = False
    ) -> RevocationResult:
        """Revokes a token: nobody can join by it any more. With `and_joined` also everybody who has joined by it, or by
        tokens of these, is expelled. Jobs of expelled users are cancelled, unless `keep_jobs`."""
        return await self._backend().revoke_token(token_id, and_joined, keep_jobs)

    async def who_am_i(self) -> Me:
        """In whose name and right this calls."""
        me = await self._backend().who_am_i()
        keep_schedulers(self.endpoint, me)
        return me

    async def users(self) -> tuple[User, ...]:
        """All users, revoked ones included."""
        return await self._backend().users()

    async def revoke_user(self, name: str, *, and_joined: bool = False, keep_jobs: bool = False) -> RevocationResult:
        """Revokes a user: its certificates and the tokens that it made are refused. With `and_joined` also everybody
        who has joined by those tokens is expelled. Jobs of expelled users are cancelled, unless `keep_jobs`."""
        return await self._backend().revoke_user(name, and_joined, keep_jobs)

    async def remove_worker(self, worker: str, *, revoke: bool = False) -> RemovedWorker:
        """Removes the worker of that id or name from the list; with `revoke` its certificates are refused too.

        Conflict when it is connected and not to be revoked."""
        return await self._backend().remove_worker(worker, revoke)

    async def drain_workers(
        self, workers: Sequence[str], *, reason: str = "", within: float | None = None
    ) -> tuple[Worker, ...]:
        """Drains workers, by ids or names: they get no more tasks until they are resumed, and give back those not
        started.

        Running tasks go on; those that still run after `within` seconds are stopped, and tried again elsewhere as their
        jobs permit. Returns the workers as they are now. NotFound for an unknown one, and then none is drained."""
        return await self._backend().drain_workers(worker_names(workers), reason, within)

    async def resume_workers(self, workers: Sequence[str]) -> tuple[Worker, ...]:
        """Lets drained workers, by ids or names, take tasks again. Returns them as they are now. NotFound for an
        unknown one, and then none is resumed."""
        return await self._backend().resume_workers(worker_names(workers))

    async def close(self) -> None:
        """Renews the caller's certificate when it is due, asks for the other schedulers when that is, and closes the
        connection."""
        if self._opened is not None:
            await renew_if_due(self.endpoint)
            if are_due(self.endpoint):
                with suppress(ClusterError):
                    await self.who_am_i()
            await self._opened.close()

    async def __aenter__(self) -> Self:
        if self._nobody_leads and self.endpoint.has_several:
            try:
                await wait_for_lead(lambda: self._backend().who_am_i(), self._nobody_leads)
            except BaseException:
                await self.close()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _lasting(self, selector: str) -> str:
        """The selector with the job's number when it means one job: after a break `last` or a name may mean another."""
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
    """The same selectors; where one has a condition such as `:failed`, the numbers of the tasks that meet it now, as
    far as they are few enough to be listed."""
    parts = [f"{job.number}.{job.part}" if job.part else str(job.number) for job in jobs]
    named = any(likely(text).condition for text in texts) and not any("…" in part for part in parts)
    return parts if named else texts

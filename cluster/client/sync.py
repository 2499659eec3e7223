"""The client for programs without asyncio: the same verbs, each waiting for its answer."""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from cluster.client.aio import AsyncClient
from cluster.client.types import (
    ClusterEvent,
    Job,
    JobTree,
    Output,
    QueueStatus,
    RemovedWorker,
    RevocationResult,
    Task,
    Token,
    User,
    Worker,
)
from cluster.domain.base.errors import ClusterError
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState

T = TypeVar("T")

CLOSED = "this client was closed"


class Client:
    """AsyncClient on an event loop in a thread of its own, so that it works inside notebooks too. Thread-safe."""

    def __init__(self, inner: AsyncClient) -> None:
        self._inner = inner
        self._closed = False
        self._entering = threading.Lock()  # held while a call begins, so that `close` sees each one
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cluster-client", daemon=True)
        self._thread.start()

    @classmethod
    def connect(
        cls,
        scheduler: str | None = None,
        *,
        direct: str | None = None,
        credentials: str | os.PathLike[str] | None = None,
        home: str | os.PathLike[str] | None = None,
    ) -> Self:
        """As AsyncClient.connect."""
        return cls(AsyncClient.connect(scheduler, direct=direct, credentials=credentials, home=home))

    def submit(self, command: JobSpec | Sequence[str], *, id: str | None = None, **options: Any) -> Job:
        """Hands a job in; once this returns it is on disk. See AsyncClient.submit."""
        return self._do(self._inner.submit(command, id=id, **options))

    def submit_many(self, jobs: Iterable[JobSpec | Mapping[str, Any]], *, ids: Sequence[str] = ()) -> tuple[int, ...]:
        """Hands in many jobs, all of them or none, and answers their numbers. See AsyncClient.submit_many."""
        return self._do(self._inner.submit_many(jobs, ids=ids))

    def list(self, *selectors: str | int, states: Sequence[TaskState] = (), limit: int = 0) -> tuple[Job, ...]:
        """Jobs, newest first."""
        return self._do(self._inner.list(*selectors, states=states, limit=limit))

    def get(
        self, selector: str | int, *, max_tasks: int = 100, states: Sequence[TaskState] = (), attempts: bool = False
    ) -> tuple[Job, tuple[Task, ...]]:
        """One job, and so many of its tasks in these states. See AsyncClient.get."""
        return self._do(self._inner.get(selector, max_tasks=max_tasks, states=states, attempts=attempts))

    def watch(self, *selectors: str | int) -> Iterator[tuple[Job, ...]]:
        """The jobs as they are, again after each change, until all have ended."""
        return self._each(lambda: self._inner.watch(*selectors))

    def wait(self, *selectors: str | int) -> tuple[Job, ...]:
        """The jobs once all have ended."""
        return self._do(self._inner.wait(*selectors))

    def logs(
        self,
        selector: str | int,
        *,
        follow: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        tail: int | None = None,
    ) -> Iterator[Output]:
        """Output from byte 0, or the last `tail` lines of each stream; `follow`: until the tasks have ended."""
        return self._each(lambda: self._inner.logs(selector, follow=follow, stdout=stdout, stderr=stderr, tail=tail))

    def cancel(
        self, *selectors: str | int, grace: float | None = None, reason: str = "", keep_children: bool = False
    ) -> tuple[tuple[Job, ...], int]:
        """Asks tasks to stop; the jobs as they are now, and how many tasks were asked. See AsyncClient.cancel."""
        return self._do(self._inner.cancel(*selectors, grace=grace, reason=reason, keep_children=keep_children))

    def pause(self, *selectors: str | int, reason: str = "") -> tuple[tuple[Job, ...], int]:
        """From now on no more tasks of these jobs start, until they are resumed; what runs goes on."""
        return self._do(self._inner.pause(*selectors, reason=reason))

    def resume(self, *selectors: str | int) -> tuple[tuple[Job, ...], int]:
        """Jobs that were paused go on. Answers them as they are now, and how many of them were paused."""
        return self._do(self._inner.resume(*selectors))

    def set_priority(self, *selectors: str | int, priority: int) -> tuple[tuple[Job, ...], int]:
        """From now on these jobs have that priority. See AsyncClient.set_priority."""
        return self._do(self._inner.set_priority(*selectors, priority=priority))

    def set_share(self, user: str, weight: float) -> QueueStatus:
        """From now on what the user has had is divided by that weight, when it is compared with others'."""
        return self._do(self._inner.set_share(user, weight))

    def queue(self) -> QueueStatus:
        """Whether anything starts, and how many jobs have not ended."""
        return self._do(self._inner.queue())

    def retry(self, *selectors: str | int) -> tuple[tuple[Job, ...], int]:
        """What has failed or was cancelled is tried again. See AsyncClient.retry."""
        return self._do(self._inner.retry(*selectors))

    def rerun(self, selector: str | int, *, id: str | None = None) -> Job:
        """A new job with the spec of that one."""
        return self._do(self._inner.rerun(selector, id=id))

    def pause_queue(self, *, reason: str = "") -> QueueStatus:
        """From now on nothing starts, until the queue is resumed; jobs are accepted, and what runs goes on."""
        return self._do(self._inner.pause_queue(reason=reason))

    def resume_queue(self) -> QueueStatus:
        """From now on jobs start again."""
        return self._do(self._inner.resume_queue())

    def tree(self, selector: str | int) -> JobTree:
        """All that has to do with a job. See AsyncClient.tree."""
        return self._do(self._inner.tree(selector))

    def set_state(self, **values: str) -> None:
        """Inside a job: keeps these for others to read."""
        return self._do(self._inner.set_state(**values))

    def state(self, selector: str | int) -> Mapping[str, str]:
        """What a job keeps for others to read."""
        return self._do(self._inner.state(selector))

    def events(self, *selectors: str | int, since: int | None = 0, follow: bool = False) -> Iterator[ClusterEvent]:
        """What has happened, and with `follow` what happens. See AsyncClient.events."""
        return self._each(lambda: self._inner.events(*selectors, since=since, follow=follow))

    def workers(self) -> tuple[Worker, ...]:
        """The workers that the scheduler knows."""
        return self._do(self._inner.workers())

    def create_token(self, role: str = "worker", *, life: float, uses: int = 1, user: str = "") -> tuple[Token, str]:
        """A join token: its record, and the text to paste. `life` in seconds; uses 0: without limit."""
        return self._do(self._inner.create_token(role, life=life, uses=uses, user=user))

    def tokens(self) -> tuple[Token, ...]:
        """All join tokens, used up and revoked ones included."""
        return self._do(self._inner.tokens())

    def revoke_token(self, token_id: str, *, and_joined: bool = False, keep_jobs: bool = False) -> RevocationResult:
        """From now on nobody can join with it; with `and_joined` who has is expelled, and so is who joined by tokens of
        theirs. Their jobs are cancelled."""
        return self._do(self._inner.revoke_token(token_id, and_joined=and_joined, keep_jobs=keep_jobs))

    def users(self) -> tuple[User, ...]:
        """All users, revoked ones included."""
        return self._do(self._inner.users())

    def revoke_user(self, name: str, *, and_joined: bool = False, keep_jobs: bool = False) -> RevocationResult:
        """From now on no certificate of the user is let in, and no token that it made; with `and_joined` neither who
        joined by those. Jobs of theirs are cancelled."""
        return self._do(self._inner.revoke_user(name, and_joined=and_joined, keep_jobs=keep_jobs))

    def remove_worker(self, worker: str, *, revoke: bool = False) -> RemovedWorker:
        """Takes the worker of that id or name off the list; with `revoke` no certificate of it is let in any more.

        Conflict for one that is connected and is not revoked."""
        return self._do(self._inner.remove_worker(worker, revoke=revoke))

    def drain_workers(
        self, workers: Sequence[str], *, reason: str = "", within: float | None = None
    ) -> tuple[Worker, ...]:
        """From now on these workers, by ids or names, get nothing more, until they are resumed: what has not started
        there comes back. What runs goes on; what still runs after `within` seconds is stopped, and tried again
        elsewhere if its job may be. Answers how they are now. NotFound: then nothing has changed."""
        return self._do(self._inner.drain_workers(workers, reason=reason, within=within))

    def resume_workers(self, workers: Sequence[str]) -> tuple[Worker, ...]:
        """From now on these workers, by ids or names, take work again. Answers how they are now. NotFound: then nothing
        has changed."""
        return self._do(self._inner.resume_workers(workers))

    def close(self) -> None:
        """Closes the connection and ends the thread. Twice does no harm."""
        with self._entering:
            if self._closed:
                return
            self._closed = True
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _close(self) -> None:
        """Cancels the calls that other threads wait for, then closes the connection."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._inner.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs it on the loop's thread; Ctrl-C in the caller's cancels it. ClusterError when the client is closed."""
        future: Future[T] = Future()
        try:
            with self._entering:
                if self._closed:
                    work.close()
                    raise ClusterError(CLOSED)
                self._loop.call_soon_threadsafe(_begin, work, future)
            return future.result()
        except CancelledError:
            raise ClusterError(CLOSED) from None
        except BaseException:
            future.cancel()
            raise

    def _each(self, start: Callable[[], AsyncGenerator[T, None]]) -> Iterator[T]:
        """The items of an asynchronous generator, which is closed with this one."""
        items, turn = start(), asyncio.Lock()
        try:
            while (item := self._do(_next(items, turn))) is not _END:
                yield cast(T, item)
        finally:
            if not self._closed:
                self._do(_close(items, turn))


def _begin(work: Coroutine[Any, Any, T], future: "Future[T]") -> None:
    """In the loop. As asyncio.run_coroutine_threadsafe does it, but for a future that the caller has had before: Ctrl-C
    may come at any moment, and what it could not cancel would go on for ever."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

    def cancelled(_: "Future[T]") -> None:
        if future.cancelled():
            loop.call_soon_threadsafe(task.cancel)

    def done(_: "asyncio.Task[T]") -> None:
        error = None if task.cancelled() else task.exception()
        if task.cancelled():
            future.cancel()
        elif not future.set_running_or_notify_cancel():
            return  # nobody waits for it any more
        elif error is not None:
            future.set_exception(error)
        else:
            future.set_result(task.result())

    future.add_done_callback(cancelled)
    task.add_done_callback(done)


_END = object()


async def _next(items: AsyncGenerator[T, None], turn: asyncio.Lock) -> T | object:
    """The next item, or _END: StopAsyncIteration does not pass through a task."""
    async with turn:
        return await anext(items, _END)


async def _close(items: AsyncGenerator[T, None], turn: asyncio.Lock) -> None:
    """Closes the generator, once the turn that a Ctrl-C has cancelled is over."""
    async with turn:
        await items.aclose()

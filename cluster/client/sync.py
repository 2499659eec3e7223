"""The client for programs without asyncio: the same verbs, each waiting for its answer."""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from cluster.client.aio import AsyncClient
from cluster.client.fetching import FetchedTask
from cluster.client.results import TaskResults
from cluster.client.types import (
    ClusterEvent,
    Deleted,
    HistoryPage,
    Job,
    JobStats,
    JobTree,
    Me,
    Output,
    Pruned,
    QueueStatus,
    RemovedWorker,
    RevocationResult,
    RoomStatus,
    Task,
    Token,
    UsageReport,
    User,
    Worker,
)
from cluster.domain.base.errors import ClusterError
from cluster.domain.files.tree import Entry
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.pool_board import PoolStatus

if TYPE_CHECKING:
    from cluster.client.files.job_files import Path, Stdin
    from cluster.client.progress_widget import ProgressWidget

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

    def _repr_html_(self) -> str:
        from cluster.client.notebook import table

        return table((("cluster", self._inner.endpoint.address), ("closed", "yes" if self._closed else "")))

    def progress(self, *selectors: str | int) -> "ProgressWidget":
        """A live bar for a notebook: how far these jobs are. InvalidInput where ipywidgets is not there."""
        from cluster.client.progress_widget import ProgressWidget

        return ProgressWidget(self, *selectors)

    def submit(
        self,
        command: JobSpec | Sequence[str],
        *,
        id: str | None = None,
        upload: "Path | Sequence[Path]" = (),
        stdin: "Stdin | None" = None,
        **options: Any,
    ) -> Job:
        """Submits a job; once this returns it is on disk. See AsyncClient.submit."""
        return self._do(self._inner.submit(command, id=id, upload=upload, stdin=stdin, **options))

    def submit_many(self, jobs: Iterable[JobSpec | Mapping[str, Any]], *, ids: Sequence[str] = ()) -> tuple[int, ...]:
        """Submits many jobs, all of them or none, and returns their numbers. See AsyncClient.submit_many."""
        return self._do(self._inner.submit_many(jobs, ids=ids))

    def list(self, *selectors: str | int, states: Sequence[TaskState] = (), limit: int = 0) -> tuple[Job, ...]:
        """Jobs, newest first. See AsyncClient.list."""
        return self._do(self._inner.list(*selectors, states=states, limit=limit))

    def get(
        self, selector: str | int, *, max_tasks: int = 100, states: Sequence[TaskState] = (), attempts: bool = False
    ) -> tuple[Job, tuple[Task, ...]]:
        """One job and its selected tasks. See AsyncClient.get."""
        return self._do(self._inner.get(selector, max_tasks=max_tasks, states=states, attempts=attempts))

    def history(self, **wanted: Any) -> HistoryPage:
        """Jobs that have ended, the one that ended last first. See AsyncClient.history."""
        return self._do(self._inner.history(**wanted))

    def stats(self, selector: str | int) -> JobStats:
        """What the last attempts of a job, or of a name's jobs, took. See AsyncClient.stats."""
        return self._do(self._inner.stats(selector))

    def usage(self, *, by: str = "user", since: float = 0.0, limit: int = 100) -> UsageReport:
        """What was used, by user, name or worker. See AsyncClient.usage."""
        return self._do(self._inner.usage(by=by, since=since, limit=limit))

    def watch(self, *selectors: str | int) -> Iterator[tuple[Job, ...]]:
        """Yields the jobs at once and after each change, until all have ended."""
        return self._each(lambda: self._inner.watch(*selectors))

    def wait(self, *selectors: str | int) -> tuple[Job, ...]:
        """Waits until all of these jobs have ended, and returns them."""
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
        """Yields output from byte 0, or the last `tail` lines of each stream; with `follow` until the tasks have
        ended."""
        return self._each(lambda: self._inner.logs(selector, follow=follow, stdout=stdout, stderr=stderr, tail=tail))

    def results(self, *selectors: str | int, follow: bool = False) -> Iterator[TaskResults]:
        """Yields what the selected tasks have left for keeps. See AsyncClient.results."""
        return self._each(lambda: self._inner.results(*selectors, follow=follow))

    def entries(self, results: TaskResults) -> tuple[Entry, ...]:
        """The files, directories and links of one task's results, in order of their paths."""
        return self._do(self._inner.entries(results))

    def fetch(
        self, *selectors: str | int, to: str | os.PathLike[str] = ".", flat: bool | None = None, follow: bool = False
    ) -> Iterator[FetchedTask]:
        """Fetches results into a directory; yields each task when its files are there. See AsyncClient.fetch."""
        return self._each(lambda: self._inner.fetch(*selectors, to=to, flat=flat, follow=follow))

    def cancel(
        self, *selectors: str | int, grace: float | None = None, reason: str = "", keep_children: bool = False
    ) -> tuple[tuple[Job, ...], int]:
        """Stops tasks; returns the jobs as they are now and how many tasks were asked to stop. See
        AsyncClient.cancel."""
        return self._do(self._inner.cancel(*selectors, grace=grace, reason=reason, keep_children=keep_children))

    def pause(self, *selectors: str | int, reason: str = "", stop_running: bool = False) -> tuple[tuple[Job, ...], int]:
        """Pauses jobs: no more of their tasks start until they are resumed; running ones go on, or with `stop_running`
        are frozen until then."""
        return self._do(self._inner.pause(*selectors, reason=reason, stop_running=stop_running))

    def resume(self, *selectors: str | int) -> tuple[tuple[Job, ...], int]:
        """Resumes paused jobs. Returns the jobs as they are now and how many of them were paused."""
        return self._do(self._inner.resume(*selectors))

    def set_priority(self, *selectors: str | int, priority: int) -> tuple[tuple[Job, ...], int]:
        """Changes the priority of jobs. See AsyncClient.set_priority."""
        return self._do(self._inner.set_priority(*selectors, priority=priority))

    def set_options(
        self, *selectors: str | int, defaults: Sequence[str] = (), **options: Any
    ) -> tuple[tuple[Job, ...], int]:
        """Changes options of jobs. See AsyncClient.set_options."""
        return self._do(self._inner.set_options(*selectors, defaults=defaults, **options))

    def set_share(self, user: str, weight: float) -> QueueStatus:
        """Changes the weight of a user's fair share: its use is divided by it when compared with that of others."""
        return self._do(self._inner.set_share(user, weight))

    def queue(self) -> QueueStatus:
        """The queue: whether anything starts, how many jobs have not ended, and the shares of users."""
        return self._do(self._inner.queue())

    def retry(self, *selectors: str | int) -> tuple[tuple[Job, ...], int]:
        """Tries failed and cancelled tasks again. See AsyncClient.retry."""
        return self._do(self._inner.retry(*selectors))

    def rerun(self, selector: str | int, *, once: bool = False, id: str | None = None) -> Job:
        """Submits a new job with the spec of the selected one."""
        return self._do(self._inner.rerun(selector, once=once, id=id))

    def delete(self, *selectors: str | int) -> Deleted:
        """Deletes jobs that have ended, with their output. See AsyncClient.delete."""
        return self._do(self._inner.delete(*selectors))

    def pin(self, *selectors: str | int) -> tuple[tuple[int, ...], int]:
        """Pins jobs: they are kept until they are unpinned or deleted. See AsyncClient.pin."""
        return self._do(self._inner.pin(*selectors))

    def unpin(self, *selectors: str | int) -> tuple[tuple[int, ...], int]:
        """Unpins jobs. See AsyncClient.unpin."""
        return self._do(self._inner.unpin(*selectors))

    def room(self) -> RoomStatus:
        """What everything takes on the scheduler's disk and on those of its workers."""
        return self._do(self._inner.room())

    def prune(
        self,
        *,
        keep_jobs: str = "",
        keep_output: str = "",
        keep_files: str = "",
        keep_usage: str = "",
        dry_run: bool = False,
    ) -> Pruned:
        """Deletes now what is kept no longer, or only says what that is. See AsyncClient.prune."""
        limits = {
            "keep_jobs": keep_jobs,
            "keep_output": keep_output,
            "keep_files": keep_files,
            "keep_usage": keep_usage,
        }
        return self._do(self._inner.prune(**limits, dry_run=dry_run))

    def pools(self) -> tuple[PoolStatus, ...]:
        """The pools that somebody keeps. See AsyncClient.pools."""
        return self._do(self._inner.pools())

    def set_pool(self, name: str, *, count: int | None = None, paused: bool = False) -> PoolStatus:
        """Says how many workers a pool is to have. See AsyncClient.set_pool."""
        return self._do(self._inner.set_pool(name, count=count, paused=paused))

    def pause_queue(self, *, reason: str = "") -> QueueStatus:
        """Pauses the queue: nothing starts until it is resumed; jobs are accepted, and running tasks go on."""
        return self._do(self._inner.pause_queue(reason=reason))

    def resume_queue(self) -> QueueStatus:
        """Resumes the queue: tasks start again."""
        return self._do(self._inner.resume_queue())

    def tree(self, selector: str | int) -> JobTree:
        """The job and all jobs related to it. See AsyncClient.tree."""
        return self._do(self._inner.tree(selector))

    def set_state(self, **values: str) -> None:
        """Inside a job: sets values of its state. See AsyncClient.set_state."""
        return self._do(self._inner.set_state(**values))

    def state(self, selector: str | int) -> Mapping[str, str]:
        """The values that a job has set as its state."""
        return self._do(self._inner.state(selector))

    def events(self, *selectors: str | int, since: int | None = 0, follow: bool = False) -> Iterator[ClusterEvent]:
        """Yields past events, and with `follow` those to come. See AsyncClient.events."""
        return self._each(lambda: self._inner.events(*selectors, since=since, follow=follow))

    def workers(self) -> tuple[Worker, ...]:
        """The workers that the scheduler knows."""
        return self._do(self._inner.workers())

    def create_token(
        self, role: str = "worker", *, life: float, uses: int = 1, user: str = "", http: bool = False
    ) -> tuple[Token, str]:
        """Makes a join token, or with `http` a bearer token; returns its record and the text to paste. `life` in
        seconds; `uses` 0: without limit."""
        return self._do(self._inner.create_token(role, life=life, uses=uses, user=user, http=http))

    def tokens(self) -> tuple[Token, ...]:
        """All tokens, used up and revoked ones included."""
        return self._do(self._inner.tokens())

    def revoke_token(self, token_id: str, *, and_joined: bool = False, keep_jobs: bool = False) -> RevocationResult:
        """Revokes a token. See AsyncClient.revoke_token."""
        return self._do(self._inner.revoke_token(token_id, and_joined=and_joined, keep_jobs=keep_jobs))

    def who_am_i(self) -> Me:
        """In whose name and right this calls. See AsyncClient.who_am_i."""
        return self._do(self._inner.who_am_i())

    def users(self) -> tuple[User, ...]:
        """All users, revoked ones included."""
        return self._do(self._inner.users())

    def revoke_user(self, name: str, *, and_joined: bool = False, keep_jobs: bool = False) -> RevocationResult:
        """Revokes a user. See AsyncClient.revoke_user."""
        return self._do(self._inner.revoke_user(name, and_joined=and_joined, keep_jobs=keep_jobs))

    def remove_worker(self, worker: str, *, revoke: bool = False) -> RemovedWorker:
        """Removes a worker from the list. See AsyncClient.remove_worker."""
        return self._do(self._inner.remove_worker(worker, revoke=revoke))

    def drain_workers(
        self, workers: Sequence[str], *, reason: str = "", within: float | None = None
    ) -> tuple[Worker, ...]:
        """Drains workers: they get no more tasks until they are resumed. See AsyncClient.drain_workers."""
        return self._do(self._inner.drain_workers(workers, reason=reason, within=within))

    def resume_workers(self, workers: Sequence[str]) -> tuple[Worker, ...]:
        """Lets drained workers take tasks again. See AsyncClient.resume_workers."""
        return self._do(self._inner.resume_workers(workers))

    def close(self) -> None:
        """Closes the connection and ends the thread. A second call does nothing."""
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
        """Runs the coroutine on the loop's thread; Ctrl-C in the calling thread cancels it. ClusterError once
        closed."""
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
    """Starts the coroutine, in the loop's thread, as asyncio.run_coroutine_threadsafe does, but for a future that the
    caller has already: Ctrl-C may come at any moment, and without a future it could not cancel the call."""
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

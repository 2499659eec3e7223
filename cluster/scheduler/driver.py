"""Runs the core: gathers what happens, commits what follows, and only then lets anybody know, in the order that
`cluster.scheduler.commit_pipeline` says. Here is what that waits for, and what it asks for is done.

While nothing can be written submissions are refused, so what waits is bounded by what runs already. When the disk is
well again, all of it is committed and told. When it will never be, the driver ends, and with it the process: a restart
rebuilds from what is on disk.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from cluster.domain.base.durations import Durations
from cluster.domain.base.errors import ClusterError, Exhausted, Internal, Unreachable
from cluster.domain.base.now import Now
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Act, CloseSession, Decided, LookUp, Notify, Reply, Send
from cluster.domain.scheduler.events import Event, LookedUp
from cluster.domain.scheduler.uncommitted import Saved
from cluster.domain.session.messages import Downward
from cluster.scheduler.batch import Put, Read, Waiter, settle
from cluster.scheduler.commit_pipeline import SLOW, CommitPipeline, Step
from cluster.scheduler.durable_reads import OnDisk, records_of_ids
from cluster.scheduler.event_feed import EventFeed
from cluster.scheduler.gathering import others_come
from cluster.scheduler.job_log import tell
from cluster.scheduler.leading import LeadUnsure
from cluster.scheduler.patience import Patience
from cluster.scheduler.store_reader import StoreReader
from cluster.scheduler.store_writer import StoreWriter
from cluster.scheduler.watching import Watchers
from cluster.store.interface import Item, Store, StoreFailed, StoreTroubled

logger = logging.getLogger(__name__)

T = TypeVar("T")

_STOPPED = "the scheduler has stopped taking work and must be started again"
_STOPPING = "the scheduler is stopping; try again when it is back"
LAST_TRY = 5.0  # seconds that the end of the process waits for the disk


class SessionLine(Protocol):
    """The driver's end of one worker's session."""

    def send(self, messages: Sequence[Downward]) -> None:
        """Must not block."""

    def close(self, why: str) -> None: ...


def system_clock() -> Now:
    return Now(time.monotonic(), time.time())


class Driver:
    """Everything runs on one event loop but the store's two threads. Make it inside the loop, then `run`."""

    def __init__(
        self,
        core: SchedulerCore,
        store: Store,
        clock: Callable[[], Now] = system_clock,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        """`leads`: whether nobody else can have taken over (cluster.scheduler.leading)."""
        self.failure: ClusterError | None = None  # why nothing is taken any more
        self.exit_code = 0  # of the process, once `run` has returned
        self.watchers = Watchers()
        self.event_feed = EventFeed()
        self.clock = clock
        self._core = core
        self._store = store
        self._leads = leads
        self._pipeline = CommitPipeline(core, self, clock, leads=leads)
        self._wake = asyncio.Event()
        self._news = asyncio.Event()  # of the writer
        self._stopping = False
        self._give_up_at = 0.0
        self._sessions: dict[int, SessionLine] = {}
        self._asks: dict[int, asyncio.Future[Any]] = {}
        self._last_ask = self._last_session = 0
        self._reader = StoreReader(store)
        self._writer = StoreWriter(store, self._pipeline, self._has_news)
        self.patience = Patience(lambda: self._writer.trouble)
        self._on_disk = OnDisk(core, self.fetch)
        self._asking: set[asyncio.Task[None]] = set()  # the store

    # ── for the services ──────────────────────────────────────────────────────────────────────────────────────────

    def open_session(self, line: SessionLine) -> int:
        """A fresh number for a session; what the core sends to it goes to `line`, until `close_session`."""
        self._last_session += 1
        self._sessions[self._last_session] = line
        return self._last_session

    def close_session(self, number: int) -> None:
        self._sessions.pop(number, None)
        self._pipeline.forget(number)

    async def ask(self, event: Callable[[int], Event]) -> Any:
        """Puts the event (made with the number of this ask) and returns the core's reply, or raises it. Unreachable if
        the disk does not take it for so long that the caller should hear of that; it may come to disk later."""
        self._last_ask += 1
        self._asks[self._last_ask] = answer = asyncio.get_running_loop().create_future()
        self.put(event(self._last_ask))
        return await self.patience.wait(answer)

    async def tell(self, *events: Event) -> asyncio.Future[None]:
        """Puts the events and returns when all that follows from them is on disk, or else when all has been done that
        need not wait for that; without events, when all has had its turn that was put before. The future is for the
        rest."""
        loop = asyncio.get_running_loop()
        taken, done = loop.create_future(), loop.create_future()
        self.put(*events[:-1])
        self._put(Put(events[-1:], taken=taken, done=done))
        await taken
        return done

    @property
    def turn_seconds(self) -> Durations:
        """How long turns have taken since the start."""
        return self._pipeline.turn_seconds

    @property
    def commit_seconds(self) -> Durations:
        """How long commits have taken since the start, those that failed left out."""
        return self._writer.commit_seconds

    @property
    def is_troubled(self) -> bool:
        """Whether nothing can be written just now."""
        return bool(self._writer.trouble)

    def expect_writable(self, known: Callable[[SchedulerCore], object] = lambda _: False) -> None:
        """Exhausted while nothing new can be taken, because nothing can be written. Not for what is `known`: that may
        be on its way to the disk."""
        if (trouble := self._writer.trouble) and not known(self._core):
            raise Exhausted(f"nothing new is accepted just now: {trouble}; try again later")

    def put(self, *events: Event) -> None:
        """Takes events like `tell`, for callers that do not wait. Several may go into as many turns."""
        for event in events:
            self._put(Put((event,)))

    def _put(self, put: Put) -> None:
        self.check()
        self._pipeline.gathering.add(put)
        self._wake.set()

    async def save(self, *items: Item) -> None:
        """Commits records that are not the core's."""
        done = asyncio.get_running_loop().create_future()
        self._put(Put(items=items, done=done))
        await self.patience.wait(done)

    async def read(self, view: Callable[[SchedulerCore], T]) -> T:
        """What `view` sees in the core at a moment when all that it shows is on disk. It must not change anything."""
        self.check()
        return await self._read(view)

    async def read_after(self, view: Callable[[SchedulerCore], T]) -> T:
        """Reads like `read`, for the answer to an `ask`: also while we stop, because what was asked is done, and on
        disk."""
        if self.failure:
            raise self.failure
        return await self._read(view)

    async def _read(self, view: Callable[[SchedulerCore], T]) -> T:
        while self._pipeline.ahead:
            unsaved = self._pipeline.unsaved()
            if await self._on_disk.learn(unsaved) and self._pipeline.ahead:
                return view(self._on_disk.core(unsaved))
        if self._pipeline.agrees:
            return view(self._core)
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._pipeline.gathering.reads.append((view, answer))
        self._wake.set()
        return await answer

    def peek(self, view: Callable[[SchedulerCore], T], *, at_the_end: bool = False) -> T:
        """What `view` sees in memory now, be it on disk or not: to find out what is to be asked, not to be told. With
        `at_the_end`, whoever may have nothing left to ask sees it also while the scheduler stops."""
        if not at_the_end:
            self.check()
        return view(self._core)

    def is_on_disk(self, number: int) -> bool:
        """Whether the job with that number, if there is one, is on disk, in whatever state."""
        return not self._pipeline.is_new(number)

    def look_again(self, numbers: Collection[int]) -> list[int]:
        """Those of these jobs that are in memory. Readers of what is on disk missed them: there the store is asked
        again for them."""
        inside = [number for number in numbers if number in self._core.jobs]
        self._on_disk.ask_again(inside)
        return inside

    async def fetch(self, query: Callable[[Store], T]) -> T:
        """What the store holds, asked in the reader's thread. Unreachable if it cannot be read, or hangs."""
        self.check()
        return await self.fetch_after(query)

    async def fetch_after(self, query: Callable[[Store], T]) -> T:
        """Reads like `fetch`, for the answer to an `ask`: until `close`."""
        try:
            return await self.patience.wait_for_read(self._reader.ask(query))
        except StoreTroubled as error:
            raise Unreachable(f"{error}; try again later") from None

    @property
    def has_ended(self) -> bool:
        """Whether nothing can be asked any more, ever."""
        return self._stopping or self.failure is not None

    def check(self) -> None:
        """Raises when no call can be served any more."""
        if self.failure:
            raise self.failure
        if self._stopping:
            raise Unreachable(_STOPPING)
        if not self._leads():
            raise LeadUnsure

    # ── the loop ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Serves until `stop`, or until the store fails for good (then `failure` says why)."""
        try:
            if not self._store.claimed:  # that this scheduler has taken over the data could not be written when it did
                self._pipeline.begin_commit()
            for step in self._pipeline.steps():
                if step is Step.EVENTS and self._may_end():
                    break
                await self._wait_for(step)
            if self._pipeline.committing:
                self._fail(f"the scheduler was stopped, and its last words are not on disk: {self._writer.trouble}")
        except StoreFailed as error:
            self._fail(f"{_STOPPED}: {error}", error.exit_code)
        except Exception as error:
            logger.exception(
                "a fault of ours, after which memory cannot be trusted; a restart takes up what is on disk"
            )
            why = f"{_STOPPED}: a fault of its own ({type(error).__name__}), its log says more"
            self._fail(why, Internal.exit_code)
        else:
            self._let_go(_STOPPING)
        finally:
            await self._writer.close()

    def stop(self) -> None:
        """Ends `run` after what was put before."""
        self._stopping = True
        self._give_up_at = self.clock().mono + LAST_TRY
        self._wake.set()

    def close(self) -> None:
        """Ends reading, when `run` has returned and nobody asks any more."""
        self._reader.close()

    def _may_end(self) -> bool:
        if not self._stopping or self._pipeline.gathering:
            return False
        return not self._pipeline.committing or self.clock().mono >= self._give_up_at

    async def _wait_for(self, step: Step) -> None:
        """Waits for it, but no longer than until it is known that nothing will ever be written any more."""
        match step:
            case Step.EVENTS:
                if not self._pipeline.gathering:
                    await self._something_to_do()
                await others_come(lambda: self._pipeline.gathering, self.clock)
            case Step.DISK if not self._writer.failure:
                await self._news_of_the_disk()
            case _:
                await asyncio.sleep(0)  # if turn follows turn, others have theirs between
        if self._writer.failure:
            raise self._writer.failure

    async def _something_to_do(self) -> None:
        """Waits until something is put or has come to disk, but no longer than to the core's next deadline."""
        deadlines = (self._core.next_deadline(), self._give_up_at if self._stopping else None)
        due = [at for at in deadlines if at is not None]
        left = min(due) - self.clock().mono if due else None
        if left is None or left > 0:
            self._wake.clear()
            try:
                async with asyncio.timeout(left):
                    await self._wake.wait()
            except TimeoutError:
                pass
        else:
            await asyncio.sleep(0)

    async def _news_of_the_disk(self) -> None:
        """Waits until memory and disk agree, or until that takes so long that the core goes ahead."""
        self._news.clear()
        try:
            async with asyncio.timeout(SLOW):
                await self._news.wait()
        except TimeoutError:
            self._pipeline.go_ahead()

    def _has_news(self) -> None:
        """The writer has come further, or into trouble, or out of it."""
        self._news.set()
        self._wake.set()

    # ── what comes of the steps (`cluster.scheduler.commit_pipeline.Host`) ────────────────────────────────────────

    def commit(self) -> None:
        self._writer.begin()

    def turned(self, decided: Decided) -> None:
        self._on_disk.turned()

    def landed(self, saves: Sequence[Saved]) -> None:
        self._on_disk.landed()
        tell(saves, self._core.jobs)
        self.event_feed.landed(saves)

    def resolve(self, waiter: Waiter) -> None:
        settle(waiter, None)

    def answer(self, read: Read, *, from_disk: bool) -> None:
        view, answer = read
        if from_disk:
            self._beside(self._answer_later(view, answer))
            return
        try:
            settle(answer, view(self._core))
        except Exception as error:  # a view changes nothing: its fault is its caller's alone
            settle(answer, error)

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _look_up(self, job_ids: tuple[str, ...]) -> None:
        try:
            self.put(LookedUp(job_ids, await self.fetch(partial(records_of_ids, job_ids))))
        except ClusterError as error:
            if not self._stopping and not self.failure:  # else whoever waits is told in another way
                self.put(LookedUp(job_ids, error))

    async def _answer_later(self, view: Callable[[SchedulerCore], Any], answer: asyncio.Future[Any]) -> None:
        try:
            settle(answer, await self._read(view))
        except Exception as error:  # as in `answer`, or the store cannot be read
            settle(answer, error)

    def perform(self, acts: Sequence[Act]) -> None:
        """Messages for one session are handed over together, before it is closed."""
        down: defaultdict[int, list[Downward]] = defaultdict(list)
        for act in acts:
            match act:
                case Send(session, message):
                    down[session].append(message)
                case Reply(ask, value):
                    settle(self._asks.pop(ask), value)
                case Notify(job):
                    self.watchers.changed(job)
                case LookUp(job_ids):
                    self._beside(self._look_up(job_ids))
        for session, messages in down.items():
            if line := self._sessions.get(session):
                line.send(messages)
        for act in acts:
            if isinstance(act, CloseSession):
                self._pipeline.forget(act.session)
                if line := self._sessions.pop(act.session, None):
                    line.close(act.why)

    def _fail(self, why: str, exit_code: int = StoreFailed.exit_code) -> None:
        """Lets nobody wait who waits for this driver."""
        logger.critical("%s; what runs goes on until its leash ends, and reports if it is started again by then", why)
        self.failure, self.exit_code = Unreachable(why), exit_code
        for batch in (*self._pipeline.batches, self._pipeline.gathering, self._pipeline.deferred):
            for future in batch.futures():
                settle(future, self.failure)
        for turns in (self._pipeline.trying, self._pipeline.held):
            for done in turns.done:
                settle(done, self.failure)
        self._let_go(why)

    def _let_go(self, why: str) -> None:
        """Ends what would go on for ever: streams, and asks that wait for the store."""
        for future in self._asks.values():
            settle(future, Unreachable(why))
        for line in self._sessions.values():
            line.close(why)
        self.watchers.all_changed()
        self.event_feed.wake_all()

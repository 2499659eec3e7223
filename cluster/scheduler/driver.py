"""Runs the core: gathers what happens, commits what follows, and only then lets anybody know.

    batch → core.turn → store.commit (in the writer's thread) → sends, replies, reads

While a commit is under way the next batch gathers, so under load one commit serves many events, and on the idle path
nothing waits. As soon as a turn's full share has gathered it has its turn, and one commit takes all that these decide.
Reads run between a commit and the next turn: the only moments when memory and disk agree.

When a commit fails or takes long, the core goes ahead of the disk: its turns go on, what they decide waits (but for
what need not, see `domain.scheduler.uncommitted`), and readers are shown what is on disk. Submissions are refused
meanwhile, so what waits is bounded by what runs already. When the disk is well again, all of it is committed and told.
When it will never be, the driver ends, and with it the process: a restart rebuilds from what is on disk.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from cluster.domain.base.errors import ClusterError, Exhausted, Internal, Unreachable
from cluster.domain.base.now import Now
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Act, CloseSession, Notify, Reply, Send
from cluster.domain.scheduler.events import Event
from cluster.domain.session.messages import Downward
from cluster.scheduler.batch import Batch, Put
from cluster.scheduler.durable_reads import OnDisk
from cluster.scheduler.job_log import tell
from cluster.scheduler.patience import Patience
from cluster.scheduler.store_writer import StoreWriter, Turns
from cluster.scheduler.watching import Watchers
from cluster.store.interface import Item, Store, StoreFailed, StoreTroubled

logger = logging.getLogger(__name__)

T = TypeVar("T")

_STOPPED = "the scheduler has stopped taking work and must be started again"
_STOPPING = "the scheduler is stopping; try again when it is back"
SLOW = 1.0  # seconds of a commit after which the core goes ahead of it
LAST_TRY = 5.0  # seconds that the end of the process waits for the disk
# What may wait for the disk, as Waiting.weight counts it. Beyond it only what is urgent is taken.
MOST_WAITING = 500_000
ACTS_AT_ONCE = 1000  # of what has waited for the disk, before anybody else is served
BREATH = 0.005  # seconds that reads may take, one after another, before anybody else is served


class SessionLine(Protocol):
    """The driver's end of one worker's session."""

    def send(self, messages: Sequence[Downward]) -> None:
        """Must not block."""

    def close(self, why: str) -> None: ...


def system_clock() -> Now:
    return Now(time.monotonic(), time.time())


class Driver:
    """Everything runs on one event loop but the store's two threads. Make it inside the loop, then `run`."""

    def __init__(self, core: SchedulerCore, store: Store, clock: Callable[[], Now] = system_clock) -> None:
        self.failure: ClusterError | None = None  # why nothing is taken any more
        self.exit_code = 0  # of the process, once `run` has returned
        self.watchers = Watchers()
        self.clock = clock
        self._core = core
        self._store = store
        self._next = Batch()
        self._batches: list[Batch] = []  # of the present turns
        self._deferred = Batch()  # waits until what is ahead of the disk has become less
        self._wake = asyncio.Event()
        self._news = asyncio.Event()  # of the writer
        self._ahead = False  # the core goes on although what it has decided is not on disk
        self._stopping = False
        self._give_up_at = 0.0
        self._sessions: dict[int, SessionLine] = {}
        self._asks: dict[int, asyncio.Future[Any]] = {}
        self._last_ask = self._last_session = 0
        self._reader = ThreadPoolExecutor(1, "store-reader")
        self._writer = StoreWriter(store, self._landed, self._has_news)
        self.patience = Patience(lambda: self._writer.trouble)
        self._on_disk = OnDisk(core, self.fetch)
        self._answering: set[asyncio.Task[None]] = set()

    # ── for the services ──────────────────────────────────────────────────────────────────────────────────────────

    def open_session(self, line: SessionLine) -> int:
        """A fresh number for a session; what the core sends to it goes to `line`, until `close_session`."""
        self._last_session += 1
        self._sessions[self._last_session] = line
        return self._last_session

    def close_session(self, number: int) -> None:
        self._sessions.pop(number, None)
        self._writer.forget(number)

    async def ask(self, event: Callable[[int], Event]) -> Any:
        """Puts the event (made with the number of this ask) and returns the core's reply, or raises it. Unreachable if
        the disk does not take it for so long that the caller should hear of that; it may come to disk later."""
        self._last_ask += 1
        self._asks[self._last_ask] = answer = asyncio.get_running_loop().create_future()
        self.put(event(self._last_ask))
        return await self.patience.wait(answer)

    async def tell(self, *events: Event) -> asyncio.Future[None]:
        """Puts the events and returns when all that follows from them is on disk, or else when all has been done that
        need not wait for that. The future is for the rest."""
        loop = asyncio.get_running_loop()
        taken, done = loop.create_future(), loop.create_future()
        self.put(*events[:-1])
        self._put(Put(events[-1:], taken=taken, done=done))
        await taken
        return done

    def expect_writable(self, known: Callable[[SchedulerCore], object] = lambda _: False) -> None:
        """Exhausted while nothing new can be taken, because nothing can be written. Not for what is `known`: that may
        be on its way to the disk."""
        if (trouble := self._writer.trouble) and not known(self._core):
            raise Exhausted(f"nothing new is accepted just now: {trouble}; try again later")

    def put(self, *events: Event) -> None:
        """As `tell`, for callers that do not wait. Several may go into as many turns."""
        for event in events:
            self._put(Put((event,)))

    def _put(self, put: Put) -> None:
        self.check()
        self._next.add(put)
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
        """As `read`, for the answer to an `ask`: also while we stop, because what was asked is done, and on disk."""
        if self.failure:
            raise self.failure
        return await self._read(view)

    async def _read(self, view: Callable[[SchedulerCore], T]) -> T:
        while self._ahead:
            unsaved = {*self._writer.trying.jobs, *self._writer.held.jobs}
            if await self._on_disk.learn(unsaved) and self._ahead:
                return view(self._on_disk.core(unsaved))
        if not self._writer.busy and not self._next:
            return view(self._core)
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._next.reads.append((view, answer))
        self._wake.set()
        return await answer

    async def fetch(self, query: Callable[[Store], T]) -> T:
        """What the store holds, asked in the reader's thread."""
        self.check()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reader, query, self._store)
        except StoreTroubled as error:
            raise Unreachable(f"{error}; try again later") from None

    def check(self) -> None:
        """Raises when no call can be served any more."""
        if self.failure:
            raise self.failure
        if self._stopping:
            raise Unreachable(_STOPPING)

    # ── the loop ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Until `stop`, or until the store fails for good (then `failure` says why)."""
        try:
            self._writer.begin()
            while not self._may_end():
                await self._something_to_do()
                await self._until_on_disk()
                await self._take_turns()
                await self._until_on_disk()
                for batch in self._batches:
                    await self._finish(batch)
            if self._writer.busy:
                self._fail(f"the scheduler was stopped, and its last words are not on disk: {self._writer.trouble}")
        except StoreFailed as error:
            self._fail(f"{_STOPPED}: {error}")
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
            self._reader.shutdown()

    def stop(self) -> None:
        """Ends `run` after what was put before."""
        self._stopping = True
        self._give_up_at = self.clock().mono + LAST_TRY
        self._wake.set()

    def _may_end(self) -> bool:
        if not self._stopping or self._next:
            return False
        return not self._writer.busy or self.clock().mono >= self._give_up_at

    async def _something_to_do(self) -> None:
        """Waits until something is put or has come to disk, but no longer than to the core's next deadline."""
        if self._next or self._may_end():
            await asyncio.sleep(0)  # if turn follows turn, others have theirs between
            return
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

    async def _until_on_disk(self) -> None:
        """Returns when memory and disk agree, or when that takes so long that the core goes ahead."""
        while self._writer.busy and not (self._ahead or self._writer.failure):
            self._news.clear()
            slow = False
            if not self._writer.trouble:
                try:
                    async with asyncio.timeout(SLOW):
                        await self._news.wait()
                except TimeoutError:
                    slow = True
            if self._writer.trouble or slow:
                self._ahead = True
                self._perform(self._writer.trying.go_ahead())
                self._perform(self._writer.held.go_ahead(self._writer.trying))
        if self._writer.failure:
            raise self._writer.failure

    def _has_news(self) -> None:
        """The writer has come further, or into trouble, or out of it."""
        self._news.set()
        self._wake.set()

    async def _take_turns(self) -> None:
        """One turn; and more, as long as its commit is under way and each has its full share. Else who has much to say
        would wait for as many commits as that takes turns, with its heartbeats behind it."""
        self._batches, began, first = [], time.monotonic(), None
        while True:
            self._batches.append(self._next.cut())
            self._turn(self._batches[-1])
            first = self._writer.trying if first is None else first
            goes_on = self._writer.busy and self._writer.trying is first and self._next.fills_turn()
            if not goes_on or self._ahead or self._writer.trouble or time.monotonic() - began > SLOW:
                return
            await asyncio.sleep(0)  # others have theirs between

    def _turn(self, batch: Batch) -> None:
        if self._ahead and self._writer.weight > MOST_WAITING:
            self._defer(batch)
        events = [event for put in batch.puts for event in put.events]
        items = [item for put in batch.puts for item in put.items]
        done = [put.done for put in batch.puts if put.done is not None]
        decided = self._core.turn(events, self.clock())
        self._on_disk.turned()
        if not (self._writer.busy or items or decided.saves):
            self._perform(decided.acts)
            for future in done:
                _resolve(future, None)
            return
        self._writer.add(decided, items, done)
        if self._ahead:
            self._perform(self._writer.held.go_ahead(self._writer.trying))

    def _defer(self, batch: Batch) -> None:
        """Leaves in the batch what cannot wait, and whoever waits no longer than for the turn."""
        late = [put for put in batch.puts if not put.is_urgent]
        self._deferred.puts += [replace(put, taken=None) for put in late]
        batch.puts = [put if put.is_urgent else Put(taken=put.taken) for put in batch.puts]

    async def _landed(self, turns: Turns) -> None:
        """All of these is on disk."""
        self._ahead = False
        self._on_disk.landed()
        tell(turns.saves, self._core.jobs)
        acts = turns.acts
        for at in range(0, len(acts), ACTS_AT_ONCE):
            self._perform(acts[at : at + ACTS_AT_ONCE])
            if at + ACTS_AT_ONCE < len(acts):
                await asyncio.sleep(0)
        for done in turns.done:
            _resolve(done, None)
        late, self._deferred = self._deferred, Batch()
        self._next.add_first(late.puts)
        self._has_news()

    async def _finish(self, batch: Batch) -> None:
        """The batch is on disk, or ahead of it."""
        for put in batch.puts:
            if put.taken is not None:
                _resolve(put.taken, None)
        began = time.monotonic()
        for view, answer in batch.reads:
            if self._ahead:
                task = asyncio.create_task(self._answer_later(view, answer))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
            elif self._writer.busy:  # older turns have come to disk while others were served, and this one has not
                self._next.reads.append((view, answer))
            else:
                self._answer(view, answer)
            if time.monotonic() - began > BREATH:
                await asyncio.sleep(0)
                began = time.monotonic()

    async def _answer_later(self, view: Callable[[SchedulerCore], Any], answer: asyncio.Future[Any]) -> None:
        try:
            _resolve(answer, await self._read(view))
        except Exception as error:  # as in `_answer`, or the store cannot be read
            _resolve(answer, error)

    def _perform(self, acts: Sequence[Act]) -> None:
        """Messages for one session are handed over together, before it is closed."""
        down: defaultdict[int, list[Downward]] = defaultdict(list)
        for act in acts:
            match act:
                case Send(session, message):
                    down[session].append(message)
                case Reply(ask, value):
                    _resolve(self._asks.pop(ask), value)
                case Notify(job):
                    self.watchers.changed(job)
        for session, messages in down.items():
            if line := self._sessions.get(session):
                line.send(messages)
        for act in acts:
            if isinstance(act, CloseSession):
                self._writer.forget(act.session)
                if line := self._sessions.pop(act.session, None):
                    line.close(act.why)

    def _answer(self, view: Callable[[SchedulerCore], Any], answer: asyncio.Future[Any]) -> None:
        try:
            _resolve(answer, view(self._core))
        except Exception as error:  # a view changes nothing: its fault is its caller's alone
            _resolve(answer, error)

    def _fail(self, why: str, exit_code: int = StoreFailed.exit_code) -> None:
        """Lets nobody wait who waits for this driver."""
        logger.critical("%s; what runs goes on until its leash ends, and reports if it is started again by then", why)
        self.failure, self.exit_code = Unreachable(why), exit_code
        for batch in (*self._batches, self._next, self._deferred):
            for future in batch.futures():
                _resolve(future, self.failure)
        for turns in (self._writer.trying, self._writer.held):
            for done in turns.done:
                _resolve(done, self.failure)
        for future in self._asks.values():
            _resolve(future, self.failure)
        self._let_go(why)

    def _let_go(self, why: str) -> None:
        """Ends the streams that would go on for ever."""
        for line in self._sessions.values():
            line.close(why)
        self.watchers.all_changed()


def _resolve(future: asyncio.Future[Any], value: Any) -> None:
    """The answer, unless nobody waits for it any more."""
    if future.done():
        return
    if isinstance(value, Exception):
        future.set_exception(value)
        future.exception()  # it counts as seen, even if its caller has gone
    else:
        future.set_result(value)

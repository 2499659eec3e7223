"""Runs the core: gathers what happens, commits what follows, and only then lets anybody know.

    batch → core.turn → store.commit (in the writer thread) → sends, replies, reads

While a commit is under way the next batch gathers, so under load one commit serves many events, and on the idle path
nothing waits. Reads run between a commit and the next turn: the only moments when memory and disk agree.

When a commit fails, memory is ahead of the disk and nothing more may be told: the driver stops for good, and every
call from then on gets one clear error. A restart rebuilds from the store; running jobs notice nothing.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from cluster.domain.effects import CloseSession, Effect, Notify, Reply, Send
from cluster.domain.errors import ClusterError, Unreachable
from cluster.domain.events import Event, Now
from cluster.domain.scheduler_core import SchedulerCore
from cluster.domain.session import Downward
from cluster.scheduler.telling import tell
from cluster.scheduler.watching import Watchers
from cluster.store.interface import Item, Store

logger = logging.getLogger(__name__)

T = TypeVar("T")

_STOPPED = "the scheduler has stopped taking work and must be started again"
_STOPPING = "the scheduler is stopping; try again when it is back"


class SessionLine(Protocol):
    """The driver's end of one worker's session."""

    def send(self, messages: Sequence[Downward]) -> None:
        """Must not block."""

    def close(self, why: str) -> None: ...


@dataclass(slots=True)
class _Batch:
    """What gathers while the batch before it is being committed."""

    events: list[Event] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)  # to be committed that are not the core's: tokens, users
    reads: list[tuple[Callable[[SchedulerCore], Any], asyncio.Future[Any]]] = field(default_factory=list)
    done: list[asyncio.Future[None]] = field(default_factory=list)  # told when the batch is on disk

    def __bool__(self) -> bool:
        return bool(self.events or self.items or self.reads or self.done)


def system_clock() -> Now:
    return Now(time.monotonic(), time.time())


class Driver:
    """Everything runs on one event loop but the store's two threads. Make it inside the loop, then `run`."""

    def __init__(self, core: SchedulerCore, store: Store, clock: Callable[[], Now] = system_clock) -> None:
        self.failure: ClusterError | None = None  # why nothing is taken any more
        self.watchers = Watchers()
        self._core = core
        self._store = store
        self.clock = clock
        self._next = _Batch()
        self._busy = False  # with a batch: memory is ahead of the disk
        self._wake = asyncio.Event()
        self._stopping = False
        self._sessions: dict[int, SessionLine] = {}
        self._asks: dict[int, asyncio.Future[Any]] = {}
        self._last_ask = self._last_session = 0
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._reader = ThreadPoolExecutor(1, "store-reader")

    # ── for the services ──────────────────────────────────────────────────────────────────────────────────────────

    def open_session(self, line: SessionLine) -> int:
        """A fresh number for a session; what the core sends to it goes to `line`, until `close_session`."""
        self._last_session += 1
        self._sessions[self._last_session] = line
        return self._last_session

    def close_session(self, number: int) -> None:
        self._sessions.pop(number, None)

    async def ask(self, event: Callable[[int], Event]) -> Any:
        """Puts the event (made with the number of this ask) and returns the core's reply, or raises it."""
        self._last_ask += 1
        self._asks[self._last_ask] = answer = asyncio.get_running_loop().create_future()
        self.put(event(self._last_ask))
        return await answer

    async def tell(self, *events: Event) -> None:
        """Puts the events and returns when all that follows from them is on disk."""
        done = asyncio.get_running_loop().create_future()
        self.put(*events)
        self._next.done.append(done)
        await done

    def put(self, *events: Event) -> None:
        """As `tell`, for callers that do not wait."""
        self.check()
        self._next.events += events
        self._wake.set()

    async def save(self, *items: Item) -> None:
        """Commits records that are not the core's."""
        self.check()
        done = asyncio.get_running_loop().create_future()
        self._next.items += items
        self._next.done.append(done)
        self._wake.set()
        await done

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
        if not self._busy and not self._next:
            return view(self._core)
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._next.reads.append((view, answer))
        self._wake.set()
        return await answer

    async def fetch(self, query: Callable[[Store], T]) -> T:
        """What the store holds, asked in the reader's thread."""
        self.check()
        return await asyncio.get_running_loop().run_in_executor(self._reader, query, self._store)

    def check(self) -> None:
        """Raises when no call can be served any more."""
        if self.failure:
            raise self.failure
        if self._stopping:
            raise Unreachable(_STOPPING)

    # ── the loop ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Until `stop`, or until the store fails (then `failure` says why)."""
        batch = _Batch()
        try:
            while self._next or not self._stopping:
                await self._something_to_do()
                batch, self._next = self._next, _Batch()
                await self._turn(batch)
        except ClusterError as error:
            self._fail(batch, f"{_STOPPED}: {error}")
        except Exception as error:
            logger.exception(
                "a fault of ours, after which memory cannot be trusted; a restart takes up what is on disk"
            )
            self._fail(batch, f"{_STOPPED}: a fault of its own ({type(error).__name__}), its log says more")
        else:
            self._let_go(_STOPPING)
        finally:
            self._writer.shutdown()
            self._reader.shutdown()

    def stop(self) -> None:
        """Ends `run` after what was put before."""
        self._stopping = True
        self._wake.set()

    async def _something_to_do(self) -> None:
        """Waits until something is put, but no longer than to the core's next deadline."""
        deadline = self._core.next_deadline()
        if not self._next and (deadline is None or deadline > self.clock().mono):
            self._wake.clear()
            try:
                async with asyncio.timeout(None if deadline is None else deadline - self.clock().mono):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _turn(self, batch: _Batch) -> None:
        self._busy = True
        effects = self._core.turn(batch.events, self.clock())
        saves = batch.items + [e for e in effects if not isinstance(e, Send | CloseSession | Reply | Notify)]
        if saves:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._store.commit, saves)
        self._busy = False
        tell(effects)
        self._perform(effects)
        for view, answer in batch.reads:
            self._answer(view, answer)
        for done in batch.done:
            _resolve(done, None)

    def _perform(self, effects: Sequence[Effect]) -> None:
        """Everything but the saves. Messages for one session are handed over together."""
        down: defaultdict[int, list[Downward]] = defaultdict(list)
        for effect in effects:
            match effect:
                case Send(session, message):
                    down[session].append(message)
                case Reply(ask, value):
                    _resolve(self._asks.pop(ask), value)
                case Notify(job):
                    self.watchers.changed(job)
        for session, messages in down.items():
            if line := self._sessions.get(session):
                line.send(messages)
        for effect in effects:
            if isinstance(effect, CloseSession) and (line := self._sessions.pop(effect.session, None)):
                line.close(effect.why)

    def _answer(self, view: Callable[[SchedulerCore], Any], answer: asyncio.Future[Any]) -> None:
        try:
            _resolve(answer, view(self._core))
        except Exception as error:  # a view changes nothing: its fault is its caller's alone
            _resolve(answer, error)

    def _fail(self, batch: _Batch, why: str) -> None:
        """Lets nobody wait who waits for this driver."""
        logger.critical("%s; running jobs go on, and report when it is back", why)
        self.failure = Unreachable(why)
        for waiting in (batch, self._next):
            for future in (*waiting.done, *(answer for _, answer in waiting.reads)):
                _resolve(future, self.failure)
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

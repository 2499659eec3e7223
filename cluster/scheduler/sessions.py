"""The scheduler's side of worker sessions: one stream up, one down, for each worker that is connected."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Protocol, TypeVar

from cluster.domain.base.errors import ClusterError, Conflict, Exhausted, InvalidInput
from cluster.domain.base.ids import AttemptKey
from cluster.domain.scheduler.events import Event, HeartbeatReceived, ReportReceived, SessionClosed, SessionOpened
from cluster.domain.scheduler.takers import MOST_HELD
from cluster.domain.scheduler.turn_limits import parts
from cluster.domain.session.message_splitting import fitting, pieces
from cluster.domain.session.messages import Downward, Fetching, Hello, Report
from cluster.domain.session.report_checks import believable
from cluster.domain.trust.members import ExpelledUser
from cluster.rpc.convert import (
    expelled_to_proto,
    hello_from_proto,
    joinable,
    keys_to_proto,
    report_from_proto,
    response_to_proto,
)
from cluster.scheduler.driver import Driver
from cluster.scheduler.message_checks import check_hello, check_text
from cluster.scheduler.room import SpaceTaken, WorkerRoomTaken
from cluster.v1 import room_pb2, scheduler_pb2

logger = logging.getLogger(__name__)

M = TypeVar("M", scheduler_pb2.Hello, scheduler_pb2.Report)
T = TypeVar("T")

# Messages that may wait for a worker that reads slowly. A turn makes a few for each session, and a worker that reads
# at all empties the line with every response.
MOST_WAITING = 10_000
MOST_ENTRIES = 4 * MOST_HELD  # in one message; a hello lists what is held, a report tells of less than half of that
QUICK = 32 * 1024  # bytes of a message that is converted at once, within a few milliseconds
MOST_UNSAVED = 16  # messages of one worker that are taken in although those before are not on disk
MOST_SPACES = 100  # that a worker may tell of
LAST_WORDS = 2.0  # seconds that a worker gets to read why its session ends


class Listener(Protocol):
    """Whoever waits for something from a worker."""

    def worker_gone(self) -> None: ...


class Line:
    """What waits to go down to one worker."""

    def __init__(self, worker_id: str, cut: Callable[[], object]) -> None:
        """`cut` ends the call by force; after the call has ended it does nothing."""
        self.worker_id = worker_id
        self.transfers: set[Listener] = set()  # asked for in this session
        self.closed = False
        self.room: WorkerRoomTaken | None = None  # as the worker has said last
        self._cut = cut
        self._messages: list[Downward] = []
        self._beside = scheduler_pb2.SessionResponse()  # what goes down with the messages, and is none
        self._expelled: Sequence[ExpelledUser] | None = None  # as it was told last; None: not yet
        self._schedulers: Sequence[str] | None = None
        self._end: ClusterError | None = None
        self._wake = asyncio.Event()

    def send(self, messages: Sequence[Downward]) -> None:
        if self.closed:
            return
        self._messages += (piece for message in messages for piece in pieces(message))
        self._wake.set()
        if len(self._messages) > MOST_WAITING:
            self._messages.clear()
            self._finish(Exhausted(f"the worker reads too slowly: {MOST_WAITING} messages wait for it"))

    def open_output(self, message: scheduler_pb2.OpenOutput) -> None:
        """Asks the worker to push output."""
        self._beside.open_output.append(message)
        self._wake.set()

    def ask_results(self, keys: Iterable[AttemptKey]) -> None:
        """Asks the worker for the results of these, whatever has become of them."""
        self._beside.ask_results.extend(keys_to_proto(keys))
        self._wake.set()

    def expel(self, users: Sequence[ExpelledUser]) -> None:
        """Tells the worker whom its own API must not let in: all of them, if that is new."""
        if users != self._expelled:
            self._expelled = users
            self._beside.expelled.CopyFrom(expelled_to_proto(users))
            self._wake.set()

    def tell_schedulers(self, addresses: Sequence[str]) -> None:
        """Tells the worker where all schedulers of the cluster are, if that is new."""
        if addresses != self._schedulers:
            self._schedulers = addresses
            self._beside.schedulers.CopyFrom(scheduler_pb2.SchedulerAddresses(addresses=addresses))
            self._wake.set()

    def close(self, why: str) -> None:
        """Ends the session with an error that tells the worker why."""
        self._finish(Conflict(why))

    def hang_up(self, error: ClusterError | None) -> None:
        """Ends the session because its other direction has ended."""
        self._finish(error)

    def _finish(self, error: ClusterError | None) -> None:
        if not self.closed:
            self.closed, self._end = True, error
            self._wake.set()
            # A worker that reads will know why by then; one that does not would hold the call for ever.
            asyncio.get_running_loop().call_later(LAST_WORDS, self._cut)

    async def responses(self) -> AsyncIterator[scheduler_pb2.SessionResponse]:
        """All that waits, joined into one message each time the worker is ready for more."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._messages or self._beside.ByteSize():
                count = fitting(self._messages[: joinable(self._messages)])
                response = response_to_proto(self._messages[:count])
                response.MergeFrom(self._beside)
                self._beside.Clear()
                self._messages = self._messages[count:]
                if self._messages:
                    self._wake.set()
                yield response
            elif self.closed:
                if self._end:
                    raise self._end
                return
            if self.closed:
                self._wake.set()


class SessionLines:
    """All workers that are connected."""

    def __init__(
        self,
        driver: Driver,
        expelled_users: Callable[[], Sequence[ExpelledUser]],
        schedulers: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """`expelled_users` are those whom workers must not let in at their own API; `schedulers` are the addresses of
        all that there are (none: there is one)."""
        self._schedulers = schedulers
        self._driver = driver
        self._expelled_users = expelled_users
        self._lines: dict[str, Line] = {}  # by worker id: the newest session of each

    def line_of(self, worker_id: str) -> Line | None:
        return self._lines.get(worker_id)

    def rooms(self) -> dict[str, WorkerRoomTaken]:
        """What the things of each take, as far as it has said so, by its id."""
        return {worker_id: line.room for worker_id, line in self._lines.items() if line.room}

    def tell_expelled(self) -> None:
        """Call this after somebody was expelled."""
        users = self._expelled_users()
        for line in self._lines.values():
            line.expel(users)

    def schedulers_changed(self) -> None:
        """Call this when there are others than before."""
        for line in self._lines.values():
            line.tell_schedulers(self._schedulers())

    async def serve(
        self, worker_id: str, requests: AsyncIterator[scheduler_pb2.SessionRequest]
    ) -> AsyncGenerator[scheduler_pb2.SessionResponse, None]:
        """One session from hello to its end. Raises what ended it, if it was not the worker's wish."""
        first = await anext(requests, None)
        if first is None or not first.HasField("hello"):
            raise InvalidInput("a session begins with hello")
        hello = await _taken(first.hello, _hello)
        call = asyncio.current_task()
        assert call is not None, "gRPC runs each call in a task of its own"
        line = Line(worker_id, call.cancel)
        number = self._driver.open_session(line)
        listening = asyncio.create_task(self._listen(number, line, first, requests))
        name = worker_id
        try:
            await self._driver.tell(SessionOpened(number, worker_id, hello))
            if not line.closed:
                name = await self._name(worker_id)
                self._lines[worker_id] = line
                line.expel(self._expelled_users())
                line.tell_schedulers(self._schedulers())
                self._driver.watchers.all_changed()
                logger.info("worker %s is connected", name)
            async for response in line.responses():
                yield response
        finally:
            listening.cancel()
            for transfer in line.transfers:
                transfer.worker_gone()
            if self._lines.get(worker_id) is line:
                del self._lines[worker_id]
                logger.info("worker %s has no session any more: it gets nothing new until it is back", name)
            self._driver.close_session(number)
            with suppress(ClusterError):  # a driver that has stopped needs to know no more
                self._driver.put(SessionClosed(number))

    async def _name(self, worker_id: str) -> str:
        """The worker's name and id, for the log."""
        name = await self._driver.read(lambda core: core.workers[worker_id].record.name)
        return f"{name} ({worker_id})"

    async def _listen(
        self,
        number: int,
        line: Line,
        first: scheduler_pb2.SessionRequest,
        requests: AsyncIterator[scheduler_pb2.SessionRequest],
    ) -> None:
        """Takes in what the worker says. The next message is read only when all that follows from this one is on disk,
        so a worker that says much waits in its own stream and not in our memory. While nothing can be written a few
        more are read: a worker has one report under way, and its heartbeats come behind that."""
        error: ClusterError | None = None
        unsaved: set[asyncio.Future[None]] = set()  # of what was said, what is not on disk
        try:
            unsaved |= await self._take(number, line, first)
            async for request in requests:
                unsaved |= await self._take(number, line, request)
                while len(unsaved) > MOST_UNSAVED:
                    _, unsaved = await asyncio.wait(unsaved, return_when=asyncio.FIRST_COMPLETED)
        except ClusterError as caught:
            error = caught
            logger.warning("the session of worker %s ends: %s", line.worker_id, caught)
        except Exception:  # the stream broke: gRPC has ended the call, and says so to whoever writes to it
            logger.debug("the stream of worker %s broke", line.worker_id, exc_info=True)
        line.hang_up(error)

    async def _take(self, number: int, line: Line, request: scheduler_pb2.SessionRequest) -> set[asyncio.Future[None]]:
        """Returns what is done when all of it is on disk, if it is not yet."""
        events: list[Event] = []
        if request.HasField("report"):
            reports, doubtful = await _taken(request.report, _reports)
            if doubtful:
                logger.warning(
                    "worker %s: %d entries of a report say what cannot be; what is still known of them is taken",
                    line.worker_id,
                    doubtful,
                )
            events += [ReportReceived(number, report) for report in reports]
        if request.heartbeat:
            check_text("what fills its disk", request.no_room)
            fetching = tuple(Fetching(each.job, each.done, each.total) for each in request.fetching)
            if request.HasField("room"):
                line.room = _room(request.room)
            events.append(HeartbeatReceived(number, request.heartbeat, request.no_room, fetching))
        on_disk = await self._driver.tell(*events) if events else None
        return {on_disk} if on_disk and not on_disk.done() else set()


def _room(message: room_pb2.WorkerRoom) -> WorkerRoomTaken:
    """InvalidInput if no worker that is well says so."""
    if len(message.spaces) > MOST_SPACES:
        raise InvalidInput(f"{len(message.spaces)} things that take room on a worker: the limit is {MOST_SPACES}")
    for space in message.spaces:
        check_text("what takes room", space.name, 100)
    spaces = tuple(SpaceTaken(space.name, space.bytes, space.free) for space in message.spaces)
    return WorkerRoomTaken(spaces, message.free, message.size, message.reserve)


def _hello(message: scheduler_pb2.Hello) -> Hello:
    hello = hello_from_proto(message)
    check_hello(hello)
    return hello


def _reports(message: scheduler_pb2.Report) -> tuple[list[Report], int]:
    """What is believed of the report, in parts; and how many of its entries say what cannot be."""
    report, doubtful = believable(report_from_proto(message))
    return parts(report), doubtful


async def _taken(message: M, convert: Callable[[M], T]) -> T:
    """The value that the message stands for. InvalidInput if it cannot be. A large one does not hold the event loop."""

    if message.ByteSize() <= QUICK:
        return _checked(message, convert)
    return await asyncio.to_thread(_checked, message, convert)


def _checked(message: M, convert: Callable[[M], T]) -> T:
    """No closure, which would keep the message as long as an error of it."""
    _check_size(message)
    return convert(message)


def _check_size(message: scheduler_pb2.Hello | scheduler_pb2.Report) -> None:
    """InvalidInput if it says more than any worker that is well."""
    if isinstance(message, scheduler_pb2.Hello):
        attempts, rest = [*message.backlog, *message.running, *message.ended], 0
    else:
        attempts = [*message.started, *message.returned]
        rest = sum(ok.count for ok in message.ok) + len(message.ok) + len(message.ended) + len(message.outputs)
    count = rest + len(attempts) + sum(len(a.indexes) for a in attempts)
    if count > MOST_ENTRIES:
        raise InvalidInput(f"{count} entries in one message: the limit is {MOST_ENTRIES}")

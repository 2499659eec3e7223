"""The socket by which jobs call the cluster that runs them (cluster.rpc.frames): each call is passed on to the
scheduler, with the attempt that it comes from, which its token proves.

Whoever may connect is of the jobs' user, so a hostile job may. It can have few calls at a time, of bounded size, the
jobs of its owner no more than they leave for those of others (`cluster.domain.worker.call_shares`), and connections
that have not said whose they are give way to later ones.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

import grpc.aio

from cluster.domain.base.errors import (
    ClusterError,
    InvalidInput,
    NotAuthenticated,
    NotPermitted,
    Unreachable,
)
from cluster.domain.base.ids import AttemptKey
from cluster.domain.launcher.attempt_tokens import LONGEST, attempt_of
from cluster.domain.launcher.slots import User
from cluster.domain.worker.call_shares import CallShares
from cluster.rpc.bounds import MIB, MOST_OF_A_JOB
from cluster.rpc.errors import error_of
from cluster.rpc.frames import CALL, END, ERROR, HEAD, LONGEST_METHOD, MESSAGE, TOKEN
from cluster.rpc.local import send, uid_of
from cluster.v1 import scheduler_pb2, scheduler_pb2_grpc
from cluster.worker.inside.place import SOCKET, Inside, give

logger = logging.getLogger(__name__)

PATIENCE = 10.0  # seconds for a connection to say what it calls; and for the scheduler to be there
# Connections that have not said whose they are. A loop takes in a hundred at each step, and who speaks at once is heard
# two or three steps later: no crowd, however quick, drives that one out before.
MOST_SILENT = 512
MOST_OF_ONE, MOST = 16, 1024  # calls at a time, of one attempt and of all
BYTES_OF_ONE, BYTES = 4 * MIB, 128 * MIB  # the same of their requests, which are held until they are answered


class VouchingSession(Protocol):
    """The worker's session with its scheduler."""

    @property
    def address(self) -> str: ...
    @property
    def stub(self) -> scheduler_pb2_grpc.SchedulerStub: ...


class JobsListener:
    """Serves from `start` to `stop`. `holds`: whether an attempt is here, or `Unreachable` while nobody knows.
    `owner_of`: whose a job is, or for one of which that is not known a name of its own. `session` answers the present
    one, or raises Unreachable when there is none for so many seconds."""

    def __init__(
        self,
        inside: Inside,
        user: User,
        holds: Callable[[AttemptKey], bool],
        owner_of: Callable[[int], str],
        session: Callable[[float], Awaitable[VouchingSession]],
    ) -> None:
        self._inside = inside
        self._user = user
        self._holds = holds
        self._owner_of = owner_of
        self._session = session
        self._uids = {os.geteuid(), os.geteuid() if user[0] is None else user[0]}
        self._silent: dict[asyncio.Task[object], None] = {}  # oldest first
        self._calls = CallShares("calls", MOST_OF_ONE, MOST)
        self._bytes = CallShares("bytes of requests", BYTES_OF_ONE, BYTES)
        self._tasks: set[asyncio.Task[object]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Where no socket can be made the worker does without, and jobs are told so."""
        listening = socket.socket(socket.AF_UNIX)
        try:
            _bind(listening, self._inside.directory)
            path = self._inside.directory / SOCKET
            path.chmod(0o600)
            give(path, self._user)
            self._server = await asyncio.start_unix_server(self._serve, sock=listening)
        except OSError as error:
            listening.close()
            logger.warning("jobs cannot call the cluster: no socket in %s: %s", self._inside.directory, error.strerror)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None, "asyncio runs each connection in a task of its own"
        self._tasks.add(task)
        self._silent[task] = None
        try:
            if uid_of(writer) in self._uids:
                if len(self._silent) > MOST_SILENT:
                    next(iter(self._silent)).cancel()
                await self._answered(task, reader, writer)
        except (asyncio.CancelledError, asyncio.IncompleteReadError, TimeoutError, OSError):
            pass  # it has hung up, or gives way, or we stop
        finally:
            self._silent.pop(task, None)
            self._tasks.discard(task)
            writer.close()

    async def _answered(
        self, task: "asyncio.Task[object]", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            with ExitStack() as held:
                async with asyncio.timeout(PATIENCE):
                    attempt = self._attempt(await _content(reader, TOKEN, LONGEST))
                    del self._silent[task]
                    held.enter_context(self._held(self._calls, attempt, 1))
                    method = (await _content(reader, CALL, LONGEST_METHOD)).decode(errors="replace")
                    length = await _length(reader, MESSAGE, MOST_OF_A_JOB)
                    held.enter_context(self._held(self._bytes, attempt, length))
                    request = await reader.readexactly(length)
                await self._pass_on(attempt, method, request, reader, writer)
            await send(writer, END)
        except ClusterError as error:
            await send(writer, ERROR, f"{type(error).__name__}\0{error}".encode(errors="replace"))

    def _attempt(self, token: bytes) -> AttemptKey:
        attempt = attempt_of(token.decode(errors="replace"), self._inside.secret)
        if attempt is None:
            raise NotAuthenticated("CLUSTER_TOKEN is no token of an attempt on this worker: leave it as the job got it")
        if not self._holds(attempt):
            raise NotPermitted(f"this attempt of job {attempt.job} has ended: it has no say in the cluster any more")
        return attempt

    @contextmanager
    def _held(self, shares: CallShares, attempt: AttemptKey, amount: int) -> Iterator[None]:
        """The attempt has so much of it in the body of this."""
        owner = self._owner_of(attempt.job)
        shares.take(attempt, owner, amount)
        try:
            yield
        finally:
            shares.give_back(attempt, owner, amount)

    async def _pass_on(
        self,
        attempt: AttemptKey,
        method: str,
        request: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """A client that hangs up ends the call."""
        session = await self._session(PATIENCE)
        task = asyncio.current_task()
        assert task is not None
        watch = asyncio.create_task(_hung_up(reader, task))
        try:
            call = session.stub.Vouch(scheduler_pb2.VouchRequest(**attempt._asdict(), method=method, request=request))
            try:
                async for answer in call:
                    await send(writer, MESSAGE, answer.response)
            finally:
                call.cancel()
        except grpc.aio.AioRpcError as error:
            raise error_of(error, session.address) from None
        except asyncio.CancelledError:
            if task.cancelling():
                raise
            raise Unreachable(f"the worker has lost its connection to the scheduler at {session.address}") from None
        finally:
            watch.cancel()


def _bind(listening: socket.socket, directory: Path) -> None:
    """Through a descriptor, because a socket address holds only 108 bytes of path."""
    with suppress(FileNotFoundError):
        (directory / SOCKET).unlink()  # of an agent that was killed
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        listening.bind(f"/proc/self/fd/{fd}/{SOCKET}")
    finally:
        os.close(fd)


async def _content(reader: asyncio.StreamReader, wanted: bytes, most: int) -> bytes:
    """Of the next frame, which is to be of that kind. InvalidInput for what is too long."""
    return await reader.readexactly(await _length(reader, wanted, most))


async def _length(reader: asyncio.StreamReader, wanted: bytes, most: int) -> int:
    """The same of its content alone, which follows."""
    kind, length = HEAD.unpack(await reader.readexactly(HEAD.size))
    if kind != wanted:
        raise InvalidInput("that is no call: it is not what the command line of this version says")
    if length > most:
        raise InvalidInput(f"a request of {length} bytes; a job's may have {most}: make several of it")
    return int(length)


async def _hung_up(reader: asyncio.StreamReader, call: "asyncio.Task[object]") -> None:
    """Cancels the call when its client has gone."""
    with suppress(OSError):
        await reader.read(1)
    call.cancel()

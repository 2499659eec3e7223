"""The client's verbs inside a job, by the socket of its worker (cluster.rpc.frames): without gRPC."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from cluster.client.inside import InsideJob
from cluster.client.local import connect, said
from cluster.client.scheduler_backend import JobsServiceBackend
from cluster.domain.base import errors
from cluster.domain.base.errors import ClusterError, NotPermitted, NotReached, Unreachable
from cluster.rpc.frames import END, HEAD, MESSAGE
from cluster.v1 import jobs_pb2

ABSENCE = 20.0  # seconds within which a restarted agent of the worker answers again
PAUSE = 0.1  # seconds between two tries to connect


# What people type for calls of other services than Jobs.
_VERBS = {"Tokens": "cluster token", "Users": "cluster user", "Events": "cluster events", "Files": "--upload"}


class JobsBackend(JobsServiceBackend):
    """Makes each call on a connection of its own."""

    def __init__(self, inside: InsideJob) -> None:
        super().__init__("the worker of this job", _Stub(inside))

    async def close(self) -> None:
        """Does nothing: no connection stays open between calls."""

    def _calling(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def _ready(self, patience: float) -> None:
        """Does nothing: each call waits for its own connection."""

    def _beside(self, service: str) -> Any:
        what = _VERBS.get(service, "cluster worker")
        raise NotPermitted(f"a job may not use `{what}`: only users may")


class _Stub:
    """Stands for gRPC's stub of the Jobs service."""

    def __init__(self, inside: InsideJob) -> None:
        self._inside = inside

    def __getattr__(self, method: str) -> Any:
        return lambda request: _Call(self._inside, method, request)


class _Call:
    """One call. Awaiting it returns its one answer, iterating yields all of them."""

    def __init__(self, inside: InsideJob, method: str, request: Any) -> None:
        self._inside, self._method, self._request = inside, method, request
        self._writer: asyncio.StreamWriter | None = None

    def __await__(self) -> Any:
        return self._only().__await__()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._answers()

    def cancel(self) -> None:
        """Hangs up."""
        if self._writer is not None:
            self._writer.close()

    async def _only(self) -> Any:
        answers = [answer async for answer in self._answers()]
        if len(answers) != 1:
            raise Unreachable("the worker of this job has not answered")
        return answers[0]

    async def _answers(self) -> AsyncIterator[Any]:
        kind_of_answer: Any = getattr(jobs_pb2, f"{self._method}Response")
        reader, self._writer = await self._connected()
        try:
            self._writer.write(said(self._method, self._request, self._inside.token))
            while True:
                kind, length = HEAD.unpack(await reader.readexactly(HEAD.size))
                content = await reader.readexactly(length)
                if kind == END:
                    return
                if kind != MESSAGE:
                    raise _error(content)
                yield kind_of_answer.FromString(content)
        except (asyncio.IncompleteReadError, OSError):
            raise Unreachable("the connection to the worker of this job broke") from None
        finally:
            self._writer.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the agent. Waits up to ABSENCE seconds for one that is being restarted, as jobs outlive
        agents."""
        until = time.monotonic() + ABSENCE
        while True:
            connecting = socket.socket(socket.AF_UNIX)
            connecting.settimeout(ABSENCE)
            try:
                connect(connecting, self._inside.socket)
                connecting.setblocking(False)
                return await asyncio.open_unix_connection(sock=connecting)
            except (FileNotFoundError, ConnectionRefusedError, TimeoutError) as error:
                connecting.close()
                if time.monotonic() >= until:
                    raise NotReached(f"the worker of this job cannot be reached: {error.strerror}") from None
            except OSError as error:
                connecting.close()
                raise NotReached(f"the worker of this job cannot be reached: {error.strerror}") from None
            await asyncio.sleep(PAUSE)


def _error(content: bytes) -> ClusterError:
    """The error that an ERROR frame names: a class of `errors` and its text."""
    name, _, text = content.decode(errors="replace").partition("\0")
    kind = getattr(errors, name, None)
    is_ours = isinstance(kind, type) and issubclass(kind, ClusterError)
    return kind(text) if is_ours else ClusterError(text)  # type: ignore[misc]

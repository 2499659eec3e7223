"""The front of the joining port by itself: what connections cost while they are there, and afterwards."""

import asyncio
import gc
import os
import socket
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path

import pytest

from cluster.rpc import connection_front
from cluster.rpc.connection_front import Front, bind
from tests.integration.schedulers import until


@asynccontextmanager
async def server_behind(directory: Path) -> AsyncIterator[Front]:
    """A front, and behind it a server that answers each connection with what it says."""

    writers: list[asyncio.StreamWriter] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while said := await reader.read(1000):
            writer.write(said)

    made = Front(directory)
    async with await asyncio.start_unix_server(echo, made.behind):
        yield made
        for writer in writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


@contextmanager
def listening(made: Front) -> Iterator[tuple[list[socket.socket], tuple[str, int]]]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(each)) for each in bind("127.0.0.1:0", "--join-listen")]
        stack.callback(made.stop)
        yield sockets, sockets[0].getsockname()[:2]


@pytest.mark.parametrize("says", [b"", b"hello"])
def test_a_connection_that_has_gone_is_freed_without_the_collector_of_cycles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: bytes
) -> None:
    """Which a scheduler keeps from looking twice at anything: anybody could fill its memory, a few KB a connection."""
    made: list[weakref.ref[object]] = []
    connection_made = connection_front._Connection.connection_made

    def noted(self: connection_front._Connection, transport: asyncio.BaseTransport) -> None:
        made.append(weakref.ref(self))
        connection_made(self, transport)

    monkeypatch.setattr(connection_front._Connection, "connection_made", noted)

    async def body() -> None:
        async with server_behind(tmp_path) as between:
            with listening(between) as (sockets, address):
                between.start(sockets)
                reader, writer = await asyncio.open_connection(*address)
                writer.write(says)
                assert await reader.read(len(says)) == says
                await until(lambda: bool(made))
                writer.close()
                await writer.wait_closed()
                await until(lambda: made[0]() is None)

    gc.collect()
    gc.disable()
    try:
        asyncio.run(body())
    finally:
        gc.enable()


def test_a_burst_opens_no_more_than_have_seats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that waited were taken before the first had a seat: a thousand descriptors of the scheduler's."""
    monkeypatch.setattr(connection_front, "MOST", 20)
    opened: list[int] = []
    enter = Front.enter

    def noted(self: Front, connection: connection_front._Connection, host: str) -> None:
        opened.append(_open_descriptors())
        enter(self, connection, host)

    monkeypatch.setattr(Front, "enter", noted)
    between = Front(tmp_path)
    with listening(between) as (sockets, address), ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection(address))
        before = _open_descriptors()
        between.start(sockets)
        asyncio.run(until(lambda: len(opened) == 200))
    # Those that wait, that come and go, and the loop's own.
    assert max(opened) - before < 20 + 3 * connection_front._AT_ONCE + 20


def _open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))

"""How a worker finds its scheduler again."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from cluster.worker import session
from tests.integration.workers import Site, at_site

pytestmark = pytest.mark.slow


class Swallowing:
    """A way to a scheduler that swallows the first connection: taken, and never a word. The next ones it leads on."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._taken = 0
        self.gave_up = False  # the worker has, of the first
        self.second = asyncio.Event()
        self.still_hung = False  # the first connection was, when the second came

    async def lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._taken += 1
        if self._taken == 1:
            while await reader.read(4096):
                pass
            self.gave_up = True
            writer.close()
            return
        if self._taken == 2:
            self.still_hung = not self.gave_up
            self.second.set()
        onwards = await asyncio.open_connection(*self._target)
        await asyncio.gather(_copy(reader, onwards[1]), _copy(onwards[0], writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


def test_a_connection_that_hangs_keeps_no_worker_from_a_scheduler_that_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not waited for: another is tried while it hangs, and the first that is answered counts."""

    async def body(site: Site) -> None:
        host, _, port = site.cluster.service.address.rpartition(":")
        way = Swallowing(host, int(port))
        server = await asyncio.start_server(way.lead, "127.0.0.1", 0)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        # The way is found by the worker's own state: a local scheduler would be dialled where it says that it is.
        worker = await site.worker(scheduler=address).started()
        assert way.second.is_set()
        assert way.still_hung
        await worker.stop()
        server.close()

    assert session.DIAL_AGAIN * session.MOST_DIALS <= session.REGISTER_TIMEOUT
    at_site(tmp_path, body)

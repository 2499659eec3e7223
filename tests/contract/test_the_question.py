"""While Ctrl-C's question stands on a terminal nothing else is written there, and what follows begins a line."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import cast

import pytest

from cluster.cli import follow
from cluster.cli.follow import Follower
from cluster.client.aio import AsyncClient
from cluster.client.messages import job_of
from cluster.client.types import Job, Output
from cluster.v1 import job_pb2
from tests.patience import PATIENCE

RUNNING = job_of(job_pb2.Job(number=1, id="x", state=job_pb2.TASK_STATE_RUNNING))
ENDED = job_of(job_pb2.Job(number=1, id="x", state=job_pb2.TASK_STATE_SUCCEEDED, reason="ok"))
QUESTION = "\ncluster: job 1 goes on. [c]ancel it, [l]eave it running, [g]o on here? "


class Ending:
    """In place of an AsyncClient: its job writes a line, one more while the question stands, and then ends."""

    def __init__(self) -> None:
        self.asked, self.answered, self.end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def watch(self, selector: str) -> AsyncIterator[tuple[Job, ...]]:
        yield (RUNNING,)
        await self.end.wait()
        yield (ENDED,)

    async def logs(self, selector: str, **options: object) -> AsyncIterator[Output]:
        yield Output(1, 0, 1, False, b"before\n", 7)
        os.kill(os.getpid(), signal.SIGINT)
        await self.asked.wait()
        yield Output(1, 0, 1, False, b"meanwhile\n", 17)


class Asking(Follower):
    def _ask(self) -> None:
        super()._ask()
        cast(Ending, self._client).asked.set()

    def _answered(self, word: str, *, typed: bool = False) -> None:
        super()._answered(word, typed=typed)
        cast(Ending, self._client).answered.set()


@pytest.mark.parametrize("typed", [b"", b"g\n"])
def test_nothing_is_written_into_its_line(
    typed: bytes, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, write = os.pipe()
    monkeypatch.setattr(follow, "is_terminal", lambda: True)

    async def work() -> int:
        client = Ending()
        following = asyncio.create_task(Asking(cast(AsyncClient, client), [RUNNING]).follow())
        async with asyncio.timeout(PATIENCE):
            await client.asked.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        asked = capfd.readouterr()
        assert (asked.out, asked.err) == ("before\n", QUESTION)
        async with asyncio.timeout(PATIENCE):
            if typed:
                os.write(write, typed)
                await client.answered.wait()
            client.end.set()
            return await following

    with os.fdopen(read) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert asyncio.run(work()) == 0
    os.close(write)
    said = capfd.readouterr()
    assert (said.out, said.err) == ("meanwhile\n", "" if typed else "\ncluster: job 1 has ended meanwhile\n"), (
        "who types has ended the line"
    )

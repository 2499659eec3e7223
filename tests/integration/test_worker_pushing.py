"""Who waits for whom when outputs are sent for keeps."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from cluster.domain.base.ids import AttemptKey
from cluster.worker.output import pushing as keeping_module
from cluster.worker.output.files import Outputs
from cluster.worker.output.lanes import Lanes
from cluster.worker.output.live_transfers import Messages
from cluster.worker.output.pushing import LONG, TURN, OutputPushes, Queue
from tests.patience import PATIENCE


def key(job: int, index: int = 0) -> AttemptKey:
    return AttemptKey(job, index, 1)


class Desk:
    """A worker's outputs, and a scheduler that reads a push only when it may."""

    def __init__(self, root: Path, limit: int) -> None:
        self.outputs = Outputs(root / "jobs", root / "work")
        session = Mock()
        self.keeping = OutputPushes(self.outputs, Lanes(), lambda: session, lambda _: limit)
        self.begun: list[AttemptKey] = []
        self.done: dict[AttemptKey, bytes] = {}
        self.left_out: dict[AttemptKey, int] = {}
        self.may: Callable[[AttemptKey], Coroutine[Any, Any, None]] = self._may
        self.news = asyncio.Condition()

    async def _may(self, key: AttemptKey) -> None:
        return

    def write(self, key: AttemptKey, size: int) -> AttemptKey:
        path = Path(self.outputs.path(key, ".out"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
        return key

    async def push(self, _: object, messages: Messages) -> None:
        data, left_out, attempt = b"", 0, key(0)
        async for message in messages:
            if message.job:
                attempt = AttemptKey(message.job, message.index, message.attempt)
                self.begun.append(attempt)
                await self._tell()
            data, left_out = data + message.data, left_out + message.left_out
            await self.may(attempt)
        self.done[attempt], self.left_out[attempt] = data, left_out
        await self._tell()

    async def _tell(self) -> None:
        async with self.news:
            self.news.notify_all()

    async def until(self, true: Callable[[], bool]) -> None:
        async with self.news:
            await self.news.wait_for(true)


@pytest.fixture
def at_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def run(body: Callable[[Desk], Coroutine[Any, Any, None]], limit: int = 64 << 20) -> None:
        async def patiently() -> None:
            desk = Desk(tmp_path, limit)
            monkeypatch.setattr(keeping_module, "push", desk.push)
            async with asyncio.timeout(PATIENCE):
                await body(desk)
            desk.keeping.cancel()
            desk.outputs.close()

        asyncio.run(patiently())

    return run


def test_jobs_take_turns() -> None:
    queue = Queue()
    for waiting in (key(1, 0), key(1, 1), key(1, 2), key(2, 0), key(2, 0), key(3, 0)):
        queue.add(waiting)
    assert len(queue) == 5
    taken = [queue.take(lambda job: job != 3) for _ in range(5)]
    assert taken == [key(1, 0), key(2, 0), key(1, 1), key(1, 2), None]
    assert queue.take(lambda job: True) == key(3, 0)


def test_long_outputs_that_stall_hold_up_no_short_one_and_no_other_job(at_desk: Callable[..., None]) -> None:
    async def body(desk: Desk) -> None:
        stalled = asyncio.Event()

        async def may(attempt: AttemptKey) -> None:
            if attempt.job == 1:
                await stalled.wait()

        desk.may = may
        desk.keeping.add([desk.write(key(1, index), LONG + 1) for index in range(6)])
        others = [desk.write(key(2), 10), desk.write(key(3), LONG + 1)]
        desk.keeping.add(others)

        def of_the_stalled() -> int:
            return sum(attempt.job == 1 for attempt in desk.begun)

        await desk.until(lambda: all(other in desk.done for other in others) and of_the_stalled() >= 2)
        assert of_the_stalled() == 2  # of six: a job has so many places
        stalled.set()
        await desk.until(lambda: len(desk.done) == 8)
        await desk.keeping.settle(PATIENCE)
        assert not any(desk.outputs.exist(key(1, index)) for index in range(6))

    at_desk(body)


def test_what_takes_long_gives_way_after_each_turn(
    at_desk: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one place to send from, two outputs come piece by piece, not one after the other."""
    monkeypatch.setattr(keeping_module, "AT_ONCE", 1)
    pieces: list[int] = []

    async def body(desk: Desk) -> None:
        async def may(attempt: AttemptKey) -> None:
            pieces.append(attempt.job)

        desk.may = may
        desk.keeping.add([desk.write(key(job), 3 * TURN) for job in (1, 2)])
        await desk.until(lambda: len(desk.done) == 2)
        assert {len(data) for data in desk.done.values()} == {3 * TURN}

    at_desk(body)
    first_end = len(pieces) - 1 - pieces[::-1].index(pieces[0])
    assert len(set(pieces[:first_end])) == 2


def test_only_what_is_kept_is_sent(at_desk: Callable[..., None]) -> None:
    async def body(desk: Desk) -> None:
        desk.keeping.add([desk.write(key(1), 100_000)])
        await desk.until(lambda: bool(desk.done))
        assert (len(desk.done[key(1)]), desk.left_out[key(1)]) == (65536, 100_000 - 65536)

    at_desk(body, limit=65536)


def test_a_job_whose_files_cannot_be_opened_holds_up_no_other(
    at_desk: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = keeping_module._open

    def hangs(files: list[Any], limit: int) -> Any:
        if "/1/" in files[0].path:
            raise BlockingIOError(11, "it is leased")
        return opened(files, limit)

    monkeypatch.setattr(keeping_module, "_open", hangs)

    async def body(desk: Desk) -> None:
        desk.keeping.add([desk.write(key(1, index), 10) for index in range(10)])
        desk.keeping.add([desk.write(key(2, index), 10) for index in range(10)])
        await desk.until(lambda: len(desk.done) == 10)
        assert desk.outputs.exist(key(1, 5))
        with monkeypatch.context() as patch:
            patch.setattr(keeping_module, "_open", opened)
            desk.keeping._rested(1)
            await desk.until(lambda: len(desk.done) == 20)

    at_desk(body)

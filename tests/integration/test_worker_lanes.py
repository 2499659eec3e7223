"""Files that hang: whose lane they hold up, and what goes on meanwhile."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from cluster.domain.base.ids import AttemptKey
from cluster.domain.session.messages import Report
from cluster.domain.worker.messages import SendHeartbeat, SendReport
from cluster.v1 import scheduler_pb2
from cluster.worker import reporter as reporter_module
from cluster.worker.output import lanes as lanes_module
from cluster.worker.output.files import Outputs
from cluster.worker.output.lanes import Lanes
from cluster.worker.reporter import Reporter
from tests.patience import PATIENCE

FIRST, SECOND, LARGE = (AttemptKey(5, index, 1) for index in range(3))


def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def patiently() -> None:
        async with asyncio.timeout(PATIENCE):
            await body()

    asyncio.run(patiently())


def test_what_is_posted_while_all_threads_are_about_to_hang_is_done_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody posts anything after it, who would see that they do."""
    monkeypatch.setattr(lanes_module, "STUCK", 0.05)
    go_on, done = threading.Event(), threading.Event()
    lanes = Lanes(threads=1)

    def hang() -> None:
        go_on.wait(PATIENCE)

    lanes.post("a", hang)
    lanes.post("b", done.set)
    assert done.wait(PATIENCE)
    go_on.set()
    assert lanes.finish(PATIENCE)


def test_calls_of_one_lane_happen_in_order_and_others_pass_by() -> None:
    go_on, order = threading.Event(), []

    async def body() -> None:
        lanes = Lanes(threads=2)
        slow = asyncio.create_task(lanes.run("a", lambda: go_on.wait(PATIENCE)))
        second = asyncio.create_task(lanes.run("a", lambda: order.append("second")))
        assert await lanes.run("b", lambda: "passes") == "passes"
        assert not slow.done()
        assert not second.done()
        go_on.set()
        await asyncio.gather(slow, second)
        with pytest.raises(ZeroDivisionError):
            await lanes.run("a", lambda: 1 // 0)
        lanes.close()

    run(body)
    assert order == ["second"]


def test_however_many_files_hang_others_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, "STUCK", 0.05)
    go_on, hangs = threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        hangs.release()
        go_on.wait(PATIENCE)

    async def body() -> None:
        lanes = Lanes(threads=2)
        hanging = [asyncio.create_task(lanes.run(n, hang)) for n in range(20)]
        for _ in range(2):
            await asyncio.to_thread(hangs.acquire, timeout=PATIENCE)
        assert await lanes.run("other", lambda: "read") == "read"
        with pytest.raises(OSError, match="does not answer"):
            await lanes.run(3, lambda: None, patience=0.1)
        go_on.set()
        await asyncio.gather(*hanging)
        assert await lanes.run(3, lambda: "again") == "again"
        lanes.close()

    run(body)


class Desk:
    """A reporter whose messages go to `sent`."""

    def __init__(self, root: Path) -> None:
        self.outputs = Outputs(root / "jobs", root / "work")
        (root / "jobs" / "5").mkdir(parents=True)
        for key, data in ((FIRST, b"first"), (SECOND, b"second"), (LARGE, b"large")):
            Path(self.outputs.path(key, ".out")).write_bytes(data)
        self.sent: list[scheduler_pb2.SessionRequest] = []
        self.arrived = asyncio.Event()
        self.session = Mock()
        self.session.send = self._send
        self.reporter = Reporter(self.outputs, Lanes(), lambda: self.session, list, lambda: None)

    def _send(self, message: scheduler_pb2.SessionRequest) -> None:
        self.sent.append(message)
        self.arrived.set()

    async def said(self, count: int) -> list[str]:
        while len(self.sent) < count:
            self.arrived.clear()
            await self.arrived.wait()
        return [
            f"heartbeat {message.heartbeat}"
            if message.heartbeat
            else f"report {message.report.sequence}: {b' '.join(o.stdout for o in message.report.outputs).decode()}"
            for message in self.sent
        ]


def test_what_will_be_pushed_is_on_disk_before_its_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))

    async def body() -> None:
        desk = Desk(tmp_path)
        desk.reporter.report(SendReport(1, Report(7), (FIRST,), (LARGE,)))
        assert synced == []
        assert await desk.said(1) == ["report 7: first"]
        assert synced == [str(tmp_path / "jobs" / "5"), desk.outputs.path(LARGE, ".out")]
        desk.outputs.close()

    run(body)


def test_heartbeats_pass_by_a_disk_that_hangs_and_the_rest_of_the_report_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter_module, "PATIENCE", 0.2)
    go_on, hangs = threading.Event(), threading.Event()
    read_small = Outputs.read_small

    def hang(self: Outputs, key: AttemptKey) -> Any:
        if key == FIRST:
            hangs.set()
            go_on.wait(PATIENCE)
        return read_small(self, key)

    monkeypatch.setattr(Outputs, "read_small", hang)

    async def body() -> None:
        desk = Desk(tmp_path)
        desk.reporter.report(SendReport(1, Report(7), (FIRST, SECOND)))
        desk.reporter.heartbeat(SendHeartbeat(1, 1))
        assert await desk.said(2) == ["heartbeat 1", "report 7: second"]
        go_on.set()
        desk.outputs.close()

    run(body)


def test_a_heartbeat_follows_the_report_that_says_goodbye(tmp_path: Path) -> None:
    """Its answer is taken for the report's: there may be nothing to acknowledge in that one."""

    async def body() -> None:
        desk = Desk(tmp_path)
        desk.reporter.report(SendReport(1, Report(0, draining=True), (FIRST,)))
        desk.reporter.heartbeat(SendHeartbeat(1, 4))
        assert await desk.said(2) == ["report 0: first", "heartbeat 4"]
        desk.reporter.report(SendReport(1, Report(8), (SECOND,)))
        desk.reporter.cancel()  # the session is over
        await asyncio.sleep(0)
        assert len(desk.sent) == 2
        desk.outputs.close()

    run(body)

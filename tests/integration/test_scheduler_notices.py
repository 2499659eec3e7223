"""Notices of jobs that have ended: to real receivers, which are slow, dead or unwilling."""

import asyncio
import hashlib
import hmac
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cluster.domain.base.errors import InvalidInput, NotPermitted, Unreachable
from cluster.domain.session.messages import Assign
from cluster.scheduler.event_reading import read_events
from cluster.scheduler.notices import notifier, sending
from cluster.scheduler.notices.sending import SendingFailed, run_command
from cluster.scheduler.notices.targets import NoticeTargets
from tests.integration.schedulers import Cluster, User, Worker, in_cluster


@dataclass
class Receiver:
    """An HTTP server, which answers with `answers` and then with 204."""

    answers: list[bytes] = field(default_factory=list)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    connections: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        self.got.append((head[0], headers, await reader.readexactly(int(headers["content-length"]))))
        self.more.set()
        answer = self.answers.pop(0) if self.answers else b"204 No Content"
        if answer:
            writer.write(b"HTTP/1.1 " + answer + b"\r\n\r\n")
            await writer.drain()
            writer.close()

    async def hear(self, count: int) -> list[tuple[str, dict[str, str], Any]]:
        """What came, once it is so much."""
        while len(self.got) < count:
            self.more.clear()
            await self.more.wait()
        return [(line, headers, json.loads(body)) for line, headers, body in self.got]


@asynccontextmanager
async def receiver(*answers: bytes) -> AsyncIterator[Receiver]:
    there = Receiver(list(answers))
    server = await asyncio.start_server(there.serve, "127.0.0.1", 0)
    there.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks/a?b=c"
    try:
        yield there
    finally:
        server.close()
        for connection in there.connections:
            connection.close()


async def allow(cluster: Cluster, *urls: str, commands: tuple[str, ...] = ()) -> tuple[User, Worker]:
    cluster.targets = NoticeTargets.configured(urls, commands)
    await cluster.restart()
    worker = cluster.worker()
    await worker.connect()
    return cluster.user(), worker


async def done(cluster: Cluster, sequence: int) -> None:
    """Returns once all up to that event are told, and that is on disk."""
    while await cluster.service.driver.fetch(lambda store: store.notices_done()) < sequence:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier, "FIRST_PAUSE", 0.01)


def test_a_receiver_is_told_that_a_job_has_ended_and_can_prove_by_whom(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        async with receiver() as there:
            user, worker = await allow(cluster, f"{there.url.partition('a?')[0]}*")
            await user.submit(name="nightly", notify=there.url)
            await worker.fail(await worker.hear(Assign))
            ((line, headers, notice),) = await there.hear(1)
            assert line == "POST /hooks/a?b=c HTTP/1.1"
            assert (notice["kind"], notice["job"], notice["name"]) == ("job.ended", 1, "nightly")
            assert (notice["state"], notice["exit_code"], notice["reason"]) == ("failed", 3, "exit:3")
            assert notice["id"] == headers["cluster-notice"] == f"{cluster.authority.cluster_id}-{notice['sequence']}"
            # As a receiver does it, by what docs/events.md says.
            secret = (tmp_path / "notify-secret").read_text().strip()
            at, mac = (part.split("=")[1] for part in headers["cluster-signature"].split(","))
            signed = at.encode() + b"." + there.got[0][2]
            assert hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() == mac
            assert abs(int(at) - cluster.service.driver.clock().wall) < 600

    in_cluster(tmp_path, body)


def test_an_unwilling_receiver_is_told_again_and_a_redirect_leads_nowhere(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        async with receiver() as elsewhere, receiver() as there:
            there.answers += [b"500 Oh", b"302 Found\r\nLocation: " + elsewhere.url.encode(), b"junk", b"200 OK"]
            user, worker = await allow(cluster, there.url)
            await user.submit(notify=there.url)
            await worker.finish(await worker.hear(Assign))
            told = await there.hear(4)
            assert len({headers["cluster-notice"] for _, headers, _ in told}) == 1
            await done(cluster, told[0][2]["sequence"])
            assert (len(there.got), elsewhere.got) == (4, [])

    in_cluster(tmp_path, body)


def test_what_was_not_told_before_a_restart_is_told_after_it_and_what_was_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "FIRST_PAUSE", 100.0)

    async def body(cluster: Cluster) -> None:
        async with receiver(b"503 Later") as there:
            user, worker = await allow(cluster, there.url)
            await user.submit(notify=there.url)
            await worker.finish(await worker.hear(Assign))
            await there.hear(1)
            await cluster.restart()
            first, second = await there.hear(2)
            assert first[2] == second[2]
            await done(cluster, first[2]["sequence"])
            user, worker = await allow(cluster, there.url)
            await user.submit(notify=there.url)
            await worker.finish(await worker.hear(Assign))
            assert [notice["job"] for *_, notice in await there.hear(3)] == [1, 1, 2]

    in_cluster(tmp_path, body)


def test_a_receiver_that_never_answers_delays_nobody(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        async with receiver(*[b""] * 20) as hangs, receiver() as there:
            user, worker = await allow(cluster, hangs.url, there.url)
            for _ in range(5):
                await user.submit(notify=hangs.url)
                await worker.finish(await worker.hear(Assign))
            await hangs.hear(notifier.AT_ONCE)
            await user.submit(notify=there.url)
            await worker.finish(await worker.hear(Assign))
            assert [notice["job"] for *_, notice in await there.hear(1)] == [6]
            assert len(hangs.got) == notifier.AT_ONCE

    in_cluster(tmp_path, body)


def test_a_disk_that_does_not_answer_for_a_while_ends_no_notices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended them until the next start, without a word."""
    asked = 0

    async def hanging(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked % 2:
            raise Unreachable("the disk of the scheduler's database has not answered for 30 s")
        return await read_events(*arguments)

    monkeypatch.setattr(notifier, "ASKED_AGAIN", 0.0)
    monkeypatch.setattr(notifier, "read_events", hanging)

    async def body(cluster: Cluster) -> None:
        async with receiver() as there:
            user, worker = await allow(cluster, there.url)
            await user.submit(notify=there.url)
            await worker.finish(await worker.hear(Assign))
            await done(cluster, (await there.hear(1))[0][2]["sequence"])

    in_cluster(tmp_path, body)


def test_a_command_that_the_operator_named_gets_the_notice_and_only_of_what_was_asked(tmp_path: Path) -> None:
    told = tmp_path / "told"

    async def body(cluster: Cluster) -> None:
        user, worker = await allow(cluster, commands=(f"keep=/bin/sh -c 'cat >> {told}; echo >> {told}'",))
        await user.submit(notify_cmd="keep", notify_on="fail")
        await worker.finish(await worker.hear(Assign))
        await user.submit(notify_cmd="keep", notify_on="fail")
        await worker.fail(await worker.hear(Assign))
        await done(cluster, 8)
        (line,) = told.read_text().splitlines()
        assert (json.loads(line)["job"], json.loads(line)["state"]) == (2, "failed")

    in_cluster(tmp_path, body)


def test_nobody_is_told_whom_the_operator_has_not_allowed(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user = cluster.user()
        with pytest.raises(NotPermitted, match=r"--notify http://h/x: .*`cluster scheduler --notify-url URL`"):
            await user.submit(notify="http://h/x")
        with pytest.raises(NotPermitted, match=r"no such command \(there are: none\)"):
            await user.submit(notify_cmd="mail")
        with pytest.raises(InvalidInput, match="--notify 'ftp://h/': use http"):
            await user.submit(notify="ftp://h/")
        assert await user.jobs() == []

    in_cluster(tmp_path, body)


def test_what_a_command_leaves_is_killed_before_its_number_can_be_anothers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, killpg, unreaped = tmp_path / "left", os.killpg, []

    def watched(group: int, number: int) -> None:
        unreaped.append(os.waitid(os.P_PID, group, os.WEXITED | os.WNOWAIT | os.WNOHANG))
        killpg(group, number)

    monkeypatch.setattr(os, "killpg", watched)
    asyncio.run(run_command(["sh", "-c", f"cat; sleep 600 & echo $! > {left}"], b"x" * 200_000))
    assert unreaped[0] is not None, "it had ended, and nobody had asked how"
    assert state_of(int(left.read_text())) in ("", "Z")
    with pytest.raises(SendingFailed, match="it ended with 3"):
        asyncio.run(run_command(["sh", "-c", "exit 3"], b""))
    with pytest.raises(SendingFailed, match="no-such-program cannot be run: No such file"):
        asyncio.run(run_command(["no-such-program"], b""))
    monkeypatch.delattr(os, "pidfd_open")  # as before Linux 5.3
    asyncio.run(run_command(["true"], b""))
    monkeypatch.undo()
    monkeypatch.setattr(sending, "COMMAND_TIME", 0.01)
    with pytest.raises(SendingFailed, match=r"it had not ended after 0\.01 s"):
        asyncio.run(run_command(["sleep", "600"], b""))


def state_of(pid: int) -> str:
    """As /proc tells it, once it is dead or dying; empty: it has gone."""
    while True:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return ""
        if state in "ZX":
            return state
        os.sched_yield()

"""The scheduler as a process (here: in ours): its directory, its ports, its signals."""

import asyncio
import json
import logging
import os
import signal
import socket
import stat
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.domain.base.errors import ClusterError, Conflict, InvalidInput, NotAuthenticated, Unreachable, Unusable
from cluster.domain.job.job import Job
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import JobProgress, JobRecord, TaskEnd, TaskSets
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import IdentityKind, scheduler_server_name
from cluster.domain.trust.renewal import EARLIEST
from cluster.domain.trust.tokens import parse_join_token
from cluster.pki.authority import open_authority, refresh_credentials
from cluster.pki.files import load_credentials, private_directory, save_credentials
from cluster.pki.issuer import KeyRequest
from cluster.pki.peer_certificates import check_pinned_chain
from cluster.rpc.channel import dial
from cluster.rpc.errors import calling
from cluster.rpc.join_client import Joined, join_by_token, renew
from cluster.scheduler import patience
from cluster.scheduler.job_log import tell
from cluster.scheduler.process import (
    ReadyScheduler,
    SchedulerOptions,
    _advertised,
    _credentials,
    _keep_renewed,
    _valid,
    serve,
)
from cluster.store.interface import StoreFailed
from cluster.store.sqlite.store import SqliteStore
from cluster.v1 import admin_pb2, admin_pb2_grpc, jobs_pb2, jobs_pb2_grpc
from tests.integration.schedulers import ANYWHERE
from tests.patience import PATIENCE
from tests.small_disk import small_disk


def serving(directory: Path, body: Callable[[ReadyScheduler], Awaitable[None]], **options: str) -> int:
    """Runs `body` beside a scheduler, then sends this process SIGTERM. Returns the scheduler's exit code."""

    async def main() -> int:
        ready: asyncio.Future[ReadyScheduler] = asyncio.get_running_loop().create_future()
        wanted = SchedulerOptions(directory, **({"listen": ANYWHERE} | options))  # type: ignore[arg-type]
        async with asyncio.timeout(PATIENCE):
            running = asyncio.create_task(serve(wanted, ready.set_result))
            either: list[asyncio.Future[Any]] = [running, ready]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                try:
                    await body(ready.result())
                finally:
                    os.kill(os.getpid(), signal.SIGTERM)
            return await running

    return asyncio.run(main())


async def nothing(ready: ReadyScheduler) -> None: ...


def test_first_start_makes_all_there_is_and_the_next_only_serves(tmp_path: Path) -> None:  # S2.13
    first: list[ReadyScheduler] = []

    async def look(ready: ReadyScheduler) -> None:
        first.append(ready)
        status = json.loads((tmp_path / "scheduler.json").read_text())
        assert status == {
            "address": ready.address,
            "join_address": ready.join_address,
            "pid": os.getpid(),
            "cluster_id": ready.cluster_id,
        }
        for name in ("ca.pem", "scheduler.pem", "admin.pem"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "join-token").stat().st_mode) == 0o600

    assert serving(tmp_path, look) == 0
    assert not (tmp_path / "scheduler.json").exists()
    assert not (tmp_path / "join-token").exists()
    assert serving(tmp_path, look) == 0
    assert [bool(ready.join_token) for ready in first] == [True, False]
    assert first[0].cluster_id == first[1].cluster_id


async def join(line: str) -> Joined:
    return await join_by_token(parse_join_token(line), KeyRequest().request, "box", check_pinned_chain)


def test_workers_join_by_the_printed_line_and_by_the_local_file(tmp_path: Path) -> None:
    local = ""

    async def body(ready: ReadyScheduler) -> None:
        nonlocal local
        local = (tmp_path / "join-token").read_text()
        for line in (ready.join_token, local, local):
            joined = await join(line)
            assert joined.identity.kind is IdentityKind.WORKER
            assert joined.scheduler_address == ready.address

    serving(tmp_path, body)

    async def again(ready: ReadyScheduler) -> None:
        old = parse_join_token(local)
        stale = str(parse_join_token((tmp_path / "join-token").read_text())).replace(ready.join_address, "", 1)
        assert old.secret not in stale
        with pytest.raises(NotAuthenticated, match="not known here"):
            await join(f"C1.{ready.join_address}.{old.pin}.{old.secret}")

    serving(tmp_path, again)


def test_the_local_admin_makes_tokens_and_their_uses_are_counted(tmp_path: Path) -> None:
    made: list[str] = []

    async def body(ready: ReadyScheduler) -> None:
        stub = admin_stub(tmp_path, ready)
        with calling(ready.address):
            answer = await stub.CreateToken(admin_pb2.CreateTokenRequest(role="user", life=60, uses=2, user="ann"))
        made.append(answer.join_token)
        joined = await join(answer.join_token)
        assert joined.identity.name == "ann"
        with calling(ready.address):
            with pytest.raises(Conflict, match="user 'ann' has the role user, not admin"):
                await rejected(stub, role="admin", life=60, user="ann")
            with pytest.raises(InvalidInput, match="cannot grant the role 'king'"):
                await rejected(stub, role="king", life=60)
            with pytest.raises(InvalidInput, match="cannot live for 0 seconds"):
                await rejected(stub, role="worker")

    async def rejected(stub: admin_pb2_grpc.TokensStub, **fields: object) -> None:
        with calling("it"):
            await stub.CreateToken(admin_pb2.CreateTokenRequest(**fields))  # type: ignore[arg-type]

    serving(tmp_path, body)

    async def after_restart(ready: ReadyScheduler) -> None:
        stub = admin_stub(tmp_path, ready)
        tokens = (await stub.ListTokens(admin_pb2.ListTokensRequest())).tokens
        assert [(t.role, t.user, t.uses_left) for t in tokens] == [("worker", "", 10), ("user", "ann", 1)]
        here = parse_join_token(made[0])
        line = f"C1.{ready.join_address}.{here.pin}.{here.secret}"
        await join(line)
        with pytest.raises(NotAuthenticated, match="is used up"):
            await join(line)
        with calling(ready.address):
            await stub.RevokeToken(admin_pb2.RevokeTokenRequest(id=tokens[0].id))
        tokens = (await stub.ListTokens(admin_pb2.ListTokensRequest())).tokens
        assert [t.revoked for t in tokens] == [True, False]

    serving(tmp_path, after_restart)


def admin_stub(directory: Path, ready: ReadyScheduler) -> "admin_pb2_grpc.TokensStub":
    credentials = load_credentials(directory / "admin.pem")
    return admin_pb2_grpc.TokensStub(dial(ready.address, credentials, scheduler_server_name(ready.cluster_id)))


def test_certificates_are_renewed_over_the_wire(tmp_path: Path) -> None:
    async def body(ready: ReadyScheduler) -> None:
        credentials = load_credentials(tmp_path / "admin.pem")
        async with dial(ready.address, credentials, scheduler_server_name(ready.cluster_id)) as channel:
            key = KeyRequest()
            certificate = await renew(channel, ready.address, key.request)
        fresh = key.complete(certificate, credentials.ca_pem, credentials.identity)
        async with dial(ready.address, fresh, scheduler_server_name(ready.cluster_id)) as channel:
            await jobs_pb2_grpc.JobsStub(channel).List(jobs_pb2.ListRequest())

    serving(tmp_path, body)


def refusal(directory: Path, kind: type[ClusterError] = ClusterError, **options: str) -> str:
    with pytest.raises(kind) as caught:
        serving(directory, nothing, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for option, flag in (("listen", "--listen"), ("join_listen", "--join-listen")):
            message = refusal(tmp_path / option, Conflict, **{option: f"127.0.0.1:{port}"})
            why = f"Address already in use; choose another with {flag} HOST:PORT"
            assert message == f"cannot listen on 127.0.0.1:{port}: {why}"
    assert "expected host:port" in refusal(tmp_path / "x", InvalidInput, listen="50000")


def test_a_start_that_came_to_nothing_leaves_the_first_line_to_the_next(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refusal(tmp_path, Conflict, listen=f"127.0.0.1:{taken.getsockname()[1]}")

    async def look(ready: ReadyScheduler) -> None:
        assert ready.join_token

    assert serving(tmp_path, look) == 0


def test_a_directory_has_one_scheduler(tmp_path: Path) -> None:
    async def body(ready: ReadyScheduler) -> None:
        with pytest.raises(Conflict, match=rf"a scheduler \(pid {os.getpid()}\) already uses {tmp_path}"):
            await serve(SchedulerOptions(tmp_path, ANYWHERE), lambda _: None)
        assert (tmp_path / "scheduler.json").exists()

    assert serving(tmp_path, body) == 0


def test_a_directory_of_two_clusters_is_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    serving(one, nothing)
    serving(two, nothing)
    (one / "cluster.db").unlink()
    os.rename(two / "cluster.db", one / "cluster.db")
    assert "mixes two clusters" in refusal(one)
    for name in ("ca.pem", "scheduler.pem", "admin.pem"):
        (one / name).unlink()
    assert "holds a cluster without its CA" in refusal(one)


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    serving(tmp_path, nothing)
    (tmp_path / "cluster.db").write_bytes(b"junk" * 5000)
    assert "damaged" in refusal(tmp_path)


def test_its_own_certificate_is_renewed_when_due(tmp_path: Path) -> None:
    authority = open_authority(private_directory(tmp_path), time.time())
    worn = authority.issue(
        authority.identity(IdentityKind.SCHEDULER, "main"), time.time(), life=1.0
    )  # most of it is backdated
    save_credentials(tmp_path / "scheduler.pem", worn)

    async def body() -> None:
        serving = Serving()
        renewing = asyncio.create_task(_keep_renewed(authority, tmp_path, worn, serving))  # type: ignore[arg-type]
        async with asyncio.timeout(PATIENCE):
            fresh = await serving.replaced
        renewing.cancel()
        assert fresh == load_credentials(tmp_path / "scheduler.pem")
        assert fresh.not_after > worn.not_after + 86400

    asyncio.run(body())


class Serving:
    """Stands in for ServingCredentials."""

    def __init__(self) -> None:
        self.replaced: asyncio.Future[Credentials] = asyncio.get_running_loop().create_future()

    def replace(self, credentials: Credentials) -> None:
        self.replaced.set_result(credentials)


def test_a_store_that_failed_shows_in_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(ready: ReadyScheduler) -> None:
        def damaged(store: SqliteStore, items: list[object]) -> None:
            raise StoreFailed("the database cannot be written: it is damaged")

        monkeypatch.setattr(SqliteStore, "commit", damaged)
        with pytest.raises(Unreachable, match="it is damaged"), calling(ready.address):
            await admin_stub(tmp_path, ready).CreateToken(admin_pb2.CreateTokenRequest(role="worker", life=60))

    assert serving(tmp_path, body) == StoreFailed.exit_code


def test_the_log_tells_of_jobs_by_their_numbers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    record = JobRecord(5, "id", "ann", JobSpec(argv=("true",), array=(ArraySegment(1, 10),)), 1.0)
    sets = TaskSets(((TaskState.SUCCEEDED, (0, 7)), (TaskState.FAILED, (7, 9, 9, 10))))
    ended = JobProgress(5, sets, ended_at=9.0)
    jobs = {5: Job.restored(record, ended)}
    lost = [TaskEnd(5, index, 1, "lost", detail="worker box is gone") for index in (7, 8)]
    tell([record, ended, *lost, TaskEnd(5, 9, 1, "exit:1")], jobs)
    assert [record.getMessage() for record in caplog.records] == [
        "job 5: accepted from ann, tasks: 10",
        "job 5: ended, succeeded: 7, failed: 3, cancelled: 0",
        "job 5: 2 attempts are lost, which are tried again if the job allows it; 5.7#1: worker box is gone",
    ]


def test_the_log_has_one_line_for_many_jobs_of_one_commit(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    records = [JobRecord(n, f"id{n}", "ann", JobSpec(argv=("true",)), 1.0) for n in (*range(1, 30), 40)]
    sets = TaskSets(((TaskState.SUCCEEDED, (0, 1)),))
    ended = [JobProgress(record.number, sets, ended_at=9.0) for record in records]
    jobs = {r.number: Job.restored(r, p) for r, p in zip(records, ended, strict=True)}
    tell([*records, *ended], jobs)
    assert [record.getMessage() for record in caplog.records] == [
        "jobs 1-29,40: accepted from ann, tasks: 30",
        "jobs 1-29,40: ended, succeeded: 30, failed: 0, cancelled: 0",
    ]


@pytest.mark.parametrize("days", [6, 40])
def test_a_scheduler_whose_certificate_is_due_on_a_full_disk_serves_by_one_that_is_not_kept(
    tmp_path: Path, days: int
) -> None:
    """By the one that it has, as long as that is valid. Kept is the new one as soon as there is room."""
    with small_disk(tmp_path / "scheduler", 8) as disk:
        now = time.time()
        authority = open_authority(private_directory(disk.path), now - days * 86400)
        refresh_credentials(authority, disk.path, now - days * 86400, EARLIEST)
        kept = load_credentials(disk.path / "scheduler.pem")
        disk.fill()
        present = _credentials(authority, disk.path)
        assert present == kept
        assert _valid(authority, present).valid_at(now)
        assert (_valid(authority, present) == kept) == kept.valid_at(now)
        disk.free()
        assert _credentials(authority, disk.path) == load_credentials(disk.path / "scheduler.pem") != kept


def test_a_host_to_advertise_is_used_although_it_cannot_be_remembered(tmp_path: Path) -> None:
    with small_disk(tmp_path / "scheduler", 8) as disk:
        memory = disk.path / "advertised"
        assert _advertised("head", memory) == "head"
        disk.fill()
        assert _advertised("other", memory) == "other"
        assert _advertised("", memory) == "head"


@pytest.mark.parametrize("leave", [0, 8 << 10, 12 << 10, 64 << 10, 128 << 10])
def test_a_first_start_without_room_says_so_and_leaves_nothing_that_keeps_the_next_from_starting(
    tmp_path: Path, leave: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 0.1)
    with small_disk(tmp_path / "disk", 8) as disk:
        place = disk.path / "scheduler"
        disk.fill(leave)
        with pytest.raises(
            (Unusable, StoreFailed), match=r"No space left on device|the disk is full; make room"
        ) as caught:
            serving(place, nothing)
        assert (caught.value.exit_code, str(place) in str(caught.value)) == (74, True)
        disk.free()
        assert serving(place, nothing) == 0

"""The scheduler as a process: its directory, its ports, its signals. In this process but for the last tests."""

import asyncio
import json
import os
import signal
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.domain.errors import ClusterError, Conflict, InvalidInput, NotAuthenticated
from cluster.domain.identity import Kind, scheduler_server_name
from cluster.domain.tokens import parse_join_token
from cluster.pki.enrol import KeyRequest
from cluster.pki.files import load_credentials
from cluster.pki.peers import check_pinned_chain
from cluster.rpc.channel import dial
from cluster.rpc.errors import calling
from cluster.rpc.join import Joined, join_by_token, renew
from cluster.scheduler.role import Ready, SchedulerOptions, serve
from cluster.v1 import admin_pb2, admin_pb2_grpc, jobs_pb2, jobs_pb2_grpc
from tests.integration.schedulers import ANYWHERE


def serving(directory: Path, body: Callable[[Ready], Awaitable[None]], **options: str) -> int:
    """Runs `body` beside a scheduler, then sends this process SIGTERM. Returns the scheduler's exit code."""

    async def main() -> int:
        ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        wanted = SchedulerOptions(directory, **({"listen": ANYWHERE} | options))  # type: ignore[arg-type]
        async with asyncio.timeout(20):
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


async def nothing(ready: Ready) -> None: ...


def test_first_start_makes_all_there_is_and_the_next_only_serves(tmp_path: Path) -> None:  # S2.13
    first: list[Ready] = []

    async def look(ready: Ready) -> None:
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

    async def body(ready: Ready) -> None:
        nonlocal local
        local = (tmp_path / "join-token").read_text()
        for line in (ready.join_token, local, local):
            joined = await join(line)
            assert joined.identity.kind is Kind.WORKER
            assert joined.scheduler_address == ready.address

    serving(tmp_path, body)

    async def again(ready: Ready) -> None:
        old = parse_join_token(local)
        stale = str(parse_join_token((tmp_path / "join-token").read_text())).replace(ready.join_address, "", 1)
        assert old.secret not in stale
        with pytest.raises(NotAuthenticated, match="not known here"):
            await join(f"C1.{ready.join_address}.{old.pin}.{old.secret}")

    serving(tmp_path, again)


def test_the_local_admin_makes_tokens_and_their_uses_are_counted(tmp_path: Path) -> None:
    made: list[str] = []

    async def body(ready: Ready) -> None:
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

    async def after_restart(ready: Ready) -> None:
        stub = admin_stub(tmp_path, ready)
        tokens = (await stub.ListTokens(admin_pb2.ListTokensRequest())).tokens
        assert [(t.role, t.user, t.uses_left) for t in tokens] == [("worker", "", 100), ("user", "ann", 1)]
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


def admin_stub(directory: Path, ready: Ready) -> "admin_pb2_grpc.TokensStub":
    credentials = load_credentials(directory / "admin.pem")
    return admin_pb2_grpc.TokensStub(dial(ready.address, credentials, scheduler_server_name(ready.cluster_id)))


def test_certificates_are_renewed_over_the_wire(tmp_path: Path) -> None:
    async def body(ready: Ready) -> None:
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
        for option in ("listen", "join_listen"):
            message = refusal(tmp_path / option, Conflict, **{option: f"127.0.0.1:{port}"})
            assert message == f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another"
    assert "expected host:port" in refusal(tmp_path / "x", InvalidInput, listen="50000")


def test_a_directory_has_one_scheduler(tmp_path: Path) -> None:
    async def body(ready: Ready) -> None:
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

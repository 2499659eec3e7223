"""Joining by token and renewing, over real connections: who gets a certificate, and what an impostor gets to see."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from cluster.domain.base.errors import (
    ClusterError,
    Conflict,
    Exhausted,
    InvalidInput,
    NotAuthenticated,
    Unreachable,
    Untrusted,
)
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import IdentityKind, Role, scheduler_server_name
from cluster.domain.trust.tokens import JoinToken, parse_join_token
from cluster.pki.authority import create_authority
from cluster.pki.issuer import KeyRequest
from cluster.pki.peer_certificates import check_pinned_chain
from cluster.rpc.channel import secure_channel
from cluster.rpc.connection_front import MOST
from cluster.rpc.errors import calling
from cluster.rpc.join_client import Joined, fetch_chain, join_by_token, renew
from cluster.rpc.join_listener import _PER_HOST
from cluster.v1 import jobs_pb2, jobs_pb2_grpc, scheduler_pb2, scheduler_pb2_grpc
from tests.integration.trust import CLUSTER, WORKER, SmallCluster, in_cluster


def test_a_scheduler_that_makes_something_else_of_the_joiner_is_not_believed(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:  # it takes no notice of what kind is asked for
        with pytest.raises(Untrusted, match="made a worker of what can only be a user"):
            await join_by_token(cluster.token(), KeyRequest().request, "box", check_pinned_chain, IdentityKind.USER)

    in_cluster(tmp_path, body)


async def join(token: JoinToken) -> Credentials:
    request = KeyRequest()
    joined: Joined = await join_by_token(token, request.request, "box", check_pinned_chain)
    return request.complete(joined.certificate_pem, joined.ca_pem, joined.identity)


def test_a_worker_joins_and_is_let_in(tmp_path: Path) -> None:  # S2.4
    async def body(cluster: SmallCluster) -> None:
        request = KeyRequest()
        joined = await join_by_token(cluster.token(), request.request, "box", check_pinned_chain)
        assert joined.scheduler_address == cluster.address
        credentials = request.complete(joined.certificate_pem, joined.ca_pem, joined.identity)
        assert credentials.identity.kind is IdentityKind.WORKER
        async with cluster.dial(credentials) as channel:
            session = scheduler_pb2_grpc.SchedulerStub(channel).Session()
            await session.write(scheduler_pb2.SessionRequest(heartbeat=1))
            assert (await session.read()).heartbeat == 1

    in_cluster(tmp_path, body)


def test_a_user_joins_as_the_user_that_the_token_names(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        credentials = await join(cluster.token(Role.VIEWER, user="eve"))
        assert str(credentials.identity) == "user/eve"

    in_cluster(tmp_path, body)


def test_every_token_that_must_not_work_says_why(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        used, revoked, expired, good = (cluster.token() for _ in range(4))
        await join(used)
        cluster.tokens[cluster.record(revoked).secret_hash] = replace(cluster.record(revoked), revoked=cluster.now)
        edited = replace(good, secret=good.secret[:-1] + ("A" if good.secret[-1] != "A" else "B"))
        for token, why in [(used, "used up"), (revoked, "was revoked"), (edited, "not known here")]:
            with pytest.raises(NotAuthenticated, match=why):
                await join(token)
        cluster.now += 60
        with pytest.raises(NotAuthenticated, match="has expired"):
            await join(expired)

    in_cluster(tmp_path, body)


def test_a_request_that_is_not_for_our_kind_of_key_costs_no_use(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        token = cluster.token()
        with pytest.raises(InvalidInput, match="certificate request cannot be read"):
            await join_by_token(token, b"hello", "box", check_pinned_chain)
        await join(token)

    in_cluster(tmp_path, body)


def test_guessing_is_slowed_down(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        token = cluster.token()
        wrong = replace(token, secret="A" * 32)
        for _ in range(10):
            with pytest.raises(NotAuthenticated):
                await join(wrong)
        with pytest.raises(Exhausted, match=r"too many failed attempts .*try again in 60 seconds"):
            await join(wrong)
        await join(token)  # the secret itself is let in all the same
        cluster.now += 60
        with pytest.raises(NotAuthenticated):
            await join(wrong)

    in_cluster(tmp_path, body)


def test_the_join_listener_offers_nothing_else(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        name = cluster.credentials.identity.server_name
        assert name is not None
        roots = grpc.ssl_channel_credentials(cluster.authority.ca_pem)
        async with secure_channel(cluster.join_address, roots, name) as channel:
            for call in (
                scheduler_pb2_grpc.SchedulerStub(channel).Renew(scheduler_pb2.RenewRequest()),
                jobs_pb2_grpc.JobsStub(channel).List(jobs_pb2.ListRequest()),
            ):
                with pytest.raises(ClusterError, match="does not offer this"), calling(cluster.join_address):
                    await call

    in_cluster(tmp_path, body)


# --- impostors ---


def impostor(directory: Path) -> tuple[ssl.SSLContext, str]:
    """The TLS side of a server that names the same cluster, with a CA of its own; and the pin of that CA."""
    authority = create_authority(directory / "impostor-ca.pem", CLUSTER, 0x6A000000)
    credentials = authority.issue(authority.identity(IdentityKind.SCHEDULER, "main"), 0x6A000000, 10**9)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2"])
    file = directory / "impostor.pem"
    file.write_bytes(credentials.key_pem + credentials.certificate_pem + credentials.ca_pem)
    context.load_cert_chain(file)
    return context, authority.pin


class Recorder:
    """A TLS server that keeps what it can decrypt: of each connection the first bytes, then it hangs up."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._last_port = 0
        self._seen: list[tuple[str, bytes]] = []
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            connection, peer = self._listener.accept()
            with connection:
                if peer[1] == self._last_port:
                    return
                self._seen.append(self._record(connection))

    def _record(self, connection: socket.socket) -> tuple[str, bytes]:
        try:
            tls = self._tls.wrap_socket(connection, server_side=True)
        except OSError:
            return "refused", b""
        with tls:
            try:
                return "agreed", tls.recv(65536)
            except OSError:
                return "agreed", b""

    def stop(self) -> list[tuple[str, bytes]]:
        """For each connection until now, in order, whether it agreed on TLS and what then came."""
        with socket.socket() as last:
            last.bind(("127.0.0.1", 0))
            self._last_port = last.getsockname()[1]
            last.connect(("127.0.0.1", self.port))
            self._thread.join()
        self._listener.close()
        return self._seen


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


def test_with_another_pin_not_one_byte_leaves(tmp_path: Path) -> None:
    tls, pin = impostor(tmp_path)
    recorder = Recorder(tls)
    address = f"127.0.0.1:{recorder.port}"
    with pytest.raises(Untrusted, match="its CA is another one"):
        asyncio.run(join(JoinToken(address, "ab" * 32, "S" * 32)))
    # The control: with its own pin the very same recorder gets the client's bytes, once it has been looked at.
    with pytest.raises(ClusterError):
        asyncio.run(join(JoinToken(address, pin, "S" * 32)))
    with_another_pin, look, call, *_ = recorder.stop()
    assert with_another_pin == look == ("agreed", b"")
    assert call[1].startswith(b"PRI * HTTP/2.0")


def test_who_relays_the_look_and_answers_the_call_gets_no_byte_either(tmp_path: Path) -> None:
    """The first connection reaches the real scheduler, the second one an impostor that shows its own certificate."""

    async def body(cluster: SmallCluster) -> None:
        recorder = Recorder(impostor(tmp_path)[0])
        targets = [int(cluster.join_address.rpartition(":")[2])]
        relays: list[asyncio.Task[None] | None] = []

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            relays.append(asyncio.current_task())
            there, here = await asyncio.open_connection("127.0.0.1", targets.pop() if targets else recorder.port)
            await asyncio.gather(pump(reader, here), pump(there, writer))

        middle = await asyncio.start_server(relay, "127.0.0.1", 0)
        async with middle:
            token = replace(cluster.token(), address=f"127.0.0.1:{port_of(middle)}")
            with pytest.raises(Untrusted, match="is of another cluster"):
                await join(token)
        seen = await asyncio.to_thread(recorder.stop)
        await asyncio.gather(*filter(None, relays))
        assert set(seen) == {("refused", b"")}
        assert cluster.record(token).uses_left == 1

    in_cluster(tmp_path, body)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    """Returns when nothing of it is left to be collected later, in the midst of another test."""
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


def test_a_server_that_is_not_there_or_not_ours_is_one_clear_error(tmp_path: Path) -> None:
    async def run() -> None:
        async def chat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail.example ESMTP\r\n")
            await close(writer)

        server = await asyncio.start_server(chat, "127.0.0.1", 0)
        async with server:
            with pytest.raises(Untrusted, match=r"does not speak TLS 1\.3"):
                await join(JoinToken(f"127.0.0.1:{port_of(server)}", "ab" * 32, "S" * 32))
            dead = f"127.0.0.1:{port_of(server)}"
        with pytest.raises(Unreachable, match=f"^{dead} cannot be reached: Connection refused$"):
            await join(JoinToken(dead, "ab" * 32, "S" * 32))

    asyncio.run(run())


# --- the second half of a life ---


def test_a_certificate_is_renewed_over_the_connection_that_it_opened(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        worker = cluster.issue(IdentityKind.WORKER, WORKER, 60)
        request = KeyRequest()
        async with cluster.dial(worker) as channel:
            certificate = await renew(channel, cluster.address, request.request)
        renewed = request.complete(certificate, worker.ca_pem, worker.identity)
        assert renewed.identity == worker.identity
        assert renewed.not_after > worker.not_after
        assert renewed.key_pem != worker.key_pem

    in_cluster(tmp_path, body)


def test_a_renewed_server_certificate_is_shown_to_the_next_connection(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        ann = cluster.issue(IdentityKind.USER, "ann")
        before = await asyncio.to_thread(fetch_chain, cluster.join_address)
        async with cluster.dial(ann) as channel:
            stream = jobs_pb2_grpc.JobsStub(channel).Wait(jobs_pb2.WaitRequest())
            await stream.read()
            cluster.serving.replace(cluster.issue(IdentityKind.SCHEDULER, "main"))
            after = await asyncio.to_thread(fetch_chain, cluster.join_address)
            assert before[0] != after[0]
            assert before[1] == after[1]
            assert not stream.done()
            stream.cancel()
        await join(cluster.token())

    in_cluster(tmp_path, body)


def test_a_token_is_pasted_as_it_was_printed(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        await join(parse_join_token(str(cluster.token())))

    in_cluster(tmp_path, body)


def test_calls_that_say_nothing_keep_nobody_from_joining(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(20):
                credentials = grpc.ssl_channel_credentials(cluster.authority.ca_pem)
                name = scheduler_server_name(CLUSTER)
                channel = await stack.enter_async_context(secure_channel(cluster.join_address, credentials, name))
                silent: Any = channel.stream_unary("/cluster.v1.Scheduler/Join")()
                await silent.wait_for_connection()
            assert await join(cluster.token())

    in_cluster(tmp_path, body)


# --- those who come in crowds ---


def test_idle_connections_leave_room_for_everybody_else(tmp_path: Path) -> None:
    """1,500 of them took all that the process may open, and no client of the main port got in."""

    async def body(cluster: SmallCluster) -> None:
        host, _, port = cluster.join_address.rpartition(":")
        crowd = [await asyncio.open_connection(host, int(port)) for _ in range(MOST + 50)]
        async with cluster.dial(cluster.issue(IdentityKind.USER, "ann")) as channel:
            with pytest.raises(Conflict, match="user/ann as user"), calling(cluster.address):
                await jobs_pb2_grpc.JobsStub(channel).List(jobs_pb2.ListRequest())
        reading = [asyncio.create_task(reader.read()) for reader, _ in crowd]
        await asyncio.wait(reading[:50])  # the oldest give way
        for _, writer in crowd:
            writer.close()
        await asyncio.gather(*reading, return_exceptions=True)
        await _until_joined(cluster)

    in_cluster(tmp_path, body)


async def _until_joined(cluster: SmallCluster) -> None:
    """The server finds out in its own time that a connection has gone."""
    while True:
        with suppress(Unreachable, Untrusted):
            await join(cluster.token())
            return


@pytest.mark.parametrize(
    ("crowd", "body_time", "why"),
    [(_PER_HOST, 0.5, r"did not arrive within 0\.5 s"), (_PER_HOST + 1, 300.0, "this was the oldest")],
)
def test_requests_that_never_arrive_keep_nobody_from_joining(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crowd: int, body_time: float, why: str
) -> None:
    async def never() -> AsyncIterator[scheduler_pb2.JoinRequest]:
        await asyncio.Event().wait()
        yield scheduler_pb2.JoinRequest()

    async def body(cluster: SmallCluster) -> None:
        name = cluster.credentials.identity.server_name
        assert name is not None
        roots = grpc.ssl_channel_credentials(cluster.authority.ca_pem)
        async with AsyncExitStack() as stack:
            calls: list[Any] = []
            for _ in range(crowd):
                options = [("grpc.ssl_target_name_override", name), ("grpc.use_local_subchannel_pool", 1)]
                channel = await stack.enter_async_context(grpc.aio.secure_channel(cluster.join_address, roots, options))
                method: Any = channel.stream_unary("/cluster.v1.Scheduler/Join")
                calls.append(method(never()))
            ended, _ = await asyncio.wait(
                map(asyncio.ensure_future, map(_answer, calls)), return_when="FIRST_COMPLETED"
            )
            with pytest.raises((Unreachable, Exhausted), match=why), calling("the scheduler"):
                await ended.pop()
            await join(cluster.token())

    monkeypatch.setattr("cluster.rpc.join_listener._BODY", body_time)
    in_cluster(tmp_path, body)


async def _answer(call: Any) -> Any:
    return await call

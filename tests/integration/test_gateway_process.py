"""A gateway that serves: its certificate, how it joins and is renewed, what it listens on, when it ends."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.client.scheduler_backend import SchedulerBackend
from cluster.domain.base.errors import Conflict, NotFound
from cluster.domain.trust.identity import IdentityKind, Role
from cluster.gateway.membership import FILE
from cluster.gateway.process import GatewayOptions, ReadyGateway, serve
from cluster.pki.certificates import hosts_of
from cluster.pki.files import load_credentials
from tests.integration.schedulers import Cluster, in_cluster

ANYWHERE = "127.0.0.1:0"


@asynccontextmanager
async def serving(options: GatewayOptions) -> AsyncIterator[str]:
    """The URL of a gateway; its parent has gone when the body ends, and it ends then."""
    child, parent = os.pipe()
    ready = asyncio.get_running_loop().create_future()
    said = asyncio.create_task(serve(replace(options, parent=child), ready.set_result))
    try:
        await asyncio.wait([ready, said], return_when=asyncio.FIRST_COMPLETED)
        if said.done():
            said.result()
        status: ReadyGateway = ready.result()
        yield status.url
    finally:
        os.close(parent)
    assert await said == 0


async def answer(url: str, request: str, context: ssl.SSLContext | None = None, name: str | None = None) -> bytes:
    """What comes for these bytes, until the other side hangs up."""
    port = int(url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    try:
        writer.write(request.encode())
        return await reader.read()
    finally:
        await closed(writer)


async def closed(writer: asyncio.StreamWriter) -> None:
    """Closes it, and waits for that: what is closed by the collector of garbage warns."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def get(path: str, *headers: str) -> str:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers, "", ""])


def trusting(cluster: Cluster) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=cluster.authority.ca_pem.decode())


async def bearer(cluster: Cluster) -> str:
    admin = SchedulerBackend(cluster.service.address, cluster.credentials(IdentityKind.USER, "admin"))
    try:
        return (await admin.create_token("user", 60.0, 1, "ada", http=True))[1]
    finally:
        await admin.close()


def test_a_gateway_joins_by_a_token_of_its_own_and_names_what_its_machine_is_called(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        token, record = cluster.service.new_token(Role.GATEWAY, 60.0, 1)
        await cluster.service.admission.add(record)
        shown = f"Authorization: Bearer {await bearer(cluster)}"
        options = GatewayOptions(tmp_path / "gate", ANYWHERE, hosts=["api.example"])
        with pytest.raises(NotFound, match="belongs to no cluster"):
            await serve(options, lambda _: None)
        async with serving(replace(options, join=str(token))) as url:
            said = await answer(url, get("/v1/jobs", shown), trusting(cluster), "api.example")
            assert said.startswith(b"HTTP/1.1 200 ")
        first = load_credentials(tmp_path / "gate" / FILE)
        assert first.identity.kind is IdentityKind.GATEWAY
        # It is a member now, and renews itself for a name that it did not have.
        async with serving(replace(options, hosts=["new.example"])) as url:
            said = await answer(url, get("/v1/jobs", shown), trusting(cluster), "new.example")
            assert said.startswith(b"HTTP/1.1 200 ")
        second = load_credentials(tmp_path / "gate" / FILE)
        assert second.identity == first.identity
        assert "new.example" in hosts_of(second.certificate_pem)
        assert "api.example" not in hosts_of(second.certificate_pem)

    in_cluster(tmp_path / "scheduler", body)


def test_beside_its_scheduler_a_gateway_needs_no_token(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        options = GatewayOptions(
            tmp_path / "gate", ANYWHERE, scheduler=cluster.service.address, local_scheduler=cluster.directory
        )
        async with serving(options) as url:
            assert url.startswith("https://127.0.0.1:")
            said = await answer(url, get("/readyz"), trusting(cluster), "localhost")
            assert said.startswith(b"HTTP/1.1 200 ")
            with pytest.raises(Conflict, match="already uses"):
                await serve(options, lambda _: None)

    in_cluster(tmp_path / "scheduler", body)


def test_plain_http_is_never_without_a_token(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        options = GatewayOptions(
            *(tmp_path / "gate", ANYWHERE, cluster.service.address),
            local_scheduler=cluster.directory,
            is_plain=True,
        )
        async with serving(options) as url:
            assert url.startswith("http://")
            assert (await answer(url, get("/v1/jobs"))).startswith(b"HTTP/1.1 401 ")
            shown = f"Authorization: Bearer {await bearer(cluster)}"
            assert (await answer(url, get("/v1/jobs", shown))).startswith(b"HTTP/1.1 200 ")

    in_cluster(tmp_path / "scheduler", body)


def test_who_says_nothing_or_too_little_is_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(cluster: Cluster) -> None:
        monkeypatch.setattr("cluster.gateway.connections.HEAD_PATIENCE", 0.05)
        monkeypatch.setattr("cluster.gateway.server.IDLE_PATIENCE", 0)
        options = GatewayOptions(
            *(tmp_path / "gate", ANYWHERE, cluster.service.address), local_scheduler=cluster.directory, is_plain=True
        )
        async with serving(options) as url:
            for said in ("", "GET / HT", get("/healthz")[:-2]):
                assert await answer(url, said) == b""
            once = get("/healthz").replace("close", "keep-alive")
            assert (await answer(url, f"{once}GET /healthz HTTP/1.1\r\nHo")).count(b"200 OK") == 1

    in_cluster(tmp_path / "scheduler", body)


def test_who_sends_too_much_reads_why(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        options = GatewayOptions(
            *(tmp_path / "gate", ANYWHERE, cluster.service.address), local_scheduler=cluster.directory, is_plain=True
        )
        async with serving(options) as url:
            shown = f"Authorization: Bearer {await bearer(cluster)}"
            head = get("/v1/jobs", shown, "Content-Type: application/json", "Transfer-Encoding: chunked")
            chunk = f"{1 << 20:x}\r\n{' ' * (1 << 20)}\r\n"
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.write(f"{head.replace('GET', 'POST').replace('close', 'keep-alive')}{30 * chunk}0\r\n\r\n".encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
            await writer.drain()  # all of it was taken
            await closed(writer)

    in_cluster(tmp_path / "scheduler", body)


def test_where_there_are_too_many_connections_the_oldest_goes_and_a_newcomer_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(cluster: Cluster) -> None:
        monkeypatch.setattr("cluster.gateway.server.MOST_CONNECTIONS", 3)
        options = GatewayOptions(
            *(tmp_path / "gate", ANYWHERE, cluster.service.address), local_scheduler=cluster.directory, is_plain=True
        )
        async with serving(options) as url:
            port = int(url.rpartition(":")[2])
            silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
            assert (await answer(url, get("/healthz"))).startswith(b"HTTP/1.1 200 ")
            assert await silent[0][0].read() == b""
            for _, writer in silent:
                await closed(writer)

    in_cluster(tmp_path / "scheduler", body)


def test_nothing_of_the_certificate_that_a_client_shows_is_believed_unless_our_ca_has_made_it(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        options = GatewayOptions(
            tmp_path / "gate", ANYWHERE, cluster.service.address, local_scheduler=cluster.directory
        )
        async with serving(options) as url:
            context = trusting(cluster)
            admin = load_credentials(cluster.directory / "admin.pem")
            (tmp_path / "admin.pem").write_bytes(admin.key_pem + admin.certificate_pem)
            context.load_cert_chain(tmp_path / "admin.pem")
            assert (await answer(url, get("/v1/users"), context, "localhost")).startswith(b"HTTP/1.1 200 ")

    in_cluster(tmp_path / "scheduler", body)

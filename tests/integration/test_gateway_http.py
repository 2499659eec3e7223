"""What of HTTP/1.1 a gateway takes, byte by byte: nothing that two readers could read differently."""

import asyncio
import re
from contextlib import suppress
from pathlib import Path

import pytest

from cluster.gateway import connections, event_streams
from cluster.gateway.process import GatewayOptions
from tests.integration.schedulers import Cluster, in_cluster, until
from tests.integration.test_gateway_process import ANYWHERE, bearer, closed, get, serving

HOST = "Host: 127.0.0.1\r\n"
ALIVE = f"GET /healthz HTTP/1.1\r\n{HOST}\r\n"
LAST = f"GET /healthz HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
LONG, MORE = 40 * 1024, "X:y\r\n"

# What is sent, and the statuses of all answers until the connection is closed. Each ends with a request that would be
# answered if what is before it were taken as something else than it is.
SENT: dict[str, tuple[str, list[int]]] = {
    "one after the other": (ALIVE + LAST, [200, 200]),
    "many at once": (99 * ALIVE + LAST, 100 * [200]),
    "of HTTP/1.0, which ends": (f"GET /healthz HTTP/1.0\r\n{HOST}\r\n{LAST}", [200]),
    "of HTTP/1.0, which ends also where it asks to go on": (
        f"GET /healthz HTTP/1.0\r\n{HOST}Connection: keep-alive\r\n\r\n{LAST}",
        [200],
    ),
    "of HTTP/0.9": (f"GET /healthz\r\n\r\n{LAST}", [400]),
    "of HTTP/2.0": (f"GET /healthz HTTP/2.0\r\n{HOST}\r\n{LAST}", [400]),
    "of HTTP/2": (f"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{LAST}", [400]),
    "of HTTP/1.2": (f"GET /healthz HTTP/1.2\r\n{HOST}\r\n{LAST}", [400]),
    "no method": (f"BREW /healthz HTTP/1.1\r\n{HOST}\r\n{LAST}", [400]),
    "a proxy's target": (f"GET http://127.0.0.1/healthz HTTP/1.1\r\n{HOST}\r\n{LAST}", [400]),
    "a proxy's target of another": (f"GET https://127.0.0.2/healthz HTTP/1.1\r\n{HOST}\r\n{LAST}", [400]),
    "a target that names a host": (f"GET 127.0.0.1:80 HTTP/1.1\r\n{HOST}\r\n{LAST}", [400]),
    "all of the server": (f"OPTIONS * HTTP/1.1\r\n{HOST}\r\n{LAST}", [400]),
    "a target without its slash": (f"GET healthz HTTP/1.1\r\n{HOST}\r\n{LAST}", [400]),
    "a target that is not ASCII": (f"GET /h\xe9althz HTTP/1.1\r\n{HOST}\r\n{LAST}", [400]),
    "a NUL in the target": (f"GET /healthz\0 HTTP/1.1\r\n{HOST}\r\n{LAST}", [400]),
    "a tunnel": (f"CONNECT 127.0.0.1:22 HTTP/1.1\r\n{HOST}\r\n{LAST}", [400]),
    "a fragment": (f"GET /healthz#x HTTP/1.1\r\n{HOST}\r\n{LAST}", [400]),
    "an upgrade, which there is none of": (
        f"GET /healthz HTTP/1.1\r\n{HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n{LAST}",
        [200],
    ),
    "an upgrade to HTTP/2": (
        f"GET /healthz HTTP/1.1\r\n{HOST}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        f"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n{LAST}",
        [200],
    ),
    "two lengths": (f"POST /healthz HTTP/1.1\r\n{HOST}Content-Length: 0\r\nContent-Length: 5\r\n\r\n{LAST}", [400]),
    "the same length twice": (
        f"POST /healthz HTTP/1.1\r\n{HOST}Content-Length: 0\r\nContent-Length: 0\r\n\r\n{LAST}",
        [400],
    ),
    "lengths in a list": (f"POST /healthz HTTP/1.1\r\n{HOST}Content-Length: 0, 0\r\n\r\n{LAST}", [400]),
    "a length with a sign": (f"POST /healthz HTTP/1.1\r\n{HOST}Content-Length: +0\r\n\r\n{LAST}", [400]),
    "a length less than none": (f"POST /healthz HTTP/1.1\r\n{HOST}Content-Length: -1\r\n\r\n{LAST}", [400]),
    "an endless length": (f"POST /healthz HTTP/1.1\r\n{HOST}Content-Length: {10**30}\r\n\r\n{LAST}", [400]),
    "a length in hex": (f"POST /healthz HTTP/1.1\r\n{HOST}Content-Length: 0x0\r\n\r\n{LAST}", [400]),
    "both length and chunks": (
        f"POST /healthz HTTP/1.1\r\n{HOST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{LAST}",
        [400],
    ),
    "both the other way round": (
        f"POST /healthz HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{LAST}",
        [400],
    ),
    "chunks that are not last": (
        f"POST /healthz HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{LAST}",
        [400],
    ),
    "chunks by another name": (
        f"POST /healthz HTTP/1.1\r\n{HOST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{LAST}",
        [400],
    ),
    "chunks by a name with a tab": (
        f"POST /healthz HTTP/1.1\r\n{HOST}Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n{LAST}",
        [400],
    ),
    "chunks, with a space before the colon": (
        f"POST /healthz HTTP/1.1\r\n{HOST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{LAST}",
        [400],
    ),
    "chunks twice": (
        f"POST /healthz HTTP/1.1\r\n{HOST}{CHUNKED}{CHUNKED}\r\n0\r\n\r\n{LAST}",
        [400],
    ),
    "chunks, and not, on two lines": (
        f"POST /healthz HTTP/1.1\r\n{HOST}{CHUNKED}Transfer-Encoding: identity\r\n\r\n0\r\n\r\n{LAST}",
        [400],
    ),
    "a chunk of more than there is": (
        f"POST /healthz HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{LAST}",
        [400],
    ),
    "a chunk less than none": (
        f"POST /healthz HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n-1\r\n{LAST}",
        [400],
    ),
    "a chunk that ends in a line feed alone": (
        f"POST /healthz HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n0\n\n{LAST}",
        [400],
    ),
    "chunks of HTTP/1.0, after which nothing counts": (
        f"POST /healthz HTTP/1.0\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{LAST}",
        [405],
    ),
    "chunks, and what comes behind them": (
        f"POST /healthz HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n0\r\nX: y\r\n\r\n{LAST}",
        [405, 200],
    ),
    "a body that nobody wants": (
        f"GET /healthz HTTP/1.1\r\n{HOST}Content-Length: {len(ALIVE)}\r\n\r\n{ALIVE}{LAST}",
        [200, 200],
    ),
    "no number of a chunk": (
        f"POST /healthz HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n{LAST}",
        [400],
    ),
    "a header of two lines": (f"GET /healthz HTTP/1.1\r\n{HOST}X: a\r\n b\r\n\r\n{LAST}", [400]),
    "a space before the colon": (f"GET /healthz HTTP/1.1\r\n{HOST}Content-Length : 5\r\n\r\n{LAST}", [400]),
    "a space before the name": (f"GET /healthz HTTP/1.1\r\n {HOST}\r\n{LAST}", [400]),
    "a header without a name": (f"GET /healthz HTTP/1.1\r\n{HOST}: x\r\n\r\n{LAST}", [400]),
    "a header without a colon": (f"GET /healthz HTTP/1.1\r\n{HOST}nothing\r\n\r\n{LAST}", [400]),
    "a NUL in a header": (f"GET /healthz HTTP/1.1\r\n{HOST}X: a\0b\r\n\r\n{LAST}", [400]),
    "a bare return in a header": (f"GET /healthz HTTP/1.1\r\n{HOST}X: a\rY: b\r\n\r\n{LAST}", [400]),
    "lines that end in a line feed alone": (f"GET /healthz HTTP/1.1\nHost: 127.0.0.1\n\n{LAST}", [400]),
    "a space in the target": (f"GET /health z HTTP/1.1\r\n{HOST}\r\n{LAST}", [400]),
    "two hosts": (f"GET /healthz HTTP/1.1\r\n{HOST}{HOST}Connection: close\r\n\r\n", [421]),
    "no host": ("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", [421]),
    "a long target": (f"GET /{LONG * 'x'} HTTP/1.1\r\n{HOST}\r\n{LAST}", [431]),
    "a long header": (f"GET /healthz HTTP/1.1\r\n{HOST}X: {LONG * 'x'}\r\n\r\n{LAST}", [431]),
    "many headers": (f"GET /healthz HTTP/1.1\r\n{HOST}{LONG // 4 * MORE}\r\n{LAST}", [431]),
    "a head without an end": (f"GET /healthz HTTP/1.1\r\n{HOST}X: {LONG * 'x'}", [431]),
    "something else after what is good": (f"{ALIVE}{ALIVE}\x16\x03\x01\x02", [200, 200, 400]),
    "TLS": ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [400]),
}


def test_what_is_taken_and_what_is_refused_is_the_same_for_every_reader(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        async with serving(plain(cluster, tmp_path)) as url:
            port = int(url.rpartition(":")[2])
            for what, (sent, expected) in SENT.items():
                got = await answers(port, sent.encode("latin-1"))
                assert got == expected, what
                piecemeal = [sent[at : at + 700].encode("latin-1") for at in range(0, len(sent), 700)]
                assert await answers(port, *piecemeal) == expected, f"{what}, in pieces"

    in_cluster(tmp_path / "scheduler", body)


def test_what_comes_while_something_is_answered_waits_and_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(cluster: Cluster) -> None:
        monkeypatch.setattr(connections, "MOST_UNREAD", 100_000)
        monkeypatch.setattr(event_streams, "PULSE", 0.02)
        async with serving(plain(cluster, tmp_path)) as url:
            port, token = int(url.rpartition(":")[2]), f"Authorization: Bearer {await bearer(cluster)}"
            follow = get("/v1/events", token, "Accept: text/event-stream").replace("close", "keep-alive").encode()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(follow + ALIVE.encode() + ALIVE.encode())
            await reader.readuntil(b"stream of events")
            await until(lambda: followers(cluster) == 1)
            await closed(writer)  # who hangs up is noticed, although others wait behind it
            await until(lambda: followers(cluster) == 0)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(follow)
            await reader.readuntil(b"stream of events")
            await until(lambda: followers(cluster) == 1)
            writer.write(10_000 * ALIVE.encode())  # not all of that is read
            await asyncio.sleep(0)
            await closed(writer)
            await until(lambda: followers(cluster) == 0)

    in_cluster(tmp_path / "scheduler", body)


def followers(cluster: Cluster) -> int:
    """Calls of those that follow events."""
    return sum(call.method.endswith("/Follow") for call in cluster.service._gate._calls)


def plain(cluster: Cluster, tmp_path: Path) -> GatewayOptions:
    return GatewayOptions(
        *(tmp_path / "gate", ANYWHERE, cluster.service.address), local_scheduler=cluster.directory, is_plain=True
    )


async def answers(port: int, *pieces: bytes) -> list[int]:
    """The statuses of what comes for these bytes, until the other side hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0)
    got = await rest(reader)
    await closed(writer)
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", got)]


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other side hangs up, or resets the connection."""
    got = bytearray()
    with suppress(ConnectionResetError):
        while some := await reader.read(65536):
            got += some
    return bytes(got)

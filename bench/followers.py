"""What `cluster run -- true` takes while many follow one job over HTTP, beside what it takes while nobody does.

    python3 -m bench.followers [--followers 200] [--runs 20] [--rounds 3] [--lines 10]

The followed job writes so many lines a second. Each follower reads them as Server-Sent Events of one gateway, over TLS;
at the end all must have read the same bytes.
"""

import argparse
import asyncio
import json
import socket
import ssl
import statistics
import tempfile
import threading
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.harness import call, cluster, show, timed

WRITER = "i=0; while :; do i=$((i + 1)); echo line $i; sleep {pause}; done"


async def read(port: int, context: ssl.SSLContext, token: str, job: str) -> bytes:
    """All that the job writes, until it has ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, limit=1 << 20)
    head = f"GET /v1/jobs/{job}/logs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
    writer.write(f"{head}Accept: text/event-stream\r\nConnection: close\r\n\r\n".encode())
    written = bytearray()
    async for line in reader:
        if line.startswith(b'data: {"job"'):
            written += b64decode(json.loads(line[6:])["data"])
    writer.close()
    return bytes(written)


@contextmanager
def followed(env: Mapping[str, str], port: int, ca: Path, token: str, followers: int, lines: float) -> Iterator[None]:
    """A job that writes, and so many that follow it. AssertionError where they have not all read the same."""
    job = call(env, "job", "submit", "-q", "--", "sh", "-c", WRITER.format(pause=1 / lines)).strip()
    context = ssl.create_default_context(cafile=str(ca))

    async def all_of_them() -> list[bytes]:
        return await asyncio.gather(*(read(port, context, token, job) for _ in range(followers)))

    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.extend(asyncio.run(all_of_them())))
    thread.start()
    try:
        yield
    finally:
        call(env, "job", "cancel", "--yes", job)
        thread.join()
    assert len(found) == followers, f"{len(found)} of {followers} have read to the end"
    assert len(set(found)) == 1, sorted(map(len, found))
    assert found[0].startswith(b"line 1\n"), found[0][:100]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--followers", type=int, default=200)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lines", type=float, default=10)
    args = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as place, cluster(CLUSTER_UP_HTTP=f"127.0.0.1:{port}") as env:
        ca = Path(place, "ca.pem")
        ca.write_text(call(env, "ca", "show"))
        token = call(env, "token", "create", "--for", "http", "--role", "viewer").strip()

        def median() -> float:
            call(env, "run", "--", "true")
            return statistics.median(timed(lambda: call(env, "run", "--", "true")) * 1e3 for _ in range(args.runs))

        quiet, meanwhile = [], []
        for _ in range(args.rounds):
            quiet.append(median())
            with followed(env, port, ca, token, args.followers, args.lines):
                meanwhile.append(median())
    show("run -- true, nobody follows", quiet, "ms")
    show(f"run -- true, {args.followers} follow", meanwhile, "ms")
    show("ratio", [other / one for one, other in zip(quiet, meanwhile, strict=True)], "")


if __name__ == "__main__":
    main()

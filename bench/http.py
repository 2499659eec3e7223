"""Reading and submitting jobs over HTTPS, through one gateway, beside the same calls over gRPC.

    python3 -m bench.http [--requests 2000] [--abreast 16] [--rounds 3]

Each round reads one job (or many: each connection another), and submits jobs: by HTTP over ABREAST connections that are
kept open, and by the Python client over one connection with as many calls at a time. Shown are requests a second, and
what a request costs the processes of gateway and scheduler in CPU. The worker runs nothing, so jobs cost what handing
them in costs.
"""

import argparse
import asyncio
import socket
import ssl
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from bench.harness import call, cluster, cpu_seconds, scheduler_pid, show, timed
from cluster.client.aio import AsyncClient

SUBMIT, JOB = "POST /v1/jobs HTTP/1.1", '{"argv": ["true"]}'

Requests = Callable[[], object]


async def over_http(
    port: int, token: str, ca: Path, requests: int, abreast: int, head: str, body: str = "", jobs: int = 1
) -> None:
    """So many requests of one kind, each answered before the next on its connection. JOB in a head is one of so many
    jobs, of each connection another."""
    context = ssl.create_default_context(cafile=str(ca))
    lines = [head, "Host: 127.0.0.1", f"Authorization: Bearer {token}", "Content-Type: application/json"]
    text = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body])

    async def some(place: int) -> None:
        request = text.replace("JOB", str(1 + place % jobs)).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        for _ in range(requests // abreast):
            writer.write(request)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert answer.startswith(b"http/1.1 20"), answer
            await reader.readexactly(int(answer.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*map(some, range(abreast)))


async def over_grpc(home: str, requests: int, abreast: int, submits: bool) -> None:
    """The same by the Python client."""
    async with AsyncClient.connect(home=home) as client:

        async def some() -> None:
            for _ in range(requests // abreast):
                await (client.submit(["true"]) if submits else client.get(1, max_tasks=0))

        await asyncio.gather(*(some() for _ in range(abreast)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--abreast", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    port = _free_port()
    door = f"127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as place, cluster(CLUSTER_WORKER_RUNNER="null", CLUSTER_UP_HTTP=door) as env:
        ca = Path(place, "ca.pem")
        ca.write_text(call(env, "ca", "show"))
        token = call(env, "token", "create", "--for", "http", "--role", "admin").strip()
        call(env, "run", "--name", "first", "--", "true")
        http = partial(over_http, port, token, ca, args.requests, args.abreast)
        grpc = partial(over_grpc, env["CLUSTER_HOME"], args.requests, args.abreast)
        asyncio.run(over_http(port, token, ca, args.abreast, args.abreast, SUBMIT, JOB))
        kinds: dict[str, Requests] = {
            "read by HTTP": lambda: asyncio.run(http("GET /v1/jobs/1 HTTP/1.1")),
            "read many by HTTP": lambda: asyncio.run(http("GET /v1/jobs/JOB HTTP/1.1", jobs=args.abreast)),
            "read by gRPC": lambda: asyncio.run(grpc(submits=False)),
            "submit by HTTP": lambda: asyncio.run(http(SUBMIT, JOB)),
            "submit by gRPC": lambda: asyncio.run(grpc(submits=True)),
        }
        for _ in range(args.rounds):
            for what, work in kinds.items():
                _one(what, work, args.requests, env)


def _one(what: str, work: Requests, requests: int, env: Mapping[str, str]) -> None:
    pids = {"scheduler": scheduler_pid(env), "gateway": _gateway_pid(scheduler_pid(env))}
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    took = timed(work)
    costs = {name: (cpu_seconds(pid) - before[name]) / requests * 1e6 for name, pid in pids.items()}
    told = ", ".join(f"{name} {cost:.0f} µs CPU" for name, cost in costs.items())
    show(f"{what} ({told})", [requests / took], "/s")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _gateway_pid(scheduler: int) -> int:
    """Of the gateway that the scheduler keeps."""
    children = [pid for file in Path(f"/proc/{scheduler}/task").glob("*/children") for pid in file.read_text().split()]
    return next(int(pid) for pid in children if b"gateway" in Path(f"/proc/{pid}/cmdline").read_bytes())


if __name__ == "__main__":
    main()

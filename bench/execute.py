"""Code over HTTP, one run after another and many at once, beside the same interpreter in the same sandbox by hand.

    python3 -m bench.execute [--runs 50] [--abreast 50] [--rounds 3]

Each round runs `print(1)` by /execute over one connection that is kept open, RUNS times, and asks how long each took;
then by ABREAST connections at once, each once. Beside it the words that the worker would put before the interpreter
are run without a cluster: one after another, and two at a time. Needs bubblewrap.
"""

import argparse
import asyncio
import os
import socket
import ssl
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.harness import call, cluster_of_roles, show
from cluster.domain.job.spec import JobSpec
from cluster.worker.sandbox_probe import find_sandbox
from cluster.worker.templates import RunAs, run_as

ANSWER = b"1\n"


class Door:
    """Where code is run."""

    def __init__(self, port: int, token: str, ca: Path) -> None:
        lines = ["GET /execute?code=print(1) HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}", "", ""]
        self._request = "\r\n".join(lines).encode()
        self._port = port
        self._context = ssl.create_default_context(cafile=str(ca))

    async def runs(self, count: int, begin: asyncio.Event | None = None) -> list[float]:
        """Runs it so often over one connection, once it may begin. Seconds for each."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._context)
        if begin is not None:
            await begin.wait()
        took = []
        for _ in range(count):
            began = time.perf_counter()
            writer.write(self._request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            body = await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            assert body == ANSWER, head + body
            took.append(time.perf_counter() - began)
        writer.close()
        await writer.wait_closed()
        return took

    async def at_once(self, count: int) -> float:
        """Seconds until all of so many connections have their answer."""
        begin = asyncio.Event()
        runs = [asyncio.create_task(self.runs(1, begin)) for _ in range(count)]
        await asyncio.sleep(0.5)  # they connect
        began = time.perf_counter()
        begin.set()
        await asyncio.gather(*runs)
        return time.perf_counter() - began


class ByHand:
    """The same command, without a cluster."""

    def __init__(self, user: RunAs) -> None:
        class Options:
            execute_python, execute_network, execute_unconfined = "", False, False

        sandbox = find_sandbox(Options, user)
        assert sandbox is not None, "bubblewrap does not work here"
        spec = JobSpec(("python3", "-I", "-c", "print(1)"), sandbox=True, timeout=30.0, memory=512 << 20)
        self._command = [*sandbox.words(spec), *sandbox.command(spec.argv)]
        self._ids: dict[str, Any] = (
            {} if user.uid is None else {"user": user.uid, "group": user.gid, "extra_groups": []}
        )

    def run(self) -> float:
        """Seconds for one."""
        began = time.perf_counter()
        done = subprocess.run(self._command, cwd="/var/tmp", capture_output=True, check=True, **self._ids)
        assert done.stdout == ANSWER
        return time.perf_counter() - began

    def at_once(self, count: int) -> float:
        """Seconds for so many, two at a time."""
        began = time.perf_counter()
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda _: self.run(), range(count)))
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--abreast", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    port = _free_port()
    with tempfile.TemporaryDirectory() as place, cluster_of_roles(CLUSTER_SCHEDULER_HTTP=f"127.0.0.1:{port}") as env:
        ca = Path(place, "ca.pem")
        ca.write_text(call(env, "ca", "show"))
        token = call(env, "token", "create", "--for", "http").strip()
        door, by_hand = Door(port, token, ca), ByHand(run_as(None))
        _wait_for(port)
        asyncio.run(door.runs(3))
        for _ in range(args.rounds):
            print(f"load {os.getloadavg()[0]:.1f}")
            show("one after another, /execute", [1000 * t for t in asyncio.run(door.runs(args.runs))], "ms")
            show("one after another, by hand", [1000 * by_hand.run() for _ in range(args.runs)], "ms")
            show(f"{args.abreast} at once, /execute", [args.abreast / asyncio.run(door.at_once(args.abreast))], "/s")
            show(f"{args.abreast} two at a time, by hand", [args.abreast / by_hand.at_once(args.abreast)], "/s")


def _wait_for(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.1)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()

"""Real workers, each a process with a launcher of its own, beside a scheduler in the process of the test."""

import asyncio
import json
import os
import pwd
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cluster.domain.scheduler.state import LEASE
from cluster.domain.trust.identity import IdentityKind
from cluster.launcher.client import LauncherClient
from cluster.pki.files import write_private
from cluster.rpc.channel import dial
from cluster.v1 import worker_pb2_grpc
from tests.integration.schedulers import Cluster, running
from tests.patience import PATIENCE

_RUN = """
import asyncio, dataclasses, json, logging, sys
from pathlib import Path
from cluster.domain.base.errors import ClusterError
from cluster.worker import agent, scheduler_link, service
from cluster.worker.process import WorkerOptions, serve
from cluster.worker.results import pushing
from tests.patience import PATIENCE

# Whatever is to be done before it ends, it may take as long as a test.
pushing.RETRY = 0.1
agent.KEEPING = scheduler_link.GOODBYE = service.QUIT_PATIENCE = PATIENCE

logging.basicConfig(level=logging.INFO)
fields = json.loads(sys.argv[1])
fields |= {n: Path(fields[n]) for n in ("directory", "local_scheduler", "scripts") if n in fields}
try:
    code = asyncio.run(serve(WorkerOptions(**fields), lambda r: print(json.dumps(dataclasses.asdict(r)), flush=True)))
except ClusterError as error:
    print(f"cluster: {error}", file=sys.stderr)
    code = error.exit_code
sys.exit(code)
"""


class WorkerProcess:
    """A worker in `directory`, which outlives its processes."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.directory = directory
        me = pwd.getpwuid(os.geteuid()).pw_name
        self._options = {
            "directory": str(directory),
            "listen": "127.0.0.1:0",
            "run_as": me,
            "millicpus": 2000,
            **options,
        }
        self.ready: dict[str, Any] = {}

    async def start(self, **options: Any) -> None:
        """Returns when it can take jobs, or has given up: then `ready` is empty."""
        fields = {name: value for name, value in {**self._options, **options}.items() if value is not None}
        log = os.open(f"{self.directory}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        command = [sys.executable, "-c", _RUN, json.dumps(fields)]
        self.process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=log)
        os.close(log)
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        self.ready = json.loads(line) if line else {}

    async def started(self, **options: Any) -> "WorkerProcess":
        await self.start(**options)
        assert self.ready, self.log()
        return self

    async def refused(self, **options: Any) -> tuple[int, str]:
        """The exit code of one that does not start, and the line that says why."""
        await self.start(**options)
        assert not self.ready
        return await self.process.wait(), self.log().splitlines()[-1]

    async def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return await self.process.wait()

    def log(self) -> str:
        return Path(f"{self.directory}.log").read_text()

    @property
    def launcher_pid(self) -> int:
        return int((self.directory / "launcher" / "launcher.lock").read_text())

    def files(self) -> list[str]:
        """What it keeps of outputs and working directories."""
        return sorted(
            str(path.relative_to(self.directory))
            for top in ("jobs", "work")
            for path in (self.directory / top).glob("*/*")
        )

    async def clean_up(self) -> None:
        """Ends what still runs: the agent, then the launcher with all its processes."""
        if self.process.returncode is None:
            await self.stop(signal.SIGKILL)
        if (self.directory / "launcher" / "launcher.sock").exists():
            client = await LauncherClient.connect_or_start(str(self.directory / "launcher"), 1000)
            client.quit(kill=True)
            async for _ in client.batches():
                pass
            await client.close()


class Site:
    """A scheduler and its workers."""

    def __init__(self, root: Path, cluster: Cluster) -> None:
        self.root = root
        self.cluster = cluster
        self.user = cluster.user()
        self.workers: list[WorkerProcess] = []

    def announce(self) -> None:
        """What a scheduler's process leaves for workers on its machine."""
        service, directory = self.cluster.service, self.cluster.directory
        write_private(directory / "join-token", str(service.new_local_token()).encode())
        said = {"address": service.address, "cluster_id": self.cluster.authority.cluster_id}
        write_private(directory / "scheduler.json", json.dumps(said).encode())

    def worker(self, name: str = "worker", **options: Any) -> WorkerProcess:
        worker = WorkerProcess(self.root / name, **{"local_scheduler": str(self.cluster.directory), **options})
        self.workers.append(worker)
        return worker

    @asynccontextmanager
    async def own_api(self, worker: WorkerProcess, user: str = "admin") -> AsyncIterator[Any]:
        """A stub of the worker's own API."""
        credentials = self.cluster.credentials(IdentityKind.USER, user)
        async with dial(worker.ready["address"], credentials, self.server_name(worker)) as channel:
            yield worker_pb2_grpc.WorkerStub(channel)

    def server_name(self, worker: WorkerProcess) -> str:
        """The DNS name that the worker proves."""
        return self.cluster.authority.identity(IdentityKind.WORKER, worker.ready["id"]).server_name or ""


def at_site(root: Path, body: Callable[[Site], Awaitable[None]], lease: float = LEASE) -> None:
    """Runs the test's body beside a scheduler, and ends all workers that it started."""

    async def run() -> None:
        async with running(root / "scheduler", lease) as cluster:
            site = Site(root, cluster)
            site.announce()
            try:
                async with asyncio.timeout(PATIENCE):
                    await body(site)
            finally:
                for worker in site.workers:
                    await worker.clean_up()

    asyncio.run(run())

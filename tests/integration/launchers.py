"""A real launcher in a temporary directory, for the tests of it."""

import asyncio
import os
import select
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from cluster.domain.base.ids import AttemptKey
from cluster.domain.launcher.messages import Ended, Started
from cluster.domain.launcher.template import Item, Template
from cluster.launcher import tree, watchdog, wire
from cluster.launcher.client import LauncherClient
from cluster.launcher.orphans import identity
from tests.integration.fifos import reach
from tests.patience import PATIENCE

# Forks twice, leaves the session, closes everything: what daemons do. Ignores SIGTERM, tells its pid. Who started it
# goes on only then, because what an attempt leaves behind is killed at once.
DAEMON = """
import os, signal, sys
told, tell = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for fd in range(3):
            os.close(fd)
        with open(sys.argv[1], "w") as f:
            f.write(str(os.getpid()))
        os.write(tell, b"!")
        signal.pause()
    os._exit(0)
os.wait()
os.read(told, 1)
"""

# An agent in a process of its own, to be killed: starts one attempt of a script. Arguments: directory, outputs, script.
AGENT = """
import asyncio, os, sys
from cluster.domain.launcher.template import Item, Template
from cluster.launcher.client import LauncherClient

async def main(directory, outputs, script):
    client = await LauncherClient.connect_or_start(directory, 2000)
    command = Template(("sh", "-c", script), (("PATH", os.environ["PATH"]),), outputs)
    client.start(client.define(command), [Item("1.0#1")])
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


class Agent:
    """A connected client that remembers every report."""

    def __init__(self, client: LauncherClient) -> None:
        self.client = client
        self.hello = client.hello
        self.reports: list[Started | Ended] = []
        self._batches = client.batches()

    async def until(self, done: Callable[[], bool]) -> None:
        """Read reports until `done`."""
        while not done():
            self.reports.extend(await anext(self._batches))

    async def end_of(self, key: str) -> Ended:
        await self.until(lambda: key in self.ends())
        return self.ends()[key]

    async def start_of(self, key: str) -> Started:
        await self.until(lambda: key in self.starts())
        return self.starts()[key]

    async def until_gone(self) -> None:
        """Read until the launcher closes the connection."""
        async for reports in self._batches:
            self.reports.extend(reports)

    def ends(self) -> dict[str, Ended]:
        return {r.key: r for r in self.reports if isinstance(r, Ended)}

    def starts(self) -> dict[str, Started]:
        return {r.key: r for r in self.reports if isinstance(r, Started)}


class Lab:
    """A launcher's directory, and a place for outputs and fifos."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.directory = str(root / "launcher")
        self.outputs = root / "out"
        self.outputs.mkdir()
        self._fifos = 0

    def template(self, *argv: str, **changes: Any) -> Template:
        env = (("PATH", os.environ["PATH"]),)
        return Template(argv, **{"env": env, "outputs": str(self.outputs), "cwd": str(self.root), **changes})

    def shell(self, script: str, **changes: Any) -> Template:
        return self.template("sh", "-c", script, **changes)

    def output(self, stem: str) -> str:
        return (self.outputs / f"{stem}.out").read_text()

    def fifo(self) -> Path:
        """A named pipe: writing to it is how a job tells the test that it got somewhere."""
        self._fifos += 1
        path = self.root / f"fifo{self._fifos}"
        os.mkfifo(path)
        return path

    def processes(self) -> list[int]:
        """Everything alive that was ever started by a launcher of this lab and did not hide."""
        mark = identity(self.directory)
        return [pid for pid in tree.read_all() if tree.read_environment(pid, "CLUSTER_LAUNCHER") == mark]

    async def connect(self, millicpus: int = 2000, **more: Any) -> Agent:
        return Agent(await LauncherClient.connect_or_start(self.directory, millicpus, **more))

    async def dial(self) -> socket.socket:
        """A bare connection to the launcher, over which nothing was said yet."""
        connection = socket.socket(socket.AF_UNIX)
        directory = os.open(self.directory, os.O_PATH)  # its path may be too long for a socket address
        await asyncio.to_thread(connection.connect, f"/proc/self/fd/{directory}/{wire.SOCKET_NAME}")
        os.close(directory)
        return connection

    def watchdog(self) -> "Watched":
        """The one that is there now."""
        return Watched((Path(self.directory) / watchdog.LOCK).read_text().split()[0])

    async def kill_launcher(self, agent: Agent, alone: bool = True, stopped: Sequence[int] = ()) -> None:
        """SIGKILL, and wait until it is gone. Not alone: its watchdog and slots are killed first, when it cannot make
        others. `stopped`: pids that get SIGSTOP before, when it cannot let a slot among them go on."""
        launcher = Watched(agent.hello.pid)
        if stopped or not alone:
            os.kill(agent.hello.pid, signal.SIGSTOP)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        if not alone:
            helpers = [Watched(int(pid)) for pid in _children(agent.hello.pid)]
            for helper in helpers:
                os.kill(helper.pid, signal.SIGKILL)
            for helper in helpers:
                assert await helper.gone()
        os.kill(agent.hello.pid, signal.SIGKILL)
        await agent.until_gone()
        assert await launcher.gone()

    @asynccontextmanager
    async def agent(self, millicpus: int = 2000, **more: Any) -> AsyncIterator[Agent]:
        """A launcher with an agent; ended with everything it runs at the end."""
        agent = await self.connect(millicpus, **more)
        try:
            yield agent
        finally:
            await self.quit()

    async def quit(self) -> None:
        agent = await self.connect()
        agent.client.quit(kill=True)
        await agent.until_gone()


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def run(main: Coroutine[Any, Any, None]) -> None:
    """asyncio.run, but a test that hangs fails."""

    async def guarded() -> None:
        async with asyncio.timeout(PATIENCE):
            await main

    asyncio.run(guarded())


def one(agent: Agent, template: Template, key: str = "1.0#1", **item: Any) -> str:
    """Start one attempt; answers its key."""
    number = AttemptKey.parse(key).index or None
    agent.client.start(agent.client.define(template), [Item(key, **{"number": number, **item})])
    return key


class Watched:
    """A process that is watched from now on, whatever becomes of its pid. There may be none any more."""

    def __init__(self, pid: int | str) -> None:
        self.pid = int(pid)
        self._fd: int | None = None
        with suppress(ProcessLookupError):
            self._fd = os.pidfd_open(self.pid)

    def is_gone(self, within: float = 0) -> bool:
        return self._fd is None or bool(select.select([self._fd], [], [], within)[0])

    async def gone(self) -> bool:
        return await asyncio.to_thread(self.is_gone, PATIENCE)


async def leave_daemon(lab: Lab, agent: Agent, then: str, hidden: bool = False, **changes: Any) -> tuple[str, Watched]:
    """An attempt that left a daemon behind and goes on with `then`. hidden: its environment is empty, too."""
    fifo = lab.fifo()
    script = lab.root / "daemon.py"
    script.write_text(DAEMON)
    python = "env -i $(command -v python3)" if hidden else "python3"
    key = one(agent, lab.shell(f"{python} {script} {fifo}; {then}", **changes))
    return key, Watched(await reach(fifo))

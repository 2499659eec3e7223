"""A scheduler and workers as processes of their own, to be killed and started again at will."""

import fcntl
import getpass
import os
import random
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType

from cluster.client import Client
from tests.acceptance.command import Command
from tests.patience import PATIENCE


class Daemons:
    """Use it in `with`: what was started is ended, launchers and jobs included."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.port = free_port()
        self.around: dict[str, list[str]] = {}  # daemon: a command that runs it, such as one that lets its disk fail
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._workers: set[str] = set()

    def __enter__(self) -> "Daemons":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop("pools")
        for name in self._workers:
            self.stop(name)
            end_launcher(self.command.home / name / "launcher")
        self.stop("scheduler")

    def start_scheduler(self, *options: str) -> None:
        """On the same port each time, as a service would be; returns when it is ready."""
        listen = ("--listen", f"127.0.0.1:{self.port}", "--join-listen", "127.0.0.1:0")
        self._start("scheduler", "scheduler", *listen, *options)

    def start_worker(self, name: str, *options: str) -> None:
        """In a directory of its own, kept when it is started again."""
        self._workers.add(name)
        place = ("--directory", str(self.command.home / name), "--listen", "127.0.0.1:0", "--name", name)
        self._start(name, "worker", *place, "--run-as", getpass.getuser(), *options)

    def start_pools(self, config: Path) -> None:
        """Keeps the pools of that file, having joined at the first time."""
        join: list[str] = []
        if not (self.command.home / "pools" / "keeper.pem").exists():
            token = self.command.ok("token", "create", "-q", "--role", "pools", "--user", "keeper").text.strip()
            join = ["--join", token]
        self._start("pools", "pools", "--config", str(config), *join)

    def kill(self, name: str) -> None:
        """kill -9, and gone when this returns."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str) -> None:
        """SIGTERM, and gone when this returns. Nothing if it does not run."""
        if process := self._running.pop(name, None):
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """SIGSTOP, and SIGCONT at the end."""
        os.kill(self._running[name].pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._running[name].pid, signal.SIGCONT)

    def end_of(self, name: str) -> int:
        """Waits for it to end by itself; its exit code."""
        return self._running.pop(name).wait(PATIENCE)

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def is_alive(self, name: str) -> bool:
        return self._running[name].poll() is None

    def log(self, name: str) -> str:
        return (self.command.home / f"{name}.log").read_text()

    def client(self) -> Client:
        return Client.connect(home=self.command.home)

    def _start(self, name: str, *arguments: str) -> None:
        """Returns when it says that it is ready."""
        with _ready_pipe() as (reader, writer), open(self.command.home / f"{name}.log", "ab") as log:
            self._running[name] = subprocess.Popen(
                [*self.around.get(name, []), *self.command.line(*arguments, "--ready-fd", str(writer))],
                env=self.command.environment({}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[writer],
            )
            os.close(writer)
            said = os.read(reader, 1)
        if not said:
            self._running.pop(name).wait()
            raise AssertionError(f"{name} ended: {Path(log.name).read_text()}")


def end_launcher(directory: Path) -> None:
    """Launchers outlive their agents: ends the one that lives in `directory`, if any does, with all that it runs."""
    with suppress(FileNotFoundError, ProcessLookupError), open(directory / "launcher.lock") as lock:
        process = os.pidfd_open(int(lock.read()))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # works where none lives
        except BlockingIOError:
            signal.pidfd_send_signal(process, signal.SIGTERM)
            ended, _, _ = select.select([process], [], [], PATIENCE)
            assert ended, f"the launcher in {directory} does not end"
        finally:
            os.close(process)


@contextmanager
def _ready_pipe() -> Iterator[tuple[int, int]]:
    """(reader, writer); the writer is the caller's to close once a child has it."""
    reader, writer = os.pipe()
    with ExitStack() as cleanup:
        cleanup.callback(os.close, reader)
        yield reader, writer


def free_port() -> int:
    """One that is free and stays so while nobody listens on it: the system gives it to nobody who asks for just any."""
    first_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(min(20_000, first_given // 2), first_given)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port

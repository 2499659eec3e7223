"""Commands without the start of an interpreter: a process that has loaded the command line forks for each.

    python -m tests.acceptance.warm_starts NAME

What runs is the program's own `main`, in a process of its own, with the words, variables, directory and streams that it
was given: only what is loaded already is not loaded again, which takes four fifths of a short command. One connection
each, on an abstract socket of that name: the call comes with three descriptors, and the exit code goes back. Who hangs
up ends the command.
"""

import atexit
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NoReturn

from tools.environments import REPOSITORY

MOST_BYTES = 1 << 18  # of one call
MOST_CHARACTERS = 1 << 15  # of it, of up to six bytes each
PIECE = 1 << 16
DAEMONS = ("scheduler", "worker", "gateway", "pools", "ui")  # they may start themselves anew
# Variables that nothing looks at before `main` runs. Whatever else differs wants an interpreter of its own.
LATE = ("CLUSTER_", "_CLUSTER_", "XDG_", "COMP_", "HOME", "PATH", "COLUMNS", "PYTEST_")
# What commands load, but for daemons.
MODULES = (
    *("cluster.cli.main", "cluster.cli.jobs", "cluster.cli.submit", "cluster.cli.render", "cluster.cli.task_tables"),
    *("cluster.cli.embedded", "cluster.cli.follow", "cluster.cli.quick.jobs", "cluster.cli.quick.run"),
    *("cluster.client.aio", "cluster.client.scheduler_backend", "cluster.rpc.channel", "cluster.pki.files"),
)


@cache
def warm_starts() -> "WarmStarts":
    """The one of this process."""
    return WarmStarts()


class WarmStarts:
    """Lives in the process of the tests: the other process, which is gone with it."""

    def __init__(self) -> None:
        self._name = f"cluster-warm-{os.getpid()}"
        self._environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.warm_starts", self._name],
            stdin=subprocess.PIPE,  # pipes, as commands have them: Python makes its streams for what it finds
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
            env=self._environ,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        atexit.register(self._process.communicate)

    def can_run(self, words: Sequence[str], environ: Mapping[str, str]) -> bool:
        """Whether nobody would notice that an interpreter had been started with other words and variables."""
        is_daemon = bool(words) and words[0] in DAEMONS and (len(words) == 1 or words[1].startswith("-"))
        differ = {name for name, _ in environ.items() ^ self._environ.items()}
        size = sum(map(len, (*words, *environ.values())))
        return not is_daemon and size < MOST_CHARACTERS and all(name.startswith(LATE) for name in differ)

    def run(
        self,
        words: Sequence[str],
        environ: Mapping[str, str],
        cwd: Path | None,
        stdin: bytes,
        seconds: float,
    ) -> tuple[int, bytes, bytes]:
        """Its exit code (below 0: a signal), and what it wrote to both streams. TimeoutExpired, and it is killed."""
        umask = os.umask(0)
        os.umask(umask)
        call = {"words": words, "environ": dict(environ), "cwd": str(cwd or os.getcwd()), "umask": umask}
        given, feed = os.pipe()
        (out, to_out), (err, to_err) = os.pipe(), os.pipe()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(seconds)
            connection.connect(f"\0{self._name}")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MOST_BYTES)
            socket.send_fds(connection, [json.dumps(call).encode()], [given, to_out, to_err])
            for descriptor in (given, to_out, to_err):
                os.close(descriptor)
            written = _communicate(feed, stdin, [out, err], seconds)
            if written is None:
                raise subprocess.TimeoutExpired(["cluster", *words], seconds)
            return int(connection.recv(64)), written[0], written[1]


def _communicate(feed: int, fed: bytes, outputs: list[int], seconds: float) -> list[bytes] | None:
    """Writes to the one descriptor and reads the others to their ends. None: that took longer. Closes all."""
    until = time.monotonic() + seconds
    written: dict[int, bytearray] = {output: bytearray() for output in outputs}
    with selectors.DefaultSelector() as selector:
        for output in outputs:
            selector.register(output, selectors.EVENT_READ)
        os.set_blocking(feed, False)
        selector.register(feed, selectors.EVENT_WRITE)
        while selector.get_map() and (left := until - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                if key.fd == feed:
                    try:
                        fed = fed[os.write(feed, fed[:PIECE]) :] if fed else b""
                    except BrokenPipeError:
                        fed = b""
                    done = not fed
                else:
                    piece = os.read(key.fd, PIECE)
                    written[key.fd] += piece
                    done = not piece
                if done:
                    selector.unregister(key.fd)
                    os.close(key.fd)
        unfinished = [key.fd for key in selector.get_map().values()]
    for descriptor in unfinished:
        os.close(descriptor)
    return None if unfinished else [bytes(written[output]) for output in outputs]


def _serve(name: str) -> NoReturn:
    for module in MODULES:
        importlib.import_module(module)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(f"\0{name}")
    listener.listen(64)
    gc.freeze()
    print("ready", flush=True)
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)  # closed with the process of the tests
    selector.register(listener, selectors.EVENT_READ)
    running: dict[int, tuple[socket.socket, int]] = {}  # by the descriptor of the process, and by that of the socket
    while True:
        for key, _ in selector.select()[:1]:  # an end may close descriptors, whose numbers the next call gets
            if key.fd == 0:
                os._exit(0)
            elif key.fileobj is listener:
                connection, _ = listener.accept()
                pid = _start(connection)
                pidfd = os.pidfd_open(pid)
                for descriptor in (pidfd, connection.fileno()):
                    running[descriptor] = (connection, pid)
                    selector.register(descriptor, selectors.EVENT_READ)
            else:
                _end(key.fd, running, selector)


def _end(ready: int, running: dict[int, tuple[socket.socket, int]], selector: selectors.BaseSelector) -> None:
    """The command has ended; or who called has hung up."""
    connection, pid = running[ready]
    if ready == connection.fileno():
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    for descriptor in [each for each, (_, theirs) in running.items() if theirs == pid]:
        selector.unregister(descriptor)
        del running[descriptor]
        if descriptor != connection.fileno():
            os.close(descriptor)
    with suppress(OSError):  # it has hung up
        connection.send(str(code).encode())
    connection.close()


def _start(connection: socket.socket) -> int:
    """The pid of the command that was called for."""
    said, streams, _, _ = socket.recv_fds(connection, MOST_BYTES, 3)
    if (pid := os.fork()) == 0:
        try:
            _become(json.loads(said), streams)
        except SystemExit as end:
            sys.stdout.flush()
            os._exit(end.code if isinstance(end.code, int) else 0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    for stream in streams:
        os.close(stream)
    return pid


def _become(call: Mapping[str, object], streams: Sequence[int]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, max(1024, *streams) + 1)
    os.umask(int(str(call["umask"])))
    os.chdir(str(call["cwd"]))
    environ, words = call["environ"], call["words"]
    assert isinstance(environ, dict)
    assert isinstance(words, list)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = [str(REPOSITORY / "cluster" / "__main__.py"), *words]
    sys.orig_argv = [sys.executable, "-m", "cluster", *words]
    gc.enable()
    from cluster.cli.entry import main

    main()


if __name__ == "__main__":
    _serve(sys.argv[1])

"""The agent's side: find the living launcher or start one, send it work, read its reports. asyncio.

    client = await LauncherClient.connect_or_start(directory, millicpus=2000)
    one = client.define(template)
    client.start(one, [Item("5.17#1"), Item("5.18#1")])
    async for reports in client.batches():        # lists of Started and Ended
        …make them safe…
        client.ack(reports[-1].seq)

Sending never waits: what is sent in one turn of the event loop goes out in one write. How much is under way
is bounded by how much the agent starts.
"""

import asyncio
import logging
import os
import resource
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from cluster.domain.base.errors import Unreachable
from cluster.domain.job import endings
from cluster.domain.launcher.messages import Ended, Started
from cluster.domain.launcher.template import Item, Template
from cluster.domain.session.offer import NOTHING, Offer
from cluster.launcher import wire
from cluster.launcher.agent_link import peer_uid
from cluster.launcher.leashes import Leashes

logger = logging.getLogger(__name__)

Reports = list[Started | Ended]
# A launcher that is just exiting has gone at the next try. One that has just begun first waits until what an earlier
# one left is dead, which takes 10 s and more where something hangs in the kernel: the tries take a minute in all.
MOST_TRIES = 30
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.5  # seconds between two tries; each is twice the one before
LAST_WORDS = 5.0  # seconds for a launcher to read what was sent before the connection is closed
TELL_AFTER = 5  # tries, somewhat more than a second, after which somebody may wonder why nothing happens


# Of this process when it began. The agent raises its limit on open files, and jobs are to have the one from before.
_FILES, _ = resource.getrlimit(resource.RLIMIT_NOFILE)


class LauncherUnavailable(Unreachable):
    """No launcher could be reached or started. The text says why and in which directory."""


class LauncherHello(NamedTuple):
    """What a launcher holds when an agent connects. `running` and `backlog` are keys; `unacked` reports follow.
    `quiet`: of keys that run, how long they may write nothing, in seconds.
    `leashes`: its descriptor of the table that it shares with us."""

    incarnation: str
    boot: str
    pid: int
    leashes: int
    seq: int
    unacked: int
    running: list[str]
    backlog: list[str]
    quiet: dict[str, float]
    limits_memory: bool = False  # where attempts ask for some
    frozen: list[str] | None = None  # keys; None: one of an older version, which freezes nothing


def default_command() -> list[str]:
    """Start the launcher by its file, with nothing but the standard library: sooner, and without the
    agent's paths. It speaks UTF-8 whatever the locale: what jobs are given is that.
    """
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
    return [sys.executable, "-I", "-S", "-X", "utf8", script]


class LauncherClient:
    """A connection to the launcher. Make one with `connect_or_start`."""

    def __init__(self, protocol: "_Protocol", hello: LauncherHello, leashes: Leashes) -> None:
        self._protocol = protocol
        self._leashes = leashes
        self._last_template = 0
        self.hello = hello

    @classmethod
    async def connect_or_start(
        cls,
        directory: str,
        millicpus: int,
        *,
        offer: Offer = NOTHING,
        command: Sequence[str] | None = None,
    ) -> "LauncherClient":
        """Connect to the launcher that lives in `directory`; start one when there is none. `offer`: what attempts may
        take beside `millicpus`.

        Every report that was not acknowledged comes again. Raises LauncherUnavailable.
        """
        pause = FIRST_PAUSE
        for tries in range(1, MOST_TRIES + 1):
            connection = _connect(directory)
            if connection is not None:
                with suppress(ConnectionError):  # it exited, or another agent came
                    return await cls._greet(connection, millicpus, offer)
            elif await asyncio.to_thread(_start, directory, millicpus, command or default_command()):
                continue
            if tries == TELL_AFTER:
                logger.warning("another launcher holds %s and does not answer yet: waiting for it", directory)
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
        raise LauncherUnavailable(f"the launcher in {directory} neither answers nor goes away")

    @classmethod
    async def _greet(cls, connection: socket.socket, millicpus: int, offer: Offer) -> "LauncherClient":
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_unix_connection(_Protocol, sock=connection)
        protocol.send(("hello", millicpus))
        try:
            fields = await protocol.hello
        except asyncio.CancelledError:
            protocol.close()
            raise
        if fields.pop("version") != wire.VERSION:
            protocol.close()
            raise LauncherUnavailable("a launcher of another version runs: tell it to quit with its own version")
        protocol.send(("offer", offer.sums, offer.gpus))
        hello = LauncherHello(**fields)
        try:
            fd = os.open(f"/proc/{hello.pid}/fd/{hello.leashes}", os.O_RDWR)
        except FileNotFoundError:  # it has died
            protocol.close()
            raise ConnectionResetError("the launcher has gone") from None
        except OSError as e:
            protocol.close()
            raise LauncherUnavailable(f"cannot share memory with the launcher in its directory: {e.strerror}") from e
        try:
            return cls(protocol, hello, Leashes(fd))
        finally:
            os.close(fd)

    def define(self, template: Template) -> int:
        """Make a template known on this connection; answers its id."""
        self._last_template += 1
        self._protocol.send(("define", self._last_template, wire.encode_template(template)))
        return self._last_template

    def redefine(self, template_id: int, template: Template) -> None:
        """Use an id again. What was started under it is not touched."""
        self._protocol.send(("define", template_id, wire.encode_template(template)))

    def start(self, template: int, items: Iterable[Item]) -> None:
        """Start these in this order as soon as there is room. Saying it twice does nothing."""
        for some in wire.batches_of(items):
            items_said = [wire.encode_item(i) for i in some]
            self._protocol.send(("start", template, items_said, self._leashes.confirmed_at))

    def recall(self, keys: Iterable[str]) -> None:
        """Ask for those that have not started: they are reported as ended with reason `returned`."""
        for some in wire.batches_of(keys):
            self._protocol.send(("recall", some))

    def stop(
        self,
        keys: Iterable[str],
        reason: str = endings.CANCELLED,
        grace: float | None = None,
        signal: str = "SIGTERM",
    ) -> None:
        """End these: `signal` to the whole tree, after `grace` seconds (None: the template's own) SIGKILL.

        `reason` is what their end will be called. One that has not started is returned; one that ended
        stays ended.
        """
        for some in wire.batches_of(keys):
            self._protocol.send(("stop", some, reason, grace, signal))

    def freeze(self, keys: Iterable[str], thaw: bool = False) -> None:
        """Let these stand still where they are; with `thaw`, let them go on. Saying it twice does nothing."""
        if self.hello.frozen is None:
            logger.warning("the launcher is of an older version, and freezes nothing until it is started anew")
            return
        for some in wire.batches_of(keys):
            self._protocol.send(("freeze", some, thaw))

    def confirm_lease(self, at: float) -> None:
        """The lease holds; `at` is the boot clock in seconds when it was asked for. The launcher need not be
        awake for that: it is written into the memory that we share."""
        self._leashes.confirm(at)

    def ack(self, seq: int) -> None:
        """Reports up to this number are safe: the launcher may forget them."""
        self._protocol.send(("ack", seq))

    def quit(self, kill: bool = False) -> None:
        """Let the launcher exit when idle; with `kill` end everything first."""
        self._protocol.send(("quit", kill))

    async def batches(self) -> AsyncIterator[Reports]:
        """Reports as they come, in lists that are never empty. Ends when the launcher is gone. Raises
        WireError when the launcher refused what we sent.
        """
        while (reports := await self._protocol.reports.get()) is not None:
            yield reports
        if self._protocol.refused:
            raise wire.WireError(self._protocol.refused)

    async def close(self) -> None:
        """Disconnect; the launcher and its attempts go on. One that has stopped reading is not waited for for ever."""
        self._protocol.close()
        try:
            async with asyncio.timeout(LAST_WORDS):
                await self._protocol.closed.wait()
        except TimeoutError:
            self._protocol.abort()


class _Protocol(asyncio.Protocol):
    """Lines to messages and back; one write a turn."""

    def __init__(self) -> None:
        self.hello: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.reports: asyncio.Queue[Reports | None] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.refused = ""
        self._transport: asyncio.WriteTransport | None = None
        self._in = bytearray()
        self._out: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def send(self, message: Iterable[Any]) -> None:
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(wire.encode(message))

    def _flush(self) -> None:
        data = b"".join(self._out)
        self._out.clear()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._in += data
        end = self._in.rfind(b"\n") + 1
        if not end:
            return
        messages = wire.decode_lines(bytes(self._in[:end]))
        del self._in[:end]
        reports: Reports = []
        for message in messages:
            if message[0] == "hello":
                if not self.hello.done():  # else nobody waits for it any more
                    self.hello.set_result(message[1])
            elif message[0] == "refused":
                self.refused = message[1]
            else:
                reports.append(wire.decode_report(message))
        if reports:
            self.reports.put_nowait(reports)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.hello.done():
            self.hello.set_exception(ConnectionResetError("the launcher closed the connection"))
        self.reports.put_nowait(None)
        self.closed.set()

    def close(self) -> None:
        """Closes the connection once all that was sent has gone out."""
        if self._transport is not None:
            self._flush()
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _connect(directory: str) -> socket.socket | None:
    """A connection to the launcher that listens in this directory; None when none does, or takes another one just now.
    Raises LauncherUnavailable.
    """
    try:
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    except OSError as e:
        raise LauncherUnavailable(f"cannot use {directory} for a launcher: {e.strerror}") from e
    connection = None
    try:
        # Not blocking: that would be for ever, where a launcher is stopped and has more callers than it listens for.
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        # Through the descriptor, because a socket address holds only 108 bytes of path.
        connection.connect(f"/proc/self/fd/{fd}/{wire.SOCKET_NAME}")
    except OSError as e:
        if connection is not None:
            connection.close()
        if isinstance(e, FileNotFoundError | ConnectionRefusedError | BlockingIOError):
            return None
        raise LauncherUnavailable(f"cannot connect to the launcher in {directory}: {e.strerror}") from e
    finally:
        os.close(fd)
    if peer_uid(connection) != os.geteuid():
        connection.close()
        raise LauncherUnavailable(f"the launcher in {directory} belongs to another user")
    return connection


def _start(directory: str, millicpus: int, command: Sequence[str]) -> bool:
    """Start a launcher that outlives us and wait until it listens. False when another one holds the directory."""
    log_path = os.path.join(directory, "launcher.log")
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        log_fd = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as e:
        raise LauncherUnavailable(f"cannot use {directory} for a launcher: {e.strerror}") from e
    try:
        process = subprocess.Popen(
            [*command, directory, str(millicpus), str(_FILES)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log_fd,
            start_new_session=True,
            cwd="/",
        )
    except (OSError, subprocess.SubprocessError) as e:
        raise LauncherUnavailable(f"cannot start the launcher: {e}") from e
    finally:
        os.close(log_fd)
    assert process.stdout is not None
    with process.stdout:
        answer = process.stdout.read()
    if answer == b"ready\n":
        _keep(process)
        return True
    if process.wait() != 0:
        raise LauncherUnavailable(f"the launcher did not start (exit code {process.returncode}), see {log_path}")
    return False


_started: list["subprocess.Popen[bytes]"] = []


def _keep(process: "subprocess.Popen[bytes]") -> None:
    """Popen wants to be waited for; the launcher is meant to outlive us. Reap those that died."""
    _started[:] = [p for p in _started if p.poll() is None]
    _started.append(process)

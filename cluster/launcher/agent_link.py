"""The launcher's end of the socket: lines in, lines out, never blocking, one write a turn."""

import os
import select
import signal
import socket
import struct
from collections.abc import Callable
from typing import Any

from cluster.domain.launcher import messages as ev
from cluster.domain.launcher.template import Template
from cluster.launcher.wire import (
    LONGEST_LINE,
    SOCKET_NAME,
    WireError,
    decode,
    decode_item,
    decode_offer,
    decode_template,
    encode,
)

_LEFT = "launcher.sock.left"
READ_SIZE = 1 << 18  # bytes; a batch of some thousand starts in one read


def listen() -> socket.socket:
    """Listen in the current directory, so that its path may be longer than a socket address. The caller
    holds the directory's lock: a socket that lies there belongs to a dead launcher.
    """
    for name in (SOCKET_NAME, _LEFT):
        if os.path.lexists(name):
            os.unlink(name)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    listener.bind(SOCKET_NAME)
    listener.listen(4)
    return listener


def unlisten(directory: int) -> None:
    """Nobody finds us any more in the directory of that descriptor. The socket stays under another name: its place is
    the next one's, where a disk has none for any other file."""
    os.rename(SOCKET_NAME, _LEFT, src_dir_fd=directory, dst_dir_fd=directory)


def peer_uid(connection: socket.socket) -> int:
    """User id of the process at the other end, from the kernel."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", data)
    return int(uid)


class Link:
    """A connected agent: events in, lines out. It may start nothing before it said hello."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._templates: dict[int, Template] = {}
        self._in = bytearray()
        self._out: list[bytes] = []
        self.fd = connection.fileno()
        self.greeted = False
        self.stuck = False  # the agent does not read as fast as we write
        self.mask = select.EPOLLIN  # what the loop watches

    def read(self) -> list[ev.Event]:
        """What the agent asks for. Raises ConnectionError when it is gone, WireError when it talks nonsense: then
        nothing of what came with the nonsense is done."""
        self.stuck = False  # as far as we know: the next flush will tell
        try:
            data = self._socket.recv(READ_SIZE)
        except BlockingIOError:
            return []
        if not data:
            raise ConnectionResetError("the agent closed the connection")
        self._in += data
        end = self._in.rfind(b"\n") + 1
        if not end and len(self._in) > LONGEST_LINE:
            raise WireError(f"a line of more than {LONGEST_LINE} bytes")
        lines = bytes(self._in[:end]).splitlines()
        del self._in[:end]
        events = (self._parse(line) for line in lines)
        return [event for event in events if event is not None]

    def _parse(self, line: bytes) -> ev.Event | None:
        try:
            word, *arguments = decode(line)
            if word != "hello" and not self.greeted:
                raise WireError("the first message must be hello")
            if word not in self._WORDS:
                raise WireError(f"unknown word {word!r}")
            return self._WORDS[word](self, *arguments)
        except (TypeError, ValueError, KeyError) as e:
            raise WireError(f"not a message: {e}") from e

    def _on_hello(self, capacity: int) -> ev.Event:
        self.greeted = True
        return ev.AgentConnected(int(capacity))

    def _on_define(self, id_: int, template: dict[str, Any]) -> None:
        self._templates[id_] = decode_template(template)

    def _on_start(self, id_: int, items: list[Any], confirmed_at: float | None = None) -> ev.Event:
        if id_ not in self._templates:
            raise WireError(f"template {id_} was not defined on this connection")
        confirmed_at = None if confirmed_at is None else float(confirmed_at)
        return ev.StartRequested(self._templates[id_], list(map(decode_item, items)), confirmed_at)

    def _on_stop(self, keys: list[str], reason: str, grace: float | None, name: str) -> ev.Event:
        grace = None if grace is None else float(grace)
        return ev.StopRequested(list(keys), str(reason), grace, signal.Signals[name].name)

    _WORDS: dict[str, Callable[..., ev.Event | None]] = {  # noqa: RUF012 (constant)
        "hello": _on_hello,
        "offer": lambda self, sums, gpus: ev.OfferMade(decode_offer(sums, gpus)),
        "define": _on_define,
        "start": _on_start,
        "recall": lambda self, keys: ev.RecallRequested(list(keys)),
        "stop": _on_stop,
        "freeze": lambda self, keys, thaw: ev.FreezeRequested(list(keys), bool(thaw)),
        "ack": lambda self, acked: ev.AgentAcked(int(acked)),
        "quit": lambda self, kill: ev.QuitRequested(bool(kill)),
    }

    def send(self, line: bytes) -> None:
        """Queue a line for the next flush."""
        self._out.append(line)

    @property
    def has_news(self) -> bool:
        """Is anything queued that could be written?"""
        return bool(self._out) and not self.stuck

    def flush(self) -> None:
        """Write what is queued; `stuck` says that some had to stay. Raises ConnectionError when the agent is gone."""
        if not self._out:
            return
        data = b"".join(self._out)
        try:
            sent = self._socket.send(data, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            sent = 0
        self._out = [data[sent:]] if sent < len(data) else []
        self.stuck = bool(self._out)

    def refuse(self, text: str) -> None:
        """Say what was wrong, as far as that is possible without waiting."""
        self.send(encode(("refused", text)))
        try:
            self.flush()
        except OSError:
            return

    def close(self) -> None:
        self._socket.close()

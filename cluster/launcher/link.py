"""The launcher's end of the socket: lines in, lines out, never blocking, one write a turn."""

import os
import select
import socket
import struct
from typing import Any

from cluster.domain.launcher_events import Template
from cluster.launcher.wire import LONGEST_LINE, SOCKET_NAME, WireError, decode, encode

READ_SIZE = 1 << 18  # bytes; a batch of some thousand starts in one read


def listen() -> socket.socket:
    """Listen in the current directory, so that its path may be longer than a socket address. The caller
    holds the directory's lock: a socket that lies there belongs to a dead launcher.
    """
    if os.path.lexists(SOCKET_NAME):
        os.unlink(SOCKET_NAME)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    listener.bind(SOCKET_NAME)
    listener.listen(4)
    return listener


def peer_uid(connection: socket.socket) -> int:
    """User id of the process at the other end, from the kernel."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", data)
    return int(uid)


class Link:
    """A connected agent. `templates`: what it defined on this connection."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection
        self.fd = connection.fileno()
        self.greeted = False
        self.stuck = False  # the agent does not read as fast as we write
        self.mask = select.EPOLLIN  # what the loop watches
        self.templates: dict[int, Template] = {}
        self._in = bytearray()
        self._out: list[bytes] = []

    def read(self) -> list[list[Any]]:
        """Messages that arrived. Raises ConnectionError when the agent is gone, WireError when it talks
        nonsense.
        """
        try:
            data = self._socket.recv(READ_SIZE)
        except BlockingIOError:
            return []
        if not data:
            raise ConnectionResetError("the agent closed the connection")
        self._in += data
        end = self._in.rfind(b"\n") + 1
        if not end:
            if len(self._in) > LONGEST_LINE:
                raise WireError(f"a line of more than {LONGEST_LINE} bytes")
            return []
        lines = bytes(self._in[:end]).splitlines()
        del self._in[:end]
        return [_decode(line) for line in lines]

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


def _decode(line: bytes) -> list[Any]:
    try:
        message = decode(line)
    except ValueError as e:
        raise WireError(f"not JSON: {e}") from None
    if not isinstance(message, list) or not message:
        raise WireError("a message is an array that begins with a word")
    return message

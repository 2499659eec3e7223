"""Calls to the scheduler of this machine by its Unix socket (cluster.rpc.local), one after another, without gRPC.

Whatever is not a plain answer raises Elsewhere: the same call by TLS then finds out what there is to say about it.
"""

import os
import socket
import struct
from typing import Any

from cluster.rpc.frames import CALL, END, HEAD, MESSAGE, frame
from cluster.rpc.quick_messages import message_class

CONNECT_PATIENCE = 1.0  # seconds
_CREDENTIALS = struct.Struct("3i")  # pid, uid and gid: Linux's struct ucred
_PIECE = 256 * 1024  # bytes


class Elsewhere(Exception):
    """This way does not lead there."""


class Call:
    """A call of a method of the Jobs service, on its way. Close it, which hangs up."""

    def __init__(self, path: str, method: str, request: Any) -> None:
        """Connects and asks. `path` is the socket's. Elsewhere where nobody listens, or somebody else than this
        user's own scheduler: a command as root in the directory of a user, say."""
        self._answer = message_class(f"{method}Response")
        self._data = bytearray()
        self.ended = False
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.settimeout(CONNECT_PATIENCE)
            self._socket.connect(path)
            peer = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            if _CREDENTIALS.unpack(peer)[1] != os.geteuid():
                raise Elsewhere("that is somebody else's")
            self._socket.settimeout(None)
            name = f"/cluster.v1.Jobs/{method}".encode()
            self._socket.sendall(frame(CALL, name) + frame(MESSAGE, request.SerializeToString()))
        except OSError as error:
            self.close()
            raise Elsewhere(str(error)) from None
        except Elsewhere:
            self.close()
            raise

    def fileno(self) -> int:
        """To wait for its answers with."""
        return self._socket.fileno()

    def received(self) -> list[Any]:
        """The answers that have come, after waiting for more of them; `ended` is set with the last. Elsewhere for an
        error, and where it broke."""
        try:
            more = self._socket.recv(_PIECE)
        except OSError as error:
            raise Elsewhere(str(error)) from None
        if not more:
            raise Elsewhere("it broke")
        self._data += more
        answers, at = [], 0
        while len(self._data) - at >= HEAD.size:
            kind, length = HEAD.unpack_from(self._data, at)
            if len(self._data) - at - HEAD.size < length:
                break
            content = bytes(self._data[at + HEAD.size : at + HEAD.size + length])
            at += HEAD.size + length
            if kind == MESSAGE:
                answers.append(self._answer.FromString(content))
            elif kind == END:
                self.ended = True
            else:
                raise Elsewhere(content.decode(errors="replace"))
        del self._data[:at]
        return answers

    def close(self) -> None:
        """Twice does no harm."""
        self._socket.close()


def ask(path: str, method: str, request: Any) -> Any:
    """The one answer of a call."""
    call, answers = Call(path, method, request), list[Any]()
    try:
        while not call.ended:
            answers += call.received()
    finally:
        call.close()
    if len(answers) != 1:
        raise Elsewhere("it has not answered")
    return answers[0]

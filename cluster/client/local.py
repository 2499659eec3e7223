"""Calls to the scheduler of this machine by its Unix socket (cluster.rpc.local), one after another, without gRPC.

Whatever is not a plain answer raises Elsewhere: the same call by TLS then finds out what there is to say about it.
"""

import os
import select
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

from cluster.rpc.frames import CALL, END, HEAD, MESSAGE, TOKEN, frame
from cluster.rpc.quick_messages import message_class

CONNECT_PATIENCE = 1.0  # seconds
# Seconds for one whole call of `ask`. The kernel connects us also to a scheduler that is stopped or stuck, and nothing
# tells us so. A scheduler that is only slow answers the same call by TLS; a repeated Submit has the same UUID.
PATIENCE = 10.0
_CREDENTIALS = struct.Struct("3i")  # pid, uid and gid: Linux's struct ucred
_PIECE = 256 * 1024  # bytes
_LONGEST_ADDRESS = 108  # bytes of a socket's path, with a NUL at its end


class Elsewhere(Exception):
    """This call cannot be made by the socket: the whole command line makes it by TLS."""


class Call:
    """A call of a method of the Jobs service, on its way. It never blocks: `wait_for` sends what does not fit into the
    socket at once, and waits for answers. Close it, which hangs up."""

    def __init__(self, path: str, method: str, request: Any, token: str = "") -> None:
        """Connects to the socket at `path`, and sends what it can. Elsewhere where nobody listens, and where another
        user's scheduler does: root may run a command in a user's directory. `token`: of the job in which we are, and
        whose worker listens there, which may be root's."""
        self._answer = message_class(f"{method}Response")
        self._data = bytearray()
        self.ended = False
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.settimeout(CONNECT_PATIENCE)
            connect(self._socket, path)
            peer = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            if _CREDENTIALS.unpack(peer)[1] not in {os.geteuid(), *({0} if token else ())}:
                raise Elsewhere("that is somebody else's")
            self._socket.setblocking(False)
            self.unsent = memoryview(said(method, request, token))
            self.send()
        except OSError as error:
            self.close()
            raise Elsewhere(str(error)) from None
        except Elsewhere:
            self.close()
            raise

    def fileno(self) -> int:
        """The socket's descriptor, for select."""
        return self._socket.fileno()

    def send(self) -> None:
        """As much of the request as the socket takes now. Elsewhere where it broke."""
        try:
            while self.unsent:
                self.unsent = self.unsent[self._socket.send(self.unsent) :]
        except BlockingIOError:
            pass
        except OSError as error:
            raise Elsewhere(str(error)) from None

    def received(self) -> list[Any]:
        """The answers that have come, once `wait_for` says that there is more; `ended` is set with the last. Elsewhere
        for an error, and where it broke."""
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


def connect(connecting: socket.socket, path: str) -> None:
    """Connects the socket; through a descriptor where its address, which holds 108 bytes, is too short for the path."""
    if len(os.fsencode(path)) < _LONGEST_ADDRESS:
        connecting.connect(path)
        return
    directory, name = os.path.split(path)
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        connecting.connect(f"/proc/self/fd/{fd}/{name}")
    finally:
        os.close(fd)


def said(method: str, request: Any, token: str) -> bytes:
    """The bytes that a client sends to call a method of the Jobs service."""
    whose = frame(TOKEN, token.encode(errors="surrogateescape")) if token else b""
    return whose + frame(CALL, f"/cluster.v1.Jobs/{method}".encode()) + frame(MESSAGE, request.SerializeToString())


def wait_for(waiting: Sequence[Call | int], until: float) -> list[Call | int]:
    """Waits until some of the calls and file descriptors have more to read, and returns those; empty at `until`, a time
    of the monotonic clock. Sends what is left meanwhile. Elsewhere when sending failed."""
    while True:
        sending = [each for each in waiting if isinstance(each, Call) and each.unsent]
        readable, writable, _ = select.select(waiting, sending, [], max(0.0, until - time.monotonic()))
        for call in writable:
            call.send()
        if readable or not writable:
            return readable


def ask(path: str, method: str, request: Any, token: str = "") -> Any:
    """The one answer of a call. Elsewhere when it has not come within PATIENCE seconds."""
    until = time.monotonic() + PATIENCE
    call, answers = Call(path, method, request, token), list[Any]()
    try:
        while not call.ended:
            if time.monotonic() >= until or not wait_for([call], until):
                raise Elsewhere("it has not answered in time")
            answers += call.received()
    finally:
        call.close()
    if len(answers) != 1:
        raise Elsewhere("it has not answered")
    return answers[0]

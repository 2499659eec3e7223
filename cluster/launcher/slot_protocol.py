"""What launcher and slot say to each other, and how: a queue of datagrams there, one pipe of all slots back.

    to a slot, one datagram each:    ("template", id, fields)     known from now on, in place of the one before
                                     ("start", number, id, attempt, by)   attempt: as HandedAttempt; by: as in Spawn
    back, in writes that the         ("started", slot, number, pid, wall µs, boot clock s)
    kernel does not split:           ("unbegun", slot, number)    it is too late: it is not begun, and will not be
                                     ("failed", slot, number, text, code, given back)
                                     ("ended", slot, number, wall µs, code, signal, took µs, cpu µs, peak KiB, out, err,
                                      cut, closed, text, wrong, oom, unmade)   as in ProcessEnded

Both are one program, one the fork of the other, so they speak `marshal`, which takes a fifth of the time of JSON. A
message that is too long for the queue travels as a descriptor of memory that holds it.

Between two attempts of a slot a program is started, which leaves little of the slot in the processor's caches: what it
does for each attempt takes ten times as long there as in a loop. So what follows from an attempt's key the launcher
makes, for many at a time.
"""

import marshal
import os
import socket
import struct
from typing import Any, NamedTuple

from cluster.domain.base.ids import AttemptKey
from cluster.domain.launcher.attempt_tokens import token_of
from cluster.domain.launcher.template import Item

_DATAGRAM = 4096  # bytes that are read at most
_INLINE = 600  # bytes of a message in the queue itself, which has room for some 160 such
_BY_DESCRIPTOR = b"fd"  # no message is so short
_length, _int = struct.Struct("<H"), struct.Struct("i")
_BESIDE = socket.CMSG_LEN(_int.size)  # bytes that a descriptor takes


class HandedAttempt(NamedTuple):
    """An attempt as its slot gets it: what its files' names begin with (INDEX.ATTEMPT), number and line as in Item, and
    those of its variables that follow from its key, as NAME=VALUE."""

    stem: str
    number: int | None
    line: str | None
    variables: tuple[bytes, ...]


def handed_attempt(item: Item, token_key: bytes) -> HandedAttempt:
    """`token_key`: from which its token is made; empty: it has none."""
    key, number = AttemptKey.parse(item.key), item.number
    task = key.job if number is None else f"{key.job}.{number}"
    variables = [b"CLUSTER_ATTEMPT=%b#%d" % (str(task).encode(), key.attempt), b"CLUSTER_TASK=%d" % (number or 0)]
    if token_key:
        variables.append(b"CLUSTER_TOKEN=" + token_of(token_key, key).encode())
    return HandedAttempt(f"{key.index}.{key.attempt}", number, item.line, tuple(variables))


def send(to: socket.socket, message: tuple[Any, ...]) -> None:
    """Queue a message. Raises OSError, BlockingIOError when the queue is full."""
    data = marshal.dumps(message)
    if len(data) <= _INLINE:
        to.send(data)
        return
    fd = os.memfd_create("cluster-message")
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        socket.send_fds(to, [_BY_DESCRIPTOR], [fd])
    finally:
        os.close(fd)


def receive(queue: socket.socket, flags: int = 0) -> tuple[Any, ...] | None:
    """The next message; None when there will be no more. Raises BlockingIOError when there is none now, and we do not
    wait."""
    # Not socket.recv_fds, which takes no notice of its flags.
    data, beside, _, _ = queue.recvmsg(_DATAGRAM, _BESIDE, flags)
    if data == _BY_DESCRIPTOR:
        ((_, _, descriptor),) = beside
        with open(_int.unpack(descriptor)[0], "rb") as file:
            file.seek(0)
            data = file.read()
    return _decode(data) if data else None


def tell(pipe: int, message: tuple[Any, ...]) -> None:
    """Write a message of at most PIPE_BUF (4096) bytes into the pipe, whole."""
    data = marshal.dumps(message)
    os.write(pipe, _length.pack(len(data)) + data)


def split(data: bytes) -> tuple[list[tuple[Any, ...]], bytes]:
    """The messages in what was read from the pipe, and the rest."""
    messages, at = [], 0
    while at + _length.size <= len(data):
        (length,) = _length.unpack_from(data, at)
        end = at + _length.size + length
        if end > len(data):
            break
        messages.append(_decode(data[at + _length.size : end]))
        at = end
    return messages, data[at:]


def _decode(data: bytes) -> tuple[Any, ...]:
    message: tuple[Any, ...] = marshal.loads(data)  # noqa: S302 (no job can reach these descriptors)
    return message

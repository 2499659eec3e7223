"""The protocol of the Unix sockets of scheduler and worker: frames around the messages of protos/cluster/v1.

A connection carries one call. The client sends CALL with the method's name (`/package.Service/Method`) and MESSAGE with
the request; on a worker's socket, which jobs call, it sends TOKEN before these. The server sends MESSAGE for each
answer and then END, or ERROR with class and text of a ClusterError, parted by a NUL. A side that closes the connection
earlier has hung up or crashed. A frame is one letter for its kind, the length of its content in four bytes (highest
first), and the content.

This module imports next to nothing, because commands that take 50 ms in all import it.
"""

import struct

TOKEN, CALL, MESSAGE, END, ERROR = b"t", b"c", b"m", b"e", b"x"
HEAD = struct.Struct(">cI")
LONGEST_METHOD = 200  # bytes

SOCKET = "local.sock"  # in the scheduler's directory


def frame(kind: bytes, content: bytes = b"") -> bytes:
    """The bytes of one frame."""
    return HEAD.pack(kind, len(content)) + content

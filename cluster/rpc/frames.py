"""What is spoken on a Unix socket, the scheduler's or a worker's: frames around the messages of protos/cluster/v1.

A call is a connection. The client sends CALL with the method's name (`/package.Service/Method`) and MESSAGE with its
request; to a worker's socket, which its jobs call, first TOKEN. Back comes MESSAGE for each answer, and at last END; or
ERROR with the class and the text of a ClusterError, with a NUL between. Who closes the connection before that has hung
up, or broken down. A frame is its kind, which is a letter; the length of what follows, in four bytes, the highest
first; and that.

Loads next to nothing, since a command that takes 50 ms in all loads it.
"""

import struct

TOKEN, CALL, MESSAGE, END, ERROR = b"t", b"c", b"m", b"e", b"x"
HEAD = struct.Struct(">cI")
LONGEST_METHOD = 200  # bytes

SOCKET = "local.sock"  # in the scheduler's directory


def frame(kind: bytes, content: bytes = b"") -> bytes:
    """One of them."""
    return HEAD.pack(kind, len(content)) + content

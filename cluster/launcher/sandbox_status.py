"""What bubblewrap tells of the commands that it shuts in, on a descriptor that these do not get (`--json-status-fd`):
with which exit code each has left. Of one that it could not begin it tells none. So whether it has failed itself nobody
can feign, by what a job writes or by how that leaves.
"""

import json
import os
from contextlib import suppress

_MOST_LINE = 1024  # bytes of what it tells last
_MOST_SAID = 4096  # bytes of the end of stderr, on which it says what is wrong
_SHOWN = 300  # characters of that


class SandboxStatus:
    """Memory of a slot's into which it is told. `fd`: the descriptor for what shuts an attempt's commands in."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("sandbox-status")

    def close(self) -> None:
        """Nothing more is told."""
        os.close(self.fd)

    def clear(self) -> None:
        """For the next attempt."""
        os.ftruncate(self.fd, 0)
        os.lseek(self.fd, 0, os.SEEK_SET)

    def why_unmade(self, code: int | None, stderr: str) -> str:
        """Why the last command of an attempt that left with that code was never begun, in words; empty: it was. A
        signal (None) comes from elsewhere. `stderr`: the path of its output."""
        if not code or self._last_code() == code:
            return ""
        return f"the sandbox could not be made: {_last_line(stderr) or 'it does not say why'}"

    def _last_code(self) -> int | None:
        """With which the last command has left; None: that was not begun."""
        last = (
            os.pread(self.fd, _MOST_LINE, max(0, os.fstat(self.fd).st_size - _MOST_LINE)).strip().rpartition(b"\n")[2]
        )
        with suppress(ValueError):
            code: int | None = json.loads(last).get("exit-code")
            return code
        return None


def _last_line(path: str) -> str:
    """Of an output file, as far as it can be read; empty where there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    with open(fd, "rb") as file:
        size = os.fstat(fd).st_size
        data = os.pread(fd, _MOST_SAID, max(0, size - _MOST_SAID)) if file.seekable() else b""
    return data.decode(errors="replace").strip().rpartition("\n")[2][:_SHOWN]

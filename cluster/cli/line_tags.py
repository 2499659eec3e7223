"""Lines of several tasks, each with the task that has written it before it (`--tag`)."""

from cluster.client.types import Output
from cluster.domain.base.ids import AttemptKey

LONGEST = 1 << 20  # bytes of a line that are kept until it ends; a longer one comes in several
MOST_OPEN = 1000  # lines of one stream that have not ended; beyond that the oldest comes as it is


class LineTags:
    """Takes pieces of output as they come, and gives back whole lines."""

    def __init__(self) -> None:
        # What has come of lines that have not ended: of each stream, by the attempts that write them.
        self._open: dict[bool, dict[AttemptKey, bytes]] = {False: {}, True: {}}

    def tagged(self, piece: Output) -> bytes:
        """The lines of its stream that may be written now."""
        lines, key = self._open[piece.stderr], AttemptKey(piece.job, piece.task, piece.attempt)
        *whole, rest = (lines.pop(key, b"") + piece.data).split(b"\n")
        if rest:
            lines[key] = rest
        said = _said(key, whole)
        if len(rest) > LONGEST:
            said += _said(key, [lines.pop(key)])
        elif len(lines) > MOST_OPEN:
            oldest = next(iter(lines))
            said += _said(oldest, [lines.pop(oldest)])
        return said

    def rest(self, *, stderr: bool) -> bytes:
        """The lines of that stream that nobody will end any more."""
        lines, self._open[stderr] = self._open[stderr], {}
        return b"".join(_said(key, [line]) for key, line in lines.items())


def _said(key: AttemptKey, lines: list[bytes]) -> bytes:
    tag = key.shown(key.index).rpartition("#")[0].encode()
    return b"".join(tag + b"\t" + line + b"\n" for line in lines)

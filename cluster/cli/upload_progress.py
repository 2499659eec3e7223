"""What is told of an upload, on stderr: what is left out, its largest files, and how far it is."""

import time
from collections.abc import Sequence

from cluster.cli.progress import PLAIN_INTERVAL, LateMeter, bytes_in_words
from cluster.cli.remarks import remark
from cluster.client.files.sending import LackingContent, SendingListener
from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import format_size

LARGE = 100 * 1024 * 1024  # bytes that are left to send: from there on it is told what they are
NAMED = 5  # of the largest files
MOST_NOTES = 10


class UploadProgress(SendingListener):
    """A bar on a terminal, now and then a line elsewhere; of what takes a moment nothing."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._notes = 0
        self._total = self._sent = self._looked = 0
        self._last = time.monotonic()
        self._meter = LateMeter(bytes_in_words, quiet)
        self._named = False
        self._is_closed = False

    def noted(self, note: str) -> None:
        self._notes += 1
        if self._notes <= MOST_NOTES:
            remark(f"{note}{'; more of the kind is not told' if self._notes == MOST_NOTES else ''}")

    def looked(self, count: int) -> None:
        """InvalidInput once it is closed: a thread that reads on then, for nobody, would hold up our end."""
        if self._is_closed:
            raise InvalidInput("reading was interrupted")
        self._looked += count
        if not self._quiet and time.monotonic() - self._last >= PLAIN_INTERVAL:
            self._last = time.monotonic()
            remark(f"{format_size(self._looked)} read so far")

    def begins(self, lacking: Sequence[LackingContent]) -> None:
        self._total, self._sent = sum(each.source.size - each.begin for each in lacking), 0
        if self._total > LARGE and not self._named:
            self._named = True
            several = sorted(lacking, key=lambda each: each.source.size, reverse=True)[:NAMED]
            names = ", ".join(f"{each.source.name} ({format_size(each.source.size)})" for each in several)
            remark(f"uploading {format_size(self._total)} in {len(lacking)} files; the largest: {names}")

    def sent(self, count: int) -> None:
        self._sent += count
        self._meter.update(self._sent, self._total, f"{format_size(self._sent)} of {format_size(self._total)} uploaded")

    def ended(self) -> None:
        self._meter.close()

    def close(self) -> None:
        """Leaves the terminal as it should be. No file is read any further."""
        self._is_closed = True
        self._meter.close()

"""How far a fetch is, on stderr."""

from cluster.cli.progress import LateMeter, bytes_in_words
from cluster.client.fetching import FetchListener
from cluster.domain.base.quantities import format_size


class FetchProgress(FetchListener):
    """A bar on a terminal, now and then a line elsewhere; of what takes a moment nothing."""

    def __init__(self, quiet: bool) -> None:
        self._total = self._came = 0
        self._meter = LateMeter(bytes_in_words, quiet)

    def expects(self, count: int) -> None:
        self._total += count

    def came(self, count: int) -> None:
        self._came += count
        self._meter.update(self._came, self._total, f"{format_size(self._came)} of {format_size(self._total)} fetched")

    def close(self) -> None:
        """Leaves the terminal as it should be."""
        self._meter.close()

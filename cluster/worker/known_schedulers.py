"""Where the schedulers of the cluster are, as the one that leads said last: kept for the time when that one is away.

schedulers.json   a list of host:port
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from cluster.domain.base.errors import ClusterError, InvalidInput, NotFound
from cluster.domain.trust.tokens import check_address
from cluster.pki.files import read_private, write_private

logger = logging.getLogger(__name__)

FILE = "schedulers.json"
MOST = 16  # that are taken in


class KnownSchedulers:
    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._addresses = _read(self._path)

    def replace(self, addresses: Sequence[str]) -> None:
        """These it is from now on. What a full disk does not keep the next session tells again."""
        try:
            told = tuple(check_address(address) for address in addresses[:MOST])
        except InvalidInput as error:
            logger.warning("the scheduler names one that nobody can reach: %s", error)
            return
        if told == self._addresses:
            return
        self._addresses = told
        try:
            write_private(self._path, json.dumps(told).encode())
        except ClusterError as error:
            logger.error("where the other schedulers are is not kept over a restart: %s", error)

    def beside(self, address: str, *, given: bool) -> str:
        """Where to look, with commas between: there, and at all that were told. Who was not `given` it leaves it out
        where others were told."""
        first = address.split(",") if address and (given or not self._addresses) else []
        return ",".join(dict.fromkeys([*first, *self._addresses]))


def _read(path: Path) -> tuple[str, ...]:
    try:
        return tuple(check_address(str(each)) for each in json.loads(read_private(path)))
    except NotFound:
        return ()
    except (ClusterError, ValueError, TypeError) as error:
        logger.warning("%s cannot be understood, and is told again: %s", path, error)
        return ()

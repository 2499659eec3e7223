"""Time zones by their names, as the tables of this machine have them."""

from datetime import UTC, tzinfo
from functools import cache
from zoneinfo import ZoneInfo

from cluster.domain.base.errors import InvalidInput


@cache
def zone_of(name: str) -> tzinfo:
    """The zone of that name, as Europe/Berlin; empty: UTC. InvalidInput for one that there is not here."""
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not there, a name that is no path below the tables, a directory of them
        raise InvalidInput(
            f"no time zone {name!r} is known on the scheduler's machine: use one as Europe/Berlin, or none for UTC (the"
            " tables are in the package tzdata)"
        ) from None

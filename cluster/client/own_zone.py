"""The time zone of this process, in which people mean times that name none: whether there is one.

The C library takes one that it does not know for UTC, without a word.
"""

import os
import re

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.wall_time import names_no_zone
from cluster.domain.job.spec import JobSpec

# As POSIX has it, with its offset in it: CET-1CEST, <+03>-3.
_WITH_OFFSET = re.compile(r"(<[A-Za-z0-9+-]{3,}>|[A-Za-z]{3,})[+-]?\d")
_WITHOUT_TABLES = ("UTC", "GMT")


def refuse_unknown_zone(spec: JobSpec) -> None:
    """InvalidInput where a time of the job names no zone, and TZ one that is not known here."""
    name = os.environ.get("TZ", "")
    if not (spec.at or spec.deadline) or not name or _is_known(name.removeprefix(":")):
        return
    for flag, text in (("--at", spec.at), ("--deadline", spec.deadline)):
        if names_no_zone(text):
            raise InvalidInput(
                f"{flag} {text}: TZ is {name!r}, and no time zone of that name is known here: set it to one, such as "
                "Europe/Berlin, or say the zone with the time, as in 2026-11-26T18:30+01:00"
            )


def _is_known(name: str) -> bool:
    from zoneinfo import TZPATH

    places = ("",) if os.path.isabs(name) else (*filter(None, [os.environ.get("TZDIR")]), *TZPATH)
    found = any(os.path.isfile(os.path.join(place, name)) for place in places)
    return found or name in _WITHOUT_TABLES or bool(_WITH_OFFSET.match(name))

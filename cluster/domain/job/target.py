"""What of a job a call is about."""

from typing import NamedTuple

from cluster.domain.base.intervals import Range


class Target(NamedTuple):
    """Tasks of a job, by index; None: all of them."""

    job: int
    ranges: tuple[Range, ...] | None = None

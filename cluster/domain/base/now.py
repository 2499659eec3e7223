"""The present moment, as a core is told it."""

from typing import NamedTuple


class Now(NamedTuple):
    """One moment on two clocks: `mono` never jumps and measures, `wall` (Unix seconds) is what records show."""

    mono: float
    wall: float

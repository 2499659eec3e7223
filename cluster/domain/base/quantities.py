"""Durations, sizes and cpus as people read and type them."""

import re

from cluster.domain.base.errors import InvalidInput

_UNITS = {"ms": "0.001", "s": "1", "m": "60", "min": "60", "h": "3600", "d": "86400", "w": "604800"}  # seconds
_PARTS = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|min|m|h|d|w)")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmgt]?)(?:i?b)?")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


def parse_duration(text: str) -> float:
    """Seconds of `90`, `90s`, `10m`, `1h30m`, `1.5h`, `2d`, `1w`, `5min`, `500ms`. InvalidInput for anything else."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    parts = _PARTS.findall(text)
    units = [unit for _, unit in parts]
    if not parts or "".join(n + u for n, u in parts) != text or len(set(units)) != len(units):
        raise InvalidInput(f"{text!r} is no duration: use seconds, or units as in 90s, 10m, 1h30m, 2d, 1w")
    from decimal import Decimal  # 1 ms, which who only formats does without

    return float(sum(Decimal(number) * Decimal(_UNITS[unit]) for number, unit in parts))


def format_duration(seconds: float) -> str:
    """At most two units, for people: 0.3s, 12s, 4m05s, 2h03m, 3d04h."""
    if seconds < 0:
        seconds = 0.0
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def format_setting(seconds: float) -> str:
    """A duration that somebody chose, for people: as the others, but 1ms, 50ms where they would say 0.0s, 0.1s."""
    return f"{seconds * 1000:g}ms" if 0 < seconds < 0.1 else format_duration(seconds)


def format_number(number: float) -> str:
    """The number as one would type it: in full, without an exponent, to the nanosecond if those are seconds."""
    return f"{number:.9f}".rstrip("0").rstrip(".")


def parse_count(text: str) -> int:
    """A whole number from 0 on. InvalidInput for anything else."""
    if not (text.strip().isascii() and text.strip().isdigit()):
        raise InvalidInput(f"{text!r} is no number: use 0 or more")
    return int(text)


def parse_cpus(text: str) -> int:
    """Thousandths of a cpu from `2`, `0.5`, `1.25`. InvalidInput for anything else, or below 0.001."""
    from decimal import Decimal, InvalidOperation

    try:
        milli = Decimal(text.strip()) * 1000
    except InvalidOperation:
        milli = Decimal(0)
    if not milli.is_finite() or not 1 <= milli < 2**31 or milli != int(milli):
        raise InvalidInput(f"{text!r} is no number of cpus: use 0.001 or more, as in 2 or 0.5")
    return int(milli)


def format_cpus(millicpus: int) -> str:
    """`2`, `0.5`."""
    return format_number(millicpus / 1000)


def parse_size(text: str) -> int:
    """Bytes of `500`, `64k`, `64M`, `1.5GiB`: binary units, with or without `iB`. InvalidInput for anything else."""
    from decimal import Decimal

    found = _SIZE.fullmatch(text.strip().lower())
    size = Decimal(found[1]) * 1024 ** " kmgt".index(found[2] or " ") if found else Decimal("0.5")
    if size != int(size) or size >= 2**63:
        raise InvalidInput(f"{text!r} is no size: use bytes, or units as in 500k, 64M, 2G")
    return int(size)


def format_size(size: int) -> str:
    """Bytes with binary units and three digits: 512 B, 1.5 KiB, 20.0 MiB."""
    if size < 1024:
        return f"{size} B"
    value = float(size)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 999.5:
            return f"{value:.3g} {unit}" if value >= 100 else f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} PiB"

"""Reasons as people type them, where they say which ends they mean: `exit:75`, `timeout`, `signal:KILL`."""

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.signals import signal_name, signal_number
from cluster.domain.job import endings

_CLOCKS = {each.partition(":")[2]: each for each in endings.TIMEOUTS}


def meant(text: str) -> str:
    """The reason, or the kind of reasons, as ends have it. InvalidInput for what no end can have."""
    kind, colon, which = text.partition(":")
    if kind not in endings.KINDS:
        raise InvalidInput(f"{text!r} is no reason for which tasks end: use some of {', '.join(endings.KINDS)}")
    if not colon:
        return text
    if kind not in _WHICH:
        raise InvalidInput(f"{text!r} says more than there is: use {kind}")
    if not which:
        raise InvalidInput(f"{text!r} ends too soon: use {kind}, or as in exit:75, signal:KILL, timeout:run")
    return _WHICH[kind](text, which)


def _exit(text: str, code: str) -> str:
    if code.isascii() and code.isdigit() and 1 <= int(code) <= 255:
        return endings.reason_of(int(code), None)
    raise InvalidInput(f"{text!r} is no exit code that a failure has: use exit:1 to exit:255")


def _signal(text: str, name: str) -> str:
    number = int(name) if name.isascii() and name.isdigit() and len(name) < 4 else signal_number(name)
    number = signal_number(signal_name(number or signal_number(f"SIG{name}")))
    if not number:
        raise InvalidInput(f"{text!r} names no signal: use its name or number, as in signal:SIGKILL or signal:KILL")
    return endings.reason_of(None, signal_name(number))


def _timeout(text: str, clock: str) -> str:
    if clock in _CLOCKS:
        return _CLOCKS[clock]
    raise InvalidInput(f"{text!r} names no time limit: use timeout, or one of {', '.join(_CLOCKS.values())}")


_WHICH = {"exit": _exit, "signal": _signal, "timeout": _timeout}

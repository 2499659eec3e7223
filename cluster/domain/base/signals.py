"""Names of signals, and back: the same on every architecture that Linux has been ported to since 2010 (signal(7))."""

_USUAL = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG "
    "XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
)
_NUMBERS = {f"SIG{name}": number for number, name in enumerate(_USUAL.split(), start=1)}
_NAMES = {number: name for name, number in _NUMBERS.items()}
# Real-time signals, as programs may use them; 32 and 33 are the C library's own. They have no other names than by their
# distance from one of the two, as `kill -l` of bash shows them.
_FIRST, _LAST = 34, 64
_BY_DISTANCE = {
    **{"SIGRTMIN" + (f"+{n}" if n else ""): _FIRST + n for n in range(_LAST - _FIRST + 1)},
    **{"SIGRTMAX" + (f"-{n}" if n else ""): _LAST - n for n in range(_LAST - _FIRST + 1)},
}


def signal_name(number: int) -> str:
    """`SIGKILL` for 9, `SIGRTMIN+3` for 37; `SIG32` for one that has no name."""
    if _FIRST <= number <= _LAST:
        return "SIGRTMIN" + (f"+{number - _FIRST}" if number > _FIRST else "")
    return _NAMES.get(number, f"SIG{number}")


def signal_number(name: str) -> int:
    """The reverse of it, and of other ways to say it; 0 for what is no signal's name."""
    number = _NUMBERS.get(name) or _BY_DISTANCE.get(name)
    if number is None and name.startswith("SIG") and name[3:].isascii() and name[3:].isdigit():
        number = int(name[3:])
    return number if number is not None and 0 < number <= _LAST else 0

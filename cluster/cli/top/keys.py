"""From bytes that a terminal sends to keys. Pure."""

import codecs
import re

_NAMES = {
    **{"A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end", "Z": "backtab"},
    **{"1~": "home", "4~": "end", "5~": "pageup", "6~": "pagedown", "7~": "home", "8~": "end"},
}
_SEQUENCE = re.compile(r"\x1b(?:\[([0-9;:<=>?]*)([ -/]*)([@-~])|O([ -~]))")
_BEGUN = re.compile(r"\x1b(?:\[[0-9;:<=>?]*[ -/]*|O)?")
_CONTROL = {"\r": "enter", "\n": "enter", "\t": "tab", "\x7f": "backspace", "\x08": "backspace", "\x03": "interrupt"}
_CONTROL |= {"\x1a": "suspend", "\x0c": "redraw", "\x0e": "down", "\x10": "up", "\x04": "pagedown", "\x15": "pageup"}


class KeyReader:
    """A sequence may come in pieces; a lone escape is one only once nothing follows it."""

    def __init__(self) -> None:
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def waits(self) -> bool:
        """Whether a sequence has begun; `flush` takes what there is of it as it is."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[str]:
        """The keys that are complete: a character, or a name such as `up`."""
        return self._read(self._decoder.decode(data), final=False)

    def flush(self) -> list[str]:
        """Nothing follows."""
        return self._read("", final=True)

    def _read(self, more: str, *, final: bool) -> list[str]:
        text, self._rest = self._rest + more, ""
        keys: list[str] = []
        place = 0
        while place < len(text):
            if text[place] == "\x1b":
                if found := _SEQUENCE.match(text, place):
                    keys += _named(found)
                    place = found.end()
                    continue
                if not final and (begun := _BEGUN.fullmatch(text, place)):
                    self._rest = begun[0]
                    break
                keys.append("escape")
            elif (char := text[place]) in _CONTROL:
                keys.append(_CONTROL[char])
            elif char.isprintable():
                keys.append(char)
            place += 1
        return keys


def _named(found: re.Match[str]) -> list[str]:
    parameters, _, end, of_keypad = found.groups()
    name = of_keypad or (f"{parameters.partition(';')[0]}~" if end == "~" else end)
    return [_NAMES[name]] if name in _NAMES else []

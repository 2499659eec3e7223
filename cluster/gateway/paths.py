"""Which path is which: a tree of the parts between slashes.

Parts are parted before they are decoded, so that no %2F makes another path of one.
"""

from typing import Generic, TypeVar
from urllib.parse import unquote

T = TypeVar("T")


class _Fork(Generic[T]):
    """Where the paths are that begin alike."""

    def __init__(self) -> None:
        self.what: T | None = None  # at the very path
        self.names: list[str] = []  # of its parameters, in their order
        self.parts: dict[str, _Fork[T]] = {}
        self.anything: _Fork[T] | None = None  # behind a parameter


class Paths(Generic[T]):
    """What there is at which path. A `{name}` in a path stands for one part that is not empty; a part that is written
    out goes before it."""

    def __init__(self) -> None:
        self._root: _Fork[T] = _Fork()

    def add(self, path: str, what: T) -> None:
        """`path`: as /v1/jobs/{job}."""
        place, names = self._root, []
        for part in path.split("/")[1:]:
            if part.startswith("{"):
                names.append(part[1:-1])
                place.anything = place = place.anything or _Fork()
            else:
                place = place.parts.setdefault(part, _Fork())
        place.what, place.names = what, names

    def find(self, path: str) -> tuple[T, dict[str, str]] | None:
        """What is at the path, whose parts are still percent-encoded, and its parameters. None where there is nothing,
        and for what is no UTF-8."""
        place, values = self._root, list[str]()
        try:
            for raw in path.split("/")[1:]:
                part = unquote(raw, errors="strict") if "%" in raw else raw
                found = place.parts.get(part)
                if found is None:
                    if place.anything is None or not part:
                        return None
                    found = place.anything
                    values.append(part)
                place = found
        except UnicodeDecodeError:
            return None
        return None if place.what is None else (place.what, dict(zip(place.names, values, strict=True)))

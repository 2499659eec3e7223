"""What a worker's cache of contents holds, and what goes from it: by last use, and never what is in use.

Contents belong to **units**: the whole of an upload, what one task of it finds, or what is read as stdin. A unit is
here when all its contents are, and goes as a whole; what two units share stays while one of them does. Contents of no
unit are what broken fetches have left, to be gone on with: they go first.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import format_size

SHARE, MOST = 0.1, 20 << 30  # of the file system that it is on, but no more bytes, unless somebody says otherwise
LEAST = 16 << 10  # bytes that each content counts for, however small: it takes an inode, a name, a line of memory


def limit_of(size: int, limit: int | None) -> int:
    """Bytes that a cache may take on a file system of that size. `limit`: what the operator wants; None: the usual."""
    return min(int(size * SHARE), MOST) if limit is None else limit


class CachedContents:
    """The contents of one cache, by their digests, and its units by name."""

    def __init__(self, limit: int) -> None:
        """`limit`: bytes that all contents may take, as they count."""
        self.limit = limit
        self._sizes: dict[bytes, int] = {}
        self._holders: dict[bytes, int] = {}  # how many units hold it, of those that any does
        self._units: OrderedDict[str, tuple[bytes, ...]] = OrderedDict()  # the one used longest ago first
        self._uses: dict[str, int] = {}
        self._coming: dict[object, dict[bytes, int]] = {}  # by whoever fetches them: what was admitted, with its bytes

    def __contains__(self, unit: str) -> bool:
        return unit in self._units

    def has(self, digest: bytes) -> bool:
        """Whether that content is here."""
        return digest in self._sizes

    @property
    def units(self) -> Collection[str]:
        """Those that are here, the one used longest ago first."""
        return self._units.keys()

    def contents_of(self, unit: str) -> tuple[bytes, ...]:
        return self._units[unit]

    # -- what comes

    def admit(self, by: object, contents: Mapping[bytes, int]) -> tuple[bool, list[str], list[bytes]]:
        """Keeps room for these contents (with their bytes) until `settle`, for whoever fetches them. Answers whether
        there is any, else there will be once something is not in use any more; and which units and which contents are
        to be removed. InvalidInput where the cache is too small."""
        if (total := sum(map(_weight, contents.values()))) > self.limit:
            raise InvalidInput(
                f"it takes {format_size(total)}, and this worker's cache has {format_size(self.limit)} (worker --cache)"
            )
        self._coming[by] = dict(contents)
        units, gone = self.make_room(self.limit)
        if self.total <= self.limit:
            return True, units, gone
        del self._coming[by]
        return False, units, gone

    def came(self, digest: bytes, size: int) -> None:
        """That content is here from now on."""
        self._sizes.setdefault(digest, size)

    def settle(self, by: object) -> None:
        """Nobody fetches what was admitted for that one any more."""
        self._coming.pop(by, None)

    def add(self, unit: str, contents: Iterable[bytes]) -> None:
        """That unit is here from now on, used last."""
        if unit not in self._units:
            self._units[unit] = held = tuple(dict.fromkeys(contents))
            for digest in held:
                self._holders[digest] = self._holders.get(digest, 0) + 1
        self._units.move_to_end(unit)

    # -- what is used

    def use(self, unit: str) -> None:
        self._uses[unit] = self._uses.get(unit, 0) + 1
        self._units.move_to_end(unit)

    def release(self, unit: str) -> None:
        self._uses[unit] -= 1
        if not self._uses[unit]:
            del self._uses[unit]
        self._units.move_to_end(unit)

    # -- what goes

    def drop(self, unit: str) -> list[bytes]:
        """It is not here any more. The contents that no other unit holds are to be removed, and count no more."""
        gone = []
        for digest in self._units.pop(unit):
            self._holders[digest] -= 1
            if not self._holders[digest]:
                del self._holders[digest]
                if digest in self._sizes and not self._is_coming(digest):
                    del self._sizes[digest]
                    gone.append(digest)
        return gone

    def make_room(self, target: int) -> tuple[list[str], list[bytes]]:
        """Removes what is neither in use nor coming, until all counts for no more than `target` bytes: which units, and
        which contents."""
        units: list[str] = []
        gone: list[bytes] = []
        left = self.total - target
        if left <= 0:
            return units, gone
        for digest in [d for d in self._sizes if d not in self._holders and not self._is_coming(d)]:
            left -= _weight(self._sizes.pop(digest))
            gone.append(digest)
        for unit in [unit for unit in self._units if unit not in self._uses]:
            if left <= 0:
                break
            sizes = {digest: self._sizes[digest] for digest in self._units[unit]}
            removed = self.drop(unit)
            left -= sum(_weight(sizes[digest]) for digest in removed)
            units.append(unit)
            gone += removed
        return units, gone

    @property
    def total(self) -> int:
        """That all contents count for, those that are coming included."""
        coming = {digest: size for contents in self._coming.values() for digest, size in contents.items()}
        return sum(map(_weight, {**coming, **self._sizes}.values()))

    def _is_coming(self, digest: bytes) -> bool:
        return any(digest in contents for contents in self._coming.values())


def _weight(size: int) -> int:
    return max(size, LEAST)

"""What the last commits have changed, as Redis keeps it: by this a copy of the rows follows without reading all.

An entry is lines: the number of the commit before it, the epoch and the id of the process that made it; then for each
table the name of its hash, and the keys of the rows that it has put or removed. Numbers are left out where a try has
failed. So entries are a chain, each of which names the one before: a copy has missed nothing where the chain leads back
to the very commit that it has read up to.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from cluster.store.redis import scripts
from cluster.store.redis.connecting import troubled

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

_PAGE = 200  # entries that are asked for at once
Keys = dict[str, set[bytes]]  # of rows, by the names of their tables


class LogPosition(NamedTuple):
    """Up to which commit something was read."""

    commit: int = 0
    mark: bytes = b""  # of its entry, the first line; empty: it is not known, and nothing can be followed from there

    @property
    def is_known(self) -> bool:
        return bool(self.mark)


class LogEntry(NamedTuple):
    mark: bytes
    before: int
    keys: Keys


def position_at(client: "redis.Redis", place: str, commit: int) -> LogPosition:
    """StoreTroubled where nobody answers."""
    with troubled(place):
        found: bytes | None = client.hget(scripts.LOG, str(commit))  # type: ignore[assignment]
    return LogPosition(commit, found.split(b"\n", 1)[0] if found else b"")


def read_changes(client: "redis.Redis", place: str, since: LogPosition, commit: int) -> tuple[LogPosition, Keys] | None:
    """The position of that commit, and the rows that were changed after the one of `since`. None where that cannot be
    told: the log does not reach so far, or the commit of `since` is not what it was. StoreTroubled where nobody
    answers."""
    if not since.is_known or commit - since.commit >= scripts.LOGGED:
        return None

    def get(numbers: list[str]) -> list[bytes | None]:
        with troubled(place):
            return list(client.hmget(scripts.LOG, numbers))  # type: ignore[arg-type]

    entries = dict(_entries(range(since.commit, commit + 1), get))
    return chained(entries, since, commit)


def chained(entries: dict[int, LogEntry], since: LogPosition, commit: int) -> tuple[LogPosition, Keys] | None:
    """As `read_changes`, of these entries by their numbers."""
    if (last := entries.get(commit)) is None:
        return None
    changed: Keys = {}
    number, entry = commit, last
    while number > since.commit:
        for table, keys in entry.keys.items():
            changed.setdefault(table, set()).update(keys)
        if entry.before >= number or (before := entries.get(entry.before)) is None:
            return None
        number, entry = entry.before, before
    return (LogPosition(commit, last.mark), changed) if (number, entry.mark) == since else None


def _entries(numbers: range, get: "Callable[[list[str]], list[bytes | None]]") -> Iterator[tuple[int, LogEntry]]:
    for start in range(0, len(numbers), _PAGE):
        page = numbers[start : start + _PAGE]
        for number, text in zip(page, get([str(each) for each in page]), strict=True):
            if text:
                yield number, parse(text)


def parse(text: bytes) -> LogEntry:
    mark, *lines = text.split(b"\n")
    keys: Keys = {}
    noted: set[bytes] = set()
    for line in lines:
        if line.startswith(b"["):
            noted.add(line)
        else:
            noted = keys.setdefault(line.decode().removeprefix(scripts.ROWS), set())
    return LogEntry(mark, int(mark.split(b" ", 1)[0]), keys)

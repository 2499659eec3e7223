"""The SHA-256 of files that have not changed since they were read: so what was uploaded once is not read again.

A file counts as unchanged while its inode, size and both of its times are what they were. What had changed within two
seconds before it was read is not remembered: a later change might leave its times as they are. Where the memory cannot
be used, all files are read.
"""

import os
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress

from cluster.client.files.walking import FileState

FILE = "digests.db"
QUIET = 2.0  # seconds
_KEPT = 30 * 86400.0  # seconds since a file was last met
_AT_ONCE = 500
_SCHEMA = """CREATE TABLE IF NOT EXISTS file (
    device INTEGER, inode INTEGER, size INTEGER, modified INTEGER, changed INTEGER, digest BLOB, seen REAL,
    PRIMARY KEY (device, inode)) WITHOUT ROWID"""


def cache_directory() -> str:
    """Where a client keeps what it can make anew: as of the packed file."""
    if chosen := os.environ.get("CLUSTER_CACHE"):
        return chosen
    caches = os.environ.get("XDG_CACHE_HOME", "")
    return os.path.join(caches if os.path.isabs(caches) else os.path.expanduser("~/.cache"), "cluster")


def remembered(states: Iterable[FileState]) -> dict[FileState, bytes]:
    """The digests that are known. Blocks."""
    known: dict[FileState, bytes] = {}
    by_device: dict[int, list[int]] = {}
    for state in states:
        by_device.setdefault(state.device, []).append(state.inode)
    with suppress(sqlite3.Error, OSError):
        if not os.path.exists(path := _path()):
            return {}
        with closing(_opened(path)) as db:
            for device, inodes in by_device.items():
                for at in range(0, len(inodes), _AT_ONCE):
                    some = inodes[at : at + _AT_ONCE]
                    marks = ",".join("?" * len(some))
                    statement = f"SELECT * FROM file WHERE device = ? AND inode IN ({marks})"  # noqa: S608
                    for *state, digest, _ in db.execute(statement, (_signed(device), *map(_signed, some))):
                        known[FileState(device, state[1] % (1 << 64), *state[2:])] = digest
    return known


def remember(digests: Mapping[FileState, bytes], read_at: float) -> None:
    """Keeps what was read since `read_at` (Unix seconds) for later. Blocks."""
    quiet = (read_at - QUIET) * 1e9
    rows = [
        (_signed(state.device), _signed(state.inode), *state[2:], digest, time.time())
        for state, digest in digests.items()
        if max(state.modified, state.changed) < quiet
    ]
    if not rows:
        return
    with suppress(sqlite3.Error, OSError):
        path = _path()
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with closing(_opened(path)) as db, db:
            db.execute(_SCHEMA)
            db.executemany("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            db.execute("DELETE FROM file WHERE seen < ?", (time.time() - _KEPT,))


def forget() -> None:
    """Forgets everything: something in it was wrong."""
    for end in ("", "-wal", "-shm"):
        with suppress(OSError):
            os.unlink(_path() + end)


def _path() -> str:
    return os.path.join(cache_directory(), FILE)


def _opened(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=1.0)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")  # what a power cut takes is read anew
    return db


def _signed(number: int) -> int:
    """As SQLite can hold it."""
    return number - (1 << 64) if number >= 1 << 63 else number

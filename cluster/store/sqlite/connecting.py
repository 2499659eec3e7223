"""Connections to a database, and transactions on them."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.store.sqlite.faults import lacks_room

BUSY_TIMEOUT = 5.0  # seconds to wait for another process's transaction, such as a backup's


def connect(path: Path) -> sqlite3.Connection:
    # Autocommit (isolation_level None), so that only `_transaction` begins and ends transactions.
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)


def connect_alone(path: Path) -> sqlite3.Connection:
    """Connects without a file for the index: this keeps everybody else out as long as it is open."""
    db = connect(path)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    return db


def connect_to_read(path: Path) -> sqlite3.Connection:
    db = connect(path)
    try:
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        db.close()
        if not lacks_room(error):
            raise
        return connect_alone(path)
    return db


@contextmanager
def transaction(db: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """All or nothing. IMMEDIATE: the right to write is taken first, so that what is read in it still holds."""
    db.execute(begin)
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # some errors (disk full, I/O) have rolled it back already
            db.execute("ROLLBACK")
        raise

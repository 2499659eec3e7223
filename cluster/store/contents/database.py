"""The contents' database: made when something is first kept, so that a cluster without files has none."""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cluster.domain.base.errors import Exhausted
from cluster.store.contents import schema as sql
from cluster.store.interface import StoreFailed
from cluster.store.sqlite.faults import explain, may_heal

_BUSY_TIMEOUT = 5.0  # seconds to wait for another process's transaction, such as a backup's
_AT_ONCE = 500  # values in one list of SQL
_PAGES = 256  # that are given back to the file system at a time


class ContentsDatabase:
    """Two connections, each of which one thread uses at a time: so who reads waits for no write."""

    def __init__(self, path: Path, *, is_shared: bool = False) -> None:
        """`is_shared`: other machines may use it, too, with which nobody shares memory: so it has no WAL."""
        self._path, self._mode = path, "DELETE" if is_shared else "WAL"
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self.writing_lock = threading.RLock()  # also held by whoever moves files that rows speak of
        self._reading_lock = threading.Lock()

    @property
    def exists(self) -> bool:
        return self._writer is not None or self._path.exists()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: durable after the body, or nothing of it. Exhausted for what may work later, StoreFailed."""
        with self.writing_lock, self._explained("written"):
            if self._writer is None:
                self._writer = self._made()
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                with suppress(sqlite3.Error):  # SQLite has rolled back itself
                    self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """What was committed last; None: nothing ever was."""
        if not self.exists:
            yield None
            return
        with self._explained("read"), self.writing_lock:  # before the other lock: a writer reads, too
            if self._writer is None:
                self._writer = self._made()
        with self._reading_lock, self._explained("read"):
            if self._reader is None:
                self._reader = self._connected()
                self._reader.execute("PRAGMA query_only = ON")
            yield self._reader

    def give_back(self) -> None:
        """Gives the space of what was removed back to the file system, as much as takes a moment."""
        with self.writing_lock, self._explained("written"):
            if self._writer is not None:
                self._writer.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()

    def close(self) -> None:
        for each in (self._reader, self._writer):
            if each is not None:
                with suppress(sqlite3.Error):
                    each.close()
        self._reader = self._writer = None

    def _made(self) -> sqlite3.Connection:
        """The connection that writes, to a database that is of this version."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = self._connected()
        try:
            if not self._path.stat().st_size:  # on any other this would write
                db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute(f"PRAGMA journal_mode = {self._mode}")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA wal_autocheckpoint = 4096")  # pages, 16 MiB: not after each commit of an upload
            self._prepare(db)
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (objects,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if objects and application != sql.APPLICATION_ID:
            raise StoreFailed(f"{self._path} is a database of another program: move it away")
        if version > sql.VERSION:
            raise StoreFailed(f"{self._path} was written by a newer cluster: start that version instead")
        if version == sql.VERSION:
            return
        db.execute("BEGIN IMMEDIATE")
        for statements in sql.OF_VERSION[version:]:
            for statement in statements:
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {sql.APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {sql.VERSION}")
        db.execute("COMMIT")

    def _connected(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA cache_size = -8192")  # KiB
        return db

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, OSError):
                raise Exhausted(f"{self._path} cannot be {done}: {error.strerror}; make room") from error
            kind = Exhausted if may_heal(error, self._path) else StoreFailed
            raise kind(f"{self._path} cannot be {done}: {explain(error, self._path, _BUSY_TIMEOUT)}") from error


def in_lists(
    db: sqlite3.Connection, statement: str, values: Sequence[Any], before: Sequence[Any] = (), after: Sequence[Any] = ()
) -> Iterator[Any]:
    """The rows of a statement that has {} for a list of values, which goes in parts; other values stand before it and
    after it."""
    for at in range(0, len(values), _AT_ONCE):
        some = values[at : at + _AT_ONCE]
        yield from db.execute(statement.format(",".join("?" * len(some))), (*before, *some, *after))

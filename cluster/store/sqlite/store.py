"""The store in one SQLite file: what a cluster uses unless it is told otherwise.

WAL with synchronous=FULL: a commit that returned survives a power cut (NORMAL was measured to lose acknowledged rows).
Two connections, because one thread writes and another may read: the reader sees the last commit, never a part of one.

Connections that share a log have an index of it in a file (-shm), which is made anew by the first of them. Where the
disk has no room for that, there is one connection alone, with its index in memory, until something could be committed:
so on a full disk everything can be read.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cluster.domain.job.chunks import joined
from cluster.domain.job.records import JobProgress, JobRecord, OkEnds, SmallOutput, TaskEnd
from cluster.domain.scheduler.recovered import Recovered
from cluster.domain.trust.enrolments import Enrolment
from cluster.domain.trust.identity import IdentityKind
from cluster.domain.trust.tokens import TokenRecord
from cluster.domain.trust.users import UserRecord
from cluster.store.interface import Item, StoreFailed, StoreTroubled
from cluster.store.packing import large_among, unpack_ok
from cluster.store.sqlite import rows
from cluster.store.sqlite import schema as sql

_BUSY_TIMEOUT = 5.0  # seconds to wait for another process's transaction, such as a backup's


class SqliteStore:
    """See `cluster.store.interface.Store`."""

    def __init__(self, path: Path, cluster_id: str) -> None:
        """Opens the database, or makes it. StoreFailed when it is of another cluster or version, or no database."""
        self._path = path
        self._cluster_id = cluster_id
        self._epoch = -1  # of our load(); no epoch is negative, so nothing can be committed before it
        self._version = -1  # of the data at load()
        self.claimed = False
        self._lock = threading.RLock()  # of the reader, which may be the writer as well
        with self._doing("opened"):
            # Jobs' environments and outputs are in it: 0600, which SQLite gives to the files beside it, too.
            with suppress(OSError):  # SQLite will say it in its own words
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._open()

    def load(self) -> Recovered:
        loaded, self.claimed = None, False
        try:
            with self._alone(), self._doing("read"), _transaction(self._writer):
                self._epoch = int(self._meta("epoch") or 0) + 1
                (self._version,) = self._writer.execute("PRAGMA data_version").fetchone()
                loaded = Recovered(
                    self._epoch,
                    int(self._meta("next_job_number") or 1),
                    self._load_jobs(),
                    [rows.worker_from_row(row) for row in self._writer.execute(sql.LOAD_WORKERS)],
                )
                self._claim()
        except StoreTroubled:
            if loaded is None:
                raise
            return loaded
        self.claimed = True
        return loaded

    def _load_jobs(self) -> list[tuple[JobRecord, JobProgress]]:
        """Inside the caller's transaction."""
        jobs = map(rows.job_from_row, self._writer.execute(sql.LOAD_JOBS))
        return [(record, _whole(self._writer, progress)) for record, progress in jobs]

    def commit(self, items: Sequence[Item]) -> None:
        batches: dict[str, list[rows.Row]] = {}
        for item in items:
            for statement, row in rows.TO_ROWS[type(item)](item):
                batches.setdefault(statement, []).append(row)
        with self._alone(), self._doing("written"):
            if not self._is_open:
                self._open()
            with _transaction(self._writer):
                self._claim()
                for statement, batch in batches.items():
                    self._writer.executemany(statement, batch)
            self.claimed = True
            if self._is_alone:
                self._open_again()

    def progress_of(self, jobs: Sequence[int]) -> list[JobProgress]:
        with self._reading() as db, _transaction(db, "BEGIN"):  # all as of one commit
            found = (row for job in sorted(jobs) for row in db.execute(sql.GET_PROGRESS, (job,)))
            return [_whole(db, rows.progress_from_row(row)) for row in found]

    def ends_of_task(self, job: int, index: int) -> list[TaskEnd]:
        # In order, because nothing follows a success. It is asked for first, because there may be a commit before the
        # next question: none of the attempts before it can be missing then.
        success = [unpack_ok(ok, index) for ok in self._ok_ends(job, index, index + 1)]
        return [rows.end_from_row(row) for row in self._read(sql.GET_ENDS_OF_TASK, (job, index))] + success

    def _ok_ends(self, job: int, start: int, stop: int) -> list[OkEnds]:
        arguments = {"job": job, "start": start, "stop": stop}
        return [rows.ok_ends_from_row(row) for row in self._read(sql.GET_OK_ENDS, arguments)]

    def small_outputs(self, job: int, start: int, stop: int) -> list[SmallOutput]:
        return [SmallOutput(*row) for row in self._read(sql.GET_OUTPUTS, (job, start, stop))]

    def large_outputs(self, job: int, start: int, stop: int) -> list[TaskEnd]:
        ends = [rows.end_from_row(row) for row in self._read(sql.GET_LARGE, (job, start, stop))]
        ends += [end for ok in self._ok_ends(job, start, stop) for end in large_among(ok, start, stop)]
        return sorted(ends, key=lambda end: (end.index, end.attempt))

    def tokens(self, after: str = "", most: int | None = None) -> list[TokenRecord]:
        return [rows.token_from_row(row) for row in self._read(sql.LIST_TOKENS, _page(after, most))]

    def users(self, after: str = "", most: int | None = None) -> list[UserRecord]:
        return [rows.user_from_row(row) for row in self._read(sql.LIST_USERS, _page(after, most))]

    def joined_by(self, token: str, most: int) -> tuple[list[Enrolment], int]:
        first = [rows.enrolment_from_row(row) for row in self._read(sql.GET_JOINED, (token, most))]
        ((count,),) = self._read(sql.COUNT_JOINED, (token,))
        return first, count

    def joinings_of(self, user: str) -> int:
        ((count,),) = self._read(sql.COUNT_JOININGS, (IdentityKind.USER.value, user))
        return int(count)

    def enrolments(self) -> list[Enrolment]:
        return [rows.enrolment_from_row(row) for row in self._read(sql.LOAD_ENROLMENTS)]

    def close(self) -> None:
        with self._lock:
            self._close()
        with suppress(OSError):  # an empty log, for the next start, which may find no room for another file
            os.close(os.open(f"{self._path}-wal", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def _read(self, statement: str, arguments: rows.Row | dict[str, Any] = ()) -> list[rows.Row]:
        with self._reading() as db:
            return db.execute(statement, arguments).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._doing("read"):
            if not self._is_open:
                self._open()
            yield self._reader

    def _open(self) -> None:
        """Both connections; or one for both where there is no room for what they share."""
        self._writer = _connect(self._path)
        try:
            self._prepare()
            self._reader = _connect(self._path)
            self._reader.execute("PRAGMA query_only = ON")
            self._is_alone = False
        except sqlite3.Error as error:
            self._writer.close()
            if not _lacks_room(error):
                raise
            self._writer = self._reader = _connect_alone(self._path)
            self._is_alone = True
            self._prepare()
        self._is_open = True

    def _prepare(self) -> None:
        try:
            self._writer.execute("PRAGMA journal_mode = WAL")
            self._writer.execute("PRAGMA synchronous = FULL")
            with _transaction(self._writer):
                self._migrate()
                self._belong_to(self._cluster_id)
        except BaseException:
            self._writer.close()
            raise

    def _close(self) -> None:
        self._is_open = False
        self._reader.close()
        self._writer.close()  # the last connection to close: SQLite folds the log into the file

    def _open_again(self) -> None:
        """There is room: readers need not wait for commits any more."""
        self._close()
        with suppress(sqlite3.Error):  # whoever wants something next tries again
            self._open()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps readers out where they have the writer's connection, and would see what is not committed."""
        if not self._is_alone:
            yield
            return
        with self._lock:
            yield

    def _claim(self) -> None:
        """In the caller's transaction: StoreFailed unless the data is ours. It becomes so with the first commit after
        `load`, if nobody has changed anything meanwhile."""
        present = int(self._meta("epoch") or 0)
        if not self.claimed and present == self._epoch - 1:
            (version,) = self._writer.execute("PRAGMA data_version").fetchone()
            if version == self._version:
                self._writer.execute(sql.PUT_META, ("epoch", self._epoch))
                return
        if not self.claimed or present != self._epoch:
            raise StoreFailed(f"{self._path}: another scheduler has taken over this data, so this one must stop")

    def _meta(self, key: str) -> int | str | None:
        row = self._writer.execute(sql.GET_META, (key,)).fetchone()
        return row[0] if row else None

    def _migrate(self) -> None:
        """Brings the schema up to date, inside the caller's transaction: all of it or nothing."""
        (application,) = self._writer.execute("PRAGMA application_id").fetchone()
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        (objects,) = self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if objects and application != sql.APPLICATION_ID:
            raise StoreFailed(f"{self._path} is a database of another program: move it away")
        if version > len(sql.MIGRATIONS):
            raise StoreFailed(
                f"{self._path} was written by a newer cluster (schema {version}, this one knows "
                f"{len(sql.MIGRATIONS)}): start that version instead"
            )
        if (application, version) == (sql.APPLICATION_ID, len(sql.MIGRATIONS)):
            return
        for migration in sql.MIGRATIONS[version:]:
            for statement in migration.split(";\n"):  # executescript would commit the caller's transaction
                self._writer.execute(statement)
        self._writer.execute(f"PRAGMA application_id = {sql.APPLICATION_ID}")
        self._writer.execute(f"PRAGMA user_version = {len(sql.MIGRATIONS)}")

    def _belong_to(self, cluster_id: str) -> None:
        present = self._meta("cluster_id")
        if present is None:
            self._writer.execute(sql.PUT_META, ("cluster_id", cluster_id))
        elif present != cluster_id:
            raise StoreFailed(f"{self._path} is of cluster {present}, not of {cluster_id}: use another data directory")

    @contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        """Turns what SQLite raises into one line that says what it means."""
        try:
            yield
        except sqlite3.Error as error:
            kind = StoreTroubled if _may_heal(error, self._path) else StoreFailed
            raise kind(f"the database {self._path} cannot be {what}: {_explain(error, self._path)}") from error


def _page(after: str, most: int | None) -> dict[str, Any]:
    return {"after": after, "most": -1 if most is None else most}


def stored_cluster_id(path: Path) -> str | None:
    """The cluster that the database is of; None when there is none yet. StoreFailed when it cannot be read."""
    if not path.exists():
        return None
    try:
        db = _connect_to_read(path)
        try:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                return None
            row = db.execute(sql.GET_META, ("cluster_id",)).fetchone()
            return str(row[0]) if row else None
        finally:
            db.close()
    except sqlite3.Error as error:
        raise StoreFailed(f"the database {path} cannot be read: {_explain(error, path)}") from error


def _connect(path: Path) -> sqlite3.Connection:
    # Autocommit (isolation_level None), so that only `_transaction` begins and ends transactions.
    return sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)


def _connect_alone(path: Path) -> sqlite3.Connection:
    """Without any file of an index: it keeps everybody else out as long as it is open."""
    db = _connect(path)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    return db


def _connect_to_read(path: Path) -> sqlite3.Connection:
    db = _connect(path)
    try:
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        db.close()
        if not _lacks_room(error):
            raise
        return _connect_alone(path)
    return db


def _lacks_room(error: sqlite3.Error) -> bool:
    """Whether that is what it may be: SQLite calls it an I/O error where a file that is mapped cannot grow, and where
    no file can be made it cannot open one."""
    return _kind(getattr(error, "sqlite_errorcode", 0)) in _NO_ROOM


def _whole(db: sqlite3.Connection, progress: JobProgress) -> JobProgress:
    """With its chunks, inside the caller's transaction."""
    if not progress.chunked:
        return progress
    return joined(progress, [rows.chunk_from_row(row) for row in db.execute(sql.GET_CHUNKS, (progress.number,))])


@contextmanager
def _transaction(db: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """All or nothing. IMMEDIATE: the right to write is taken first, so that what is read in it still holds."""
    db.execute(begin)
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # some errors (disk full, I/O) have rolled it back already
            db.execute("ROLLBACK")
        raise


# Kinds of errors that go away: with room, with a better disk, when another process lets go.
_PASSING = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
)
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
_NEVER = (sqlite3.SQLITE_IOERR_CORRUPTFS,)


def _may_heal(error: sqlite3.Error, path: Path) -> bool:
    code = getattr(error, "sqlite_errorcode", 0)
    return _kind(code) in _PASSING and code not in _NEVER and not _is_read_only(path)


def _kind(code: int) -> int:
    return code & 0xFF  # the low byte; the rest is its detail


def _is_read_only(path: Path) -> bool:
    """Whether the file system was mounted so, as the kernel does with one whose disk reports errors."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _explain(error: sqlite3.Error, path: Path) -> str:
    """SQLite's words for people, with what to do."""
    if _is_read_only(path):
        return "its file system is mounted read-only; mount it writable, if its disk is well, and start again"
    match _kind(getattr(error, "sqlite_errorcode", 0)):
        case sqlite3.SQLITE_FULL:
            return "the disk is full; make room"
        case sqlite3.SQLITE_IOERR:
            return f"the disk reports an error ({error.sqlite_errorname})"
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return f"it is damaged ({error}); bring it back from a backup, or move it away to start empty"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return f"another process has held it for {_BUSY_TIMEOUT:g} s"
        case _:
            return str(error)

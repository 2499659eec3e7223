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
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from heapq import nlargest
from pathlib import Path
from typing import Any

from cluster.domain.job.chunks import joined
from cluster.domain.job.records import JobProgress, JobRecord, LastEnd, OkEnds, SmallOutput, TaskEnd
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.ended_ids import LEEWAY, EndedIds, lowest_at
from cluster.domain.scheduler.event_records import EventRecord
from cluster.domain.scheduler.recovered import Recovered
from cluster.domain.scheduler.sharing import ShareRecord
from cluster.domain.trust.enrolments import Enrolment
from cluster.domain.trust.identity import IdentityKind
from cluster.domain.trust.tokens import TokenRecord
from cluster.domain.trust.users import UserRecord
from cluster.store.interface import Item, StoreFailed, StoreTroubled
from cluster.store.packing import large_among, unpack_callers, unpack_pause, unpack_wishes
from cluster.store.sqlite import event_rows, family_sql, members_sql, rows
from cluster.store.sqlite import schema as sql
from cluster.store.sqlite.connecting import BUSY_TIMEOUT, connect, connect_alone, connect_to_read, transaction
from cluster.store.sqlite.faults import explain, lacks_room, may_heal
from cluster.store.sqlite.history_reads import HistoryReads
from cluster.store.sqlite.keeping import SqliteKeeping, pins_in
from cluster.store.sqlite.keeping_sql import INCREMENTAL, LOAD_TOMBSTONE_IDS, RETURN_PAGE
from cluster.store.sqlite.migrating import migrate
from cluster.store.sqlite.result_reads import ResultReads
from cluster.store.sqlite.turning_over import turn_over as write_anew

_BEYOND = 1 << 62  # any job's number


class SqliteStore(HistoryReads, ResultReads):
    """See `cluster.store.interface.Store`."""

    _synchronous = "FULL"

    def __init__(self, path: Path, cluster_id: str, *, turn_over: bool = False) -> None:
        """Opens the database, or makes it. StoreFailed when it is of another cluster or version, or no database.

        `turn_over`: one of an older version is written anew however large it is, or StoreFailed says why not."""
        self._path = path
        self._turning_over = turn_over
        self._cluster_id = cluster_id
        self._epoch = -1  # of our load(); no epoch is negative, so nothing can be committed before it
        self._version = -1  # of the data at load()
        self.claimed = False
        self.keeping = SqliteKeeping(self._reading)
        self._lock = threading.RLock()  # of the reader, which may be the writer as well
        with self._doing("opened"):
            # Jobs' environments and outputs are in it: 0600, which SQLite gives to the files beside it, too.
            with suppress(OSError):  # SQLite will say it in its own words
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._open()

    def load(self) -> Recovered:
        loaded, self.claimed = None, False
        try:
            with self._alone(), self._doing("read"), transaction(self._writer):
                self._epoch = int(self._meta("epoch") or 0) + 1
                (self._version,) = self._writer.execute("PRAGMA data_version").fetchone()
                loaded = self._recovered()
                self._claim()
        except StoreTroubled:
            if loaded is None:
                raise
            return loaded
        self.claimed = True
        return loaded

    def _recovered(self) -> Recovered:
        """Inside the caller's transaction."""
        return Recovered(
            self._epoch,
            int(self._meta("next_job_number") or 1),
            self._load_jobs(),
            [rows.worker_from_row(row) for row in self._writer.execute(sql.LOAD_WORKERS)],
            self._load_ids(),
            queue_pause=unpack_pause(str(self._meta("queue_pause") or "")),
            value_sizes=self._load_value_sizes(),
            next_event=self._writer.execute(event_rows.EDGES).fetchone()[1] + 1,
            shares=[ShareRecord(*row) for row in self._writer.execute(sql.LOAD_SHARES)],
            pins=pins_in(self._writer),
            pool_wishes=unpack_wishes(str(self._meta("pool_wishes") or "")),
        )

    def _load_jobs(self) -> list[tuple[JobRecord, JobProgress]]:
        """Inside the caller's transaction."""
        records = map(rows.record_from_row, self._writer.execute(sql.LOAD_JOBS))
        found = ((record, _progress(self._writer, record.number)) for record in records)
        return [(record, progress) for record, progress in found if progress]

    def _load_value_sizes(self) -> dict[int, dict[str, int]]:
        """Inside the caller's transaction."""
        sizes: dict[int, dict[str, int]] = {}
        for job, key, size in self._writer.execute(family_sql.LOAD_VALUE_SIZES):
            sizes.setdefault(job, {})[key] = size
        return sizes

    def _load_ids(self) -> EndedIds:
        """Of all jobs, also those that go on, and those that were deleted. Inside the caller's transaction."""
        execute, ids = self._writer.execute, EndedIds()
        if last := execute(sql.LAST_SUBMITTED_AT).fetchone():
            ahead_from = (lowest_at(last[0] + LEEWAY),)
            (usual,) = execute(sql.HIGHEST_ID_BELOW, ahead_from).fetchone()
            (highest,) = execute(sql.HIGHEST_ID).fetchone()
            ids = EndedIds(usual or "", highest, (job_id for (job_id,) in execute(sql.HIGHEST_IDS_FROM, ahead_from)))
        for job_id, deleted_at in execute(LOAD_TOMBSTONE_IDS):
            ids.add(job_id, deleted_at)
        return ids

    def commit(self, items: Sequence[Item]) -> None:
        batches = rows.by_statement(items)
        with self._alone(), self._doing("written"):
            if not self._is_open:
                self._open()
            with transaction(self._writer):
                self._claim()
                for statement, batch in sorted(batches.items(), key=lambda each: each[0] == sql.END_JOB):
                    if statement == RETURN_PAGE:  # which is no statement that executemany takes
                        for _ in batch:
                            self._writer.execute(statement)
                    else:
                        self._writer.executemany(statement, batch)  # a job's end after its row, which may be as new
                self._hand_on()
            self.claimed = True
            if self._is_alone:
                self._open_again()

    def _hand_on(self) -> None:
        """For who keeps the rows elsewhere too: what the transaction has changed becomes durable there, or raises."""

    def numbers(
        self,
        owner: str | None,
        states: Collection[TaskState] = (),
        below: int | None = None,
        most: int | None = None,
        root: int = 0,
    ) -> list[int]:
        page = {"owner": owner, "root": root, **_below(below, most)}
        if owner is None and not states and not root:
            return [number for (number,) in self._read(sql.LIST_ALL, page)]
        wanted = [0, *(state.value for state in states or TaskState if state.ended)]  # 0: it has not ended
        statement = family_sql.LIST_TREE if root else sql.LIST_IN_STATE if owner is None else sql.LIST_OWNED
        with self._reading() as db, transaction(db, "BEGIN"):  # all as of one commit
            found = [number for state in wanted for (number,) in db.execute(statement, {**page, "state": state})]
        return nlargest(len(found) if most is None else most, found)

    def numbers_of_name(self, name: str, owner: str | None, root: int = 0) -> list[int]:
        statement = sql.LIST_NAMED if owner is None else sql.LIST_NAMED_OWNED
        found = self._read(statement, {"name": name, "owner": owner})
        return [number for number, of in found if root in (0, of or number)]

    def children(self, job: int, below: int | None = None, most: int | None = None) -> list[int]:
        return [number for (number,) in self._read(family_sql.LIST_CHILDREN, {"job": job, **_below(below, most)})]

    def number_of_id(self, job_id: str) -> int | None:
        return next((number for (number,) in self._read(sql.GET_NUMBER, (job_id,))), None)

    def failed_children(self, job: int) -> dict[tuple[int, int], set[int]]:
        failed: dict[tuple[int, int], set[int]] = {}
        for number, callers in self._read(family_sql.LIST_FAILED, (job,)):
            caller = unpack_callers(callers)[-1]
            failed.setdefault((caller.index, caller.attempt), set()).add(number)
        return failed

    def below(self, jobs: Sequence[int]) -> list[int]:
        with self._reading() as db:
            found = {number for job in jobs for (number,) in db.execute(family_sql.LIST_BELOW, {"job": job})}
        return sorted(found)

    def values(self, job: int) -> dict[str, str]:
        return dict(self._read(family_sql.GET_VALUES, (job,)))

    def records(self, jobs: Sequence[int], *, whole: bool = False) -> list[JobRecord]:
        statement = sql.GET_WHOLE_JOB if whole else sql.GET_JOB
        with self._reading() as db:
            found = [row for job in sorted(jobs) for row in db.execute(statement, (job,))]
        return [rows.record_from_row(row) for row in found]

    def progress_of(self, jobs: Sequence[int]) -> list[JobProgress]:
        with self._reading() as db, transaction(db, "BEGIN"):  # all as of one commit
            return [progress for job in sorted(jobs) if (progress := _progress(db, job))]

    def ends_of_task(self, job: int, index: int, most: int | None = None) -> list[TaskEnd]:
        # In order, because nothing follows a success. It is asked for first, because there may be a commit before the
        # next question: none of the attempts before it can be missing then.
        success = [ok.end_of(index) for ok in self._ok_ends(job, index, index + 1)]
        others = self._read(sql.GET_ENDS_OF_TASK, (job, index, -1 if most is None else most))
        ends = [rows.end_from_row(row) for row in reversed(others)] + success
        return ends[-most:] if most else ends

    def _ok_ends(self, job: int, start: int, stop: int) -> list[OkEnds]:
        arguments = {"job": job, "start": start, "stop": stop}
        return [rows.ok_ends_from_row(row) for row in self._read(sql.GET_OK_ENDS, arguments)]

    def last_ends(self, job: int, start: int, most: int) -> list[LastEnd]:
        found = self._read(sql.GET_LAST_ENDS, (job, start, most))
        return [LastEnd(index, reason, code, bool(exhausted)) for index, reason, code, exhausted, _ in found]

    def small_outputs(self, job: int, start: int, stop: int) -> list[SmallOutput]:
        return [SmallOutput(*row) for row in self._read(sql.GET_OUTPUTS, (job, start, stop))]

    def large_outputs(self, job: int, start: int, stop: int) -> list[TaskEnd]:
        ends = [rows.end_from_row(row) for row in self._read(sql.GET_LARGE, (job, start, stop))]
        ends += [end for ok in self._ok_ends(job, start, stop) for end in large_among(ok, start, stop)]
        return sorted(ends, key=lambda end: (end.index, end.attempt))

    def events(self, after: int, owner: str | None, most: int) -> list[EventRecord]:
        page = {"after": after, "owner": owner, "most": most}
        return [event_rows.from_row(row) for row in self._read(event_rows.GET, page)]

    def notices_done(self) -> int:
        return next((int(done) for (done,) in self._read(sql.GET_META, (event_rows.NOTICES_DONE,))), 0)

    def edges_of_events(self) -> tuple[int, int]:
        ((first, last),) = self._read(event_rows.EDGES)
        return first, last

    def tokens(self, after: str = "", most: int | None = None) -> list[TokenRecord]:
        return [rows.token_from_row(row) for row in self._read(members_sql.LIST_TOKENS, _page(after, most))]

    def users(self, after: str = "", most: int | None = None) -> list[UserRecord]:
        return [rows.user_from_row(row) for row in self._read(members_sql.LIST_USERS, _page(after, most))]

    def joined_by(self, token: str, most: int) -> tuple[list[Enrolment], int]:
        first = [rows.enrolment_from_row(row) for row in self._read(members_sql.GET_JOINED, (token, most))]
        ((count,),) = self._read(members_sql.COUNT_JOINED, (token,))
        return first, count

    def joinings_of(self, user: str) -> int:
        ((count,),) = self._read(members_sql.COUNT_JOININGS, (IdentityKind.USER.value, user))
        return int(count)

    def enrolments(self) -> list[Enrolment]:
        return [rows.enrolment_from_row(row) for row in self._read(members_sql.LOAD_ENROLMENTS)]

    def close(self) -> None:
        with self._lock:
            self._close()
        with suppress(OSError):  # an empty log, for the next start, which may find no room for another file
            os.close(os.open(f"{self._path}-wal", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def _read(self, statement: str, arguments: sql.Row | dict[str, Any] = ()) -> list[sql.Row]:
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
        self._writer = connect(self._path)
        try:
            self._prepare()
            write_anew(self._writer, self._path, wanted=self._turning_over)
            self._reader = connect(self._path)
            self._reader.execute("PRAGMA query_only = ON")
            self._is_alone = False
        except sqlite3.Error as error:
            self._writer.close()
            if not lacks_room(error):
                raise
            self._writer = self._reader = connect_alone(self._path)
            self._is_alone = True
            self._prepare()
        self._is_open = True

    def _prepare(self) -> None:
        try:
            if _is_empty(self._path):  # on any other this would write
                self._writer.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
            self._writer.execute("PRAGMA journal_mode = WAL")
            self._writer.execute(f"PRAGMA synchronous = {self._synchronous}")
            with transaction(self._writer):
                migrate(self._writer, self._path)
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
            kind = StoreTroubled if may_heal(error, self._path) else StoreFailed
            raise kind(
                f"the database {self._path} cannot be {what}: {explain(error, self._path, BUSY_TIMEOUT)}"
            ) from error


def _is_empty(path: Path) -> bool:
    try:
        return not path.stat().st_size
    except OSError:
        return True


def _below(below: int | None, most: int | None) -> dict[str, int]:
    return {"below": _BEYOND if below is None else below, "most": -1 if most is None else most}


def _page(after: str, most: int | None) -> dict[str, Any]:
    return {"after": after, "most": -1 if most is None else most}


def stored_cluster_id(path: Path) -> str | None:
    """The cluster that the database is of; None when there is none yet. StoreFailed when it cannot be read."""
    if not path.exists():
        return None
    try:
        db = connect_to_read(path)
        try:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                return None
            row = db.execute(sql.GET_META, ("cluster_id",)).fetchone()
            return str(row[0]) if row else None
        finally:
            db.close()
    except sqlite3.Error as error:
        raise StoreFailed(f"the database {path} cannot be read: {explain(error, path, BUSY_TIMEOUT)}") from error


def _progress(db: sqlite3.Connection, job: int) -> JobProgress | None:
    """The progress as it was saved last, with its chunks; inside the caller's transaction."""
    row = db.execute(sql.GET_PROGRESS, (job,)).fetchone()
    if row is None:
        return None
    progress = rows.progress_from_row(row)
    chunks = [rows.chunk_from_row(row) for row in db.execute(sql.GET_CHUNKS, (job,))] if progress.chunked else []
    return joined(progress, chunks, [rows.held_from_row(row) for row in db.execute(sql.GET_HELD, (job,))])

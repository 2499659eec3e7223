"""The jobs of the worker's own API, past ones included, in `worker.db`. SQLite, one row for each job.

Every call blocks and belongs into the one lane that `OwnJobs` has for it. One job is one small commit at its start and
one at its end; `synchronous=FULL`, because a job that was acknowledged must not be forgotten.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from cluster.domain.base.errors import ClusterError, Exhausted, Unusable
from cluster.domain.job.records import JobRecord
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.rpc.specs import spec_from_proto
from cluster.store.packing import pack_apart, pack_spec, unpack_spec
from cluster.v1 import job_pb2

VERSION = 3
_BUSY_TIMEOUT = 0.05  # seconds for which another process, such as a backup's, is waited for
KEPT = 10_000  # ended jobs; the oldest go first, with their output


@dataclass(frozen=True, slots=True)
class OwnJob:
    """One row. Times are Unix seconds, 0: not yet. `incarnation`: of the launcher that was to start it."""

    number: int
    id: str
    owner: str
    spec: JobSpec
    submitted_at: float
    incarnation: str
    state: TaskState = TaskState.READY
    reason: str = ""
    exit_code: int = 0
    signal: str = ""
    detail: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory: int = 0  # bytes
    cancelled_by: str = ""
    cancel_reason: str = ""
    recorded: str = ""  # what somebody has said of it last, by RecordJobStatus
    recorded_at: float = 0.0

    @property
    def record(self) -> JobRecord:
        return JobRecord(self.number, self.id, self.owner, self.spec, self.submitted_at)


_FIELDS = tuple(f.name for f in fields(OwnJob))
_COLUMNS = (*_FIELDS, "env")  # the spec and its environment as in cluster.store.packing
_SCHEMA = """
create table if not exists jobs (
  number integer primary key,
  id text not null unique,
  owner text not null,
  spec blob not null,
  submitted_at real not null,
  incarnation text not null,
  state integer not null,
  reason text not null,
  exit_code integer not null,
  signal text not null,
  detail text not null,
  started_at real not null,
  ended_at real not null,
  cpu_seconds real not null,
  peak_memory integer not null,
  cancelled_by text not null,
  cancel_reason text not null,
  env text not null default '',
  recorded text not null default '',
  recorded_at real not null default 0
) strict;
create index if not exists jobs_by_state on jobs (state);
"""
_SAVE = f"insert or replace into jobs ({', '.join(_COLUMNS)}) values ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_LOAD = f"select {', '.join(_COLUMNS)} from jobs"  # noqa: S608 (names of our own fields)
_ENDED = tuple(int(state) for state in TaskState if state.ended)


class OwnStoreFailed(Exhausted):
    """It cannot be written just now: the disk is full, or reports an error, or hangs."""


class OwnStore:
    """Use it from one thread at a time. Raises ClusterError for a file that is not ours to read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._db = sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)
            version = self._db.execute("pragma user_version").fetchone()[0]
            if version > VERSION:
                raise ClusterError(f"{path} is of version {version}, this program knows {VERSION}: use a newer one")
            # Its journal keeps its room: a database with a log beside it cannot even be opened on a full disk.
            self._db.execute("pragma journal_mode=persist")
            self._db.execute("pragma synchronous=full")
            if version != VERSION:
                self._bring_up_to_date(version)
        except sqlite3.Error as error:
            raise Unusable(f"{path} cannot be used: {error}; move it away to start without past jobs") from None

    def _bring_up_to_date(self, version: int) -> None:
        """Makes the tables, or brings those of an older version up to date."""
        with self._at_once():
            if version == 0:
                for statement in _SCHEMA.split(";\n"):  # executescript would commit at once
                    self._db.execute(statement)
            if version == 1:  # the spec was a message of the wire
                self._db.execute("alter table jobs add column env text not null default ''")
                for number, spec in self._db.execute("select number, spec from jobs").fetchall():
                    packed = _packed(spec_from_proto(job_pb2.JobSpec.FromString(spec)))
                    self._db.execute("update jobs set spec = ?, env = ? where number = ?", (*packed, number))
            if version in (1, 2):
                self._db.execute("alter table jobs add column recorded text not null default ''")
                self._db.execute("alter table jobs add column recorded_at real not null default 0")
            self._db.execute(f"pragma user_version={VERSION}")

    def save(self, jobs: Iterable[OwnJob]) -> None:
        """All of them in one commit. OwnStoreFailed when that cannot be done now."""
        rows = [_row(job) for job in jobs]
        with self._writing(), self._at_once():
            self._db.executemany(_SAVE, rows)

    def get(self, number: int) -> OwnJob | None:
        return next(iter(self._load("where number = ?", (number,))), None)

    def by_id(self, job_id: str) -> OwnJob | None:
        return next(iter(self._load("where id = ?", (job_id,))), None)

    def numbers(self, owner: str | None) -> list[int]:
        """The numbers of that owner's jobs (None: of all), ascending."""
        query = "select number from jobs where ?1 is null or owner = ?1 order by number"
        return [row[0] for row in self._db.execute(query, (owner,))]

    def unfinished(self) -> list[OwnJob]:
        return self._load(f"where state not in {_ENDED} order by number")

    def next_number(self) -> int:
        highest: int | None = self._db.execute("select max(number) from jobs").fetchone()[0]
        return (highest or 0) + 1

    def forget_old(self, newest: int) -> list[int]:
        """Drops ended jobs so far below number `newest` that they are no longer kept, and answers which."""
        where = f"where number <= ? and state in {_ENDED}"
        with self._writing():
            rows = self._db.execute(f"delete from jobs {where} returning number", (newest - KEPT,)).fetchall()  # noqa: S608
        return [row[0] for row in rows]

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """All of it or nothing."""
        self._db.execute("begin immediate")
        try:
            yield
            self._db.execute("commit")
        finally:
            if self._db.in_transaction:  # some errors have rolled it back already
                self._db.execute("rollback")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OwnStoreFailed(f"{self.path} cannot be written just now: {error}; try again later") from None

    def _load(self, where: str, values: Sequence[int | str] = ()) -> list[OwnJob]:
        return [_job(row) for row in self._db.execute(f"{_LOAD} {where}", values)]


def _row(job: OwnJob) -> list[object]:
    values = {name: getattr(job, name) for name in _FIELDS}
    values["spec"], env = _packed(job.spec)
    values["state"] = int(job.state)
    return [*values.values(), env]


def _packed(spec: JobSpec) -> tuple[bytes, str]:
    """The columns `spec` and `env`. (It has no lines: those need a scheduler.)"""
    return pack_spec(spec).encode(), pack_apart(spec)


def _job(row: Sequence[object]) -> OwnJob:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["spec"] = unpack_spec(values["spec"], values.pop("env"))  # type: ignore[arg-type]
    values["state"] = TaskState(values["state"])  # type: ignore[arg-type]
    return OwnJob(**values)  # type: ignore[arg-type]

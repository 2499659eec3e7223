"""What the SQLite store tells of results, and its statements about them."""

import json
import sqlite3
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager

from cluster.domain.job import endings
from cluster.domain.job.records import OkEnds
from cluster.domain.job.results import EndedAttempt, KeptResults, ResultsTotal
from cluster.store.sqlite.schema import Row

# Of several for one attempt the first counts.
PUT = """
    INSERT INTO results (job, task, attempt, tree, files, bytes, notes) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING
"""
_GET = """
    SELECT job, task, attempt, tree, files, bytes, notes FROM results
    WHERE job = ? AND task >= ? AND task < ? ORDER BY task, attempt
"""
_TOTAL = "SELECT sum(files > 0), sum(files), sum(bytes), count(*) FROM results WHERE job = ?"
# Attempts that have ended and left something, or may have.
_ENDED = """
    SELECT (SELECT coalesce(sum(count), 0) FROM ok_ends WHERE job = ?1)
        + (SELECT count(*) FROM task_ends WHERE job = ?1 AND (started_at > 0 OR reason = 'lost'))
"""
# The last end of each task that is no plain success. (Of a group with one max SQLite takes the row that has it.)
_LAST_ENDS = """
    SELECT task, max(attempt), worker_id, reason, started_at > 0 OR reason = 'lost' FROM task_ends
    WHERE job = ? AND task >= ? AND task < ? GROUP BY task
"""


def to_rows(kept: KeptResults) -> Iterator[tuple[str, Row]]:
    yield PUT, (*kept.key, kept.tree, kept.files, kept.size, json.dumps(kept.notes) if kept.notes else "")


class ResultReads:
    """Methods of SqliteStore. See `cluster.store.interface.Store`."""

    @abstractmethod
    def _reading(self) -> AbstractContextManager[sqlite3.Connection]: ...

    @abstractmethod
    def _ok_ends(self, job: int, start: int, stop: int) -> list[OkEnds]: ...

    def results(self, job: int, start: int, stop: int) -> list[KeptResults]:
        with self._reading() as db:
            found = db.execute(_GET, (job, start, stop)).fetchall()
        return list(map(_from_row, found))

    def results_total(self, job: int) -> ResultsTotal:
        with self._reading() as db:
            attempts, files, size, known = db.execute(_TOTAL, (job,)).fetchone()
            (ended,) = db.execute(_ENDED, (job,)).fetchone()
        return ResultsTotal(attempts or 0, files or 0, size or 0, max(0, ended - known))

    def last_attempts(self, job: int, start: int, stop: int) -> list[EndedAttempt]:
        with self._reading() as db:
            ends = db.execute(_LAST_ENDS, (job, start, stop)).fetchall()
        found = {index: EndedAttempt(index, n, worker, why, bool(began)) for index, n, worker, why, began in ends}
        for ok in self._ok_ends(job, start, stop):
            for index in range(max(start, ok.first), min(stop, ok.stop)):
                found[index] = EndedAttempt(index, ok.attempt, ok.worker_id, endings.OK)
        return [found[index] for index in sorted(found)]


def _from_row(row: Row) -> KeptResults:
    """One row of _GET."""
    job, index, attempt, tree, files, size, notes = row
    return KeptResults(job, index, attempt, tree, files, size, tuple(json.loads(notes)) if notes else ())

"""What the SQLite store says of ended jobs and of its own room."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from cluster.domain.scheduler.retention import (
    NOTHING_WALKED,
    EndedJob,
    OutputExpired,
    OutputsWalked,
    Pin,
    Tombstone,
)
from cluster.store.keeping import Remains, StoreSize, Weight
from cluster.store.sqlite import keeping_sql as sql
from cluster.store.sqlite.restoring import skipped_numbers
from cluster.store.sqlite.schema import GET_META


class SqliteKeeping:
    """See `cluster.store.keeping.Keeping`."""

    def __init__(self, reading: Callable[[], AbstractContextManager[sqlite3.Connection]]) -> None:
        self._reading = reading

    def ended(self, after: OutputsWalked, most: int) -> list[EndedJob]:
        with self._reading() as db:
            return [EndedJob(*row) for row in db.execute(sql.ENDED, (*after, most))]

    def ended_among(self, jobs: Sequence[int]) -> list[EndedJob]:
        with self._reading() as db:
            return [EndedJob(*row) for job in sorted(jobs) for row in db.execute(sql.ENDED_ONE, (job,))]

    def pins(self, jobs: Sequence[int] | None = None) -> dict[int, Pin]:
        with self._reading() as db:
            if jobs is None:
                return pins_in(db)
            rows = (row for job in jobs for row in db.execute(sql.GET_PIN, (job,)))
            return {job: Pin(by, at) for job, by, at in rows}

    def tombstone(self, number: int) -> Tombstone | None:
        with self._reading() as db:
            return next((Tombstone(*row) for row in db.execute(sql.GET_TOMBSTONE, (number,))), None)

    def skipped(self, number: int) -> float:
        with self._reading() as db:
            return next((made_at for first, end, made_at in skipped_numbers(db) if first <= number < end), 0.0)

    def tombstone_of_id(self, job_id: str) -> Tombstone | None:
        with self._reading() as db:
            return next((Tombstone(*row) for row in db.execute(sql.GET_TOMBSTONE_OF_ID, (job_id,))), None)

    def output_expired(self, job: int) -> OutputExpired | None:
        with self._reading() as db:
            return next((OutputExpired(*row) for row in db.execute(sql.GET_EXPIRED, (job,))), None)

    def walked(self) -> OutputsWalked:
        with self._reading() as db:
            (text,) = db.execute(GET_META, (sql.WALKED,)).fetchone() or ("",)
        if not text:
            return NOTHING_WALKED
        ended_at, job = text.split()
        return OutputsWalked(float(ended_at), int(job))

    def remains(self, most: int) -> Remains:
        with self._reading() as db:
            deleted = db.execute(sql.DELETED_LEFT, (most,)).fetchall()
            expired = db.execute(sql.EXPIRED_LEFT, (most,)).fetchall()
        gone, over = ([job for job, left in some if not left] for some in (deleted, expired))
        all_of_them = len(gone) == len(deleted) < most and len(over) == len(expired) < most
        return Remains(gone, over, not all_of_them)

    def keeps_files(self, jobs: Sequence[int]) -> list[int]:
        with self._reading() as db:
            return [job for job in jobs if db.execute(sql.HAS_FILES, (job,)).fetchone()]

    def size(self) -> StoreSize:
        with self._reading() as db:
            page, pages, free = (
                db.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_size", "page_count", "freelist_count")
            )
            (small,) = db.execute(GET_META, (sql.SMALL_OUTPUTS,)).fetchone()
        return StoreSize(page * (pages - free), page * free, small)

    def runs_of(self, schedule: int, after: int, most: int) -> list[tuple[int, str]]:
        with self._reading() as db:
            return db.execute(sql.RUNS_OF, (schedule, after, most)).fetchall()

    def usage_days(self, before: int) -> int:
        with self._reading() as db:
            (days,) = db.execute(sql.USAGE_DAYS, (before,)).fetchone()
        return int(days)

    def weigh(self, jobs: Sequence[int]) -> list[Weight]:
        weights = []
        with self._reading() as db:
            for job in jobs:
                (rows,) = db.execute(sql.WEIGH, (job,)).fetchone()
                outputs, count = db.execute(sql.WEIGH_OUTPUTS, (job,)).fetchone()
                weights.append(Weight((rows or 0) + outputs + sql.A_ROW * count, outputs))
        return weights


def pins_in(db: sqlite3.Connection) -> dict[int, Pin]:
    """All pins."""
    return {job: Pin(by, at) for job, by, at in db.execute(sql.LOAD_PINS)}

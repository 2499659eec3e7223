"""What is kept and what goes, as rows of the SQLite store."""

from collections.abc import Callable, Iterator
from typing import Any

from cluster.domain.scheduler.retention import (
    JobPinned,
    OutputExpired,
    OutputsWalked,
    RemainsDropped,
    RemainsGone,
    SpaceReturned,
    Tombstone,
    UsageDropped,
)
from cluster.store.sqlite import keeping_sql as sql
from cluster.store.sqlite.schema import PUT_META, Row

TOMBSTONES_AT_ONCE = 1000


def pinned(p: JobPinned) -> Iterator[tuple[str, Row]]:
    if p.pin is None:
        yield sql.DROP_PIN, (p.job,)
        yield PUT_META, (sql.WALKED, "")  # its output may be due by now
    else:
        yield sql.PUT_PIN, (p.job, *p.pin)


def tombstone(t: Tombstone) -> Iterator[tuple[str, Row]]:
    yield sql.PUT_TOMBSTONE, (*t, True)
    yield sql.DROP_JOB, (t.number,)
    yield sql.DROP_PIN, (t.number,)


def expired(e: OutputExpired) -> Iterator[tuple[str, Row]]:
    yield sql.PUT_EXPIRED, (*e, True)


def walked(w: OutputsWalked) -> Iterator[tuple[str, Row]]:
    yield PUT_META, (sql.WALKED, f"{w.ended_at!r} {w.job}")


def dropped(d: RemainsDropped) -> Iterator[tuple[str, Row]]:
    for statement in sql.DROP_ROWS:
        yield statement, (d.jobs, d.rows)


def gone(g: RemainsGone) -> Iterator[tuple[str, Row]]:
    for job in g.deleted:
        yield sql.DELETED_GONE, (job,)
    for job in g.expired:
        yield sql.EXPIRED_GONE, (job,)
    if g.deleted:
        yield sql.DROP_TOMBSTONES, (TOMBSTONES_AT_ONCE,)


def returned(r: SpaceReturned) -> Iterator[tuple[str, Row]]:
    for _ in range(r.pages):
        yield sql.RETURN_PAGE, ()


def usage_dropped(d: UsageDropped) -> Iterator[tuple[str, Row]]:
    for statement in sql.DROP_USAGE:
        yield statement, (d.before, d.rows)


# What to execute for each kind of record.
TO_ROWS: dict[type, Callable[[Any], Iterator[tuple[str, Row]]]] = {
    JobPinned: pinned,
    Tombstone: tombstone,
    OutputExpired: expired,
    OutputsWalked: walked,
    RemainsDropped: dropped,
    RemainsGone: gone,
    SpaceReturned: returned,
    UsageDropped: usage_dropped,
}

"""The event log in the SQLite store: its statements, and its records as rows and back."""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from cluster.domain.scheduler.event_records import DROPPED_AT_ONCE, KEPT, EventKind, EventRecord, NoticesDone
from cluster.store.sqlite.schema import PUT_META, Row, upsert

MOST_KNOWN = 256  # jobs that end alike have events which say the same: so many of these are not made into JSON again
NOTICES_DONE = "notices_done"  # in meta
COLUMNS = ("sequence", "at", "kind", "job", "owner", "data")
PUT = upsert("events", *COLUMNS, keys=1)
DROP = "DELETE FROM events WHERE sequence <= ?"
EDGES = "SELECT coalesce(min(sequence), 1), coalesce(max(sequence), 0) FROM events"
# After a number, at most so many: of everybody, or (:owner) what an owner may see.
GET = f"""
    SELECT {", ".join(COLUMNS)} FROM events
    WHERE sequence > :after AND (:owner IS NULL OR owner IN ('', :owner)) ORDER BY sequence LIMIT :most
"""  # noqa: S608 (no input)

_APART = len(COLUMNS) - 1  # fields that have a column, which come first
_IN_DATA = EventRecord._fields[_APART:]


def to_rows(event: EventRecord) -> Iterator[tuple[str, Row]]:
    """What to execute to keep it."""
    yield PUT, (event.sequence, event.at, event.kind.value, event.job, event.owner, _data(event[_APART:]))
    if event.sequence % DROPPED_AT_ONCE == 0:
        yield DROP, (event.sequence - KEPT,)


@lru_cache(MOST_KNOWN)
def _data(values: tuple[Any, ...]) -> str:
    """Of the fields without a column those that say something, as JSON."""
    return json.dumps({name: value for name, value in zip(_IN_DATA, values, strict=True) if value})


def done_to_rows(done: NoticesDone) -> Iterator[tuple[str, Row]]:
    """What to execute to keep it."""
    yield PUT_META, (NOTICES_DONE, done.sequence)


def from_row(row: Row) -> EventRecord:
    """One row of GET."""
    sequence, at, kind, job, owner, data = row
    values = json.loads(data)
    values["notify"] = tuple(values.get("notify", ()))
    return EventRecord(sequence, at, EventKind(kind), job, owner, **values)

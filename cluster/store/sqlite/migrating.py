"""Bringing an older database up to date."""

import json
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path

from cluster.domain.base.intervals import IntervalSet
from cluster.store.interface import StoreFailed
from cluster.store.sqlite import schema_versions


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Brings the schema up to date, inside the caller's transaction: all of it or nothing. StoreFailed for a database
    of another program, or of a newer version."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (objects,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if objects and application != schema_versions.APPLICATION_ID:
        raise StoreFailed(f"{path} is a database of another program: move it away")
    if version > len(schema_versions.MIGRATIONS):
        raise StoreFailed(
            f"{path} was written by a newer cluster (schema {version}, this one knows "
            f"{len(schema_versions.MIGRATIONS)}): start that version instead"
        )
    if (application, version) == (schema_versions.APPLICATION_ID, len(schema_versions.MIGRATIONS)):
        return
    for name, function in _FUNCTIONS.items():
        db.create_function(name, -1, function, deterministic=True)
    for migration in schema_versions.MIGRATIONS[version:]:
        for statement in migration.split(";\n"):  # executescript would commit the caller's transaction
            db.execute(statement)
    db.execute(f"PRAGMA application_id = {schema_versions.APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {len(schema_versions.MIGRATIONS)}")


def _env_of(spec: str) -> str:
    """As packing.pack_apart."""
    env = json.loads(spec).get("env")
    return json.dumps(env) if env else ""


def _name_of(spec: str) -> str:
    return str(json.loads(spec).get("name", ""))


def _spec_without_env(spec: str) -> str:
    values = json.loads(spec)
    values.pop("env", None)
    return json.dumps(values)


def _lines_in(lines: bytes) -> int:
    return lines.count(b"\n") + 1


def _states_of(*columns: bytes) -> bytes:
    """As packing.pack_numbered, of the sets of the states that had a column each."""
    numbers = (2, 5, 6, 7, 8)  # of ready, backoff, succeeded, failed, cancelled
    packed = zip(numbers, columns, strict=True)
    return b"".join(struct.pack("<II", number, len(column) // 4) + column for number, column in packed if column)


def _attempts_of(pairs: str | None) -> bytes:
    """As packing.pack_numbered, of tasks by the attempt beside each."""
    tasks: dict[int, list[int]] = {}
    for task, attempt in (map(int, pair.split()) for pair in (pairs or "").split(",") if pair):
        tasks.setdefault(attempt, []).append(task)
    sets = {attempt: IntervalSet((task, task + 1) for task in some).flat() for attempt, some in sorted(tasks.items())}
    return b"".join(struct.pack(f"<II{len(flat)}I", n, len(flat), *flat) for n, flat in sets.items())


def _waited_for(spec: str, place: int) -> int:
    """The number of the job at that place among those that it waits for; 0: they are fewer."""
    values = json.loads(spec)
    fields = ("after", "after_any", "after_fail", "after_each")
    numbers = sorted({int(number) for field in fields for number in values.get(field, ())})
    return numbers[place] if place < len(numbers) else 0


# What migrations call, for what SQL does not do on every machine, or not exactly.
_FUNCTIONS: dict[str, Callable[..., str | int | bytes]] = {
    "env_of": _env_of,
    "name_of": _name_of,
    "spec_without_env": _spec_without_env,
    "lines_in": _lines_in,
    "waited_for": _waited_for,
    "states_of": _states_of,
    "attempts_of": _attempts_of,
}

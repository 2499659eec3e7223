"""Which rows a transaction of SQLite has changed: triggers note their keys beside, in tables that live in memory."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from cluster.store.redis import rows
from cluster.store.sqlite.schema import Row

_EVENTS = {"INSERT": ("NEW",), "UPDATE": ("OLD", "NEW"), "DELETE": ("OLD",)}  # and the rows whose keys are noted then


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table of the database."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def noted(self) -> str:
        return f"temp.touched_{self.name}"

    @property
    def put(self) -> str:
        """Puts a whole row, in place of the one with its key."""
        marks = ", ".join("?" * len(self.columns))
        return f"INSERT OR REPLACE INTO main.{self.name} ({', '.join(self.columns)}) VALUES ({marks})"  # noqa: S608

    @property
    def remove(self) -> str:
        """Removes the row of a key."""
        same = " AND ".join(f"{column} = ?" for column in self.key)
        return f"DELETE FROM main.{self.name} WHERE {same}"  # noqa: S608 (no input)

    @property
    def note(self) -> str:
        return f"INSERT OR IGNORE INTO {self.noted} VALUES ({', '.join('?' * len(self.key))})"  # noqa: S608

    def key_of(self, row: Row) -> Row:
        return tuple(row[self.columns.index(column)] for column in self.key)


class TouchedRows(NamedTuple):
    """Of one table."""

    table: TableShape
    keys: list[Row]
    put: list[bytes]  # keys and rows in turn
    removed: list[bytes]  # keys


def tables_of(db: sqlite3.Connection) -> list[TableShape]:
    names = [n for (n,) in db.execute("SELECT name FROM main.sqlite_master WHERE type = 'table' ORDER BY name")]
    shapes = []
    for name in names:
        found = db.execute(f"PRAGMA main.table_info({name})").fetchall()
        key = tuple(column[1] for column in sorted(found, key=lambda column: column[5]) if column[5])
        shapes.append(TableShape(name, tuple(column[1] for column in found), key))
    return [shape for shape in shapes if not shape.name.startswith("sqlite_")]


def make_room(db: sqlite3.Connection, tables: list[TableShape]) -> None:
    """Makes the places for the keys. Outside any transaction."""
    db.execute("PRAGMA temp_store = MEMORY")
    for table in tables:
        key = ", ".join(table.key)
        db.execute(f"CREATE TABLE {table.noted} ({key}, PRIMARY KEY ({key})) WITHOUT ROWID")


def watch(db: sqlite3.Connection, tables: list[TableShape]) -> None:
    """From now on the keys of changed rows are noted; those of a transaction that is undone are not."""
    for table in tables:
        for event, sides in _EVENTS.items():
            notes = "; ".join(_note_once(table, side) for side in sides)
            db.execute(
                f"CREATE TEMP TRIGGER {_trigger(table, event)} AFTER {event} ON main.{table.name} BEGIN {notes}; END"
            )


def look_away(db: sqlite3.Connection, tables: list[TableShape]) -> None:
    """Until it is watched again nothing is noted: a row costs a tenth."""
    for table in tables:
        for event in _EVENTS:
            db.execute(f"DROP TRIGGER IF EXISTS temp.{_trigger(table, event)}")


def _trigger(table: TableShape, event: str) -> str:
    return f"touched_{table.name}_{event}"


def _note_once(table: TableShape, side: str) -> str:
    """Not INSERT OR IGNORE: what the statement says that has fired the trigger would count instead."""
    key = ", ".join(f"{side}.{column}" for column in table.key)
    same = " AND ".join(f"{column} = {side}.{column}" for column in table.key)
    name = f"touched_{table.name}"
    return f"INSERT INTO {name} SELECT {key} WHERE NOT EXISTS (SELECT 1 FROM {name} WHERE {same})"  # noqa: S608


def take_changes(db: sqlite3.Connection, tables: list[TableShape]) -> Iterator[TouchedRows]:
    """What the transaction has changed, as it is now; nothing stays noted. Inside the transaction."""
    for table in tables:
        keys = db.execute(f"SELECT * FROM {table.noted}").fetchall()  # noqa: S608
        if not keys:
            continue
        same = " AND ".join(f"t.{column} = n.{column}" for column in table.key)
        columns = ", ".join(f"t.{column}" for column in table.columns)
        found = db.execute(f"SELECT {columns} FROM {table.noted} AS n CROSS JOIN main.{table.name} AS t ON {same}")  # noqa: S608
        put: list[bytes] = []
        present = set()
        for row in found:
            key = table.key_of(row)
            present.add(key)
            put += (rows.pack(key), rows.pack(row))
        db.execute(f"DELETE FROM {table.noted}")  # noqa: S608
        yield TouchedRows(table, keys, put, [rows.pack(key) for key in keys if key not in present])

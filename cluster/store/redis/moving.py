"""Bringing all rows of a store from SQLite to Redis and back: into a place beside first, and then at once."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.domain.base.errors import Conflict
from cluster.store.interface import StoreFailed
from cluster.store.redis import rows, scripts
from cluster.store.redis.connecting import connect, expect_fit, place_of, troubled
from cluster.store.redis.fence import SCHEMA, begin_epoch, expect_ours, of_nobody_else, read_fence
from cluster.store.redis.lead import expect_nobody
from cluster.store.redis.store import damaged, stored_rows
from cluster.store.redis.touched import TableShape, tables_of
from cluster.store.sqlite.connecting import connect as connect_database
from cluster.store.sqlite.connecting import transaction
from cluster.store.sqlite.schema import GET_META, PUT_META
from cluster.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    import redis

_PIECE = 1 << 20  # bytes that are sent at once, about
_EPOCH = "epoch"


def to_redis(path: Path, url: str, cluster_id: str, *, may_lose: bool) -> dict[str, int]:
    """Brings the database there; returns the rows of each table. Conflict where Redis has a scheduler's rows already,
    but for those of such a move that broke off. Until it returns the database is what counts."""
    SqliteStore(path, cluster_id).close()  # of this version from now on
    place = place_of(url)
    with closing(connect(url)) as client, _usable(path), closing(connect_database(path)) as db:
        with troubled(place):
            expect_fit(client, place, may_lose=may_lose)
        there = read_fence(client, place)
        (epoch,) = db.execute(GET_META, (_EPOCH,)).fetchone()
        if there.epoch and (there.cluster, there.epoch, there.commit) != (cluster_id, epoch, 0):
            raise Conflict(f"the store {place} has a scheduler's data (cluster {there.cluster}): use an empty database")
        tables = tables_of(db)
        counts = {table.name: _send(db, client, place, table) for table in tables}
        keys = [key for table in tables for key in (scripts.NEW + table.name, scripts.ROWS + table.name)]
        fence = {"cluster": cluster_id, _EPOCH: epoch, "commit": 0, "schema": SCHEMA, "format": scripts.FORMAT}
        words = [str(word) for pair in fence.items() for word in pair]
        with troubled(place):
            expected = str(there.epoch or "")
            said = client.eval(scripts.REPLACE, 1 + len(keys), scripts.FENCE, *keys, expected, *words)
        if said != b"done":
            raise Conflict(f"somebody else uses the store {place}: stop it, and try again")
    return counts


def to_sqlite(url: str, path: Path, cluster_id: str) -> dict[str, int]:
    """Makes a database of what is there; returns the rows of each table. Nobody who has written there can any more, and
    nobody begins to. Conflict while a scheduler is there."""
    place = place_of(url)
    with closing(connect(url)) as client:
        there = read_fence(client, place)
        if not there.epoch:
            raise StoreFailed(f"the store {place} is empty: nothing is there to be brought back")
        expect_ours(there, place, cluster_id)
        expect_nobody(url)
        fence = begin_epoch(client, place, cluster_id, of_nobody_else())
        SqliteStore(path, cluster_id).close()
        with _usable(path), closing(connect_database(path)) as db:
            db.execute("PRAGMA synchronous = FULL")
            tables = tables_of(db)
            with transaction(db):
                for table in tables:
                    with damaged(place, table):
                        db.executemany(table.put, stored_rows(client, place, table))
                db.execute(PUT_META, (_EPOCH, fence.epoch))
            # The file alone goes on, without its log. Raises where the disk is full.
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            counts = {table.name: _count(db, table) for table in tables}
        for table in tables:
            if table.name != "meta":  # some of it is the database's own
                _expect_count(client, place, scripts.ROWS + table.name, counts[table.name])
        is_ours, words = read_fence(client, place) == fence, (str(fence.epoch), scripts.MOVED, "1")
        with troubled(place):
            if not is_ours or client.eval(scripts.REPLACE, 1, scripts.FENCE, *words) != b"done":
                raise Conflict(f"somebody else uses the store {place}: stop it, and try again")
    return counts


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    """Says what SQLite refuses, as on a full disk."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreFailed(f"the database {path} cannot be used: {error}; nothing was moved") from None


def _send(db: sqlite3.Connection, client: "redis.Redis", place: str, table: TableShape) -> int:
    """Brings a table beside; returns how many rows it has."""
    key = scripts.NEW + table.name
    with troubled(place):
        client.delete(key)
        for piece in _pieces(db, table):
            client.hset(key, items=piece)
    count = _count(db, table)
    _expect_count(client, place, key, count)
    return count


def _pieces(db: sqlite3.Connection, table: TableShape) -> Iterator[list[bytes]]:
    """Keys and rows in turn."""
    piece, size = list[bytes](), 0
    for row in db.execute(f"SELECT {', '.join(table.columns)} FROM {table.name}"):  # noqa: S608 (no input)
        piece += (rows.pack(table.key_of(row)), rows.pack(row))
        size += len(piece[-1])
        if size > _PIECE or len(piece) > 10_000:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def _expect_count(client: "redis.Redis", place: str, key: str, count: int) -> None:
    with troubled(place):
        found = client.hlen(key)
    if found != count:
        raise StoreFailed(
            f"the store {place} has {found} rows in {key}, where there must be {count}: nothing was moved"
        )


def _count(db: sqlite3.Connection, table: TableShape) -> int:
    (count,) = db.execute(f"SELECT count(*) FROM {table.name}").fetchone()  # noqa: S608 (no input)
    return int(count)

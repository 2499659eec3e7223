"""The store in Redis: a row of it is a field of a hash. What is durable is there alone.

Beside it lies a copy of all rows in SQLite, in a file of this process, made anew at each start: it answers all
questions, by the indexes and statements of the SQLite store, and a commit is worked out in it. The rows that have
changed go to Redis in one script, as they are then; only when Redis has them does the copy show them.

Who stands by has such a copy, too, and follows what another commits: so it need not read all when it leads.

A commit that was sent and not acknowledged may have been done. So the rows that it changed go along with the next one
too, as they are by then: whatever became of it, Redis then has what the copy has.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.domain.base.errors import NotAuthenticated, Unusable
from cluster.domain.scheduler.leadership import Tenure
from cluster.domain.scheduler.recovered import Recovered
from cluster.store.interface import Item, StoreFailed, StoreTroubled, TakenOver
from cluster.store.redis import rows, scripts
from cluster.store.redis.connecting import connect, expect_fit, place_of, troubled
from cluster.store.redis.fence import begin_epoch, expect_in_use, expect_ours, of_nobody_else, read_fence
from cluster.store.redis.log import LogPosition, position_at, read_changes
from cluster.store.redis.touched import TableShape, look_away, make_room, tables_of, take_changes, watch
from cluster.store.sqlite.connecting import transaction
from cluster.store.sqlite.schema import PUT_META, Row
from cluster.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

_PAGE = 1000  # rows that are asked for at once


class RedisStore(SqliteStore):
    """See `cluster.store.interface.Store`."""

    _synchronous = "OFF"

    def __init__(
        self, url: str, cluster_id: str, copy: Path, *, may_lose: bool = False, tenure: Tenure | None = None
    ) -> None:
        """Connects, and makes the copy of what is there in that file, in place of an older one. InvalidInput for a URL
        that is none, NotAuthenticated, Unusable for a Redis that is not fit (`may_lose`: that may lose data is fit),
        StoreTroubled where it does not answer, StoreFailed where it is of another cluster or version. `tenure`: as of
        `begin_epoch`; None: nobody is asked who leads."""
        self._place = place_of(url)
        self._client = connect(url)
        self._may_lose, self._tenure = may_lose, tenure or of_nobody_else()
        self._tables: list[TableShape] = []
        self._known = self._number = 0  # of commits: the last that was done for certain; the last that was tried
        self._unsettled: dict[TableShape, set[Row]] = {}  # keys of rows that Redis may have otherwise than the copy
        self._is_ill = False
        with troubled(self._place):
            expect_fit(self._client, self._place, may_lose=may_lose)
        self._read_to = LogPosition()  # what is in the copy; rows that were changed later may be there as of later
        commit = self._last_commit(cluster_id)
        _remove(copy)
        super().__init__(copy, cluster_id)
        try:
            self._fill(commit)
        except BaseException:
            self.close()
            raise

    def follow(self) -> None:
        """Brings the copy, of one that was not loaded, to what is in Redis now: reads what has changed, or all where
        nobody can tell what has. Errors as of the constructor."""
        self._follow(self._last_commit(self._cluster_id))

    def serve_in(self, tenure: Tenure) -> None:
        """From the next `load` on."""
        self._tenure = tenure

    def load(self) -> Recovered:
        self.claimed = False
        fence = begin_epoch(self._client, self._place, self._cluster_id, self._tenure)
        self._follow(fence.commit)  # nobody else can commit any more
        self._known = self._number = fence.commit
        self._epoch = fence.epoch
        with self._alone(), self._doing("read"), transaction(self._writer):
            self._writer.execute(PUT_META, ("epoch", self._epoch))
            self._forget_changes()
            loaded = self._recovered()
        self._unsettled = {}
        self.claimed = True
        return loaded

    def commit(self, items: "Sequence[Item]") -> None:
        super().commit(items)
        self._unsettled = {}
        self._is_ill = False

    def close(self) -> None:
        with self._lock:
            if self._is_open:
                self._close()
        self._client.close()
        _remove(self._path)

    def _open(self) -> None:
        super()._open()
        self._tables = tables_of(self._writer)
        make_room(self._writer, self._tables)
        watch(self._writer, self._tables)

    def _claim(self) -> None:
        if not self.claimed:
            raise StoreFailed(f"the store {self._place} is not ours to write: it was not loaded")

    def _hand_on(self) -> None:
        """Inside the transaction in the copy."""
        for table, noted in self._unsettled.items():
            self._writer.executemany(table.note, noted)
        changes = list(take_changes(self._writer, self._tables))
        for change in changes:
            self._unsettled.setdefault(change.table, set()).update(change.keys)
        if self._is_ill:
            self._expect_fit_again()
        self._is_ill = True  # unless it goes well
        self._number += 1
        words: list[bytes | str] = [str(self._epoch), str(self._number), str(self._known), self._tenure.holder]
        for change in changes:
            words += (str(len(change.put)), str(len(change.removed)), *change.put, *change.removed)
        keys = [scripts.FENCE, scripts.LOG, *(scripts.ROWS + change.table.name for change in changes)]
        with troubled(self._place):
            said = self._client.eval(scripts.COMMIT, len(keys), *keys, *words)
        match said:
            case b"done":
                self._known = self._number
            case b"fenced":
                raise TakenOver(self._place)
            case b"lost":
                raise StoreFailed(
                    f"the store {self._place} has lost what it had acknowledged: bring that back, and start again"
                )
            case _:
                raise StoreTroubled(f"the store {self._place} has answered {said!r}")

    def _expect_fit_again(self) -> None:
        """After trouble it may be another one than before."""
        try:
            with troubled(self._place):
                expect_fit(self._client, self._place, may_lose=self._may_lose)
        except (NotAuthenticated, Unusable) as error:
            raise StoreTroubled(str(error)) from None

    def _last_commit(self, cluster_id: str) -> int:
        """The number of it. StoreFailed for rows that are not ours to read."""
        fence = read_fence(self._client, self._place)
        expect_in_use(fence, self._place)
        expect_ours(fence, self._place, cluster_id)
        return fence.commit

    def _follow(self, commit: int) -> None:
        """Up to that commit, which is the last, or was a moment ago."""
        found = read_changes(self._client, self._place, self._read_to, commit)
        if found is None:
            self._fill(commit)
            return
        to, changed = found
        with self._alone(), self._doing("written"), transaction(self._writer):
            for table in self._tables:
                if keys := changed.get(table.name):
                    self._put_again(table, keys)
            self._forget_changes()
        self._read_to = to

    def _put_again(self, table: TableShape, keys: set[bytes]) -> None:
        """Puts these rows of the table into the copy as they are in Redis. All that have gone go first: what they had
        alone, such as a name, another may have by now."""
        found = list(rows_of(self._client, self._place, table, sorted(keys)))
        with damaged(self._place, table):
            self._writer.executemany(table.remove, [rows.unpack(key) for key, row in found if row is None])
            self._writer.executemany(table.put, [rows.unpack(row) for _, row in found if row is not None])

    def _fill(self, commit: int) -> None:
        """Makes the copy what is in Redis; that was the last commit before."""
        before = position_at(self._client, self._place, commit)
        with self._alone(), self._doing("written"), transaction(self._writer):
            look_away(self._writer, self._tables)
            for table in self._tables:
                if table.name != "meta":  # nothing ever goes from it
                    self._writer.execute(f"DELETE FROM main.{table.name}")  # noqa: S608 (no input)
                with damaged(self._place, table):
                    self._writer.executemany(table.put, stored_rows(self._client, self._place, table))
            watch(self._writer, self._tables)
        self._read_to = before

    def _forget_changes(self) -> None:
        for table in self._tables:
            self._writer.execute(f"DELETE FROM {table.noted}")  # noqa: S608 (no input)


def stored_rows(client: "redis.Redis", place: str, table: TableShape) -> Iterator[list[object]]:
    """All rows of a table, some perhaps twice."""
    cursor = 0
    while True:
        with troubled(place):
            found: dict[bytes, bytes]
            cursor, found = client.hscan(scripts.ROWS + table.name, cursor, count=_PAGE)  # type: ignore[assignment]
        yield from map(rows.unpack, found.values())
        if not cursor:
            return


def rows_of(
    client: "redis.Redis", place: str, table: TableShape, keys: "Sequence[bytes]"
) -> "Iterator[tuple[bytes, bytes | None]]":
    """The rows of these keys; None: there is none."""
    for start in range(0, len(keys), _PAGE):
        page = keys[start : start + _PAGE]
        with troubled(place):
            found: list[bytes | None] = client.hmget(scripts.ROWS + table.name, page)  # type: ignore[assignment]
        yield from zip(page, found, strict=True)


@contextmanager
def damaged(place: str, table: TableShape) -> Iterator[None]:
    """Says of which store and table a row is that cannot be read."""
    try:
        yield
    except (ValueError, TypeError, KeyError, sqlite3.ProgrammingError) as error:
        raise StoreFailed(f"the store {place} has a row of {table.name} that cannot be read: {error}") from None


def _remove(copy: Path) -> None:
    for end in ("", "-wal", "-shm"):
        with suppress(OSError):
            copy.with_name(copy.name + end).unlink()

"""What the SQLite store tells of the past: jobs that have ended, and what was used."""

import sqlite3
from abc import abstractmethod
from contextlib import AbstractContextManager
from heapq import merge
from itertools import islice

from cluster.domain.job.history import HistoryPlace, HistoryWanted
from cluster.domain.job.records import TaskEnd
from cluster.domain.job.usage import MOST_KEPT, Usage, UsageKind, UsageTotal
from cluster.store.sqlite import history_sql as sql
from cluster.store.sqlite.rows import end_from_row, ok_ends_from_row


class HistoryReads:
    """Methods of SqliteStore. See `cluster.store.interface.Store`."""

    @abstractmethod
    def _reading(self) -> AbstractContextManager[sqlite3.Connection]: ...

    def history(self, wanted: HistoryWanted) -> list[HistoryPlace]:
        list_owners, list_ended = (
            (sql.LIST_OWNERS_NAMED, sql.LIST_ENDED_NAMED) if wanted.name else (sql.LIST_OWNERS, sql.LIST_ENDED)
        )
        page = {"name": wanted.name, "since": wanted.since, "most": wanted.most, **wanted.first._asdict()}
        with self._reading() as db:
            owners = [wanted.owner] if wanted.owner else [row[0] for row in db.execute(list_owners, page)]
            parts = (
                db.execute(list_ended, {**page, "owner": owner, "state": state.value})
                for owner in owners
                for state in wanted.states
            )
            # Each part comes in order, and row by row: what is not wanted is not read.
            return [HistoryPlace(*row) for row in islice(merge(*parts, reverse=True), wanted.most)]

    def usage(self, kind: UsageKind, since: int, owner: str | None) -> list[UsageTotal]:
        statement = sql.USED_BY_OWNER if kind is UsageKind.USER else sql.USED_BY_KEY
        with self._reading() as db:
            found = db.execute(statement, {"kind": kind.value, "since": since, "owner": owner}).fetchall()
        return [UsageTotal(key, Usage(*(min(int(number), MOST_KEPT) for number in used))) for key, *used in found]

    def newest_of_name(self, name: str, owner: str | None, most: int) -> list[int]:
        page = {"name": name, "most": most}
        with self._reading() as db:
            owners = [owner] if owner else [row[0] for row in db.execute(sql.LIST_OWNERS_NAMED, page)]
            parts = (db.execute(sql.LIST_NEWEST_NAMED, {**page, "owner": each}) for each in owners)
            return [number for (number,) in islice(merge(*parts, reverse=True), most)]

    def latest_ends(self, job: int, most: int) -> list[TaskEnd]:
        with self._reading() as db:
            ends = [end_from_row(row) for row in db.execute(sql.LAST_OTHERS, (job, most))]
            left = most
            for ok in map(ok_ends_from_row, db.execute(sql.LAST_SUCCESSES, (job,))):
                ends += map(ok.end_of, range(max(ok.first, ok.stop - left), ok.stop))
                left -= min(left, ok.count)
                if not left:
                    break
        return ends

"""A copy of what is in Redis, that follows what others commit: of one that stands by."""

import asyncio
import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cluster.domain.job.records import JobProgress, JobRecord
from cluster.domain.job.spec import JobSpec
from cluster.domain.scheduler.leadership import Tenure
from cluster.domain.scheduler.uncommitted import Saved
from cluster.scheduler.reading_ahead import ReadAhead
from cluster.store.interface import StoreFailed
from cluster.store.redis import log, scripts
from cluster.store.redis.log import LogEntry, LogPosition, chained, parse
from cluster.store.redis.store import RedisStore, rows_of
from tests.patience import PATIENCE
from tests.redis_servers import RedisServer

pytestmark = pytest.mark.slow

CLUSTER = "0123456789abcdef"


class CountedReads:
    """What a store asks Redis for, as Redis counts it, and the rows that come."""

    def __init__(self, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self._server, self._rows = server, 0

        def counted(*words: object) -> Iterator[object]:
            for found in rows_of(*words):  # type: ignore[arg-type]
                self._rows += 1
                yield found

        monkeypatch.setattr("cluster.store.redis.store.rows_of", counted)
        self.take()

    def take(self) -> tuple[int, int]:
        """Since the last time: rows that were asked for by their keys, and commands that read all (HSCAN)."""
        with self._server.client() as client:
            scans = client.info("commandstats").get("cmdstat_hscan", {"calls": 0})["calls"]
            client.config_resetstat()
        rows, self._rows = self._rows, 0
        return rows, scans


def new_jobs(numbers: range) -> list[Saved]:
    spec = JobSpec(("true",))
    return [each for n in numbers for each in (JobRecord(n, f"id-{n}", "ann", spec, 1.0), JobProgress(n))]


def all_rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Of the copy, but for what is said of the copy itself."""
    with closing(sqlite3.connect(path)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = {name: sorted(db.execute(f"SELECT * FROM {name}"), key=repr) for name in names}
    return {**tables, "meta": [row for row in tables["meta"] if row[0] != "epoch"]}


def open_store(server: RedisServer, copy: Path) -> RedisStore:
    return RedisStore(server.url, CLUSTER, copy)


def test_a_takeover_reads_what_has_changed_since_and_not_all(
    empty: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = CountedReads(empty, monkeypatch)
    with closing(open_store(empty, tmp_path / "one")) as leader:
        leader.load()
        leader.commit(new_jobs(range(1, 301)))
        with closing(open_store(empty, tmp_path / "two")) as other:
            assert reads.take() >= (0, 1)  # all
            leader.commit(new_jobs(range(301, 304)))
            other.follow()
            rows, scans = reads.take()
            assert (0 < rows <= 20, scans) == (True, 0)
            for _ in range(20):  # as while nothing happens: each half second one
                leader.commit([])
            leader.commit(new_jobs(range(304, 305)))
            other.load()
            rows, scans = reads.take()
            assert (0 < rows <= 10, scans) == (True, 0)
            assert other.numbers(None, most=2) == [304, 303]
            with closing(open_store(empty, tmp_path / "three")) as anew:
                assert all_rows(tmp_path / "two") == all_rows(tmp_path / "three")
                other.commit(new_jobs(range(305, 306)))
                anew.follow()
                assert all_rows(tmp_path / "two") == all_rows(tmp_path / "three")


def test_a_scheduler_that_stands_by_reads_ahead_until_it_leads(
    empty: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reads = CountedReads(empty, monkeypatch)
    opened: list[RedisStore | None] = [None]  # by each try: at first there is no cluster yet

    def open_copy() -> RedisStore | None:
        opened.append(open_store(empty, tmp_path / "two") if len(opened) == 3 else None)
        if len(opened) == 3:
            raise StoreFailed("the store is of another version")
        return opened[-1]

    reached, follow = threading.Event(), RedisStore.follow

    def follow_and_tell(self: RedisStore) -> None:
        follow(self)
        if self.numbers(None, most=1) == [52]:
            reached.set()

    async def play() -> None:
        ahead = ReadAhead(open_copy)
        keeping = asyncio.create_task(ahead.keep())
        leader.commit(new_jobs(range(51, 53)))
        assert await asyncio.to_thread(reached.wait, PATIENCE)
        keeping.cancel()
        store = await asyncio.to_thread(ahead.take, Tenure(0, "two"))
        assert store
        leader.commit(new_jobs(range(53, 54)))
        reads.take()
        with closing(store):
            store.load()
            rows, scans = reads.take()
            assert (store.numbers(None, most=1), rows > 0, scans) == ([53], True, 0)
        assert ahead.take(Tenure(0, "two")) is None
        ahead.close()

    monkeypatch.setattr(RedisStore, "follow", follow_and_tell)
    monkeypatch.setattr("cluster.scheduler.reading_ahead._EVERY", 0.0)
    monkeypatch.setattr("cluster.scheduler.reading_ahead._AGAIN", 0.0)
    with closing(open_store(empty, tmp_path / "one")) as leader:
        leader.load()
        leader.commit(new_jobs(range(1, 51)))
        asyncio.run(play())
    assert [line for line in caplog.messages if "of another version" in line]


def test_whatever_is_committed_comes_to_the_copy_that_follows(empty: RedisServer, tmp_path: Path) -> None:
    dice = random.Random(12)
    with (
        closing(open_store(empty, tmp_path / "one")) as leader,
        closing(open_store(empty, tmp_path / "two")) as other,
    ):
        leader.load()
        number = 1
        for _ in range(25):
            leader.commit(new_jobs(range(number, number := number + dice.randrange(3))))
            with closing(sqlite3.connect(tmp_path / "one")) as db:
                present = [found for (found,) in db.execute("SELECT number FROM jobs")]
            if present and dice.random() < 0.3:  # rows go and change their unique columns, too
                _exchange_ids(leader, dice.choice(present), dice.choice(present))
            if dice.random() < 0.4:
                other.follow()
        other.follow()
        assert all_rows(tmp_path / "one") == all_rows(tmp_path / "two")


def _exchange_ids(store: RedisStore, one: int, other: int) -> None:
    """Of two jobs; where they are one it is removed."""
    change = store._writer.execute
    hand_on = store._hand_on

    def exchange() -> None:
        if one == other:
            change("DELETE FROM jobs WHERE number = ?", (one,))
        else:
            ids = dict(change("SELECT number, id FROM jobs WHERE number IN (?, ?)", (one, other)))
            for number, job_id in ((one, "aside"), (other, ids[one]), (one, ids[other])):
                change("UPDATE jobs SET id = ? WHERE number = ?", (job_id, number))
        hand_on()

    store._hand_on = exchange  # type: ignore[method-assign]
    try:
        store.commit([])
    finally:
        del store._hand_on


@pytest.mark.parametrize("what", ["entries are gone", "it is another's", "it was undone"])
def test_who_cannot_tell_what_has_changed_reads_all(
    empty: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    reads = CountedReads(empty, monkeypatch)
    with (
        closing(open_store(empty, tmp_path / "one")) as leader,
        closing(open_store(empty, tmp_path / "two")) as other,
        empty.client() as client,
    ):
        leader.load()
        for number in range(1, 4):
            leader.commit(new_jobs(range(number, number + 1)))
        other.follow()
        reads.take()
        match what:
            case "entries are gone":
                leader.commit(new_jobs(range(4, 6)))
                client.hdel(scripts.LOG, 4)
                leader.commit([])
            case "it is another's":
                client.hset(scripts.LOG, "3", "2 1 other")
                leader.commit(new_jobs(range(4, 6)))
            case "it was undone":  # as by a replica that was promoted and had not heard the last
                client.hset(scripts.FENCE, "commit", 2)
                client.hdel(scripts.LOG, 3)
                client.hdel(scripts.ROWS + "jobs", "[3]")
        other.follow()
        assert reads.take()[1] > 0
        with closing(open_store(empty, tmp_path / "three")):
            assert all_rows(tmp_path / "two") == all_rows(tmp_path / "three")


def test_the_log_keeps_the_last_commits_also_where_tries_have_failed(
    empty: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts, "COMMIT", scripts.COMMIT.replace(str(scripts.LOGGED), "10"))
    monkeypatch.setattr(scripts, "LOGGED", 10)
    with closing(open_store(empty, tmp_path / "one")) as leader, empty.client() as client:
        leader.load()
        for number in range(1, 40):
            leader.commit([])
            leader._number += number % 3  # tries that never came there
        numbers = sorted(map(int, client.hkeys(scripts.LOG)))
        assert (len(numbers) <= 10, numbers[-1]) == (True, int(client.hget(scripts.FENCE, "commit") or 0))
        assert log.read_changes(client, "here", log.position_at(client, "here", numbers[0]), numbers[-1]) is not None


def test_a_chain_leads_back_to_the_commit_that_was_read() -> None:
    entries = {
        3: parse(b"2 1 ann"),
        5: parse(b'3 1 ann\n{cluster}:rows:jobs\n[1]\n[2]\n{cluster}:rows:held\n["a",1]'),
        6: parse(b"5 2 bob\n{cluster}:rows:jobs\n[2]\n[3]"),
    }
    since = LogPosition(3, b"2 1 ann")
    changed = {"jobs": {b"[1]", b"[2]", b"[3]"}, "held": {b'["a",1]'}}
    assert chained(entries, since, 6) == (LogPosition(6, b"5 2 bob"), changed)
    assert chained(entries, since, 3) == (since, {})
    assert chained(entries, LogPosition(3, b"2 1 eve"), 6) is None
    assert chained(entries, LogPosition(4, b"3 1 ann"), 6) is None
    assert chained(entries, since, 7) is None
    assert chained({**entries, 5: LogEntry(b"5 1 ann", 5, {})}, since, 6) is None

"""The contract of `cluster.store.keeping.Keeping`, run on every implementation."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cluster.domain.job.records import (
    JobChunk,
    JobEnded,
    JobHeld,
    JobProgress,
    JobRecord,
    JobReopened,
    JobValue,
    OkEnds,
    SmallOutput,
    TaskEnd,
    TaskSets,
)
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.job.usage import Usage, UsageAdded, UsageKind
from cluster.domain.scheduler import retention
from cluster.domain.scheduler.retention import (
    NOTHING_WALKED,
    EndedJob,
    JobPinned,
    OutputExpired,
    OutputsWalked,
    Pin,
    RemainsDropped,
    RemainsGone,
    SpaceReturned,
    Tombstone,
    UsageDropped,
)
from cluster.store.interface import Item, Store
from cluster.store.memory import Disk, MemoryStore
from cluster.store.redis.store import RedisStore
from cluster.store.sqlite import keeping_sql, turning_over
from cluster.store.sqlite.store import SqliteStore

CLUSTER = "0123456789abcdef"
V7 = "0195f0b0-0000-7000-8000-00000000000"

Opener = Callable[[], Store]


@pytest.fixture(params=["sqlite", "memory", "redis"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens the same data again and again, as restarts do."""
    disk, opened = Disk(), list[Store]()
    url = request.getfixturevalue("empty_redis") if request.param == "redis" else ""

    def opener() -> Store:
        store: Store = MemoryStore(disk)
        if request.param == "sqlite":
            store = SqliteStore(tmp_path / "db", CLUSTER)
        if request.param == "redis":
            store = RedisStore(url, CLUSTER, tmp_path / f"copy-{len(opened)}")
        store.load()
        opened.append(store)
        return store

    yield opener
    for store in opened:
        store.close()


def whole(number: int, ended_at: float) -> list[Item]:
    """A job that has ended, with something in every table."""
    spec = JobSpec(("true",), env=(("A", "1"),), lines=b"a\nb", after=(f"{number - 1}",) if number > 1 else ())
    sets = TaskSets(((TaskState.SUCCEEDED, (0, 1)), (TaskState.FAILED, (1, 2))))
    return [
        JobRecord(number, f"{V7}{number}", "ann", spec, 1000.0),
        JobProgress(number, TaskSets(), ended_at=ended_at, chunked=True),
        JobChunk(number, 0, sets),
        JobHeld(number, "w", 1, (0, 1)),
        JobEnded(number, TaskState.FAILED),
        JobValue(number, "k", "v"),
        OkEnds(number, 1, 0, 1, b"\0" * 24, "w"),
        TaskEnd(number, 1, 1, "exit:1", 1),
        SmallOutput(number, 0, 1, b"out", b"er"),
        SmallOutput(number, 1, 1, b"x" * 5000, b""),
    ]


def test_a_job_goes_from_where_it_is_found_at_once_and_its_rows_in_pieces(open_store: Opener) -> None:
    store = open_store()
    store.commit([*whole(1, 50.0), *whole(2, 40.0), *whole(3, 60.0)])
    keeping = store.keeping
    first = EndedJob(40.0, 2, f"{V7}2", "ann", 2)
    assert [job.number for job in keeping.ended(NOTHING_WALKED, 9)] == [2, 1, 3]
    assert keeping.ended(NOTHING_WALKED, 1) == keeping.ended_among([2]) == [first]
    assert [job.number for job in keeping.ended(OutputsWalked(40.0, 2), 9)] == [1, 3]
    assert [weight.outputs for weight in keeping.weigh([1, 9])] == [5005, 0]
    assert keeping.size().small_outputs == 3 * 5005

    stone = Tombstone(2, f"{V7}2", "ann", 99.0, "by ann")
    store.commit([stone])
    assert store.numbers(None) == [3, 1]
    assert (store.number_of_id(f"{V7}2"), store.records([2])) == (None, [])
    assert (keeping.tombstone(2), keeping.tombstone_of_id(f"{V7}2"), keeping.tombstone(1)) == (stone, stone, None)
    assert keeping.ended_among([1, 2]) == [EndedJob(50.0, 1, f"{V7}1", "ann", 1)]

    store = open_store()  # a crash between
    pieces = 0
    while (remains := store.keeping.remains(5)).more or remains.deleted:
        store.commit([RemainsGone(tuple(remains.deleted), ()), RemainsDropped(5, 1)])
        pieces += 1
    assert pieces > 2
    assert (store.small_outputs(2, 0, 9), store.ends_of_task(2, 0), store.values(2)) == ([], [], {})
    assert (store.progress_of([2]), len(store.small_outputs(1, 0, 9)), len(store.values(3))) == ([], 2, 1)
    assert store.keeping.size().small_outputs == 2 * 5005
    assert store.keeping.tombstone(2) == stone


def test_an_id_of_a_job_that_was_deleted_is_looked_up_also_after_a_restart(open_store: Opener) -> None:
    store = open_store()
    store.commit(whole(1, 50.0))
    store.commit([Tombstone(1, f"{V7}1", "ann", 99.0, "by ann")])
    store.close()
    loaded = open_store().load()
    assert loaded.ended_ids.may_have(f"{V7}1")
    assert loaded.next_job_number == 2


def test_pins_survive_and_end_with_their_job(open_store: Opener) -> None:
    store, pin = open_store(), Pin("ann", 5.0)
    store.commit([*whole(1, 50.0), *whole(2, 60.0), JobPinned(1, pin), JobPinned(2, pin), OutputsWalked(60.0, 2)])
    assert store.keeping.pins() == open_store().load().pins == {1: pin, 2: pin}
    assert open_store().keeping.walked() == OutputsWalked(60.0, 2)
    store = open_store()
    store.commit([JobPinned(1, None), Tombstone(2, f"{V7}2", "ann", 99.0, "by ann")])
    assert store.keeping.pins() == {}
    assert store.keeping.walked() == NOTHING_WALKED  # what is not pinned any more may be due


def test_outputs_go_alone_and_come_anew_with_what_is_tried_again(open_store: Opener) -> None:
    store = open_store()
    store.commit([*whole(1, 50.0), *whole(2, 60.0)])
    expired = OutputExpired(1, 99.0, "as told")
    store.commit([expired])
    assert (store.keeping.output_expired(1), store.keeping.output_expired(2)) == (expired, None)
    assert store.keeping.keeps_files([1, 2, 3]) == [2]
    while (remains := store.keeping.remains(5)).more or remains.expired:
        store.commit([RemainsGone((), tuple(remains.expired)), RemainsDropped(5, 1)])
    assert (store.small_outputs(1, 0, 9), len(store.small_outputs(2, 0, 9))) == ([], 2)
    assert store.ends_of_task(1, 1)
    assert store.keeping.size().small_outputs == 5005
    store.commit([JobReopened(1), JobProgress(1)])
    assert store.keeping.output_expired(1) is None


def test_only_the_last_tombstones_are_kept(open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    most = retention.MOST_TOMBSTONES
    monkeypatch.setattr("cluster.store.memory_keeping.MOST_TOMBSTONES", 2)
    few = keeping_sql.DROP_TOMBSTONES.replace(str(most), "2")
    monkeypatch.setattr(keeping_sql, "DROP_TOMBSTONES", few)
    store = open_store()
    for number in (1, 2, 3):
        store.commit([*whole(number, 50.0), Tombstone(number, f"{V7}{number}", "ann", 99.0, "by ann")])
    store.commit([RemainsDropped(9, 100)])
    store.commit([RemainsGone((1, 2, 3), ())])
    assert [bool(store.keeping.tombstone(number)) for number in (1, 2, 3)] == [False, True, True]


def test_every_table_about_jobs_is_cleared(tmp_path: Path) -> None:
    """Whoever adds one adds it to keeping_sql.OF_JOB."""
    SqliteStore(tmp_path / "db", CLUSTER).close()
    beside = {"events", "pins", "tombstones"}  # the log has an end of its own; the other two go with the job, or stay
    with closing(sqlite3.connect(tmp_path / "db")) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        about_jobs = {t for t in tables if any(column[1] == "job" for column in db.execute(f"PRAGMA table_info({t})"))}
    assert about_jobs - beside == set(keeping_sql.OF_JOB)


def test_what_is_asked_again_and_again_is_found_by_an_index(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "db", CLUSTER).close()
    with closing(sqlite3.connect(tmp_path / "db")) as db:
        for question, values in (
            (keeping_sql.ENDED, (0.0, 0, 5)),
            (keeping_sql.ENDED_ONE, (5,)),
            (keeping_sql.DELETED_LEFT, (5,)),
            (keeping_sql.EXPIRED_LEFT, (5,)),
            (keeping_sql.GET_TOMBSTONE_OF_ID, ("x",)),
            *((statement, (5, 5)) for statement in keeping_sql.DROP_ROWS),
        ):
            plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {question}", values)]
            scans = [step for step in plan if step.startswith("SCAN ")]
            allowed = ("tombstones USING", "expired_outputs USING", "p USING", "gone", "(subquery")
            assert all(any(word in step for word in allowed) for step in scans), f"{question}: {plan}"
            assert not any("TEMP B-TREE FOR ORDER" in step for step in plan), f"{question}: {plan}"


def test_the_file_becomes_smaller(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = SqliteStore(path, CLUSTER)
    store.load()
    for number in range(1, 200):
        store.commit(whole(number, 50.0))
    before = store.keeping.size()
    store.commit([Tombstone(number, f"{V7}{number}", "ann", 99.0, "by ann") for number in range(1, 190)])
    store.commit([RemainsDropped(500, 10_000)])
    assert store.keeping.size().free > before.used // 2
    store.commit([SpaceReturned(1 << 20)])
    after = store.keeping.size()
    store.close()
    assert after.free == 0
    assert path.stat().st_size == after.used < before.used // 3


@pytest.mark.parametrize("large", [False, True])
def test_a_database_of_an_older_version_is_turned_over_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, large: bool
) -> None:
    """A large one only if that is wanted."""
    path = tmp_path / "db"
    SqliteStore(path, CLUSTER).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA auto_vacuum = NONE")
        db.execute("VACUUM")
        assert db.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    if large:
        monkeypatch.setattr(turning_over, "MOST_TURNED_OVER", 100)
        SqliteStore(path, CLUSTER).close()
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    store = SqliteStore(path, CLUSTER, turn_over=large)
    store.load()
    store.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA auto_vacuum").fetchone() == (keeping_sql.INCREMENTAL,)


def test_the_runs_of_a_schedule_are_found_but_for_deleted_ones(open_store: Opener) -> None:
    store = open_store()
    records = [
        JobRecord(n, f"{V7}{n}", "ann", JobSpec(("true",)), 1.0, schedule=s) for n, s in [(1, 0), (2, 1), (3, 1)]
    ]
    store.commit([*records, JobRecord(4, f"{V7}4", "ann", JobSpec(("true",)), 1.0, schedule=3)])
    assert store.keeping.runs_of(1, 0, 9) == [(2, f"{V7}2"), (3, f"{V7}3")]
    assert (store.keeping.runs_of(1, 0, 1), store.keeping.runs_of(1, 2, 9)) == ([(2, f"{V7}2")], [(3, f"{V7}3")])
    assert store.keeping.runs_of(2, 0, 9) == []
    store.commit([Tombstone(2, f"{V7}2", "ann", 9.0, "by ann")])
    assert store.keeping.runs_of(1, 0, 9) == [(3, f"{V7}3")]


def test_sums_of_usage_go_some_at_a_time_and_newer_ones_stay(open_store: Opener) -> None:
    store = open_store()
    used = Usage(tasks=1)
    kinds = ((UsageKind.USER, ""), (UsageKind.NAME, "nightly"), (UsageKind.NAME, "other"), (UsageKind.WORKER, "w"))
    store.commit([UsageAdded(day, kind, "ann", key, used) for day in (5, 6, 7) for kind, key in kinds])
    assert [store.keeping.usage_days(before) for before in (5, 6, 7, 8)] == [0, 1, 2, 3]
    steps = 0
    while store.keeping.usage_days(7):
        store.commit([UsageDropped(7, 3)])
        steps += 1
    assert steps == 3, "two days of eight sums, three at a time"
    assert [row.usage.tasks for kind in UsageKind for row in store.usage(kind, 0, None)] == [1, 1, 1, 1]
    assert [len(store.usage(kind, 8, None)) for kind in UsageKind] == [0, 0, 0]

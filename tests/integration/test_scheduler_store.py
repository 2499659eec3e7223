"""What goes wrong with a database file: each gives one line that says which file, what, and what to do."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import JobChunk, JobProgress, JobRecord, TaskSets
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.worker_record import WorkerRecord
from cluster.domain.scheduler.worker_states import Drain
from cluster.domain.session.home import Home
from cluster.store.interface import StoreFailed, StoreTroubled
from cluster.store.packing import pack_set, pack_spec
from cluster.store.sqlite import history_sql, schema_versions
from cluster.store.sqlite import schema as statements
from cluster.store.sqlite.connecting import transaction
from cluster.store.sqlite.store import SqliteStore, stored_cluster_id
from tests.small_disk import small_disk

CLUSTER, OTHER = "0123456789abcdef", "fedcba9876543210"
JOB = JobRecord(1, "id-1", "ann", JobSpec(argv=("true",)), 1.0)
READY = TaskSets(((TaskState.READY, (0, 1)),))
PROGRESS = JobProgress(1, READY)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sound database with one job."""
    path = tmp_path / "cluster.db"
    store = SqliteStore(path, CLUSTER)
    store.load()
    store.commit([JOB, PROGRESS])
    store.close()
    return path


def refused(path: Path) -> str:
    with pytest.raises(StoreFailed) as caught, closing(SqliteStore(path, CLUSTER)) as store:
        store.load()
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_data_of_another_cluster_is_refused(path: Path) -> None:
    with pytest.raises(StoreFailed, match=f"is of cluster {CLUSTER}, not of {OTHER}"):
        SqliteStore(path, OTHER)
    assert stored_cluster_id(path) == CLUSTER


def test_the_database_is_its_owners_alone(path: Path) -> None:
    store = SqliteStore(path, CLUSTER)
    store.load()
    files = [path, *path.parent.glob("cluster.db-*")]
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    store.close()


def test_no_database_has_no_cluster(tmp_path: Path) -> None:
    assert stored_cluster_id(tmp_path / "none") is None
    sqlite3.connect(tmp_path / "empty").close()
    assert stored_cluster_id(tmp_path / "empty") is None


def test_database_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {len(schema_versions.MIGRATIONS) + 1}")
    db.close()
    before = path.read_bytes()
    assert "newer cluster" in refused(path)
    assert path.read_bytes() == before


def test_jobs_of_an_older_version_are_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they were before jobs could be saved in chunks."""
    path = tmp_path / "cluster.db"
    with monkeypatch.context() as patch:
        patch.setattr(schema_versions, "MIGRATIONS", schema_versions.MIGRATIONS[:3])
        SqliteStore(path, CLUSTER).close()
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("INSERT INTO jobs VALUES (1, 'id-1', 'ann', ?, 1.0)", (pack_spec(JOB.spec),))
            row = [1, pack_set((0, 1)), *[b""] * 7, 0, 0, 0, "", "", 0, ""]
            db.execute(f"INSERT INTO job_progress VALUES ({', '.join('?' * 16)})", row)
    with closing(SqliteStore(path, CLUSTER)) as store:
        assert store.load().jobs == [(JOB, PROGRESS)]
        store.commit([JobProgress(1, chunked=True), JobChunk(1, 0, READY)])
        assert store.progress_of([1]) == [JobProgress(1, READY, chunked=True)]


def test_jobs_from_before_ended_ones_left_memory_are_found_as_what_they_were(tmp_path: Path) -> None:
    """Their specs were one JSON with the environment in it, and nothing said what they had ended as."""
    path = tmp_path / "cluster.db"
    env = [["LANG", "C"], ["ODD", "\udce9"]]
    spec = JobSpec(("sh", "\udce9"), name="nightly", env=(("LANG", "C"), ("ODD", "\udce9")))
    with closing(sqlite3.connect(path)) as db, db:
        for migration in schema_versions.MIGRATIONS[:6]:
            db.executescript(migration)
        db.execute(f"PRAGMA application_id = {schema_versions.APPLICATION_ID}")
        db.execute("PRAGMA user_version = 6")
        one, none = pack_set((0, 1)), b""
        for number, ended_at, (succeeded, failed, cancelled), chunked in (
            *((1, 5.0, (one, none, none), 0), (2, 5.0, (one, one, one), 0), (3, 5.0, (one, none, one), 0)),
            *((4, 5.0, (none, none, none), 1), (5, 0.0, (one, one, none), 0)),
        ):
            old = json.dumps({**json.loads(pack_spec(spec)), "env": env if number == 1 else []})
            db.execute("INSERT INTO jobs VALUES (?, ?, 'ann', ?, 1.0)", (number, f"id-{number}", old))
            sets = (none, none, succeeded, failed, cancelled, none, none, none)
            row = (number, *sets, 10.0, 0.0, ended_at, "", "", 0, "", chunked)
            db.execute(f"INSERT INTO job_progress VALUES ({', '.join('?' * 17)})", row)
        db.execute(f"INSERT INTO job_chunks VALUES (4, 0, {', '.join('?' * 8)})", (none, none, one, one, *[none] * 4))
        db.execute("INSERT INTO job_lines VALUES (5, ?)", (b"a\n\xff\nb",))
    for _ in range(2):  # once is enough
        with closing(SqliteStore(path, CLUSTER)) as store:
            loaded = store.load()
            assert [record.number for record, _ in loaded.jobs] == [5]
            assert [loaded.ended_ids.may_have(job_id) for job_id in ("id-5", "id-6")] == [True, False]
            assert loaded.jobs[0][0].spec == replace(spec, env=(), lines=b"a\n\xff\nb")
            assert store.records([5])[0].spec == replace(spec, env=(), array=(ArraySegment(1, 3),))
            assert store.records([1], whole=True)[0].spec == spec
            assert store.numbers("ann", [TaskState.SUCCEEDED]) == [5, 1]
            assert store.numbers(None, [TaskState.FAILED]) == [5, 4, 2]
            assert store.numbers(None, [TaskState.CANCELLED]) == [5, 3]
            assert store.numbers_of_name("nightly", "ann") == [1, 2, 3, 4, 5]
            ends = ((TaskState.SUCCEEDED, (0, 1)), (TaskState.FAILED, (0, 1)), (TaskState.CANCELLED, (0, 1)))
            assert [p.sets.states for p in store.progress_of([1, 2, 4])] == [ends[:1], ends, ends[:2]]


def test_what_a_list_asks_for_is_found_by_an_index(path: Path) -> None:
    """And not by looking through a million jobs."""
    questions: dict[str, Any] = {
        statements.LOAD_JOBS: (),
        statements.HIGHEST_ID: (),
        statements.GET_NUMBER: ("id-1",),
    }
    listed = {"owner": "ann", "name": "nightly", "state": 7, "below": 9, "most": 5}
    lists = (statements.LIST_ALL, statements.LIST_IN_STATE, statements.LIST_OWNED)
    named = (statements.LIST_NAMED, statements.LIST_NAMED_OWNED)
    with closing(sqlite3.connect(path)) as db:
        for question, values in (questions | dict.fromkeys((*lists, *named), listed)).items():
            plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {question}", values)]
            assert not any(step.startswith("SCAN ") for step in plan), f"{question}: {plan}"


def test_what_the_history_is_asked_for_is_in_order_in_an_index(path: Path) -> None:
    """Whoever asks for 20 jobs reads some 20 entries, and no job for that."""
    page = {"owner": "ann", "name": "nightly", "state": 7, "since": 1.0, "ended_at": 9.0, "job": 5, "most": 5}
    indexes = {
        **dict.fromkeys((history_sql.LIST_ENDED, history_sql.LIST_OWNERS), ("jobs_by_end", "jobs_by_owner")),
        history_sql.LIST_ENDED_NAMED: ("jobs_by_named_end",),
        **dict.fromkeys((history_sql.LIST_OWNERS_NAMED, history_sql.LIST_NEWEST_NAMED), ("jobs_by_name",)),
    }
    with closing(sqlite3.connect(path)) as db:
        for question, names in indexes.items():
            plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {question}", page)]
            of_jobs = [step for step in plan if " jobs " in step]
            assert of_jobs, plan
            assert all(
                any(step.split("COVERING INDEX ")[-1].split()[0] == name for name in names) for step in of_jobs
            ), plan
            assert not any("TEMP B-TREE" in step for step in plan), plan
        plan = [
            row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {history_sql.USED_BY_OWNER}", {**page, "kind": "user"})
        ]
        assert any("SEARCH usage USING PRIMARY KEY (kind=? AND day>?)" in step for step in plan), plan


def test_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cluster.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE notes (text)")
    db.close()
    assert "another program" in refused(path)


def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cluster.db"
    path.write_bytes(b"not a database" * 1000)
    assert "damaged" in refused(path)
    with pytest.raises(StoreFailed, match="damaged"):
        stored_cluster_id(path)


def test_torn_database_is_refused(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(6000)
    assert "damaged" in refused(path)


def test_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    assert "unable to open" in refused(tmp_path / "none" / "cluster.db")


def test_full_disk_fails_the_commit_and_loses_nothing_before_it(path: Path) -> None:
    store = SqliteStore(path, CLUSTER)
    store.load()
    (pages,) = store._writer.execute("PRAGMA page_count").fetchone()
    store._writer.execute(f"PRAGMA max_page_count = {pages}")  # as a disk with no room left
    big = JobRecord(2, "id-2", "ann", JobSpec(argv=("xz",), lines=b"a\n" * 100_000), 1.0)
    with pytest.raises(StoreFailed, match="disk is full"):
        store.commit([big, JobProgress(2)])
    store.close()

    store = SqliteStore(path, CLUSTER)
    assert store.load().jobs == [(JOB, PROGRESS)]
    store.close()


def test_a_second_number_for_one_job_id_is_refused_not_replaced(path: Path) -> None:
    store = SqliteStore(path, CLUSTER)
    store.load()
    with pytest.raises(StoreFailed):
        store.commit([JobRecord(2, JOB.id, "bob", JOB.spec, 2.0), PROGRESS])
    assert store.load().jobs == [(JOB, PROGRESS)]
    store.close()


@pytest.mark.parametrize(
    ("code", "heals"),
    [
        (sqlite3.SQLITE_FULL, True),
        (sqlite3.SQLITE_IOERR_WRITE, True),
        (sqlite3.SQLITE_IOERR_FSYNC, True),
        (sqlite3.SQLITE_IOERR_SHMSIZE, True),
        (sqlite3.SQLITE_BUSY, True),
        (sqlite3.SQLITE_BUSY_RECOVERY, True),
        (sqlite3.SQLITE_CANTOPEN, True),
        (sqlite3.SQLITE_NOMEM, True),
        (sqlite3.SQLITE_CORRUPT, False),
        (sqlite3.SQLITE_CORRUPT_INDEX, False),
        (sqlite3.SQLITE_IOERR_CORRUPTFS, False),
        (sqlite3.SQLITE_NOTADB, False),
        (sqlite3.SQLITE_READONLY_DBMOVED, False),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, False),
    ],
)
def test_what_may_heal_is_told_from_what_never_does(path: Path, code: int, heals: bool) -> None:
    class Fails:
        def execute(self, *_: object) -> None:
            error = sqlite3.OperationalError("so it says")
            error.sqlite_errorcode, error.sqlite_errorname = code, "SQLITE_SO"
            raise error

    with closing(SqliteStore(path, CLUSTER)) as store:
        store.load()
        writer, store._writer = store._writer, Fails()  # type: ignore[assignment]
        with pytest.raises(StoreFailed) as caught:
            store.commit([JOB, PROGRESS])
        assert isinstance(caught.value, StoreTroubled) is heals
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("cluster.store.sqlite.faults._is_read_only", lambda path: True)
            with pytest.raises(StoreFailed, match="mounted read-only") as caught:
                store.commit([JOB, PROGRESS])
            assert not isinstance(caught.value, StoreTroubled)
        store._writer = writer
        store.commit([JOB, PROGRESS])


@pytest.mark.slow
def test_a_full_disk_is_trouble_and_a_file_system_that_was_made_read_only_is_the_end(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        path = disk.path / "cluster.db"
        store = SqliteStore(path, CLUSTER)
        store.load()
        big = JobRecord(1, "id-1", "ann", JobSpec(argv=("xz",), lines=b"a\n" * 100_000), 1.0)
        disk.fill()
        with pytest.raises(StoreTroubled, match="the disk is full; make room"):
            store.commit([big, PROGRESS])
        assert store.progress_of([1]) == []
        disk.free()
        store.commit([big, PROGRESS])
        assert store.progress_of([2, 1]) == [PROGRESS]
        disk.fill()
        store._writer.close()  # or the kernel does not let it become so
        store._reader.close()
        subprocess.run(["mount", "-o", "remount,ro", str(disk.path)], check=True)
        with pytest.raises(StoreFailed, match="mounted read-only") as caught:
            SqliteStore(path, CLUSTER).load()
        assert not isinstance(caught.value, StoreTroubled)
        subprocess.run(["mount", "-o", "remount,rw", str(disk.path)], check=True)


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("inodes", [False, True])
def test_a_store_opens_on_a_full_disk_and_is_its_owners_once_there_is_room(
    tmp_path: Path, killed: bool, inodes: bool
) -> None:
    with small_disk(tmp_path / "disk", 8, inodes=100) as disk:
        path = disk.path / "cluster.db"
        left_by_another(path, killed)
        disk.fill()
        if inodes:
            disk.fill_inodes()
        assert stored_cluster_id(path) == CLUSTER
        store = SqliteStore(path, CLUSTER)
        loaded = store.load()
        assert (loaded.epoch, loaded.jobs, store.claimed) == (2, [(JOB, PROGRESS)], False)
        with pytest.raises(StoreTroubled, match="the disk is full; make room"):
            store.commit([])
        assert store.progress_of([1]) == [PROGRESS]
        disk.free()
        store.commit([JobRecord(2, "id-2", "ann", JOB.spec, 2.0), PROGRESS._replace(number=2)])
        assert store.claimed
        reader = threading.Thread(target=lambda: store.progress_of([1]), daemon=True)
        with store._alone(), transaction(store._writer):
            reader.start()
            reader.join(10.0)
            assert not reader.is_alive(), "it has no connection of its own"
        store.close()
        later = SqliteStore(path, CLUSTER)
        loaded = later.load()
        assert (loaded.epoch, [record.number for record, _ in loaded.jobs]) == (3, [1, 2])
        later.close()


def left_by_another(path: Path, killed: bool) -> None:
    """A database with one job, in the log or not."""
    code = "import sys; from tests.integration.test_scheduler_store import *; leave(Path(sys.argv[1]), sys.argv[2])"
    subprocess.run([sys.executable, "-c", code, str(path), "killed" * killed], check=True)


def leave(path: Path, killed: str) -> None:
    store = SqliteStore(path, CLUSTER)
    store.load()
    store.commit([JOB, PROGRESS])
    if not killed:
        store.close()
    os._exit(0)


@pytest.mark.parametrize("theirs", ["another epoch", "another commit"])
def test_a_store_that_could_not_be_claimed_is_not_once_somebody_else_has_written(tmp_path: Path, theirs: str) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        first = SqliteStore(disk.path / "cluster.db", CLUSTER)
        first.load()
        first.commit([JOB, PROGRESS])
        disk.fill()
        second = SqliteStore(disk.path / "cluster.db", CLUSTER)
        assert second.load().epoch == 2
        disk.free()
        if theirs == "another epoch":
            SqliteStore(disk.path / "cluster.db", CLUSTER).load()
        else:
            first.commit([PROGRESS._replace(exit_code=3)])
        with pytest.raises(StoreFailed, match="another scheduler has taken over"):
            second.commit([])
        assert not second.claimed


def test_nobody_drains_the_workers_of_a_database_from_before_drains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cluster.db"
    before = next(n for n, migration in enumerate(schema_versions.MIGRATIONS) if "drained_by" in migration)
    with monkeypatch.context() as older:
        older.setattr(schema_versions, "MIGRATIONS", schema_versions.MIGRATIONS[:before])
        SqliteStore(path, CLUSTER).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO workers VALUES ('w', 'box', 2000, 'h:1', '0.1', 5.0, 'inc', 1, 0, 'm b d')")
    old = WorkerRecord("w", "box", 2000, "h:1", "0.1", 5.0, "inc", True, False, Home("m", "b", "d"))
    drained = replace(old, drain=Drain("ada", 7.0, "new kernel"))
    with closing(SqliteStore(path, CLUSTER)) as store:
        assert store.load().workers == [old]
        store.commit([drained])
    with closing(SqliteStore(path, CLUSTER)) as store:
        assert store.load().workers == [drained]


def test_the_attempts_of_tasks_that_had_failed_go_on_in_a_database_from_before_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, chunk = tmp_path / "cluster.db", 65_536
    before = next(n for n, migration in enumerate(schema_versions.MIGRATIONS) if "forgiven" in migration)
    with monkeypatch.context() as older:
        older.setattr(schema_versions, "MIGRATIONS", schema_versions.MIGRATIONS[:before])
        SqliteStore(path, CLUSTER).close()
    with closing(sqlite3.connect(path)) as db, db:
        columns = "states, held, attempts, cancelling"
        more = "cancel_grace, started_at, ended_at, cancelled_by, cancel_reason, exit_code, reason"
        for number, chunked in ((1, 0), (2, 1), (3, 0)):
            job = (number, f"id-{number}", pack_spec(JOB.spec))
            db.execute("INSERT INTO jobs (number, id, owner, spec, submitted_at) VALUES (?, ?, 'ada', ?, 1.0)", job)
            db.execute(
                f"INSERT INTO job_progress (job, {columns}, {more}, chunked) "
                "VALUES (?, x'', x'', x'', x'', 0, 0, 0, '', '', 0, '', ?)",
                (number, chunked),
            )
        for number in (0, 1):
            db.execute(f"INSERT INTO job_chunks (job, chunk, {columns}) VALUES (2, ?, x'', x'', x'', x'')", (number,))
        for end in ((1, 3, 1), (1, 3, 2), (1, 4, 2), (1, 9, 1), (2, 5, 1), (2, chunk, 3)):
            db.execute(
                "INSERT INTO task_ends (job, task, attempt, state, reason, exit_code, signal, detail, worker_id, "
                "started_at, ended_at, cpu_seconds, peak_memory, output_bytes) "
                "VALUES (?, ?, ?, 7, 'exit:1', 1, '', '', 'w', 1, 2, 0, 0, 0)",
                end,
            )
    with closing(SqliteStore(path, CLUSTER)) as store:
        attempts = {record.number: progress.sets.attempts for record, progress in store.load().jobs}
    assert attempts == {1: ((1, (9, 10)), (2, (3, 5))), 2: ((1, (5, 6)), (3, (chunk, chunk + 1))), 3: ()}


def test_a_database_from_before_makers_and_holders_is_brought_up_to_date(tmp_path: Path) -> None:
    """Ada's name was given again at 50; job 1 is of the first who had it, job 2 and job 3 are of who has it now. An
    admin was expelled at 60, who may have made what is older."""
    path = tmp_path / "cluster.db"
    with closing(sqlite3.connect(path)) as db:
        for migration in schema_versions.MIGRATIONS[:3]:
            db.executescript(migration)
        db.execute(f"PRAGMA application_id = {schema_versions.APPLICATION_ID}")
        db.execute("PRAGMA user_version = 3")
        for number, owner, submitted in ((1, "ada", 20.0), (2, "ada", 51.0), (3, "ada", 52.0), (4, "bob", 20.0)):
            job = (number, f"id-{number}", owner, pack_spec(JOB.spec), submitted)
            db.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, ?)", job)
            progress = (number, *[b""] * 8, 10.0, 0.0, 0.0, "", "", 0, "")
            db.execute(f"INSERT INTO job_progress VALUES ({', '.join('?' * 16)})", progress)
        users = [("ada", "user", 50.0, None), ("bob", "user", 5.0, None), ("eve", "admin", 7.0, 60.0)]
        db.executemany("INSERT INTO users VALUES (?, ?, ?, ?)", users)
        enrolments = [("ada", 1, 10.0, 40.0), ("bob", 2, 5.0, None), ("eve", 3, 7.0, 60.0)]
        db.executemany("INSERT INTO enrolments VALUES ('user', ?, ?, '', ?, ?)", enrolments)
        for token, created in (("old", 55.0), ("new", 61.0)):
            row = (token, f"hash-{token}", "worker", "", created, 1e12, 5, None)
            db.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        db.commit()
    for _ in range(2):  # once is enough
        store = SqliteStore(path, CLUSTER)
        owners = [record.owner for record, _ in store.load().jobs]
        assert owners == ["ada", "ada~2", "ada~2", "bob"]
        assert {user.name: user.id for user in store.users()} == {"ada": "ada~2", "bob": "bob", "eve": "eve"}
        assert [(t.id, t.is_good(100), t.maker) for t in store.tokens()] == [("old", False, None), ("new", True, None)]
        store.close()

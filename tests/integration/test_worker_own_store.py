"""The jobs of a worker's own API on disk: as they were, and from an older version."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.rpc.specs import spec_to_proto
from cluster.worker.own.store import VERSION, OwnJob, OwnStore

SPEC = JobSpec(("sh", "\udce9"), name="nightly", env=(("LANG", "C"), ("ODD", "\udcff")), timeout=2.5)
JOB = OwnJob(3, "id-3", "admin", SPEC, 1.0, "inc", TaskState.FAILED, "exit:3", 3, ended_at=5.0)

# As version 1 made it: the spec was a message of the wire, with the environment in it.
FIRST = """
create table jobs (
  number integer primary key, id text not null unique, owner text not null, spec blob not null,
  submitted_at real not null, incarnation text not null, state integer not null, reason text not null,
  exit_code integer not null, signal text not null, detail text not null, started_at real not null,
  ended_at real not null, cpu_seconds real not null, peak_memory integer not null, cancelled_by text not null,
  cancel_reason text not null
) strict;
create index jobs_by_state on jobs (state);
pragma user_version=1;
"""


def test_a_job_is_read_as_it_was_written(tmp_path: Path) -> None:
    plain = OwnJob(4, "id-4", "admin", JobSpec(("true",)), 2.0, "inc")
    with closing(OwnStore(tmp_path / "worker.db")) as store:
        store.save([JOB, plain])
    with closing(OwnStore(tmp_path / "worker.db")) as store:
        assert (store.get(3), store.unfinished()) == (JOB, [plain])


def test_jobs_of_the_first_version_are_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "worker.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(FIRST)
        row = (3, "id-3", "admin", spec_to_proto(SPEC).SerializeToString(), 1.0, "inc", JOB.state.value, "exit:3", 3)
        db.execute(f"insert into jobs values ({', '.join('?' * 17)})", (*row, "", "", 0.0, 5.0, 0.0, 0, "", ""))
    for _ in range(2):  # once is enough
        with closing(OwnStore(path)) as store:
            assert store.get(3) == JOB
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("pragma user_version").fetchone() == (VERSION,)


def test_jobs_of_the_second_version_are_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "worker.db"
    with closing(OwnStore(path)) as store:
        store.save([JOB])
    with closing(sqlite3.connect(path)) as db, db:
        for column in ("recorded", "recorded_at"):
            db.execute(f"alter table jobs drop column {column}")
        db.execute("pragma user_version=2")
    for _ in range(2):
        with closing(OwnStore(path)) as store:
            assert store.get(3) == JOB
            store.save([replace(JOB, recorded="half", recorded_at=2.0)])
            assert store.get(3) == replace(JOB, recorded="half", recorded_at=2.0)
            store.save([JOB])

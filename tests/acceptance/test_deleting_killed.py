"""Schedulers that are killed while they remove what was deleted: the next one goes on, and nothing else is touched."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from bench.deleting import fill
from cluster.domain.base.errors import NotFound
from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons

pytestmark = pytest.mark.slow

JOBS = 2000


@pytest.mark.parametrize(
    ("seed", "kills"), [(0, 2), *(pytest.param(seed, 10, marks=pytest.mark.extra_files) for seed in range(1, 6))]
)
def test_what_a_killed_scheduler_was_deleting_goes_all_the_same(command: Command, seed: int, kills: int) -> None:
    """Pinned jobs stay, with what they have written."""
    random = Random(seed)
    path = command.home / "scheduler" / "cluster.db"
    with Daemons(command) as daemons:
        daemons.start_scheduler()
        daemons.stop("scheduler")
        fill(path, JOBS * kills, 200)
        daemons.start_scheduler()
        with daemons.client() as client:
            client.pin("1", str(JOBS * kills))
            client.delete("all")
        for left in sorted(random.sample(range(JOBS * kills), kills), reverse=True):
            wait_until_left(path, left)
            daemons.kill("scheduler")
            daemons.start_scheduler()
        with daemons.client() as client:
            client.prune(keep_jobs="forever", keep_output="forever")  # returns when nothing is left to be removed
            assert [job.number for job in client.list()] == [JOBS * kills, 1]
            for number in (1, JOBS * kills):
                assert b"".join(piece.data for piece in client.logs(str(number))) == bytes(200)
            with pytest.raises(NotFound, match="was deleted on"):
                client.get("2")
        daemons.stop("scheduler")
    check_rows(path, JOBS * kills)


def wait_until_left(path: Path, most: int) -> None:
    """Returns when at most so many deleted jobs have any row left."""
    with closing(sqlite3.connect(path)) as db:
        while db.execute("SELECT count(*) FROM tombstones WHERE remains = 1").fetchone()[0] > most:
            time.sleep(0.001)


def check_rows(path: Path, last: int) -> None:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for table in ("job_progress", "ok_ends", "task_ends", "small_outputs"):
            assert {job for (job,) in db.execute(f"SELECT job FROM {table}")} <= {1, last}, table
        assert db.execute("SELECT value FROM meta WHERE key = 'small_outputs'").fetchone() == (400,)
        assert db.execute("SELECT count(*) FROM tombstones WHERE remains = 1").fetchone() == (0,)

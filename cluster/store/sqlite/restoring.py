"""Copying a scheduler's database as of one moment, and making a copy one that another scheduler may go on with.

What happened after the moment of the copy is not in it, and has happened all the same. So what a scheduler goes on with
is changed, once, when it is restored:

- its epoch is above any that was given out, so that every worker obeys it, and no scheduler of before commands any;
- its next job has a number above any that was given out: a worker that still holds something of a job that the copy
  does not know could take a new one for that, if it had the same number and task;
- every job that had not ended is paused: it may have run since, and nothing runs twice unless its owner says so;
- no token lets anybody join: one that was used up or revoked since would be good again.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from cluster.domain.base.wall_time import iso
from cluster.domain.job.pause import Pause
from cluster.store.interface import StoreFailed
from cluster.store.packing import pack_pause
from cluster.store.sqlite.schema import GET_META, PUT_META

# How far numbers jump. There may have been as many jobs since as there ever were before, and a restart each second.
LEAST_JOBS, LEAST_STARTS = 1_000_000, 1_000_000
MOST_JOBS = 2**32 - 1  # numbers of jobs, as they go over the wire
BY = "restore"
SKIPPED = "skipped_numbers"  # in meta


def copy_database(source: Path, copy: Path) -> dict[str, Any]:
    """Copies it as of one moment, while another process may write to it; says of which cluster a scheduler's is.
    StoreFailed where that does not work."""
    with _failing(source), closing(_to_read(source)) as db:
        db.execute("VACUUM INTO ?", (str(copy),))
    copy.chmod(0o600)
    with closing(sqlite3.connect(copy)) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
            return {}
        meta = dict(db.execute("SELECT key, value FROM meta"))
        (schema,) = db.execute("PRAGMA user_version").fetchone()
    return {"cluster_id": meta["cluster_id"], "epoch": meta["epoch"], "schema": schema} if "cluster_id" in meta else {}


def restore_database(path: Path, made_at: float, now: float) -> tuple[int, int, int, int]:
    """Makes it one that a scheduler may go on with: its epoch, the number of its next job, how many jobs are paused,
    and how many tokens end. Times in Unix seconds. StoreFailed where it cannot be read."""
    pause = pack_pause(Pause(BY, now, f"the scheduler is as of {iso(made_at)}, and this may have run since", False))
    with _failing(path), closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        meta = dict(db.execute("SELECT key, value FROM meta WHERE key IN ('epoch', 'next_job_number')"))
        epoch = max(int(meta["epoch"]) + LEAST_STARTS, int(now))
        before = int(meta["next_job_number"])
        number = min(MOST_JOBS, before + max(LEAST_JOBS, before))
        db.execute("UPDATE meta SET value = ? WHERE key = 'epoch'", (epoch,))
        db.execute("UPDATE meta SET value = ? WHERE key = 'next_job_number'", (number,))
        skipped = [*skipped_numbers(db), (before, number, made_at)]
        db.execute(PUT_META, (SKIPPED, json.dumps(skipped)))
        paused = db.execute(
            "UPDATE job_progress SET pause = ? WHERE pause = '' AND job IN (SELECT number FROM jobs WHERE state = 0)",
            (pause,),
        ).rowcount
        tokens = db.execute(
            "UPDATE tokens SET revoked = ? WHERE revoked IS NULL AND NOT bearer AND expires > ?", (now, now)
        ).rowcount
        db.execute("COMMIT")
    return epoch, number, paused, tokens


def skipped_numbers(db: sqlite3.Connection) -> list[tuple[int, int, float]]:
    """Each time that it was restored: the first number that no job of this database has by that, the next one that one
    may have, and of when the backup was (Unix seconds)."""
    (text,) = db.execute(GET_META, (SKIPPED,)).fetchone() or ("[]",)
    return [(first, end, made_at) for first, end, made_at in json.loads(text)]


def damage(path: Path) -> list[str]:
    """What is wrong with a database, a line for each; nothing: it is sound."""
    try:
        with closing(_to_read(path)) as db:
            lines = [str(line) for (line,) in db.execute("PRAGMA integrity_check(20)")]
    except sqlite3.Error as error:
        lines = [str(error)]
    return [] if lines == ["ok"] else [f"{line}; bring it back from a backup" for line in lines]


def job_numbers(path: Path) -> list[int]:
    """Of all jobs that there are."""
    with _failing(path), closing(_to_read(path)) as db:
        return [number for (number,) in db.execute("SELECT number FROM jobs")]


def _to_read(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30.0, isolation_level=None)


@contextmanager
def _failing(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreFailed(f"the database {path.name} cannot be used: {error}") from None

"""The SQL statements about what is kept of ended jobs, and what goes."""

from cluster.domain.scheduler.retention import MOST_TOMBSTONES
from cluster.store.sqlite.schema import upsert

# Of everything that is kept of a job but its row in `jobs`, its tombstone and its pin: the table, and the columns that
# tell a row of it from others. A table that has a column `job` and is not here is a fault (test_store_keeping.py).
OF_JOB = {
    "job_env": "rowid",
    "job_lines": "rowid",
    "job_progress": "rowid",
    "job_chunks": "rowid",
    "job_held": "job, worker_id, attempt",
    "ok_ends": "rowid",
    "task_ends": "job, task, attempt",
    "small_outputs": "rowid",
    "results": "job, task, attempt",
    "followers": "job, follower",
    "job_values": "job, key",
    "expired_outputs": "rowid",
}
OUTPUTS = "small_outputs"
SMALL_OUTPUTS, WALKED = "small_outputs", "outputs_walked"  # in meta

ENDED = """
    SELECT p.ended_at, number, id, owner, CASE root WHEN 0 THEN number ELSE root END
    FROM job_progress AS p CROSS JOIN jobs ON number = p.job
    WHERE p.ended_at > 0 AND (p.ended_at, p.job) > (?, ?) ORDER BY p.ended_at, p.job LIMIT ?
"""
ENDED_ONE = """
    SELECT p.ended_at, number, id, owner, CASE root WHEN 0 THEN number ELSE root END
    FROM jobs CROSS JOIN job_progress AS p ON p.job = number WHERE number = ? AND p.ended_at > 0
"""

PUT_PIN = upsert("pins", "job", "by", "at", keys=1)
DROP_PIN = "DELETE FROM pins WHERE job = ?"
LOAD_PINS = "SELECT job, by, at FROM pins ORDER BY job"
GET_PIN = "SELECT job, by, at FROM pins WHERE job = ?"

PUT_TOMBSTONE = upsert("tombstones", "job", "id", "owner", "at", "why", "remains", keys=1)
DROP_JOB = "DELETE FROM jobs WHERE number = ?"
GET_TOMBSTONE = "SELECT job, id, owner, at, why FROM tombstones WHERE job = ?"
GET_TOMBSTONE_OF_ID = "SELECT job, id, owner, at, why FROM tombstones WHERE id = ?"
LOAD_TOMBSTONE_IDS = "SELECT id, at FROM tombstones ORDER BY id"

PUT_EXPIRED = upsert("expired_outputs", "job", "at", "why", "remains", keys=1)
GET_EXPIRED = "SELECT job, at, why FROM expired_outputs WHERE job = ?"
DROP_EXPIRED = "DELETE FROM expired_outputs WHERE job = ?"
HAS_FILES = "SELECT 1 FROM jobs WHERE number = ? AND NOT EXISTS (SELECT 1 FROM expired_outputs WHERE job = number)"

# Which jobs rows are dropped of: the first with remains.
_DELETED = "SELECT job FROM tombstones WHERE remains = 1 ORDER BY job LIMIT ?1"
_EXPIRED = "SELECT job FROM expired_outputs WHERE remains = 1 ORDER BY job LIMIT ?1"
_ROWS = "SELECT {columns} FROM ({of}) AS gone CROSS JOIN {table} AS kept ON kept.job = gone.job LIMIT ?2"


def _drop(table: str, of: str) -> str:
    """At most ?2 rows of that table, of these jobs."""
    key = OF_JOB[table]
    rows = _ROWS.format(columns=", ".join(f"kept.{c.strip()}" for c in key.split(",")), of=of, table=table)
    return f"DELETE FROM {table} WHERE ({key}) IN ({rows})"  # noqa: S608 (no input)


def _uncount(of: str) -> str:
    """Small outputs are counted; those that go next are not any more."""
    rows = _ROWS.format(columns="length(kept.stdout) + length(kept.stderr) AS size", of=of, table=OUTPUTS)
    return f"UPDATE meta SET value = value - coalesce((SELECT sum(size) FROM ({rows})), 0) WHERE key = 'small_outputs'"  # noqa: S608


# Each takes how many jobs, and how many rows.
DROP_ROWS = (
    *(_uncount(_DELETED), *(_drop(table, _DELETED) for table in OF_JOB)),
    *(_uncount(_EXPIRED), _drop(OUTPUTS, _EXPIRED)),
)
COUNT_OUTPUTS = "UPDATE meta SET value = value + ? WHERE key = 'small_outputs'"

_ANY_LEFT = " OR ".join(f"EXISTS (SELECT 1 FROM {table} WHERE {table}.job = gone.job)" for table in OF_JOB)  # noqa: S608
DELETED_LEFT = f"SELECT job, {_ANY_LEFT} FROM ({_DELETED}) AS gone"  # noqa: S608 (no input)
EXPIRED_LEFT = f"SELECT job, EXISTS (SELECT 1 FROM {OUTPUTS} WHERE {OUTPUTS}.job = gone.job) FROM ({_EXPIRED}) AS gone"  # noqa: S608

DELETED_GONE = "UPDATE tombstones SET remains = 0 WHERE job = ?"
EXPIRED_GONE = "UPDATE expired_outputs SET remains = 0 WHERE job = ?"
# Of those that have no remains the lowest numbers, some at a time, where there are more than are to be remembered.
DROP_TOMBSTONES = f"""
    DELETE FROM tombstones WHERE job IN (
        SELECT job FROM tombstones WHERE remains = 0 ORDER BY job
        LIMIT min(?, max(0, (SELECT count(*) FROM tombstones) - {MOST_TOMBSTONES}))
    )
"""  # noqa: S608 (no input)

RUNS_OF = "SELECT number, id FROM jobs WHERE schedule = ? AND schedule != 0 AND number > ? ORDER BY number LIMIT ?"

# Sums of usage. Those of users go last: while there are any of a day, something of it is left.
USAGE_DAYS = "SELECT count(DISTINCT day) FROM usage WHERE kind = 'user' AND day < ?"
_OF_KINDS = "SELECT kind, day, owner, key FROM usage WHERE kind IN ({kinds}) AND day < ?1 LIMIT ?2"
_OTHERS = _OF_KINDS.format(kinds="'name', 'worker'")
_OF_USERS = _OF_KINDS.format(kinds="'user'").replace("LIMIT", f"AND NOT EXISTS ({_OTHERS.replace('?2', '1')}) LIMIT")
DROP_USAGE = tuple(
    f"DELETE FROM usage WHERE (kind, day, owner, key) IN ({rows})"  # noqa: S608 (no input)
    for rows in (_OF_USERS, _OTHERS)
)

RETURN_PAGE = "PRAGMA incremental_vacuum(1)"  # with a larger number Python stops after the first page all the same
INCREMENTAL = 2  # of PRAGMA auto_vacuum

# Bytes of the rows of one job, about.
WEIGH_OUTPUTS = "SELECT coalesce(sum(length(stdout) + length(stderr)), 0), count(*) FROM small_outputs WHERE job = ?"
A_ROW = 30  # bytes of a row, its key and its numbers
WEIGH = f"""
    SELECT
        (SELECT length(spec) + length(id) * 2 + {4 * A_ROW} FROM jobs WHERE number = ?1)
        + coalesce((SELECT length(states) + length(held) + length(attempts) + {2 * A_ROW}
            FROM job_progress WHERE job = ?1), 0)
        + coalesce((SELECT length(env) FROM job_env WHERE job = ?1), 0)
        + coalesce((SELECT length(lines) FROM job_lines WHERE job = ?1), 0)
        + coalesce((SELECT sum(length(packed) + {A_ROW}) FROM ok_ends WHERE job = ?1), 0)
        + coalesce((SELECT sum(length(reason) + length(detail) + length(worker_id) + {2 * A_ROW})
            FROM task_ends WHERE job = ?1), 0)
"""  # noqa: S608 (no input)

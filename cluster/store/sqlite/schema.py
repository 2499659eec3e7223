"""The SQL statements of the SQLite store; those about members, events, families of jobs, history and what is kept have
files of their own, and so has the schema (schema_versions.py)."""

from typing import Any

Row = tuple[Any, ...]  # as sqlite3 has it


def upsert(table: str, *columns: str, keys: int) -> str:
    """INSERT that replaces the row with the same key, which is the first `keys` columns.

    Never INSERT OR REPLACE: that would also delete another row which has the same value in a UNIQUE column."""
    changes = ", ".join(f"{c} = excluded.{c}" for c in columns[keys:])
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "  # noqa: S608 (no input)
        f"ON CONFLICT ({', '.join(columns[:keys])}) DO UPDATE SET {changes}"
    )


# Reads or writes one value of meta.
GET_META = "SELECT value FROM meta WHERE key = ?"
PUT_META = upsert("meta", "key", "value", keys=1)
# Job numbers are never used again, even if jobs are deleted one day.
RAISE_NEXT_JOB_NUMBER = "UPDATE meta SET value = max(value, ? + 1) WHERE key = 'next_job_number'"

JOB_COLUMNS = (
    *("number", "id", "owner", "spec", "submitted_at", "name", "line_count", "callers", "root", "parent", "schedule"),
    "rerun_of",
)
PUT_JOB = upsert("jobs", *JOB_COLUMNS, keys=1)
# Also when that was, which its progress says: for who looks for it by that.
END_JOB = """
    UPDATE jobs SET state = ?, ended_at = coalesce((SELECT ended_at FROM job_progress WHERE job = number), 0)
    WHERE number = ?
"""
PUT_ENV = upsert("job_env", "job", "env", keys=1)
PUT_LINES = upsert("job_lines", "job", "lines", keys=1)

SET_COLUMNS = ("states", "held", "attempts", "cancelling", "losses", "forgiven", "grown")
PROGRESS_COLUMNS = (
    *("job", *SET_COLUMNS, "cancel_grace"),
    *("started_at", "ended_at", "cancelled_by", "cancel_reason", "exit_code", "reason", "chunked"),
    *("pause", "course", "changed", "used", "given_at"),
)
PUT_PROGRESS = upsert("job_progress", *PROGRESS_COLUMNS, keys=1)

_WHOLE = "coalesce(env, ''), coalesce(lines, x'')"
_LARGE = "LEFT JOIN job_env ON job_env.job = number LEFT JOIN job_lines ON job_lines.job = number"
_RECORD = "number, id, owner, spec, submitted_at, callers, schedule, rerun_of, line_count"
# One job, without its environment and lines, and with them; and which has a UUID.
GET_JOB = f"SELECT {_RECORD}, '', x'' FROM jobs WHERE number = ?"  # noqa: S608 (no input)
GET_WHOLE_JOB = f"SELECT {_RECORD}, {_WHOLE} FROM jobs {_LARGE} WHERE number = ?"  # noqa: S608 (no input)
GET_NUMBER = "SELECT number FROM jobs WHERE id = ?"
# All that have not ended, as a start needs them.
LOAD_JOBS = f"SELECT {_RECORD}, {_WHOLE} FROM jobs {_LARGE} WHERE state = 0 ORDER BY number"  # noqa: S608 (no input)
# The scheduler's clock as of the last job. The highest UUID of all, the highest below one, and from that on the highest
# of each group of those of version 7 (see ended_ids.py): there are few of them.
LAST_SUBMITTED_AT = "SELECT submitted_at FROM jobs ORDER BY number DESC LIMIT 1"
HIGHEST_ID = "SELECT max(id) FROM jobs"
HIGHEST_ID_BELOW = "SELECT max(id) FROM jobs WHERE id < ?"
HIGHEST_IDS_FROM = "SELECT max(id) FROM jobs WHERE id >= ? AND substr(id, 15, 1) = '7' GROUP BY substr(id, 1, 8)"

# Numbers of jobs, the highest first: of all, of those in one state, of an owner's in one state; below a number, at most
# so many. And all of a name, of one owner or of any, each with the root of its tree.
_NUMBERS = "SELECT number FROM jobs WHERE {where} AND number < :below ORDER BY number DESC LIMIT :most"
LIST_ALL = _NUMBERS.format(where="true")
LIST_IN_STATE = _NUMBERS.format(where="state = :state")
LIST_OWNED = _NUMBERS.format(where="owner = :owner AND state = :state")
LIST_NAMED = "SELECT number, root FROM jobs WHERE name = :name AND name != '' ORDER BY number"
LIST_NAMED_OWNED = "SELECT number, root FROM jobs WHERE name = :name AND name != '' AND owner = :owner ORDER BY number"

GET_PROGRESS = f"SELECT {', '.join(PROGRESS_COLUMNS)} FROM job_progress WHERE job = ?"  # noqa: S608 (no input)

CHUNK_COLUMNS = ("job", "chunk", *SET_COLUMNS)
PUT_CHUNK = upsert("job_chunks", *CHUNK_COLUMNS, keys=2)
GET_CHUNKS = f"SELECT {', '.join(CHUNK_COLUMNS)} FROM job_chunks WHERE job = ? ORDER BY chunk"  # noqa: S608 (no input)

PUT_HELD = upsert("job_held", "job", "worker_id", "attempt", "tasks", keys=3)
# After all PUT_HELD of its commit, of which the last one with that key counts.
DROP_HELD = "DELETE FROM job_held WHERE job = ? AND worker_id = ? AND attempt = ? AND tasks = x''"
GET_HELD = "SELECT worker_id, attempt, tasks FROM job_held WHERE job = ? ORDER BY worker_id, attempt"

PUT_OK_ENDS = upsert("ok_ends", "job", "first", "attempt", "count", "packed", "worker_id", keys=2)
# Records that touch tasks start … stop-1: the last that begins at or before start may reach into them.
GET_OK_ENDS = """
    SELECT job, attempt, first, count, packed, worker_id FROM ok_ends
    WHERE job = :job AND first < :stop AND first + count > :start
      AND first >= coalesce((SELECT max(first) FROM ok_ends WHERE job = :job AND first <= :start), 0)
    ORDER BY first
"""

END_COLUMNS = (
    *("job", "task", "attempt", "state", "reason", "exit_code", "signal", "detail", "worker_id"),
    *("started_at", "ended_at", "cpu_seconds", "peak_memory", "output_bytes"),
    "exhausted",
)
PUT_END = upsert("task_ends", *END_COLUMNS, keys=3)
# The ends of one task that are no plain success, the last one first, at most so many (-1: all).
GET_ENDS_OF_TASK = f"""
    SELECT {", ".join(END_COLUMNS)} FROM task_ends WHERE job = ? AND task = ? ORDER BY attempt DESC LIMIT ?
"""  # noqa: S608 (no input)
# The last such end of each task. (Of a group with one max SQLite takes the row that has it.)
GET_LAST_ENDS = """
    SELECT task, reason, exit_code, exhausted, max(attempt) FROM task_ends
    WHERE job = ? AND task >= ? GROUP BY task ORDER BY task LIMIT ?
"""
# Ends that are no plain success, with output that was too large to ride along, or of which that is not known.
GET_LARGE = f"""
    SELECT {", ".join(END_COLUMNS)} FROM task_ends
    WHERE job = ? AND task >= ? AND task < ? AND (output_bytes > 0 OR reason = 'lost') ORDER BY task, attempt
"""  # noqa: S608 (no input)

PUT_OUTPUT = upsert("small_outputs", "job", "task", "attempt", "stdout", "stderr", keys=3)
# All of some tasks of a job.
GET_OUTPUTS = """
    SELECT job, task, attempt, stdout, stderr FROM small_outputs
    WHERE job = ? AND task >= ? AND task < ? ORDER BY task, attempt
"""

WORKER_COLUMNS = (
    *("id", "name", "millicpus", "address", "version", "registered_at", "incarnation", "offline", "removed", "home"),
    *("offer", "silent", "drained"),
    *("drained_by", "drained_since", "drain_reason", "drain_deadline"),
)
PUT_WORKER = upsert("workers", *WORKER_COLUMNS, keys=1)
DROP_WORKER = "DELETE FROM workers WHERE id = ?"
LOAD_WORKERS = f"SELECT {', '.join(WORKER_COLUMNS)} FROM workers ORDER BY id"  # noqa: S608 (no input)

SHARE_COLUMNS = ("owner", "weight", "used", "held", "at")
PUT_SHARE = upsert("shares", *SHARE_COLUMNS, keys=1)
LOAD_SHARES = f"SELECT {', '.join(SHARE_COLUMNS)} FROM shares ORDER BY owner"  # noqa: S608 (no input)

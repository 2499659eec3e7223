"""The SQL statements about the past: jobs that have ended, by when they have, and what was used on which day."""

from cluster.domain.job.usage import Usage
from cluster.store.sqlite.schema import END_COLUMNS

# Of one owner, ended as one state, since a time, and after a place in the history: the last first. All of it is in the
# index; several such come together in order (history_reads.py).
_ENDED = """
    SELECT ended_at, number FROM jobs
    WHERE {which} AND owner = :owner AND state = :state AND state != 0
      AND ended_at >= :since AND (ended_at, number) < (:ended_at, :job)
    ORDER BY ended_at DESC, number DESC LIMIT :most
"""
LIST_ENDED = _ENDED.format(which="true")
LIST_ENDED_NAMED = _ENDED.format(which="name = :name AND name != ''")

# Who has jobs (of a name): from one to the next by the index, never past all of their jobs.
_OWNERS = """
    WITH RECURSIVE each (owner) AS (
        SELECT min(owner) FROM jobs WHERE {which}
        UNION ALL
        SELECT (SELECT min(owner) FROM jobs WHERE {which} AND owner > each.owner) FROM each WHERE owner IS NOT NULL
    ) SELECT owner FROM each WHERE owner IS NOT NULL
"""
LIST_OWNERS = _OWNERS.format(which="true")
LIST_OWNERS_NAMED = _OWNERS.format(which="name = :name AND name != ''")

_ADDED = ", ".join(
    f"{name} = max({name}, excluded.{name})" if name == "peak_memory" else f"{name} = {name} + excluded.{name}"
    for name in Usage._fields
)
# Adds to the sum of a day.
ADD_USAGE = f"""
    INSERT INTO usage (day, kind, owner, key, {", ".join(Usage._fields)})
    VALUES ({", ".join("?" * (4 + len(Usage._fields)))})
    ON CONFLICT (kind, day, owner, key) DO UPDATE SET {_ADDED}
"""  # noqa: S608 (no input)
# The sums of one kind from a day on, of one owner or (NULL) of all: by owner, or by key.
_TOTALS = ", ".join(f"max({name})" if name == "peak_memory" else f"total({name})" for name in Usage._fields)
_USED = f"""
    SELECT {{by}}, {_TOTALS} FROM usage
    WHERE kind = :kind AND day >= :since AND (:owner IS NULL OR owner = :owner) GROUP BY {{by}}
"""  # noqa: S608 (no input)
USED_BY_OWNER = _USED.format(by="owner")
USED_BY_KEY = _USED.format(by="key")

# The successes of a job's last tasks, in ranges, and other ends of attempts, at most so many: the last ones first.
LAST_SUCCESSES = "SELECT job, attempt, first, count, packed, worker_id FROM ok_ends WHERE job = ? ORDER BY first DESC"
LAST_OTHERS = f"""
    SELECT {", ".join(END_COLUMNS)} FROM task_ends WHERE job = ? ORDER BY task DESC, attempt DESC LIMIT ?
"""  # noqa: S608 (no input)
# Numbers of an owner's jobs of a name, the highest first.
LIST_NEWEST_NAMED = """
    SELECT number FROM jobs WHERE name = :name AND name != '' AND owner = :owner ORDER BY number DESC LIMIT :most
"""

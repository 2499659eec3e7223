"""The SQL statements about jobs that have to do with each other, and about what they keep for others to read."""

# Numbers of jobs, the highest first, below a number and at most so many: in one state of a tree, whose root says itself
# that it has none; and the children of a job.
LIST_TREE = """
    SELECT number FROM (
        SELECT number FROM jobs WHERE root = :root AND root != 0 AND state = :state AND number < :below
        UNION ALL SELECT number FROM jobs WHERE number = :root AND root = 0 AND state = :state AND number < :below
    ) ORDER BY number DESC LIMIT :most
"""
LIST_CHILDREN = """
    SELECT number FROM jobs WHERE parent = :job AND parent != 0 AND number < :below ORDER BY number DESC LIMIT :most
"""

# Those children of a job that have ended (state 0: not yet) and did not succeed (6).
LIST_FAILED = "SELECT number, callers FROM jobs WHERE parent = ? AND parent != 0 AND state NOT IN (0, 6)"

PUT_FOLLOWER = "INSERT OR IGNORE INTO followers (job, follower) VALUES (?, ?)"
# The children and the followers of a job.
LIST_BELOW = """
    SELECT number FROM jobs WHERE parent = :job AND parent != 0
    UNION SELECT follower FROM followers WHERE job = :job
"""

PUT_VALUE = """
    INSERT INTO job_values (job, key, value) VALUES (?, ?, ?)
    ON CONFLICT (job, key) DO UPDATE SET value = excluded.value
"""
GET_VALUES = "SELECT key, value FROM job_values WHERE job = ? ORDER BY key"
# Of those that go on, as a start needs them: how many bytes each has.
LOAD_VALUE_SIZES = """
    SELECT job, key, length(CAST(key AS BLOB)) + length(CAST(value AS BLOB)) FROM job_values
    JOIN jobs ON number = job WHERE state = 0
"""

"""The schema of the SQLite store as ordered migrations.

A database's `user_version` says how many of MIGRATIONS it has been through; each runs once, in a transaction. One that
was ever released is never edited: a change of the schema or of packing.py is a new one at the end.
`application_id` marks the file as ours (the bytes "CLU1").
"""

APPLICATION_ID = 0x434C5531

MIGRATIONS = (
    """
    -- What there is one of: cluster_id, epoch (of the scheduler that may write), next_job_number.
    CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;

    -- What never changes about a job. Times are Unix seconds everywhere; spec is JSON.
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, spec TEXT NOT NULL,
        submitted_at REAL NOT NULL
    );

    -- The lines of jobs that have some. Apart, so that nothing ever rewrites or reads past them.
    CREATE TABLE job_lines (job INTEGER PRIMARY KEY, lines BLOB NOT NULL);

    -- What changes about a job. The blobs are sets of task indexes as in packing.py.
    CREATE TABLE job_progress (
        job INTEGER PRIMARY KEY, ready BLOB NOT NULL, backoff BLOB NOT NULL, succeeded BLOB NOT NULL,
        failed BLOB NOT NULL, cancelled BLOB NOT NULL, held BLOB NOT NULL, attempts BLOB NOT NULL,
        cancelling BLOB NOT NULL, cancel_grace REAL NOT NULL,
        started_at REAL NOT NULL, ended_at REAL NOT NULL, cancelled_by TEXT NOT NULL, cancel_reason TEXT NOT NULL,
        exit_code INTEGER NOT NULL, reason TEXT NOT NULL
    );

    -- Plain successes of tasks first … first+count-1; packed as in job.PACKED. Tasks succeed once, so none overlap.
    CREATE TABLE ok_ends (
        job INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, attempt INTEGER NOT NULL,
        worker_id TEXT NOT NULL, packed BLOB NOT NULL, PRIMARY KEY (job, first)
    );

    -- Every other end of an attempt.
    CREATE TABLE task_ends (
        job INTEGER NOT NULL, task INTEGER NOT NULL, attempt INTEGER NOT NULL, state INTEGER NOT NULL,
        reason TEXT NOT NULL, exit_code INTEGER NOT NULL, signal TEXT NOT NULL, detail TEXT NOT NULL,
        worker_id TEXT NOT NULL, started_at REAL NOT NULL, ended_at REAL NOT NULL, cpu_seconds REAL NOT NULL,
        peak_memory INTEGER NOT NULL, output_bytes INTEGER NOT NULL, PRIMARY KEY (job, task, attempt)
    ) WITHOUT ROWID;

    -- Whole outputs of attempts, where they are small.
    CREATE TABLE small_outputs (
        job INTEGER NOT NULL, task INTEGER NOT NULL, attempt INTEGER NOT NULL, stdout BLOB NOT NULL,
        stderr BLOB NOT NULL, PRIMARY KEY (job, task, attempt)
    );

    CREATE TABLE workers (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, millicpus INTEGER NOT NULL, address TEXT NOT NULL,
        version TEXT NOT NULL, registered_at REAL NOT NULL, incarnation TEXT NOT NULL, offline INTEGER NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE users (
        name TEXT PRIMARY KEY, role TEXT NOT NULL, created REAL NOT NULL, revoked REAL
    ) WITHOUT ROWID;

    -- Join tokens; of the secret only its SHA-256. uses_left NULL: without limit.
    CREATE TABLE tokens (
        id TEXT PRIMARY KEY, secret_hash TEXT NOT NULL, role TEXT NOT NULL, user TEXT NOT NULL, created REAL NOT NULL,
        expires REAL NOT NULL, uses_left INTEGER, revoked REAL
    ) WITHOUT ROWID;

    INSERT INTO meta VALUES ('epoch', 0), ('next_job_number', 1);
    """,
    """
    -- Who has joined, by which token (empty: none that is kept), and who was expelled. id: as in serial numbers.
    CREATE TABLE enrolments (
        kind TEXT NOT NULL, name TEXT NOT NULL, id INTEGER NOT NULL, token TEXT NOT NULL, joined REAL NOT NULL,
        revoked REAL, PRIMARY KEY (kind, name, id)
    ) WITHOUT ROWID;

    -- Whether it is to be forgotten once it holds nothing.
    ALTER TABLE workers ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
    """,
    """
    -- Where it last said hello from (cluster.domain.scheduler.clone_detection); empty: not known.
    ALTER TABLE workers ADD COLUMN home TEXT NOT NULL DEFAULT '';
    """,
    """
    -- Who made a token (kind/name and enrolment; empty: not known). Of those from before, which may be of anybody who
    -- was expelled since, none is good any more.
    ALTER TABLE tokens ADD COLUMN maker TEXT NOT NULL DEFAULT '';
    ALTER TABLE tokens ADD COLUMN maker_enrolment INTEGER NOT NULL DEFAULT 0;
    UPDATE tokens SET revoked = CAST(strftime('%s', 'now') AS REAL) WHERE revoked IS NULL AND EXISTS (
        SELECT 1 FROM enrolments WHERE kind = 'user' AND enrolments.revoked >= tokens.created
    );

    -- The how-manieth of a name its user is. jobs.owner is a user's id: the name, and from the second on a number. Of
    -- the jobs from before, those are another's that were submitted before the user became one.
    ALTER TABLE users ADD COLUMN holder INTEGER NOT NULL DEFAULT 1;
    UPDATE users SET holder = 2 WHERE EXISTS (
        SELECT 1 FROM jobs WHERE owner = users.name AND submitted_at < users.created
    );
    UPDATE jobs SET owner = owner || '~2' WHERE EXISTS (
        SELECT 1 FROM users WHERE users.name = jobs.owner AND holder = 2 AND jobs.submitted_at >= users.created
    );
    """,
    """
    -- Whether the sets of a job are not here but in job_chunks (cluster.domain.job.chunks).
    ALTER TABLE job_progress ADD COLUMN chunked INTEGER NOT NULL DEFAULT 0;

    CREATE TABLE job_chunks (
        job INTEGER NOT NULL, chunk INTEGER NOT NULL, ready BLOB NOT NULL, backoff BLOB NOT NULL,
        succeeded BLOB NOT NULL, failed BLOB NOT NULL, cancelled BLOB NOT NULL, held BLOB NOT NULL,
        attempts BLOB NOT NULL, cancelling BLOB NOT NULL, PRIMARY KEY (job, chunk)
    );
    """,
    """
    -- Lists come in pages, in the order of these.
    CREATE INDEX tokens_by_age ON tokens (created, id);
    CREATE INDEX users_by_age ON users (created, name);
    CREATE INDEX enrolments_by_token ON enrolments (token, joined, kind, name, id);
    """,
    """
    -- What jobs are found by: the name, what they have ended as (a TaskState; 0: they have not). Also how many lines
    -- they have. The environment is apart, as the lines are: lists need neither. (Python does what is in JSON.)
    ALTER TABLE jobs ADD COLUMN name TEXT NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN state INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN line_count INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE job_env (job INTEGER PRIMARY KEY, env TEXT NOT NULL);
    INSERT INTO job_env SELECT number, env_of(spec) FROM jobs WHERE env_of(spec) != '';
    UPDATE jobs SET line_count = coalesce((SELECT lines_in(lines) FROM job_lines WHERE job = number), 0);
    UPDATE jobs SET name = name_of(spec), spec = spec_without_env(spec), state = coalesce((
        SELECT CASE
            WHEN NOT ended_at THEN 0
            WHEN length(failed) OR EXISTS (SELECT 1 FROM job_chunks WHERE job = number AND length(failed)) THEN 7
            WHEN length(cancelled) OR EXISTS (SELECT 1 FROM job_chunks WHERE job = number AND length(cancelled)) THEN 8
            ELSE 6 END
        FROM job_progress WHERE job = number
    ), 0);
    CREATE INDEX jobs_by_state ON jobs (state, number);
    CREATE INDEX jobs_by_owner ON jobs (owner, state, number);
    CREATE INDEX jobs_by_name ON jobs (name, owner, number) WHERE name != '';
    """,
    """
    -- What workers hold of jobs that many workers hold tasks of, in one attempt each: of others it is with the job.
    CREATE TABLE job_held (
        job INTEGER NOT NULL, worker_id TEXT NOT NULL, attempt INTEGER NOT NULL, tasks BLOB NOT NULL,
        PRIMARY KEY (job, worker_id, attempt)
    ) WITHOUT ROWID;
    """,
    """
    -- The sets of all states in one blob, by the states' numbers, in place of a column for each.
    CREATE TABLE progress (
        job INTEGER PRIMARY KEY, states BLOB NOT NULL, held BLOB NOT NULL, attempts BLOB NOT NULL,
        cancelling BLOB NOT NULL, cancel_grace REAL NOT NULL,
        started_at REAL NOT NULL, ended_at REAL NOT NULL, cancelled_by TEXT NOT NULL, cancel_reason TEXT NOT NULL,
        exit_code INTEGER NOT NULL, reason TEXT NOT NULL, chunked INTEGER NOT NULL
    );
    INSERT INTO progress SELECT job, states_of(ready, backoff, succeeded, failed, cancelled), held, attempts,
        cancelling, cancel_grace, started_at, ended_at, cancelled_by, cancel_reason, exit_code, reason, chunked
    FROM job_progress;
    DROP TABLE job_progress;
    ALTER TABLE progress RENAME TO job_progress;
    CREATE TABLE chunks (
        job INTEGER NOT NULL, chunk INTEGER NOT NULL, states BLOB NOT NULL, held BLOB NOT NULL,
        attempts BLOB NOT NULL, cancelling BLOB NOT NULL, PRIMARY KEY (job, chunk)
    );
    INSERT INTO chunks SELECT job, chunk, states_of(ready, backoff, succeeded, failed, cancelled), held, attempts,
        cancelling
    FROM job_chunks;
    DROP TABLE job_chunks;
    ALTER TABLE chunks RENAME TO job_chunks;
    """,
    """
    -- Who drains a worker (empty: nobody), since when, and why.
    ALTER TABLE workers ADD COLUMN drained_by TEXT NOT NULL DEFAULT '';
    ALTER TABLE workers ADD COLUMN drained_since REAL NOT NULL DEFAULT 0;
    ALTER TABLE workers ADD COLUMN drain_reason TEXT NOT NULL DEFAULT '';
    """,
    """
    -- And when what still runs there is stopped; 0: never.
    ALTER TABLE workers ADD COLUMN drain_deadline REAL NOT NULL DEFAULT 0;
    """,
    """
    -- Somebody's wish that no task of it starts, as in packing.py; empty: nobody's. That about the whole queue is in
    -- meta, as queue_pause.
    ALTER TABLE job_progress ADD COLUMN pause TEXT NOT NULL DEFAULT '';
    """,
    """
    -- What it has beside cpus, as JSON; empty: nothing.
    ALTER TABLE workers ADD COLUMN offer TEXT NOT NULL DEFAULT '';
    """,
    """
    -- How often tasks were lost, and how many attempts of theirs count for nothing; whether a task was tried as often
    -- as it may be. Attempts go on where a task has ended without success: before, such had none.
    ALTER TABLE job_progress ADD COLUMN losses BLOB NOT NULL DEFAULT x'';
    ALTER TABLE job_progress ADD COLUMN forgiven BLOB NOT NULL DEFAULT x'';
    ALTER TABLE job_chunks ADD COLUMN losses BLOB NOT NULL DEFAULT x'';
    ALTER TABLE job_chunks ADD COLUMN forgiven BLOB NOT NULL DEFAULT x'';
    ALTER TABLE task_ends ADD COLUMN exhausted INTEGER NOT NULL DEFAULT 0;
    UPDATE job_progress SET attempts = attempts_of((
        SELECT group_concat(task || ' ' || attempt) FROM (
            SELECT task, max(attempt) AS attempt FROM task_ends WHERE task_ends.job = job_progress.job GROUP BY task
        )
    )) WHERE NOT chunked AND job IN (SELECT job FROM task_ends);
    UPDATE job_chunks SET attempts = attempts_of((
        SELECT group_concat(task || ' ' || attempt) FROM (
            SELECT task, max(attempt) AS attempt FROM task_ends
            WHERE task_ends.job = job_chunks.job AND task >= chunk * 65536 AND task < (chunk + 1) * 65536 GROUP BY task
        )
    )) WHERE job IN (SELECT job FROM task_ends);
    """,
    """
    -- The attempts by which a job was called (job.index.attempt.number each, the first caller first), and of these the
    -- first and the last one's job; empty and 0 where a person submitted it.
    ALTER TABLE jobs ADD COLUMN callers TEXT NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN root INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN parent INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX jobs_by_root ON jobs (root, state, number) WHERE root != 0;
    CREATE INDEX jobs_by_parent ON jobs (parent, number) WHERE parent != 0;
    """,
    """
    -- Who waits, or did, for a job.
    CREATE TABLE followers (
        job INTEGER NOT NULL, follower INTEGER NOT NULL, PRIMARY KEY (job, follower)
    ) WITHOUT ROWID;
    WITH RECURSIVE each (follower, spec, place) AS (
        SELECT number, spec, 0 FROM jobs WHERE waited_for(spec, 0) != 0
        UNION ALL SELECT follower, spec, place + 1 FROM each WHERE waited_for(spec, place + 1) != 0
    ) INSERT OR IGNORE INTO followers SELECT waited_for(spec, place), follower FROM each;

    -- What jobs keep for others to read.
    CREATE TABLE job_values (
        job INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (job, key)
    ) WITHOUT ROWID;
    """,
    """
    -- The schedule that a job is a run of (0: of none); and how far a schedule has come, as in packing.py.
    ALTER TABLE jobs ADD COLUMN schedule INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE job_progress ADD COLUMN course TEXT NOT NULL DEFAULT '';
    """,
    """
    -- What has happened to jobs and workers: the newest of it. data is JSON of the fields that say something.
    CREATE TABLE events (
        sequence INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, job INTEGER NOT NULL, owner TEXT NOT NULL,
        data TEXT NOT NULL
    );
    -- Whether nothing was heard of it for a lease; and whether, since it is drained, it has come to hold nothing.
    ALTER TABLE workers ADD COLUMN silent INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE workers ADD COLUMN drained INTEGER NOT NULL DEFAULT 0;
    """,
    """
    -- Of a job its priority where that is not its spec's. Of users their weights and what they have used lately.
    ALTER TABLE job_progress ADD COLUMN priority INTEGER;
    CREATE TABLE shares (
        owner TEXT PRIMARY KEY, weight REAL NOT NULL, used REAL NOT NULL, held INTEGER NOT NULL, at REAL NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    -- The job that it repeats; 0: none.
    ALTER TABLE jobs ADD COLUMN rerun_of INTEGER NOT NULL DEFAULT 0;
    """,
    """
    -- Of a bearer token, which is shown over HTTP, the enrolment of its user that came with it; 0: it is for joining.
    ALTER TABLE tokens ADD COLUMN bearer INTEGER NOT NULL DEFAULT 0;
    """,
    """
    -- Of a job the options that are not as its spec says: JSON of pairs of name and value. The priority was one alone.
    ALTER TABLE job_progress ADD COLUMN changed TEXT NOT NULL DEFAULT '';
    UPDATE job_progress SET changed = '[["priority", ' || priority || ']]' WHERE priority IS NOT NULL;
    """,
    """
    -- How many attempts of tasks took more memory than they had asked for.
    ALTER TABLE job_progress ADD COLUMN grown BLOB NOT NULL DEFAULT x'';
    ALTER TABLE job_chunks ADD COLUMN grown BLOB NOT NULL DEFAULT x'';
    """,
    """
    -- When a job has ended; 0: it has not. In an index by owner, and where it has one by name: for its history.
    ALTER TABLE jobs ADD COLUMN ended_at REAL NOT NULL DEFAULT 0;
    UPDATE jobs SET ended_at = coalesce((SELECT ended_at FROM job_progress WHERE job = number), 0) WHERE state != 0;
    CREATE INDEX jobs_by_end ON jobs (owner, state, ended_at) WHERE state != 0;
    CREATE INDEX jobs_by_named_end ON jobs (name, owner, state, ended_at) WHERE state != 0 AND name != '';

    -- What attempts of a job have taken, as in packing.py. And the sums of days: kind user (no key), name (of jobs) or
    -- worker (its id). They stay when jobs are deleted.
    ALTER TABLE job_progress ADD COLUMN used BLOB NOT NULL DEFAULT x'';
    CREATE TABLE usage (
        kind TEXT NOT NULL, day INTEGER NOT NULL, owner TEXT NOT NULL, key TEXT NOT NULL, tasks INTEGER NOT NULL,
        attempts INTEGER NOT NULL, failed INTEGER NOT NULL, run_micros INTEGER NOT NULL, cpu_micros INTEGER NOT NULL,
        wait_micros INTEGER NOT NULL, peak_memory INTEGER NOT NULL, output_bytes INTEGER NOT NULL,
        PRIMARY KEY (kind, day, owner, key)
    ) WITHOUT ROWID;
    """,
    """
    -- What attempts have left for keeps: the SHA-256 of its tree in hex (empty: nothing), what that comes to, and what
    -- is to be said about it, as JSON (empty: nothing).
    CREATE TABLE results (
        job INTEGER NOT NULL, task INTEGER NOT NULL, attempt INTEGER NOT NULL, tree TEXT NOT NULL,
        files INTEGER NOT NULL, bytes INTEGER NOT NULL, notes TEXT NOT NULL, PRIMARY KEY (job, task, attempt)
    ) WITHOUT ROWID;
    """,
    """
    -- Who wants a job kept, and since when.
    CREATE TABLE pins (job INTEGER PRIMARY KEY, by TEXT NOT NULL, at REAL NOT NULL);
    -- Jobs that were deleted: when, and why. Whether anything is left of them.
    CREATE TABLE tombstones (
        job INTEGER PRIMARY KEY, id TEXT NOT NULL, owner TEXT NOT NULL, at REAL NOT NULL, why TEXT NOT NULL,
        remains INTEGER NOT NULL
    );
    CREATE INDEX tombstones_by_id ON tombstones (id);
    CREATE INDEX tombstones_with_remains ON tombstones (job) WHERE remains = 1;
    -- Jobs of which the output was deleted; the same.
    CREATE TABLE expired_outputs (
        job INTEGER PRIMARY KEY, at REAL NOT NULL, why TEXT NOT NULL, remains INTEGER NOT NULL
    );
    CREATE INDEX expired_with_remains ON expired_outputs (job) WHERE remains = 1;
    -- What ended first goes first.
    CREATE INDEX job_progress_by_end ON job_progress (ended_at, job) WHERE ended_at > 0;
    -- Bytes of all small outputs.
    INSERT INTO meta SELECT 'small_outputs', coalesce(sum(length(stdout) + length(stderr)), 0) FROM small_outputs;
    """,
    """
    -- When a worker was given tasks of a job last; 0: none was.
    ALTER TABLE job_progress ADD COLUMN given_at REAL NOT NULL DEFAULT 0;
    """,
    """
    -- The runs of a schedule.
    CREATE INDEX jobs_by_schedule ON jobs (schedule) WHERE schedule != 0;
    """,
)

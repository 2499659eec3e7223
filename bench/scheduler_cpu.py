"""CPU that the scheduler spends on a task, with a runner that ends each start at once so that nothing else counts.

Beside it: what the same process time is for committing one row a task to SQLite in batches of 1,000, which is what a
scheduler with a record for each task could not do without.

    python3 -m bench.scheduler_cpu [--tasks 200000] [--rounds 3]
"""

import argparse
import sqlite3
import tempfile
import time

from bench.harness import call, cluster, cpu_seconds, in_turn, scheduler_pid, show


def rows(tasks: int) -> float:
    """CPU microseconds for each of `tasks` rows."""
    with tempfile.NamedTemporaryFile(suffix=".db") as file:
        db = sqlite3.connect(file.name, isolation_level=None)
        db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (a INTEGER, b REAL, c TEXT)")
        start = time.process_time()
        for first in range(0, tasks, 1000):
            db.execute("BEGIN")
            db.executemany("INSERT INTO t VALUES (?, ?, ?)", ((i, 1.0, "ok") for i in range(first, first + 1000)))
            db.execute("COMMIT")
        used = time.process_time() - start
        db.close()
    return used / tasks * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with cluster(CLUSTER_WORKER_RUNNER="null") as env:
        pid = scheduler_pid(env)

        def ours() -> float:
            before = cpu_seconds(pid)
            call(env, "run", "--quiet", "--array", f"1-{args.tasks}", "--", "/bin/true")
            used = cpu_seconds(pid) - before
            return used / int(args.tasks) * 1e6

        pairs = in_turn(args.rounds, ours, lambda: rows(args.tasks))
    show("scheduler CPU a task", [ours for ours, _ in pairs], "µs")
    show("one SQLite row a task", [theirs for _, theirs in pairs], "µs")
    show("ratio", [ours / theirs for ours, theirs in pairs], "")


if __name__ == "__main__":
    main()

"""Commits a second of a store in Redis (appendfsync always, on this machine) beside the database in SQLite, and tasks a
second of /bin/true as an array on one worker with either. Both in turn.

    python3 -m bench.redis_store [--tasks 5000] [--cpus 2] [--rounds 3] [--commits 500] [--jobs 10]
"""

import argparse
import tempfile
import time
from contextlib import closing
from pathlib import Path

from bench.harness import call, cluster, in_turn, show, timed
from cluster.domain.job.records import JobProgress, JobRecord
from cluster.domain.job.spec import JobSpec
from cluster.store.interface import Store
from cluster.store.redis.store import RedisStore
from cluster.store.sqlite.store import SqliteStore
from tests.redis_servers import redis_server

ID = "0" * 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--commits", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="redis-") as place, redis_server(Path(place)) as server:
        pairs = _commits(server.url, Path(place), args.commits, args.jobs, args.rounds)
        show(f"commits of {args.jobs} jobs, Redis", [ours for ours, _ in pairs], "commits/s")
        show(f"commits of {args.jobs} jobs, SQLite", [theirs for _, theirs in pairs], "commits/s")
        show("ratio", [ours / theirs for ours, theirs in pairs], "")
        with server.client() as client:
            client.flushall()
        array = ("run", "--quiet", "--array", f"1-{args.tasks}", "--", "/bin/true")
        with cluster(args.cpus, CLUSTER_SCHEDULER_STORE=server.url) as redis, cluster(args.cpus) as sqlite:
            pairs = in_turn(
                args.rounds,
                lambda: args.tasks / timed(lambda: call(redis, *array)),
                lambda: args.tasks / timed(lambda: call(sqlite, *array)),
            )
    show("cluster run --array -- /bin/true, Redis", [ours for ours, _ in pairs], "tasks/s")
    show("cluster run --array -- /bin/true, SQLite", [theirs for _, theirs in pairs], "tasks/s")
    show("ratio", [ours / theirs for ours, theirs in pairs], "")


def _commits(url: str, place: Path, commits: int, jobs: int, rounds: int) -> list[tuple[float, float]]:
    with closing(RedisStore(url, ID, place / "copy")) as redis, closing(SqliteStore(place / "db", ID)) as sqlite:
        redis.load(), sqlite.load()
        return in_turn(rounds, lambda: _rate(redis, commits, jobs), lambda: _rate(sqlite, commits, jobs))


def _rate(store: Store, commits: int, jobs: int) -> float:
    began, first = time.perf_counter(), max(store.numbers(None, most=1), default=0) + 1
    spec = JobSpec(("true",))
    for start in range(first, first + commits * jobs, jobs):
        numbers = range(start, start + jobs)
        records = [JobRecord(n, f"id-{n}", "ann", spec, 1.0) for n in numbers]
        store.commit([*records, *map(JobProgress, numbers)])
    return commits / (time.perf_counter() - began)


if __name__ == "__main__":
    main()

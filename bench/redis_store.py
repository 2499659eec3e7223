"""Commits a second of a store in Redis (appendfsync always, on this machine) beside the database in SQLite; and with
either tasks a second of /bin/true as an array on one worker, and jobs a second that are handed in one by one, by one
caller and by eight at once. All in turn.

    python3 -m bench.redis_store [--tasks 5000] [--cpus 2] [--rounds 3] [--commits 500] [--jobs 10] [--submits 400]
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from bench.harness import call, cluster, in_turn, show, timed
from cluster.client import AsyncClient
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
    parser.add_argument("--submits", type=int, default=400)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="redis-") as place, redis_server(Path(place)) as server:
        pairs = _commits(server.url, Path(place), args.commits, args.jobs, args.rounds)
        _tell(f"commits of {args.jobs} jobs", pairs, "commits/s")
        with server.client() as client:
            client.flushall()
        array = ("run", "--quiet", "--array", f"1-{args.tasks}", "--", "/bin/true")
        with cluster(args.cpus, CLUSTER_SCHEDULER_STORE=server.url) as redis, cluster(args.cpus) as sqlite:
            pairs = in_turn(
                args.rounds,
                lambda: args.tasks / timed(lambda: call(redis, *array)),
                lambda: args.tasks / timed(lambda: call(sqlite, *array)),
            )
            _tell("cluster run --array -- /bin/true", pairs, "tasks/s")
            for at_once in (1, 8):
                pairs = in_turn(
                    args.rounds,
                    partial(_submits, redis, args.submits, at_once),
                    partial(_submits, sqlite, args.submits, at_once),
                )
                _tell(f"submit, {at_once} at once", pairs, "jobs/s")


def _tell(what: str, pairs: list[tuple[float, float]], unit: str) -> None:
    show(f"{what}, Redis", [ours for ours, _ in pairs], unit)
    show(f"{what}, SQLite", [theirs for _, theirs in pairs], unit)
    show("ratio", [ours / theirs for ours, theirs in pairs], "")


def _submits(env: Mapping[str, str], jobs: int, at_once: int) -> float:
    """Jobs a second; they are paused, so that none of them runs meanwhile."""
    call(env, "queue", "pause")

    async def work() -> float:
        async with AsyncClient.connect(home=env["CLUSTER_HOME"]) as client:
            began, left = time.perf_counter(), iter(range(jobs))

            async def caller() -> None:
                for _ in left:
                    await client.submit(["true"])

            await asyncio.gather(*(caller() for _ in range(at_once)))
            return jobs / (time.perf_counter() - began)

    try:
        return asyncio.run(work())
    finally:
        call(env, "job", "cancel", "--yes", "all")
        call(env, "queue", "resume")


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

"""CPU that the scheduler spends on a task of an array, and on a job of one task, with a runner that ends each start at
once so that nothing else counts. The jobs are handed in by one client over one connection: by a call for each, ABREAST
at a time, and by one call for all. Beside the first: what a call costs any Python server that does nothing in it.

Beside it: what the same process time is for committing one row a task to SQLite in batches of 1,000, which is what a
scheduler with a record for each task could not do without.

    python3 -m bench.scheduler_cpu [--tasks 200000] [--jobs 5000] [--abreast 100] [--rounds 3]
"""

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Callable
from functools import partial

from bench import empty_calls
from bench.harness import call, cluster, cpu_seconds, in_turn, scheduler_pid, show
from cluster.client.aio import AsyncClient
from cluster.domain.job.spec import JobSpec


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


async def hand_in(home: str, jobs: int, abreast: int) -> None:
    """Returns when all of them have ended."""
    async with AsyncClient.connect(home=home) as client:
        left = iter(range(jobs))

        async def some() -> None:
            for _ in left:
                job = await client.submit(["/bin/true"])
                numbers.append(job.number)

        numbers: list[int] = []
        await asyncio.gather(*(some() for _ in range(abreast)))
        await client.wait(max(numbers))


async def hand_in_together(home: str, jobs: int) -> None:
    """The same by one call."""
    async with AsyncClient.connect(home=home) as client:
        numbers = await client.submit_many([JobSpec(("/bin/true",))] * jobs)
        await client.wait(max(numbers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=200_000)
    parser.add_argument("--jobs", type=int, default=5_000)
    parser.add_argument("--abreast", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with cluster(CLUSTER_WORKER_RUNNER="null") as env:
        pid = scheduler_pid(env)

        def used(count: int, work: Callable[[], object]) -> float:
            """The scheduler's CPU microseconds for each of `count`."""
            before = cpu_seconds(pid)
            work()
            return (cpu_seconds(pid) - before) / count * 1e6

        array = ("run", "--quiet", "--array", f"1-{args.tasks}", "--", "/bin/true")
        pairs = in_turn(args.rounds, lambda: used(args.tasks, lambda: call(env, *array)), lambda: rows(args.tasks))
        singly = partial(hand_in, env["CLUSTER_HOME"], args.jobs, args.abreast)
        together = partial(hand_in_together, env["CLUSTER_HOME"], args.jobs)
        handed_in = in_turn(
            args.rounds,
            lambda: used(args.jobs, lambda: asyncio.run(singly())),
            lambda: used(args.jobs, lambda: asyncio.run(together())),
        )
    empty = empty_calls.measured(args.jobs, args.abreast, args.rounds)
    show("scheduler CPU a task", [ours for ours, _ in pairs], "µs")
    show("one SQLite row a task", [theirs for _, theirs in pairs], "µs")
    show("scheduler CPU a job of one task, a call each", [alone for alone, _ in handed_in], "µs")
    show("scheduler CPU a job of one task, one call", [among for _, among in handed_in], "µs")
    show("CPU of a server for an empty call", empty, "µs")
    show("ratio", [ours / theirs for ours, theirs in pairs], "")


if __name__ == "__main__":
    main()

"""What jobs that wait for others cost the scheduler: a graph of jobs, and arrays that follow each other task by task.

Nothing is run (the null runner). Bars: a graph of 10,000 jobs, each after three of the layer before, is accepted in 5 s
and costs 300 µs of the scheduler's CPU a job until all have ended; three arrays of 300,000 tasks, one after the other,
cost 15 µs a task. Beside them: as many jobs and arrays that wait for nobody.

    python3 -m bench.workflows [--jobs 10000] [--tasks 300000] [--rounds 1]
"""

import argparse
import asyncio
import random
import time
from collections.abc import Mapping

from bench.harness import call, cluster, cpu_seconds, scheduler_pid, show
from cluster.client.aio import AsyncClient

LAYERS = 20
PARENTS = 3
AT_ONCE = 50  # submissions under way


async def graph(env: Mapping[str, str], jobs: int, *, ordered: bool) -> float:
    """Hands in a random layered graph, and waits for its end. Seconds until all was accepted."""
    choose, layer = random.Random(7), max(1, jobs // LAYERS)
    async with AsyncClient.connect(home=env["CLUSTER_HOME"]) as client:
        started, before = time.monotonic(), list[int]()
        taken = 0.0
        for first in range(0, jobs, layer):
            now: list[int] = []
            for at in range(first, min(jobs, first + layer), AT_ONCE):
                count = min(AT_ONCE, min(jobs, first + layer) - at)
                waits = [choose.sample(before, PARENTS) if before and ordered else [] for _ in range(count)]
                handed = await asyncio.gather(*(client.submit(["true"], after=each) for each in waits))
                now += [job.number for job in handed]
            before = now
        taken = time.monotonic() - started
        for at in range(0, len(before), 1000):
            await client.wait(*map(str, before[at : at + 1000]))
    return taken


def chain(env: Mapping[str, str], tasks: int, *, ordered: bool) -> None:
    last: list[str] = []
    for _ in range(3):
        call(env, "job", "submit", "-q", *last, "--array", f"1-{tasks}", "--", "true")
        last = ["--after-each", "last"] if ordered else []
    call(env, "job", "wait", "all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--tasks", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    for ordered in (True, False):
        name = "in order" if ordered else "in none"
        accepted, per_job, per_task = [], [], []
        for _ in range(args.rounds):
            with cluster(CLUSTER_WORKER_RUNNER="null") as env:
                pid = scheduler_pid(env)
                before = cpu_seconds(pid)
                accepted.append(asyncio.run(graph(env, args.jobs, ordered=ordered)))
                per_job.append((cpu_seconds(pid) - before) / args.jobs * 1e6)
                before = cpu_seconds(pid)
                chain(env, args.tasks, ordered=ordered)
                per_task.append((cpu_seconds(pid) - before) / (3 * args.tasks) * 1e6)
        show(f"{args.jobs} jobs {name}, accepted", accepted, "s")
        show(f"{args.jobs} jobs {name}, CPU a job", per_job, "µs")
        show(f"three arrays {name}, CPU a task", per_task, "µs")


if __name__ == "__main__":
    main()

"""What jobs that wait for others cost the scheduler: a graph of jobs, and arrays that follow each other task by task.

Nothing is run (the null runner). Bars: a graph of 10,000 jobs, each after three of the layer before, handed in by one
call, is accepted in 5 s and costs 300 µs of the scheduler's CPU a job until all have ended; three arrays of 300,000
tasks, one after the other, cost 15 µs a task. Beside them: the same graph by a call for each job, and as many jobs and
arrays that wait for nobody.

    python3 -m bench.workflows [--jobs 10000] [--tasks 300000] [--rounds 1] [--only together|singly|arrays]
"""

import argparse
import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from bench.harness import call, cluster, cpu_seconds, scheduler_pid, show
from cluster.client.aio import AsyncClient
from cluster.client.job_fields import new_job_id
from cluster.domain.job.spec import JobSpec

LAYERS = 20
PARENTS = 3
AT_ONCE = 50  # submissions under way


async def together(env: Mapping[str, str], jobs: int, *, ordered: bool) -> float:
    """Hands in a random layered graph by one call, and waits for its end. Seconds until all was accepted."""
    choose, layer = random.Random(7), max(1, jobs // LAYERS)
    ids = [new_job_id() for _ in range(jobs)]
    specs = []
    for number in range(jobs):
        before = ids[max(0, number // layer - 1) * layer : number // layer * layer]
        specs.append(JobSpec(("true",), after=tuple(choose.sample(before, PARENTS)) if before and ordered else ()))
    async with AsyncClient.connect(home=env["CLUSTER_HOME"]) as client:
        started = time.monotonic()
        numbers = await client.submit_many(specs, ids=ids)
        taken = time.monotonic() - started
        await client.wait(*map(str, numbers[-layer:]))
    return taken


async def singly(env: Mapping[str, str], jobs: int, *, ordered: bool) -> float:
    """The same by a call for each job."""
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


def jobs(hand_in: Callable[..., Coroutine[Any, Any, float]], count: int, ordered: bool) -> tuple[float, float]:
    """Seconds until they were accepted, and the scheduler's CPU microseconds a job."""
    with cluster(CLUSTER_WORKER_RUNNER="null") as env:
        pid = scheduler_pid(env)
        before = cpu_seconds(pid)
        accepted = asyncio.run(hand_in(env, count, ordered=ordered))
        return accepted, (cpu_seconds(pid) - before) / count * 1e6


def arrays(tasks: int, ordered: bool) -> float:
    """The scheduler's CPU microseconds a task."""
    with cluster(CLUSTER_WORKER_RUNNER="null") as env:
        pid = scheduler_pid(env)
        before = cpu_seconds(pid)
        chain(env, tasks, ordered=ordered)
        return (cpu_seconds(pid) - before) / (3 * tasks) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--tasks", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=["together", "singly", "arrays"])
    args = parser.parse_args()
    for ordered in (True, False):
        name = "in order" if ordered else "in none"
        for how, hand_in in (("together", together), ("singly", singly)):
            if args.only in (None, how):
                measured = [jobs(hand_in, args.jobs, ordered) for _ in range(args.rounds)]
                show(f"{args.jobs} jobs {how} {name}, accepted", [accepted for accepted, _ in measured], "s")
                show(f"{args.jobs} jobs {how} {name}, CPU a job", [used for _, used in measured], "µs")
        if args.only in (None, "arrays"):
            per_task = [arrays(args.tasks, ordered) for _ in range(args.rounds)]
            show(f"three arrays {name}, CPU a task", per_task, "µs")


if __name__ == "__main__":
    main()

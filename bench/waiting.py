"""What jobs that wait cost the scheduler while nothing is due: for a time, to come again, and for other jobs.

Bar: 100,000 of them cost nothing, which is what a scheduler without jobs uses for its worker's heartbeats. Beside that:
what it costs to take them in, and to take them up at a start.

    python3 -m bench.waiting [--jobs 100000] [--seconds 60]
"""

import argparse
import asyncio
import time
from collections.abc import Mapping

from bench.harness import call, cluster, cpu_seconds, resident_mib, scheduler_pid, show
from cluster.client.aio import AsyncClient
from cluster.domain.job.spec import JobSpec

TOGETHER = 10_000  # that one call hands in
SETTLED = 5.0  # seconds after which nothing is under way any more


async def hand_in(env: Mapping[str, str], jobs: int) -> None:
    async with AsyncClient.connect(home=env["CLUSTER_HOME"]) as client:
        first = (await client.submit(["true"], at="2199-01-01T00:00Z")).number
        kinds = (
            JobSpec(("true",), at="2199-01-01T00:00Z", deadline="2200-01-01T00:00Z"),
            JobSpec(("true",), every="0 0 1 jan *@Europe/Berlin"),
            JobSpec(("true",), after=(str(first),)),
        )
        specs = [kinds[n % len(kinds)] for n in range(jobs)]
        for at in range(0, jobs, TOGETHER):
            await client.submit_many(specs[at : at + TOGETHER])


def idle(env: Mapping[str, str], seconds: float) -> float:
    """Percent of a cpu that the scheduler uses."""
    time.sleep(SETTLED)
    before = cpu_seconds(scheduler_pid(env))
    time.sleep(seconds)
    return (cpu_seconds(scheduler_pid(env)) - before) / seconds * 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args()
    with cluster() as env:
        show("no job, CPU while idle", [idle(env, args.seconds)], "%")
        before = cpu_seconds(scheduler_pid(env))
        asyncio.run(hand_in(env, args.jobs))
        show(
            f"{args.jobs} jobs, CPU a job to take it in",
            [(cpu_seconds(scheduler_pid(env)) - before) / args.jobs * 1e6],
            "µs",
        )
        show(f"{args.jobs} waiting jobs, CPU while idle", [idle(env, args.seconds)], "%")
        call(env, "down", "--yes")
        call(env, "up", "--cpus", "2")
        show(f"{args.jobs} waiting jobs, CPU of a start", [cpu_seconds(scheduler_pid(env))], "s")
        show(f"{args.jobs} waiting jobs, memory", [resident_mib(scheduler_pid(env))], "MiB")
        show(f"{args.jobs} waiting jobs, CPU while idle", [idle(env, args.seconds)], "%")


if __name__ == "__main__":
    main()

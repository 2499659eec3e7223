"""What a scheduler costs that has run a million jobs, and one before which a hundred thousand wait.

Ended jobs are in the store alone: memory, the start and the answers do not grow with them. Bars, for a million: 200 MB
resident, ready 3 s after its start, `job list` and `job history --failed --limit 20` in 300 ms as processes, `Get` in
5 ms; for 100,000 pending jobs: `job list --limit 20` and `worker list` in 200 ms. Beside the processes: `cluster
--version`, what starting one costs. Of the ended jobs one of a thousand has failed, one of ten is somebody else's, and
one of a hundred has a name of its own.

    python3 -m bench.history [--ended 1000000] [--pending 100000] [--rounds 5]
"""

import argparse
import asyncio
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from struct import pack

from bench.harness import call, cpu_seconds, home, resident_mib, role, scheduler_pid, show, timed
from cluster.client.aio import AsyncClient
from cluster.domain.job.job import Job
from cluster.domain.job.records import PACKED, JobEnded, JobProgress, JobRecord, OkEnds, TaskEnd
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskEvent
from cluster.domain.job.usage import DAY, Usage, UsageAdded, UsageKind
from cluster.domain.scheduler.uncommitted import Saved
from cluster.store.sqlite.store import SqliteStore, stored_cluster_id

AT_ONCE = 10_000  # jobs in one commit
FIRST = time.time() - 1_200_000.0  # Unix seconds before the first job: a week and a half before the last of a million
WORKER = "6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b7e11"
SPEC = JobSpec(("/bin/true",), env=(("LANG", "C.UTF-8"), ("PATH", "/usr/bin:/bin")), name="nightly")
SCHEDULER = ("--listen", "127.0.0.1:0", "--join-listen", "127.0.0.1:0")


def id_of(number: int) -> str:
    """A UUIDv7 of long ago."""
    return str(uuid.UUID(int=(1 << 108) + (number << 80) + (7 << 76) + (2 << 62) + number))


def fill(env: Mapping[str, str], count: int, *, ended: bool) -> None:
    """Puts so many jobs of one task into the store of a scheduler that does not run."""
    path = Path(env["CLUSTER_HOME"], "scheduler", "cluster.db")
    store = SqliteStore(path, stored_cluster_id(path) or "")
    first = store.load().next_job_number
    for start in range(first, first + count, AT_ONCE):
        stop = min(first + count, start + AT_ONCE)
        store.commit([save for number in range(start, stop) for save in saves(number, ended=ended)])
    store.close()


def saves(number: int, *, ended: bool) -> Iterator[Saved]:
    begun, owner = FIRST + number, "admin" if number % 10 else "ann"
    spec = SPEC if number % 100 else replace(SPEC, name=f"run-{number}")
    yield JobRecord(number, id_of(number), owner, spec, begun)
    how = None if not ended else TaskEvent.SUCCEEDED if number % 1000 else TaskEvent.FAILED
    for save in PATTERN[how]:
        if isinstance(save, JobProgress):
            yield save._replace(number=number, ended_at=begun + 1.0 if ended else 0.0)
        else:
            yield replace(save, number=number)
    if ended:
        if how is TaskEvent.SUCCEEDED:
            yield OkEnds(number, 1, 0, 1, pack(PACKED, begun, 1_000_000, 900_000, 20_000, 0), WORKER)
        else:
            yield TaskEnd(number, 0, 1, "exit:3", 3, worker_id=WORKER, started_at=begun, ended_at=begun + 1.0)
        used = Usage(1, 1, int(how is TaskEvent.FAILED), 1_000_000, 900_000, 0, 20_000 << 10, 0)
        for kind, key in ((UsageKind.USER, ""), (UsageKind.NAME, spec.name), (UsageKind.WORKER, WORKER)):
            yield UsageAdded(int(begun // DAY), kind, owner, key, used)


def _pattern(how: TaskEvent | None) -> list[JobProgress | JobEnded]:
    job = Job(JobRecord(1, "", "admin", SPEC, 0.0))
    if how is not None:
        ((attempt, ranges),) = job.assign("w", 1)
        job.release("w", attempt, type(job.ready)(ranges), how)
        job.ended_at = FIRST
    return [save for save in job.saves() if isinstance(save, JobProgress | JobEnded)]


PATTERN = {how: _pattern(how) for how in (None, TaskEvent.SUCCEEDED, TaskEvent.FAILED)}


async def get(env: Mapping[str, str], numbers: list[int]) -> list[float]:
    """Seconds of each `Get` by one client."""
    async with AsyncClient.connect(home=env["CLUSTER_HOME"]) as client:
        await client.get(numbers[0])
        took = []
        for number in numbers:
            start = time.perf_counter()
            await client.get(number)
            took.append(time.perf_counter() - start)
    return took


def commands(env: Mapping[str, str], rounds: int, *lines: str) -> None:
    """Wall time of the client's process, and CPU time of the scheduler."""
    pid = scheduler_pid(env)
    for line in ("--version", *lines):
        before = cpu_seconds(pid)
        took = [timed(partial(call, env, *line.split())) * 1000 for _ in range(rounds)]
        show(f"cluster {line}", took, "ms")
        print(f"    of the scheduler's CPU: {(cpu_seconds(pid) - before) / rounds * 1000:.0f} ms")


def after_a_million(env: Mapping[str, str], ended: int, rounds: int) -> None:
    for _ in range(2):
        began = time.perf_counter()
        with role(env, "scheduler", *SCHEDULER):
            print(f"{ended} ended jobs: ready after {time.perf_counter() - began:.2f} s", end=", ")
            pid = scheduler_pid(env)
            print(f"{cpu_seconds(pid):.2f} s of CPU, {resident_mib(pid):.0f} MiB resident")
    with role(env, "scheduler", *SCHEDULER):
        commands(
            env, rounds, "job list", "job list --limit 20", "job list --state failed", "job list 5 7", "job show 5"
        )
        past = ("--failed --limit 20", "--limit 20", "--since 7d --name nightly --limit 20", "--user ann --limit 20")
        commands(env, rounds, *(f"job history {which}" for which in past), "job stats nightly")
        commands(env, rounds, *(f"usage --by {kind} --limit 10" for kind in ("user", "name", "worker")))
        took = asyncio.run(get(env, [1 + n * max(1, ended // 200) for n in range(100)]))
        show("Get of an ended job", [seconds * 1000 for seconds in took], "ms")
        print(f"resident after that: {resident_mib(scheduler_pid(env)):.0f} MiB")


def before_many(env: Mapping[str, str], pending: int, rounds: int) -> None:
    worker = ("--listen", "127.0.0.1:0", "--cpus", "1", "--stop-jobs")
    with role(env, "scheduler", *SCHEDULER), role(env, "worker", *worker):
        call(env, "job", "submit", "--", "sleep", "1000")
    fill(env, pending, ended=False)
    with role(env, "scheduler", *SCHEDULER), role(env, "worker", *worker):
        print(f"{pending} pending jobs: {resident_mib(scheduler_pid(env)):.0f} MiB resident")
        commands(env, rounds, "job list --limit 20", "worker list")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ended", type=int, default=1_000_000)
    parser.add_argument("--pending", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    for count, measure in ((args.ended, after_a_million), (args.pending, before_many)):
        with home() as env:
            with role(env, "scheduler", *SCHEDULER):
                pass
            if measure is after_a_million:
                print(f"making them: {timed(partial(fill, env, count, ended=True)):.0f} s")
            measure(env, count, args.rounds)


if __name__ == "__main__":
    main()

"""`cluster status`: one screen that says what cluster this is, who we are in it, and what goes on.

A job knows itself, its tree, and whether its scheduler answers; of workers, queue and other jobs it is told nothing.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import click

from cluster.cli.options import as_json, connection
from cluster.cli.room import room_facts, room_json
from cluster.client.discovery import Endpoint
from cluster.client.types import Job, Me, RoomStatus, SchedulerPlace, Worker
from cluster.domain.base.printable import printable
from cluster.domain.base.quantities import format_cpus, format_duration
from cluster.domain.job.pause import Pause
from cluster.domain.job.states import LIVE, TaskState
from cluster.domain.job.task_variables import OF_ATTEMPTS

MOST = 1000  # jobs to count: beyond that their exact number is no news
NEWEST = 5  # jobs shown
ATTEMPT = OF_ATTEMPTS[0]
RUNNING = (TaskState.RUNNING, TaskState.FINISHING)
WAITING = tuple(state for state in LIVE if state not in RUNNING)


class Seen(NamedTuple):
    """What the cluster has answered."""

    endpoint: Endpoint
    me: Me | None  # None: a job
    workers: Sequence[Worker]
    running: Sequence[Job]  # at most MOST, as of those that wait
    waiting: Sequence[Job]
    newest: Sequence[Job]
    pause: Pause | None  # of the queue
    room: RoomStatus | None  # that things take on disks
    itself: Job | None = None  # the job in which we are


@click.command()
@as_json
@connection
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Tell what cluster this is, who you are in it, what its workers have, and how many jobs run and wait."""
    from cluster.cli.connection import client
    from cluster.cli.render import print_json

    async def work() -> Seen:
        async with client(ctx) as cluster:
            inside, user = cluster.endpoint.inside, not (cluster.endpoint.inside or cluster.endpoint.is_worker)
            return Seen(
                cluster.endpoint,
                None if inside else await cluster.who_am_i(),
                await cluster.workers() if user else (),
                await cluster.list(states=RUNNING, limit=MOST),
                await cluster.list(states=WAITING, limit=MOST),
                await cluster.list(limit=NEWEST),
                (await cluster.queue()).pause if user else None,
                await cluster.room() if user else None,
                (await cluster.get(inside.job, max_tasks=1))[0] if inside else None,
            )

    seen = asyncio.run(work())
    if as_json:
        print_json(_json(seen) if seen.itself is None else _json_of_job(seen, seen.itself))
    else:
        _print(seen)


def _facts(seen: Seen, now: float) -> list[tuple[str, str]]:
    from cluster.cli.render import iso

    endpoint, me, job = seen.endpoint, seen.me, seen.itself
    jobs = f"{_count(seen.running)} running, {_count(seen.waiting)} waiting"
    if job is not None:
        called = f", called by {job.callers[-1]}" if job.callers else ""
        return [
            ("cluster", f"the one that runs this job, by its worker's {endpoint.address}: its scheduler answers"),
            ("you", f"attempt {os.environ.get(ATTEMPT, '')} of job {job.number}, which is {job.owner}'s{called}"),
            ("jobs", f"{jobs}, of those that come of the same first job, this one among them"),
        ]
    shown = endpoint.certificate
    assert me is not None, "only jobs are not asked who they are"
    return [
        ("cluster", f"{shown.identity.cluster_id} at {endpoint.address}{_what(endpoint)}"),
        ("schedulers", ", ".join(f"{each.address} {_does(each)}" for each in me.schedulers)),
        ("you", f"{me.name}, with the role {me.role}, by a certificate until {iso(shown.not_after)}"),
        ("workers", "" if endpoint.is_worker else _of_workers(seen.workers)),
        ("queue", seen.pause.said(now) if seen.pause else ""),
        ("jobs", jobs),
        *(room_facts(seen.room) if seen.room else ()),
    ]


def _print(seen: Seen) -> None:
    from cluster.cli.render import ago, command_of, in_brackets, reason_of, state_of
    from cluster.cli.table import print_table

    now = time.time()
    facts = [(name, value) for name, value in _facts(seen, now) if value]
    width = max(9, *(len(name) for name, _ in facts))
    for name, value in facts:
        print(f"{name:<{width}} {printable(value)}")
    if seen.newest:
        print()
        print_table(
            ("JOB", "STATE", "SUBMITTED", "NAME", "COMMAND"),
            [
                (str(job.number), state_of(job) + in_brackets(job, reason_of(job)), ago(job.submitted_at, now),
                 job.spec.name, command_of(job.spec))
                for job in seen.newest
            ],
        )  # fmt: skip


def _does(scheduler: SchedulerPlace) -> str:
    if scheduler.leads:
        return "leads"
    return f"is away, for {format_duration(scheduler.silent)}" if scheduler.silent else "stands by"


def _what(endpoint: Endpoint) -> str:
    if endpoint.is_worker:
        return ", one worker alone"
    return ", which `cluster up` started here" if endpoint.is_embedded else ""


def _of_workers(workers: Sequence[Worker]) -> str:
    """How many in which state, and of those that take jobs the cpus."""
    if not workers:
        return "none: `cluster token create` makes a line that adds one"
    states = [worker.state.word for worker in workers]
    counts = ", ".join(f"{states.count(word)} {word}" for word in dict.fromkeys(sorted(states)))
    used, offered = _cpus(workers)
    return f"{counts}; {format_cpus(used)} of {format_cpus(offered)} cpus in use"


def _cpus(workers: Sequence[Worker]) -> tuple[int, int]:
    """(used, offered) millicpus of workers that are online."""
    online = [worker for worker in workers if worker.state.word == "online"]
    return sum(worker.used_millicpus for worker in online), sum(worker.millicpus for worker in online)


def _count(jobs: Sequence[Job]) -> str:
    return f"{MOST} or more" if len(jobs) >= MOST else str(len(jobs))


def _json(seen: Seen) -> dict[str, Any]:
    """Of jobs at most MOST in each state are counted."""
    from cluster.cli.render import iso, pause_json

    workers, (used, offered) = seen.workers, _cpus(seen.workers)
    shown = seen.endpoint.certificate
    assert seen.me is not None, "only jobs are not asked who they are"
    return {
        "cluster": shown.identity.cluster_id,
        "address": seen.endpoint.address,
        "schedulers": [
            {"address": each.address, "leads": each.leads, "away_for": round(each.silent, 1)}
            for each in seen.me.schedulers
        ],
        "one_worker": seen.endpoint.is_worker,
        "started_by_up": seen.endpoint.is_embedded,
        "user": seen.me.name,
        "role": seen.me.role,
        "certificate_until": iso(shown.not_after),
        "workers": {state: sum(w.state.word == state for w in workers) for state in {w.state.word for w in workers}},
        "cpus": offered / 1000,
        "cpus_used": used / 1000,
        "queue_paused": seen.pause and pause_json(seen.pause),
        "jobs_running": len(seen.running),
        "jobs_waiting": len(seen.waiting),
        "room": seen.room and room_json(seen.room),
    }


def _json_of_job(seen: Seen, job: Job) -> dict[str, Any]:
    """The jobs of its tree are counted as those of a user are."""
    return {
        "job": job.number,
        "attempt": os.environ.get(ATTEMPT) or None,
        "user": job.owner,
        "role": "job",
        "called_by": list(job.callers),
        "jobs_running": len(seen.running),
        "jobs_waiting": len(seen.waiting),
    }

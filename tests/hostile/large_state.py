"""A scheduler's store with much in it: what a large cluster has after a while."""

import struct
from collections.abc import Iterator
from pathlib import Path

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.job import Job
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import PACKED, JobRecord, OkEnds
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskEvent
from cluster.domain.scheduler.worker_record import WorkerRecord
from cluster.domain.trust.enrolments import Enrolment
from cluster.domain.trust.identity import IdentityKind, Role
from cluster.domain.trust.tokens import TokenRecord
from cluster.domain.trust.users import UserRecord
from cluster.store.interface import Item
from cluster.store.sqlite.store import SqliteStore

LARGE = 2**31  # millicpus that no worker has
LONG_AGO = 1_700_000_000.0
AT_ONCE = 10_000  # records of a commit


def fill(path: Path, cluster_id: str, *, jobs: int, fragments: int, workers: int, members: int) -> None:
    """Of the jobs the first has twice as many tasks as `fragments`, every other one cancelled; of the others one half
    has ended and the other waits for ever. `members`: users, each with a token by which it has joined."""
    store = SqliteStore(path, cluster_id)
    first = store.load().next_job_number
    waiting: list[Item] = [*_fragmented(first, 2 * fragments)]
    for item in (*_jobs(range(first + 1, first + jobs)), *_workers(workers), *_members(members)):
        waiting.append(item)
        if len(waiting) >= AT_ONCE:
            store.commit(waiting)
            waiting = []
    store.commit(waiting)
    store.close()


def _job(number: int, tasks: int = 1) -> Job:
    array = (ArraySegment(1, tasks),) if tasks > 1 else ()
    spec = JobSpec(("sh", "-c", f"echo {number}"), name=f"name{number % 10}", millicpus=LARGE, array=array)
    job_id = f"00000000-0000-7000-8000-{number:012d}"
    return Job(JobRecord(number, job_id, f"user{number % 100}", spec, LONG_AGO + number))


def _fragmented(number: int, tasks: int) -> Iterator[Item]:
    job = _job(number, tasks)
    job.cancel_unassigned(IntervalSet((i, i + 1) for i in range(0, tasks, 2)))
    yield job.record
    yield from job.saves()


def _jobs(numbers: range) -> Iterator[Item]:
    for number in numbers:
        job = _job(number)
        if number % 2:
            job.assign("w", 1)
            job.release("w", 1, IntervalSet([(0, 1)]), TaskEvent.SUCCEEDED)
            job.started_at, job.ended_at = LONG_AGO, LONG_AGO + 1
            yield OkEnds(number, 1, 0, 1, struct.pack(PACKED, LONG_AGO, 5000, 10, 10, 0), "w")
        yield job.record
        yield from job.saves()


def _workers(count: int) -> Iterator[Item]:
    for number in range(count):
        worker_id = f"10000000-0000-7000-8000-{number:012d}"
        yield WorkerRecord(worker_id, f"w{number}", 4000, "h:1", "1", LONG_AGO, "one")
        yield Enrolment(IdentityKind.WORKER, worker_id, number + 1, "t0", LONG_AGO + number)


def _members(count: int) -> Iterator[Item]:
    for number in range(count):
        name = f"person{number}"
        yield UserRecord(name, Role.USER, LONG_AGO + number)
        yield TokenRecord(f"t{number}", f"hash{number}", Role.USER, name, LONG_AGO + number, 2 * LONG_AGO, None)
        yield Enrolment(IdentityKind.USER, name, number + 1, f"t{number}", LONG_AGO + number)

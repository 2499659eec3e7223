"""The store without a disk: the contract in its plainest form, for the simulation and for tests.

What is durable is the `Disk`: dropping a MemoryStore and making another on the same Disk is a crash and a restart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.chunks import joined
from cluster.domain.job.records import JobChunk, JobProgress, JobRecord, OkEnds, SmallOutput, TaskEnd
from cluster.domain.scheduler.effects import WorkerForgotten
from cluster.domain.scheduler.recovered import Recovered
from cluster.domain.scheduler.worker_record import WorkerRecord
from cluster.domain.trust.enrolments import Enrolment
from cluster.domain.trust.identity import IdentityKind
from cluster.domain.trust.tokens import TokenRecord
from cluster.domain.trust.users import UserRecord
from cluster.store.interface import Item, StoreFailed
from cluster.store.packing import large_among, unpack_ok


@dataclass(slots=True)
class Disk:
    """All that survives."""

    epoch: int = 0
    next_job_number: int = 1
    jobs: dict[int, JobRecord] = field(default_factory=dict)
    progress: dict[int, JobProgress] = field(default_factory=dict)
    chunks: dict[int, dict[int, JobChunk]] = field(default_factory=dict)
    ok_ends: dict[tuple[int, int], OkEnds] = field(default_factory=dict)
    ends: dict[AttemptKey, TaskEnd] = field(default_factory=dict)
    outputs: dict[AttemptKey, SmallOutput] = field(default_factory=dict)
    workers: dict[str, WorkerRecord] = field(default_factory=dict)
    users: dict[str, UserRecord] = field(default_factory=dict)
    tokens: dict[str, TokenRecord] = field(default_factory=dict)
    enrolments: dict[tuple[IdentityKind, str, int], Enrolment] = field(default_factory=dict)


class MemoryStore:
    """See `cluster.store.interface.Store`."""

    def __init__(self, disk: Disk) -> None:
        self.claimed = True
        self._disk = disk
        self._epoch = -1

    def load(self) -> Recovered:
        disk = self._disk
        disk.epoch += 1
        self._epoch = disk.epoch
        jobs = [(disk.jobs[number], self._whole(number)) for number in sorted(disk.jobs)]
        return Recovered(disk.epoch, disk.next_job_number, jobs, [disk.workers[i] for i in sorted(disk.workers)])

    def commit(self, items: Sequence[Item]) -> None:
        if self._disk.epoch != self._epoch:
            raise StoreFailed("another scheduler has taken over this data, so this one must stop")
        for item in items:
            self._put(item)

    def _put(self, item: Item) -> None:
        disk = self._disk
        match item:
            case JobRecord():
                disk.jobs[item.number] = item
                disk.next_job_number = max(disk.next_job_number, item.number + 1)
            case JobProgress():
                disk.progress[item.number] = item
            case JobChunk():
                disk.chunks.setdefault(item.job, {})[item.chunk] = item
            case OkEnds():
                disk.ok_ends[item.job, item.first] = item
            case TaskEnd():
                disk.ends[AttemptKey(item.job, item.index, item.attempt)] = item
            case SmallOutput():
                disk.outputs[AttemptKey(item.job, item.index, item.attempt)] = item
            case WorkerRecord():
                disk.workers[item.id] = item
            case WorkerForgotten():
                disk.workers.pop(item.worker_id, None)
            case UserRecord():
                disk.users[item.name] = item
            case TokenRecord():
                disk.tokens[item.id] = item
            case Enrolment():
                disk.enrolments[item.kind, item.name, item.id] = item

    def progress_of(self, jobs: Sequence[int]) -> list[JobProgress]:
        return [self._whole(number) for number in sorted(jobs) if number in self._disk.progress]

    def _whole(self, number: int) -> JobProgress:
        chunks = self._disk.chunks.get(number, {})
        return joined(self._disk.progress[number], [chunks[at] for at in sorted(chunks)])

    def ends_of_task(self, job: int, index: int) -> list[TaskEnd]:
        ends = [self._disk.ends[key] for key in sorted(self._disk.ends) if key[:2] == (job, index)]
        return ends + [unpack_ok(ok, index) for ok in self._ok_ends(job, index, index + 1)]

    def _ok_ends(self, job: int, start: int, stop: int) -> list[OkEnds]:
        records = (self._disk.ok_ends[key] for key in sorted(self._disk.ok_ends) if key[0] == job)
        return [ok for ok in records if ok.first < stop and ok.stop > start]

    def small_outputs(self, job: int, start: int, stop: int) -> list[SmallOutput]:
        keys = sorted(key for key in self._disk.outputs if key.job == job and start <= key.index < stop)
        return [self._disk.outputs[key] for key in keys]

    def large_outputs(self, job: int, start: int, stop: int) -> list[TaskEnd]:
        ends = [end for end in self._disk.ends.values() if end.job == job and start <= end.index < stop]
        ends = [end for end in ends if end.output_bytes or end.reason == "lost"]
        ends += [end for ok in self._ok_ends(job, start, stop) for end in large_among(ok, start, stop)]
        return sorted(ends, key=lambda end: (end.index, end.attempt))

    def tokens(self, after: str = "", most: int | None = None) -> list[TokenRecord]:
        tokens = sorted(self._disk.tokens.values(), key=lambda token: (token.created, token.id))
        return tokens[_place(after, [token.id for token in tokens]) :][:most]

    def users(self, after: str = "", most: int | None = None) -> list[UserRecord]:
        users = sorted(self._disk.users.values(), key=lambda user: (user.created, user.name))
        return users[_place(after, [user.name for user in users]) :][:most]

    def joined_by(self, token: str, most: int) -> tuple[list[Enrolment], int]:
        found = [e for e in self.enrolments() if e.token == token and e.revoked is None]
        return found[:most], len(found)

    def joinings_of(self, user: str) -> int:
        found = [e for e in self.enrolments() if (e.kind, e.name) == (IdentityKind.USER, user)]
        return sum(1 for e in found if e.token and e.revoked is None)

    def enrolments(self) -> list[Enrolment]:
        return sorted(self._disk.enrolments.values(), key=lambda e: (e.joined, e.kind, e.name, e.id))

    def close(self) -> None:
        self._epoch = -1


def _place(after: str, keys: Sequence[str]) -> int:
    """Where what comes after that key begins."""
    if not after:
        return 0
    return keys.index(after) + 1 if after in keys else len(keys)

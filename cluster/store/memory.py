"""The store without a disk: the contract in its plainest form, for the simulation and for tests.

What is durable is the `Disk`: dropping a MemoryStore and making another on the same Disk is a crash and a restart.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job import endings
from cluster.domain.job.chunks import joined
from cluster.domain.job.dependencies import dependencies_of
from cluster.domain.job.history import HistoryPlace, HistoryWanted
from cluster.domain.job.pause import Pause, QueuePause
from cluster.domain.job.records import (
    Held,
    JobChunk,
    JobEnded,
    JobHeld,
    JobProgress,
    JobRecord,
    JobReopened,
    JobValue,
    LastEnd,
    OkEnds,
    SmallOutput,
    TaskEnd,
)
from cluster.domain.job.results import EndedAttempt, KeptResults, ResultsTotal
from cluster.domain.job.states import TaskState
from cluster.domain.job.usage import Usage, UsageAdded, UsageKind, UsageTotal
from cluster.domain.scheduler.effects import WorkerForgotten
from cluster.domain.scheduler.ended_ids import EndedIds
from cluster.domain.scheduler.event_records import DROPPED_AT_ONCE, KEPT, EventRecord, NoticesDone
from cluster.domain.scheduler.job_values import size_of
from cluster.domain.scheduler.pool_board import PoolWish, PoolWishes
from cluster.domain.scheduler.recovered import Recovered
from cluster.domain.scheduler.sharing import ShareRecord
from cluster.domain.scheduler.worker_record import WorkerRecord
from cluster.domain.trust.enrolments import Enrolment, EnrolmentForgotten
from cluster.domain.trust.identity import IdentityKind
from cluster.domain.trust.tokens import TokenRecord
from cluster.domain.trust.users import UserRecord
from cluster.store.interface import Item, StoreFailed
from cluster.store.memory_keeping import KeptOnDisk, MemoryKeeping
from cluster.store.packing import large_among


@dataclass(slots=True)
class Disk:
    """All that survives."""

    epoch: int = 0
    next_job_number: int = 1
    jobs: dict[int, JobRecord] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)  # job UUID: its number
    values: dict[tuple[int, str], str] = field(default_factory=dict)
    progress: dict[int, JobProgress] = field(default_factory=dict)
    ended: dict[int, TaskState] = field(default_factory=dict)
    chunks: dict[int, dict[int, JobChunk]] = field(default_factory=dict)
    held: dict[int, dict[tuple[str, int], Held]] = field(default_factory=dict)
    # By job, as all that is kept of the tasks of one is asked for alone.
    ok_ends: dict[int, dict[int, OkEnds]] = field(default_factory=lambda: defaultdict(dict))
    ends: dict[int, dict[AttemptKey, TaskEnd]] = field(default_factory=lambda: defaultdict(dict))
    outputs: dict[int, dict[AttemptKey, SmallOutput]] = field(default_factory=lambda: defaultdict(dict))
    results: dict[int, dict[AttemptKey, KeptResults]] = field(default_factory=lambda: defaultdict(dict))
    workers: dict[str, WorkerRecord] = field(default_factory=dict)
    users: dict[str, UserRecord] = field(default_factory=dict)
    tokens: dict[str, TokenRecord] = field(default_factory=dict)
    queue_pause: Pause | None = None
    pool_wishes: Sequence[PoolWish] = ()
    events: dict[int, EventRecord] = field(default_factory=dict)
    shares: dict[str, ShareRecord] = field(default_factory=dict)
    usage: dict[tuple[int, UsageKind, str, str], UsageAdded] = field(default_factory=dict)
    notices_done: int = 0
    enrolments: dict[tuple[IdentityKind, str, int], Enrolment] = field(default_factory=dict)
    kept: KeptOnDisk = field(default_factory=KeptOnDisk)


class MemoryStore:
    """See `cluster.store.interface.Store`."""

    def __init__(self, disk: Disk) -> None:
        self.claimed = True
        self.keeping = MemoryKeeping(disk)
        self._disk = disk
        self._epoch = -1

    def load(self) -> Recovered:
        disk = self._disk
        disk.epoch += 1
        self._epoch = disk.epoch
        jobs = [(disk.jobs[n], self._whole(n)) for n in sorted(disk.jobs.keys() - disk.ended.keys())]
        workers = [disk.workers[i] for i in sorted(disk.workers)]
        ids = EndedIds()
        for record in disk.jobs.values():
            ids.add(record.id, record.submitted_at)
        for stone in disk.kept.tombstones.values():
            ids.add(stone.id, stone.at)
        sizes: dict[int, dict[str, int]] = {}
        for (job, key), value in disk.values.items():
            if job not in disk.ended:
                sizes.setdefault(job, {})[key] = size_of(key, value)
        return Recovered(
            disk.epoch,
            disk.next_job_number,
            jobs,
            workers,
            ids,
            queue_pause=disk.queue_pause,
            value_sizes=sizes,
            next_event=max(disk.events, default=0) + 1,
            shares=[disk.shares[owner] for owner in sorted(disk.shares)],
            pins=dict(disk.kept.pins),
            pool_wishes=disk.pool_wishes,
        )

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
                disk.numbers[item.id] = item.number
                disk.next_job_number = max(disk.next_job_number, item.number + 1)
            case JobValue(job=job, key=key, value=value):
                disk.values[job, key] = value
            case JobProgress():
                disk.progress[item.number] = item
            case JobChunk():
                disk.chunks.setdefault(item.job, {})[item.chunk] = item
            case JobHeld(job=job, worker_id=worker, attempt=attempt):
                held = disk.held.setdefault(job, {})
                held[worker, attempt] = Held(worker, attempt, item.flat)
                if not item.flat:
                    del held[worker, attempt]
            case JobEnded():
                disk.ended[item.number] = item.state
            case JobReopened():
                disk.ended.pop(item.number, None)
                self.keeping.put(item)
            case OkEnds() | TaskEnd() | SmallOutput() | KeptResults():
                self._put_of_attempts(item)
            case ShareRecord():
                disk.shares[item.owner] = item
            case UsageAdded(place=place):
                disk.usage[place] = disk.usage[place].plus(item) if place in disk.usage else item
            case QueuePause(pause=pause):
                disk.queue_pause = pause
            case PoolWishes(wishes=wishes):
                disk.pool_wishes = wishes
            case NoticesDone(sequence=done):
                disk.notices_done = done
            case EventRecord(sequence=sequence):
                disk.events[sequence] = item
                if sequence % DROPPED_AT_ONCE == 0:
                    disk.events = {n: event for n, event in disk.events.items() if n > sequence - KEPT}
            case WorkerRecord() | WorkerForgotten() | UserRecord() | TokenRecord() | Enrolment() | EnrolmentForgotten():
                self._put_member(item)
            case _:
                self.keeping.put(item)

    def _put_member(
        self, item: WorkerRecord | WorkerForgotten | UserRecord | TokenRecord | Enrolment | EnrolmentForgotten
    ) -> None:
        """A record about workers and people."""
        disk = self._disk
        match item:
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
            case EnrolmentForgotten():
                disk.enrolments.pop((item.kind, item.name, item.id), None)

    def _put_of_attempts(self, item: OkEnds | TaskEnd | SmallOutput | KeptResults) -> None:
        if isinstance(item, OkEnds):
            self._disk.ok_ends[item.job][item.first] = item
            return
        key = AttemptKey(item.job, item.index, item.attempt)
        match item:
            case TaskEnd():
                self._disk.ends[item.job][key] = item
            case SmallOutput():
                self._disk.outputs[item.job][key] = item
            case KeptResults():
                self._disk.results[item.job].setdefault(key, item)

    def numbers(
        self,
        owner: str | None,
        states: Collection[TaskState] = (),
        below: int | None = None,
        most: int | None = None,
        root: int = 0,
    ) -> list[int]:
        found = sorted((n for n, record in self._disk.jobs.items() if owner in (None, record.owner)), reverse=True)
        found = [n for n in found if root in (0, self._disk.jobs[n].root)]
        ended = self._disk.ended
        found = [n for n in found if not states or n not in ended or ended[n] in states]
        return [n for n in found if below is None or n < below][:most]

    def numbers_of_name(self, name: str, owner: str | None, root: int = 0) -> list[int]:
        jobs = self._disk.jobs
        named = [n for n, record in jobs.items() if record.spec.name == name != ""]
        return sorted(n for n in named if owner in (None, jobs[n].owner) and root in (0, jobs[n].root))

    def history(self, wanted: HistoryWanted) -> list[HistoryPlace]:
        disk = self._disk
        places = [HistoryPlace(disk.progress[n].ended_at, n) for n, how in disk.ended.items() if how in wanted.states]
        records = {place: disk.jobs[place.job] for place in places if wanted.since <= place.ended_at}
        found = [p for p, record in records.items() if wanted.owner in (None, record.owner) and p < wanted.first]
        return sorted((p for p in found if wanted.name in ("", records[p].spec.name)), reverse=True)[: wanted.most]

    def usage(self, kind: UsageKind, since: int, owner: str | None) -> list[UsageTotal]:
        sums: dict[str, Usage] = {}
        for added in self._disk.usage.values():
            if added.kind is kind and added.day >= since and owner in (None, added.owner):
                key = added.owner if kind is UsageKind.USER else added.key
                sums[key] = sums.get(key, Usage()).plus(added.usage)
        return [UsageTotal(key, sums[key]) for key in sorted(sums)]

    def newest_of_name(self, name: str, owner: str | None, most: int) -> list[int]:
        return self.numbers_of_name(name, owner)[::-1][:most]

    def latest_ends(self, job: int, most: int) -> list[TaskEnd]:
        others = [self._disk.ends[job][key] for key in sorted(self._disk.ends[job], reverse=True)]
        indexes = sorted((i for ok in self._disk.ok_ends[job].values() for i in range(ok.first, ok.stop)), reverse=True)
        successes = [ok.end_of(i) for i in indexes[:most] for ok in self._ok_ends(job, i, i + 1)]
        return others[:most] + successes

    def children(self, job: int, below: int | None = None, most: int | None = None) -> list[int]:
        found = sorted((n for n, record in self._disk.jobs.items() if record.parent == job != 0), reverse=True)
        return [n for n in found if below is None or n < below][:most]

    def number_of_id(self, job_id: str) -> int | None:
        return self._disk.numbers.get(job_id)

    def failed_children(self, job: int) -> dict[tuple[int, int], set[int]]:
        failed: dict[tuple[int, int], set[int]] = {}
        for number in self.children(job):
            if self._disk.ended.get(number, TaskState.SUCCEEDED) is not TaskState.SUCCEEDED:
                caller = self._disk.jobs[number].callers[-1]
                failed.setdefault((caller.index, caller.attempt), set()).add(number)
        return failed

    def below(self, jobs: Sequence[int]) -> list[int]:
        found = set()
        for number, record in self._disk.jobs.items():
            above = {record.parent, *(dependency.job for dependency in dependencies_of(record.spec))}
            if not (above - {0}).isdisjoint(jobs):
                found.add(number)
        return sorted(found)

    def values(self, job: int) -> dict[str, str]:
        return {key: self._disk.values[of, key] for of, key in sorted(self._disk.values) if of == job}

    def records(self, jobs: Sequence[int], *, whole: bool = False) -> list[JobRecord]:
        found = [self._disk.jobs[number] for number in sorted(jobs) if number in self._disk.jobs]
        return found if whole else [replace(r, spec=r.spec.without_lines().for_lists()) for r in found]

    def progress_of(self, jobs: Sequence[int]) -> list[JobProgress]:
        return [self._whole(number) for number in sorted(jobs) if number in self._disk.progress]

    def _whole(self, number: int) -> JobProgress:
        chunks = self._disk.chunks.get(number, {})
        held = self._disk.held.get(number, {})
        whole = [chunks[at] for at in sorted(chunks)]
        return joined(self._disk.progress[number], whole, [held[holder] for holder in sorted(held)])

    def ends_of_task(self, job: int, index: int, most: int | None = None) -> list[TaskEnd]:
        ends = self._disk.ends[job]
        found = [ends[key] for key in sorted(key for key in ends if key.index == index)]
        found += [ok.end_of(index) for ok in self._ok_ends(job, index, index + 1)]
        return found[-most:] if most else found

    def _ok_ends(self, job: int, start: int, stop: int) -> list[OkEnds]:
        records = self._disk.ok_ends[job]
        return [records[n] for n in sorted(first for first in records if first < stop) if records[n].stop > start]

    def last_ends(self, job: int, start: int, most: int) -> list[LastEnd]:
        ends = self._disk.ends[job]
        last = {key.index: ends[key] for key in sorted(ends) if key.index >= start}
        return [LastEnd(end.index, end.reason, end.exit_code, end.is_exhausted) for end in last.values()][:most]

    def small_outputs(self, job: int, start: int, stop: int) -> list[SmallOutput]:
        outputs = self._disk.outputs[job]
        return [outputs[key] for key in sorted(outputs) if start <= key.index < stop]

    def large_outputs(self, job: int, start: int, stop: int) -> list[TaskEnd]:
        ends = [end for end in self._disk.ends[job].values() if start <= end.index < stop]
        ends = [end for end in ends if end.output_bytes or end.reason == endings.LOST]
        ends += [end for ok in self._ok_ends(job, start, stop) for end in large_among(ok, start, stop)]
        return sorted(ends, key=lambda end: (end.index, end.attempt))

    def results(self, job: int, start: int, stop: int) -> list[KeptResults]:
        results = self._disk.results[job]
        return [results[key] for key in sorted(results) if start <= key.index < stop]

    def results_total(self, job: int) -> ResultsTotal:
        known, ends = self._disk.results[job].values(), self._disk.ends[job].values()
        some = [kept for kept in known if kept.files]
        ended = sum(ok.count for ok in self._disk.ok_ends[job].values())
        ended += sum(end.started_at > 0 or end.reason == endings.LOST for end in ends)
        left = max(0, ended - len(known))
        return ResultsTotal(len(some), sum(kept.files for kept in some), sum(kept.size for kept in some), left)

    def last_attempts(self, job: int, start: int, stop: int) -> list[EndedAttempt]:
        found = {}
        for key, end in sorted(self._disk.ends[job].items()):
            began = end.started_at > 0 or end.reason == endings.LOST
            found[key.index] = EndedAttempt(key.index, key.attempt, end.worker_id, end.reason, began)
        for ok in self._ok_ends(job, start, stop):
            for index in range(ok.first, ok.stop):
                found[index] = EndedAttempt(index, ok.attempt, ok.worker_id, endings.OK)
        return [found[index] for index in sorted(found) if start <= index < stop]

    def events(self, after: int, owner: str | None, most: int) -> list[EventRecord]:
        found = [event for n, event in sorted(self._disk.events.items()) if n > after]
        return [event for event in found if owner is None or event.owner in ("", owner)][:most]

    def notices_done(self) -> int:
        return self._disk.notices_done

    def edges_of_events(self) -> tuple[int, int]:
        return min(self._disk.events, default=1), max(self._disk.events, default=0)

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
    """The position at which what comes after that key begins."""
    if not after:
        return 0
    return keys.index(after) + 1 if after in keys else len(keys)

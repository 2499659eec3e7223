"""Which unfinished jobs were called for by which others, and whether an attempt may call for one more.

All of it follows from the jobs' records, so none of it is saved.
"""

from collections.abc import Collection, Iterable, KeysView, Mapping
from itertools import islice

from cluster.domain.base.errors import InvalidInput, NotPermitted
from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.job import Job
from cluster.domain.job.records import CallingAttempt, JobRecord
from cluster.domain.job.states import TaskState
from cluster.domain.job.target import Target
from cluster.domain.trust.identity import Vouched

SOME = 1000  # jobs that are looked at before anybody else is served
MOST_CALLERS = 16  # of one job, each called by the one before: a job that calls itself ends there

Try = tuple[int, int]  # an attempt of a job: index, attempt
Tasks = Mapping[int, IntervalSet | None]  # of each job; None: all of it
_NONE: Mapping[int, None] = {}
_Children = dict[int, dict[Try, set[int]]]  # numbers of jobs, by the job and the attempt that have called them


class Family:
    """Of attempts whose tasks wait for the jobs that they have called it knows which of these go on, and which have
    ended without success. `settled`: attempts of which the last such job has ended."""

    def __init__(self) -> None:
        self._open: _Children = {}
        self._failed: _Children = {}
        self.settled: list[AttemptKey] = []
        self._below: dict[int, dict[int, None]] = {}  # by job: the unfinished ones that it, or one of those, called for

    def restore(self, failed: Mapping[int, Mapping[Try, Collection[int]]]) -> None:
        """`failed`: of unfinished jobs that wait for their children, those that have ended without success."""
        self._failed = {job: {each: set(jobs) for each, jobs in of.items()} for job, of in failed.items() if of}

    def going_on(self, attempt: AttemptKey) -> Collection[int]:
        """The jobs that the attempt has called and that it is to wait for."""
        return self._open.get(attempt.job, {}).get(attempt[1:], ())

    def failed(self, attempt: AttemptKey) -> Collection[int]:
        """Those that have ended without success, as it is now: one that is tried again goes on."""
        return self._failed.get(attempt.job, {}).get(attempt[1:], ())

    def adopt(self, job: Job, parent: Job | None) -> None:
        """The job has come, or goes on again. `parent`: the job that has called it, if that has not ended."""
        if parent is not None and parent.live and parent.record.spec.wait_children:
            caller = _caller_of(job)
            _discard(self._failed, caller, job.number)
            _add(self._open, caller, job.number)
        for each in job.record.callers:
            self._below.setdefault(each.job, {})[job.number] = None

    def ended(self, job: Job) -> None:
        self._open.pop(job.number, None)
        self._failed.pop(job.number, None)
        if job.record.callers and job.number in self.going_on(caller := _caller_of(job)):
            _discard(self._open, caller, job.number)
            if job.outcome is not TaskState.SUCCEEDED:
                _add(self._failed, caller, job.number)
            if not self.going_on(caller):
                self.settled.append(caller)
        for each in job.record.callers:
            below = self._below[each.job]
            del below[job.number]
            if not below:
                del self._below[each.job]

    def below(self, job: int) -> KeysView[int]:
        """The unfinished jobs that the job has called for, and those that these have, in order of their numbers."""
        return self._below.get(job, _NONE).keys()


def _caller_of(job: Job) -> AttemptKey:
    """The attempt that has called it."""
    return AttemptKey(*job.record.callers[-1][:3])


def _add(children: _Children, attempt: AttemptKey, job: int) -> None:
    children.setdefault(attempt.job, {}).setdefault(attempt[1:], set()).add(job)


def _discard(children: _Children, attempt: AttemptKey, job: int) -> None:
    of = children.get(attempt.job, {})
    if jobs := of.get(attempt[1:]):
        jobs.discard(job)
        if not jobs:
            del of[attempt[1:]]
            if not of:
                del children[attempt.job]


def tasks_of(targets: Iterable[Target]) -> Tasks:
    found: dict[int, IntervalSet | None] = {}
    for job, ranges in targets:
        if ranges is None:
            found[job] = None
        elif (known := found.setdefault(job, IntervalSet())) is not None:
            known.update(ranges)
    return found


def called_by(record: JobRecord, tasks: Tasks) -> bool:
    """Whether these tasks, or what they have called, called for that job."""
    for caller in record.callers:
        if caller.job in tasks and ((some := tasks[caller.job]) is None or caller.index in some):
            return True
    return False


def to_be_cancelled_with(family: Family, jobs: Mapping[int, Job], tasks: Tasks, looked: set[int]) -> list[int] | None:
    """Unfinished jobs that these tasks have called for, among SOME at most that were not looked at yet; from now on
    they were, so ask again. None: all were. Once tasks are cancelled they call for no more; so when all that they have
    called for is cancelled, none are left."""
    found: list[int] = []
    left = SOME
    for job in tasks:
        fresh = sorted(islice(family.below(job) - looked, left))
        looked.update(fresh)
        left -= len(fresh)
        found += [number for number in fresh if called_by(jobs[number].record, tasks)]
        if not left:
            return found
    return found if left < SOME else None


def holds(job: Job | None, attempt: AttemptKey, worker_id: str) -> bool:
    """Whether that worker holds the attempt, which is of that job. None: the job has ended, or there never was one."""
    held = job.held.get((worker_id, attempt.attempt)) if job else None
    return held is not None and attempt.index in held


def callers_of_child(parent: Job | None, vouched: Vouched) -> tuple[CallingAttempt, ...]:
    """The callers of a job that the attempt submits, whose own job is `parent`, if that has not ended.
    NotPermitted for an attempt that may submit none (any more); InvalidInput where too many called one another."""
    attempt = vouched.attempt
    if parent is None or not holds(parent, attempt, vouched.worker_id):
        raise NotPermitted(has_no_say(attempt.job))
    if attempt.index in parent.cancelling:
        raise NotPermitted(f"job {attempt.job} is being cancelled: it starts no other jobs any more")
    spec = parent.record.spec
    number = spec.number_of(attempt.index) if spec.is_array else 0
    callers = (*parent.record.callers, CallingAttempt(*attempt, number))
    if len(callers) > MOST_CALLERS:
        raise InvalidInput(
            f"job {attempt.job} has {MOST_CALLERS - 1} callers one above the other, and the most are {MOST_CALLERS} "
            "for any job: does it call itself?"
        )
    return callers


def has_no_say(job: int) -> str:
    """What whatever an attempt has left behind is told."""
    return f"this attempt of job {job} has ended, or its worker does not run it: it has no say in the cluster any more"

"""Why a job does not go on, as people are told: a line for whoever asks about it, and a few words for a list."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from math import ceil
from typing import NamedTuple

from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.quantities import format_size
from cluster.domain.base.wall_time import iso
from cluster.domain.job.amounts import CPUS, amount_in_words
from cluster.domain.job.dependencies import Dependency, DependencyKind
from cluster.domain.job.job import Job
from cluster.domain.job.pause import frozen_tasks
from cluster.domain.job.request import Request
from cluster.domain.job.schedule import in_its_zone, said
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler import explaining, schedules
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.evaluator import can_ever_run
from cluster.domain.scheduler.pausing import is_paused
from cluster.domain.scheduler.reserving_in_words import first_kept_out, leaves, reserved
from cluster.domain.scheduler.worker_record import Worker
from cluster.domain.scheduler.worker_states import WorkerState

MOST_REASONS = 5  # lines that explain why a job waits, and things that one line names
MOST_LOOKED_AT = 100  # tasks between two attempts of which it is looked when they are tried again


class NotTaken(NamedTuple):
    """Why no worker takes jobs of a request class now."""

    lines: tuple[str, ...]  # empty: one could
    never: bool  # no worker has what they need, whatever keeps each from it now


# The same for all jobs of a request class at one moment: looked for once, among all workers.
WhyNot = dict[Request, NotTaken]


class Why(NamedTuple):
    """One thing that keeps a job from going on."""

    line: str
    short: str = ""  # in a list; empty: another one says it


def why_pending(core: SchedulerCore, job: Job, known: WhyNot) -> Iterator[Why]:
    """What keeps tasks of the job from starting, or from ending, most telling first. `known`: as of `job_view`."""
    if not job.live:
        return
    yield from _pauses(core, job)
    if job.count(TaskState.ASSIGNED):
        yield from islice(_fetches(core, job), MOST_REASONS)
    if job.count(TaskState.RUNNING) or job.count(TaskState.ASSIGNED):
        return
    if job.sets[TaskState.FINISHING]:
        yield from _calls_that_go_on(core, job)
    if job.ready:
        if not is_paused(core, job):
            yield from _why_no_worker_takes_it(core, job, known)
        return
    if again := next_try(core, job):
        yield _said_again(job, again)
    if job.course:
        yield from _of_schedule(core, job)
    else:
        yield from _what_comes_before(core, job)


def next_try(core: SchedulerCore, job: Job) -> float:
    """Unix seconds at which the first of its tasks that are between two attempts is tried again; of very many, of the
    first MOST_LOOKED_AT. 0: none is."""
    if not job.sets[TaskState.BACKOFF]:
        return 0.0
    tasks = islice(job.sets[TaskState.BACKOFF], MOST_LOOKED_AT)
    return min(filter(None, (next_try_of(core, job, index) for index in tasks)), default=0.0)


def next_try_of(core: SchedulerCore, job: Job, index: int) -> float:
    """The same of one task."""
    due = core.timers.when(("retry", job.number, index))
    return 0.0 if due is None else core.now.wall + due - core.now.mono


def _pauses(core: SchedulerCore, job: Job) -> Iterator[Why]:
    if job.pause:
        frozen = frozen_tasks(job.pause, job.count(TaskState.RUNNING))
        yield Why(job.pause.said(), f"paused, {_counted(frozen, 'task')} frozen" if frozen else "paused")
        if frozen:
            yield Why(f"frozen meanwhile: {_counted(frozen, 'task')} that had begun")
    if core.queue_pause:
        # What waits for something else would not start either, and a list rather tells that.
        is_held_back = job.ready or job.count(TaskState.RUNNING) or job.count(TaskState.ASSIGNED)
        yield Why(f"the queue is {core.queue_pause.said()}", "queue paused" if is_held_back else "")


def _fetches(core: SchedulerCore, job: Job) -> Iterator[Why]:
    """On which workers its tasks wait for what they find or read."""
    for worker_id in dict.fromkeys(holder for holder, _ in job.held):
        worker = core.workers.get(worker_id)
        fetching = worker.fetching.get(job.number) if worker else None
        if worker and fetching:
            far = f", {format_size(fetching.done)} of {format_size(fetching.total)}" if fetching.total else ""
            yield Why(f"worker {worker.record.name} fetches what its tasks find{far}", "fetching")


def _calls_that_go_on(core: SchedulerCore, job: Job) -> Iterator[Why]:
    """What its tasks wait for that are finishing."""
    ends = core.finishing.get(job.number, {}).values()
    numbers = sorted({n for end in ends for n in core.family.going_on(AttemptKey(end.job, end.index, end.attempt))})
    for number in numbers[:MOST_REASONS]:
        yield Why(f"job {number}, which it has called, must end first", f"called {_listed(numbers)}")
    if numbers[MOST_REASONS:]:
        yield Why(f"and {len(numbers) - MOST_REASONS} more")


def _said_again(job: Job, at: float) -> Why:
    count = job.count(TaskState.BACKOFF)
    who = "it is tried again" if count == 1 else f"{count} tasks are tried again, the first of them"
    return Why(f"{who} at {_second(at)}", f"again at {_second(at)}")


def _second(at: float) -> str:
    """The first whole one that is no sooner."""
    return iso(ceil(at))


def _of_schedule(core: SchedulerCore, job: Job) -> Iterator[Why]:
    wait, spec = core.followers.waits.get(job.number), job.record.spec
    if wait is None or job.course is None:
        return
    if wait.until == schedules.NOT_FOUND:
        yield Why("its next time is just being found, as the scheduler was started", "a time that is being found")
    elif wait.until < schedules.NEVER:
        at = in_its_zone(spec, wait.until)
        if job.pause:
            yield Why(f"its next time is {at}; while it is paused, it does not run then")
        else:
            yield Why(f"it runs next at {at}", f"next at {_second(wait.until)}")
    else:
        yield Why("none of its times comes", "no time left")
    yield from map(Why, said(spec, job.course))


def _what_comes_before(core: SchedulerCore, job: Job) -> Iterator[Why]:
    """The time and the jobs that it waits for."""
    wait = core.followers.waits.get(job.number)
    if wait is None:
        return
    if wait.until:
        yield Why(f"it starts no sooner than {_second(wait.until)}", f"until {_second(wait.until)}")
    remaining = wait.remaining()
    short = _after(remaining)
    for number, kind in remaining[:MOST_REASONS]:
        yield Why(kind.said(number), short)
    if remaining[MOST_REASONS:]:
        yield Why(f"and {len(remaining) - MOST_REASONS} more")


def _after(remaining: Sequence[Dependency]) -> str:
    """As one would type it: `after 5,7; after-any 6`."""
    by_kind: dict[DependencyKind, list[int]] = {}
    for number, kind in remaining:
        by_kind.setdefault(kind, []).append(number)
    return "; ".join(
        f"{kind.value.replace('_', '-')} {_listed(by_kind[kind])}" for kind in DependencyKind if kind in by_kind
    )


def _listed(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers[:MOST_REASONS])) + ",…" * (len(numbers) > MOST_REASONS)


def _why_no_worker_takes_it(core: SchedulerCore, job: Job, known: WhyNot) -> Iterator[Why]:
    """Of a job that has ready tasks, of which none runs."""
    kind = job.request
    if kind not in known:
        known[kind] = _not_taken(core, kind)
    if lines := known[kind].lines:
        short = "no worker can run it" if known[kind].never else "no worker takes it now"
        yield from (Why(line, short) for line in lines)
        yield from map(Why, core.pools.coming_for(kind, core.now.wall))
        return
    if kept := reserved(core, job):
        yield Why(kept.said(), f"reserved on {kept.worker}")
    if line := first_kept_out(core, job):
        yield Why(f"{_needs(kind)}; {line}", "workers are kept for others")
    else:
        yield Why(f"{_needs(kind)}; all that fit are busy, {_what_comes_first(core, job)}", "workers are busy")
    yield from map(Why, core.pools.coming_for(kind, core.now.wall))


def _what_comes_first(core: SchedulerCore, job: Job) -> str:
    """In the order in which it does, and why."""
    higher, others, own = core.ready.before(job, partial(core.shares.rank, now=core.now.mono))
    if not (higher or others):
        before = core.unfinished_before(job.number)
        return f"{_counted(before, 'unfinished job')} come{'s' * (before == 1)} first"
    first = [f"{_counted(higher, 'job')} of higher priority"] if higher else []
    if others:
        named = ", ".join(others[:MOST_REASONS]) + (
            f" and {len(others) - MOST_REASONS} more" * (len(others) > MOST_REASONS)
        )
        first.append(f"jobs of {named}, who {'have' if len(others) > 1 else 'has'} had less lately")
    first += [f"{_counted(own, 'earlier job')} of {job.record.owner}'s"] if own else []
    return f"first come {'; '.join(first)}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _needs(request: Request) -> str:
    words = [f"{request.millicpus / 1000:g} cpu{'' if request.millicpus == 1000 else 's'}"]
    words += [amount_in_words(*each) for each in (request.beside.amounts if request.beside else ())]
    return f"needs {', '.join(words)} a task"


def _not_taken(core: SchedulerCore, request: Request) -> NotTaken:
    lines = tuple(_why_not(core, request))
    could = not lines or any(can_ever_run(request, w) and not w.record.removed for w in core.workers.values())
    return NotTaken(lines, never=not could)


def _why_not(core: SchedulerCore, request: Request) -> Iterator[str]:
    """Why no worker that there is now can run what asks for so much; nothing where one can."""
    workers = [w for w in core.workers.values() if not request.worker or w.is_called(request.worker)]
    if not workers:
        if request.worker:
            yield f"no worker is called {request.worker!r}: `cluster worker list` tells which there are"
        else:
            yield "no worker has registered: start one with `cluster worker`"
        return
    fitting = [w for w in workers if can_ever_run(request, w)]
    online = [w for w in workers if w.state is WorkerState.ONLINE]
    able = [w for w in fitting if w.state is WorkerState.ONLINE]
    late = [(w, said) for w in able if (said := leaves(core, request, w))]
    if len(late) < len(able):
        return
    for worker, (reason, fix) in late[: MOST_REASONS - 1]:
        yield f"{_needs(request)}; {worker.record.name} {reason}" + (f"; {fix}" if fix else "")
    if draining := [w for w in fitting if w.drains]:
        which = "all" if len(draining) == len(fitting) else "some"
        yield f"{_needs(request)}; {which} that fit are draining: {_named(draining)}"
    yield from explaining.lines(request, workers)
    if online and not any(w.fits(request.millicpus) for w in online):
        largest = max(online, key=lambda w: w.record.millicpus)
        has, fix = f"{largest.record.millicpus / 1000:g}", explaining.fix_of(request, CPUS, largest)
        yield f"{_needs(request)}; the largest worker online, {largest.record.name}, has {has}{fix}"
    others = [w for w in fitting if w.state is WorkerState.FULL] if online else workers
    for worker in [w for w in others if not w.drains][: MOST_REASONS - 1]:
        more = worker.no_room if worker.state is WorkerState.FULL else worker.trouble
        why = f": {more}" if more else ""
        yield f"worker {worker.record.name} is {worker.state.word}{why}"


def _named(draining: Sequence[Worker]) -> str:
    """The first of them, and why they drain, where somebody has said that."""
    names = []
    for worker in draining[:MOST_REASONS]:
        reason = worker.record.drain.reason if worker.record.drain else "it is about to end"
        names.append(f"{worker.record.name} ({reason})" if reason else worker.record.name)
    more = len(draining) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")

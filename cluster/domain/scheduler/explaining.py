"""Why tasks of a request class wait, worker by worker: what keeps each from taking one, and what would mend that.

Workers that are kept by the same are one group, so that a thousand of them are a few lines.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from cluster.domain.base.quantities import format_cpus
from cluster.domain.job.amounts import CPUS, MEMORY, amount_in_words, format_amount
from cluster.domain.job.job import Job
from cluster.domain.job.kinds import SIZE
from cluster.domain.job.request import Beside, Request
from cluster.domain.scheduler.evaluator import Rank, can_ever_run, has, rank, tasks_that_fit
from cluster.domain.scheduler.hindrances import Candidate, Explanation, Hindrance
from cluster.domain.scheduler.worker_record import Worker
from cluster.domain.scheduler.worker_states import WorkerState

MOST_HINDRANCES = 8  # of workers that are told
MOST_NAMES = 5  # of the workers of a group
MOST_CANDIDATES = 20  # that are told with their ranks
FREE = ("free", "")
FOR_NOW = ("free", "busy", "exclusive", "held")  # obstacles that may go by themselves, or are none

Said = tuple[str, str]  # reason and fix


def explained(
    workers: Iterable[Worker],
    job: Job,
    passing: Callable[[Worker], int],
    kept_out: Callable[[Worker], Said | None],
) -> Explanation:
    """Of a job that has ready tasks. `passing`, `kept_out`: as of `reserving_in_words`, of the job."""
    there, request = list(workers), job.request
    found: dict[tuple[str, str, str], list[Worker]] = {}
    for worker in there:
        obstacle = _obstacle(request, worker)
        kept = kept_out(worker) if obstacle[0] in FOR_NOW else None
        found.setdefault(("kept", *kept) if kept else (*obstacle, ""), []).append(worker)
    in_order = sorted(found.items(), key=lambda item: -len(item[1]))
    able: list[tuple[Rank, str, Worker]] = [(rank(job, w), w.id, w) for w in there if can_ever_run(request, w)]
    able.sort(key=lambda each: each[:2])
    return Explanation(
        [_hindrance(request, *obstacle, some) for obstacle, some in in_order[:MOST_HINDRANCES]],
        [_candidate(job, place, worker, passing(worker)) for place, _, worker in able[:MOST_CANDIDATES]],
        max(0, len(able) - MOST_CANDIDATES),
    )


def _candidate(job: Job, place: Rank, worker: Worker, passing: int) -> Candidate:
    there = sum(len(tasks) for _, tasks in job.held_by(worker.id))
    fitting = min(passing, tasks_that_fit(job.request, worker)) if worker.takes_work else 0
    return Candidate(worker.record.name, not place[0], there, fitting, max(0, worker.free))


def _obstacle(request: Request, worker: Worker) -> tuple[str, str]:
    """The first thing that keeps the worker from a task now, and of what or in which way."""
    beside = request.beside or Beside()
    if request.worker and not worker.is_called(request.worker):
        return "other", request.worker
    if not worker.fits(request.millicpus):
        return "short", CPUS
    for name, amount in beside.amounts:
        if not has(worker, ((name, amount),)):
            return ("short" if _offered(worker, name) else "none"), name
    if beside.need and not worker.meets(beside.need):
        return "need", beside.need
    if worker.state is not WorkerState.ONLINE:
        return "state", worker.state.word
    if worker.exclusive:
        return "exclusive", ""
    if beside.exclusive and worker.held:
        return "held", ""
    if worker.free < request.millicpus:
        return "busy", CPUS
    short = (name for name, amount in beside.amounts if worker.left_of(name) < amount)
    return next((("busy", name) for name in short), FREE)


def _hindrance(request: Request, kind: str, what: str, fix: str, workers: list[Worker]) -> Hindrance:
    reason, fix = (what, fix) if kind == "kept" else _SAID[kind](request, what, workers)
    names = tuple(worker.record.name for worker in workers[:MOST_NAMES])
    return Hindrance(names, len(workers), reason, fix)


def _said_short(request: Request, what: str, workers: list[Worker]) -> Said:
    richest = max(workers, key=lambda worker: _offered(worker, what))
    most = _offered(richest, what)
    needed, fix = _shown(what, _needed(request, what)), fix_of(request, what, richest)
    reason = f"too few {what}" if what != MEMORY else "too little mem"
    return f"{reason} ({needed} needed; {richest.record.name} has most, {_shown(what, most)})", fix.removeprefix(": ")


def _fits_with(request: Request, resource: str, worker: Worker, amount: int) -> bool:
    """Whether the worker could run it if it asked for so much of that alone."""
    if resource == CPUS:
        return can_ever_run(request._replace(millicpus=amount), worker)
    beside = request.beside or Beside()
    amounts = tuple((name, amount if name == resource else before) for name, before in beside.amounts)
    return can_ever_run(request._replace(beside=beside._replace(amounts=amounts)), worker)


def _offered(worker: Worker, resource: str) -> int:
    return worker.record.millicpus if resource == CPUS else worker.record.offer.amounts.get(resource, 0)


def _needed(request: Request, resource: str) -> int:
    return request.millicpus if resource == CPUS else dict((request.beside or Beside()).amounts)[resource]


def _shown(resource: str, amount: int) -> str:
    return format_cpus(amount) if resource == CPUS else format_amount(resource, amount)


def _typed(resource: str, amount: int) -> str:
    """As one would ask for it."""
    if resource == CPUS:
        return f"--cpus {format_cpus(amount)}"
    if resource == MEMORY:
        whole = amount >> 20 << 20 or amount
        return f"--mem {SIZE.typed(whole)}"
    return f"--gpus {amount}" if resource == "gpus" else f"--resource {resource}={amount}"


def _said_state(request: Request, what: str, workers: list[Worker]) -> Said:
    first = workers[0]
    if first.drains:
        reasons = {worker.record.drain.reason for worker in workers if worker.record.drain} - {""}
        why = f" ({'; '.join(sorted(reasons)[:MOST_NAMES])})" if reasons else ""
        drained = next((worker.record.name for worker in workers if worker.record.drain), "")
        return f"{what}{why}", f"`cluster worker resume {drained}` lets it take work" if drained else ""
    if what == WorkerState.FULL.word:
        return f"full: {first.no_room}", ""
    troubled = next((worker for worker in workers if worker.trouble), None)
    return (f"{what}; {troubled.record.name} says: {troubled.trouble}" if troubled else what), ""


def _said_busy(request: Request, what: str, workers: list[Worker]) -> Said:
    def left(worker: Worker) -> int:
        return worker.free if what == CPUS else worker.left_of(what)

    most = max(workers, key=left)
    needed, free = _shown(what, _needed(request, what)), _shown(what, max(0, left(most)))
    return f"{what} in use ({needed} needed; {most.record.name} has most free, {free})", ""


# What each kind of obstacle says.
_SAID: dict[str, Callable[[Request, str, list[Worker]], Said]] = {
    "other": lambda request, what, workers: (f"--worker {what} is another", ""),
    "none": lambda request, what, workers: (f"no {what}", ""),
    "short": _said_short,
    "need": lambda request, what, workers: (f"--need is not true of {_them(workers)}: {what}", ""),
    "state": _said_state,
    "exclusive": lambda request, what, workers: ("a task runs there that is to be alone", ""),
    "held": lambda request, what, workers: ("it is to be alone, and other tasks are there", ""),
    "busy": _said_busy,
    "free": lambda request, what, workers: ("room for it", ""),
}


def _them(workers: Sequence[Worker]) -> str:
    return "it" if len(workers) == 1 else "them"


def lines(request: Request, workers: Sequence[Worker]) -> Iterator[str]:
    """What none of these workers has enough of, or is."""
    beside = request.beside or Beside()
    for name, amount in beside.amounts:
        richest = max(workers, key=lambda worker: _offered(worker, name))
        most = _offered(richest, name)
        if not most:
            yield f"needs {amount_in_words(name, amount)} a task; no worker offers any {name}"
        elif most < amount:
            has_most = f"{richest.record.name}, which has most, has {_shown(name, most)}"
            yield f"needs {amount_in_words(name, amount)} a task; {has_most}{fix_of(request, name, richest)}"
    if beside.need and not any(worker.meets(beside.need) for worker in workers):
        yield f"there is no worker of which that is true: {beside.need}"


def fix_of(request: Request, resource: str, worker: Worker) -> str:
    """With how much less of that resource the worker could run it, as the end of a line; empty: that is not all."""
    most = _offered(worker, resource)
    return (
        f": {_typed(resource, most)} fits {worker.record.name}" if _fits_with(request, resource, worker, most) else ""
    )

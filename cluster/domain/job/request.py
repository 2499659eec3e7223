"""What each task of a job asks for. Jobs that ask for the same are of one request class.

Nearly all jobs ask for cpus alone, and pay nothing for what others can ask for: `beside` is None then.
"""

from math import ceil, frexp, ldexp
from typing import TYPE_CHECKING, NamedTuple

from cluster.domain.job.amounts import GPUS, MEMORY, Amounts, amounts_said
from cluster.domain.job.sandbox import need_in_sandbox

if TYPE_CHECKING:
    from cluster.domain.job.spec import JobSpec


class Beside(NamedTuple):
    """What a task asks for beside cpus and one worker by name. `need`, `prefer`: expressions that must be true, or
    rather should be, of its worker; empty: none."""

    amounts: Amounts = ()  # of each other resource
    need: str = ""
    prefer: str = ""
    spread: bool = False  # on workers that have fewest tasks of its job
    pack: bool = False  # on workers that have least room
    exclusive: bool = False  # on a worker that has nothing else meanwhile


class Request(NamedTuple):
    """So many millicpus for each task, and that worker alone, by its UUID or name; empty: any."""

    millicpus: int
    worker: str = ""
    beside: Beside | None = None
    limit: float = 0.0  # seconds that a task takes at most; 0: nobody has said it

    @property
    def may_wait_there(self) -> bool:
        """Whether a worker may get tasks in advance. Not of what is more than cpus, since nothing of that is promised
        twice; nor where it matters which worker each gets."""
        return self.beside is None or self.beside == Beside(need=self.beside.need)


def amounts_of(spec: "JobSpec") -> Amounts:
    """How much a task needs of each resource beside cpus. The spec has passed `validate`."""
    if not (spec.memory or spec.gpus or spec.resources):
        return ()
    amounts = amounts_said(spec.resources)
    if spec.memory:
        amounts[MEMORY] = spec.memory
    if spec.gpus:
        amounts[GPUS] = spec.gpus
    return tuple(sorted(amounts.items()))


def request_of(spec: "JobSpec") -> Request:
    """What tasks of that spec ask for. The spec has passed `validate`."""
    need = need_in_sandbox(spec.need) if spec.sandbox else spec.need
    beside = Beside(amounts_of(spec), need, spec.prefer, spec.spread, spec.pack, spec.exclusive)
    return Request(spec.millicpus, spec.worker, beside if any(beside) else None, limit_of(spec))


def limit_of(spec: "JobSpec") -> float:
    """Seconds from the start of an attempt to its end, as its owner has said it: by --time-request, or by --timeout,
    which ends it. 0: neither is there. Rounded up by a sixteenth at most: so jobs of many limits are of few classes."""
    stops = spec.timeout + spec.grace if spec.timeout else 0.0
    said = min(spec.time_request, stops) if spec.time_request and stops else spec.time_request or stops
    if not said:
        return 0.0
    part, exponent = frexp(said)
    return ldexp(ceil(part * 32) / 32, exponent)

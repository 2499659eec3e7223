"""What each task of a job asks for. Jobs that ask for the same are of one request class.

Nearly all jobs ask for cpus alone, and pay nothing for what others can ask for: `beside` is None then.
"""

from typing import TYPE_CHECKING, NamedTuple

from cluster.domain.job.amounts import GPUS, MEMORY, Amounts, parse_amounts

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

    @property
    def may_wait_there(self) -> bool:
        """Whether a worker may get tasks in advance. Not of what is more than cpus, since nothing of that is promised
        twice; nor where it matters which worker each gets."""
        return self.beside is None or self.beside == Beside(need=self.beside.need)


def amounts_of(spec: "JobSpec") -> Amounts:
    """How much a task needs of each resource beside cpus. The spec has passed `validate`."""
    if not (spec.memory or spec.gpus or spec.resources):
        return ()
    amounts = dict(parse_amounts(spec.resources))
    if spec.memory:
        amounts[MEMORY] = spec.memory
    if spec.gpus:
        amounts[GPUS] = spec.gpus
    return tuple(sorted(amounts.items()))


def request_of(spec: "JobSpec") -> Request:
    """What tasks of that spec ask for. The spec has passed `validate`."""
    beside = Beside(amounts_of(spec), spec.need, spec.prefer, spec.spread, spec.pack, spec.exclusive)
    return Request(spec.millicpus, spec.worker, beside if any(beside) else None)

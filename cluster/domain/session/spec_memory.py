"""Which jobs' specs a worker remembers in a session: one bounded memory, kept alike on both sides.

The scheduler sends a spec only with an assign whose job the worker does not remember, so it must know what that is.
Both sides keep this memory and tell it the same: each assign of the session, in order. Nothing else changes it, so
they agree, however many jobs there are.
"""

from collections import OrderedDict
from typing import Generic, NamedTuple, TypeVar

from cluster.domain.job.spec import JobSpec, texts_of

MOST_SPECS = 1024
MOST_BYTES = 64 << 20  # of all specs together, as `weight` counts them; one spec alone may be more

T = TypeVar("T")


class Remembered(NamedTuple, Generic[T]):
    """`number`: below MOST_SPECS, and the job's own as long as it is remembered."""

    number: int
    weight: int
    what: T


class SpecMemory(Generic[T]):
    """The jobs that were assigned last, each with its number and with `what` its side wants to find again."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[int, Remembered[T]] = OrderedDict()  # the one that was not assigned for longest first
        self._free: list[int] = []
        self._weight = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def get(self, job: int) -> Remembered[T] | None:
        """What is remembered of a job, for an assign without its spec. None: it was never assigned, or is forgotten."""
        remembered = self._jobs.get(job)
        if remembered is not None:
            self._jobs.move_to_end(job)
        return remembered

    def remember(self, job: int, spec: JobSpec, what: T) -> int:
        """Remembers an assign's spec and answers its number. Forgets as many jobs as it must, first those that were
        assigned longest ago."""
        if job in self._jobs:
            self._forget(job)
        weight = weigh(spec)
        while self._jobs and (len(self._jobs) >= MOST_SPECS or self._weight + weight > MOST_BYTES):
            self._forget(next(iter(self._jobs)))
        number = self._free.pop() if self._free else len(self._jobs)
        self._jobs[job] = Remembered(number, weight, what)
        self._weight += weight
        return number

    def _forget(self, job: int) -> None:
        forgotten = self._jobs.pop(job)
        self._free.append(forgotten.number)
        self._weight -= forgotten.weight


def weigh(spec: JobSpec) -> int:
    """Bytes of the spec's texts, about; its lines are not remembered. The same for a spec that has been on the wire."""
    return sum(map(len, texts_of(spec))) + 24 * len(spec.array)

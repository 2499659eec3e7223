"""Which jobs the launcher has a template of. It has a bounded number of slots for them, used over and over."""

from collections import OrderedDict
from typing import NamedTuple

from cluster.domain.job import JobSpec
from cluster.domain.worker_messages import Define, WorkerEffect

SLOTS = 1024  # an assign, without its spec, for a job that was dropped makes both sides of a session start afresh


class Known(NamedTuple):
    """How attempts of a job are to be started."""

    job_id: str
    spec: JobSpec
    leash: float


class Slots:
    """The jobs used last in a session, each with its slot."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[int, tuple[int, Known]] = OrderedDict()

    def get(self, job: int) -> Known | None:
        """None when it was never used, or dropped."""
        entry = self._jobs.get(job)
        return entry and entry[1]

    def use(self, job: int, wanted: Known, effects: list[WorkerEffect]) -> int:
        """The slot of the job's template, which is defined if there is none, or another. A job that was not used for
        long is dropped when there is no slot left; what was started in its slot is not touched."""
        entry = self._jobs.get(job)
        if entry is not None:
            slot = entry[0]
        elif len(self._jobs) < SLOTS:
            slot = len(self._jobs)
        else:
            slot = self._jobs.popitem(last=False)[1][0]
        self._jobs[job] = slot, wanted
        self._jobs.move_to_end(job)
        if entry is None or entry[1] != wanted:
            effects.append(Define(slot, job, wanted.job_id, wanted.spec, wanted.leash))
        return slot

"""Who may see which jobs. Someone else's job answers exactly like a missing one."""

from collections.abc import Sequence

from cluster.domain.events import Target
from cluster.domain.identity import Caller, Role
from cluster.domain.job import JobRecord
from cluster.domain.scheduler_core import SchedulerCore
from cluster.domain.selectors import parse_selector, resolve

_SEE_ALL = (Role.ADMIN, Role.VIEWER)


class VisibleJobs:
    """The `Directory` of what a caller may see: its own jobs, or all of them."""

    def __init__(self, core: SchedulerCore, caller: Caller) -> None:
        self._core = core
        self._owner = None if caller.role in _SEE_ALL else caller.identity.name

    def numbers(self) -> Sequence[int]:
        jobs = self._core.jobs
        return [number for number in jobs if self._owner is None or jobs[number].record.owner == self._owner]

    def record(self, number: int) -> JobRecord | None:
        job = self._core.jobs.get(number)
        return job.record if job and self._owner in (None, job.record.owner) else None

    def number_of_id(self, job_id: str) -> int | None:
        number = self._core.number_of(job_id)
        return number if number is not None and self.record(number) else None

    def numbers_of_name(self, name: str) -> Sequence[int]:
        return [number for number in self.numbers() if self._core.jobs[number].record.spec.name == name]


def select(core: SchedulerCore, caller: Caller, selectors: Sequence[str]) -> list[Target]:
    """What all of these select together, in order of jobs. InvalidInput or NotFound says what is wrong with one."""
    visible = VisibleJobs(core, caller)
    found = [target for text in selectors for target in resolve(parse_selector(text), visible)]
    return sorted(found, key=lambda target: target.job)

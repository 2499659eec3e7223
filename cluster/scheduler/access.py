"""Who may see which jobs. Someone else's job answers exactly like a missing one."""

from collections import defaultdict
from collections.abc import Sequence

from cluster.domain.errors import InvalidInput
from cluster.domain.events import Target
from cluster.domain.identity import Caller, Role
from cluster.domain.job import JobRecord
from cluster.domain.scheduler_core import SchedulerCore
from cluster.domain.selectors import parse_selector, resolve

# While selectors are resolved the scheduler serves nobody else. These take it less than a second.
MOST_SELECTORS, MOST_CHARACTERS = 10_000, 1_000_000

_SEE_ALL = (Role.ADMIN, Role.VIEWER)


class VisibleJobs:
    """The `Directory` of what a caller may see: its own jobs, or all of them."""

    def __init__(self, core: SchedulerCore, caller: Caller) -> None:
        self._core = core
        self._named: defaultdict[str, list[int]] | None = None  # once somebody asks for a name
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
        if self._named is None:
            self._named = defaultdict(list)
            for number in self.numbers():
                self._named[self._core.jobs[number].record.spec.name].append(number)
        return self._named.get(name, ())


def select(core: SchedulerCore, caller: Caller, selectors: Sequence[str]) -> list[Target]:
    """What all of these select together, in order of jobs. InvalidInput or NotFound says what is wrong with one."""
    if len(selectors) > MOST_SELECTORS or sum(map(len, selectors)) > MOST_CHARACTERS:
        raise InvalidInput(f"too many selectors: at most {MOST_SELECTORS}, of {MOST_CHARACTERS} characters together")
    visible = VisibleJobs(core, caller)
    several = dict.fromkeys(map(parse_selector, selectors))
    found = [target for selector in several for target in resolve(selector, visible)]
    return sorted(found, key=lambda target: target.job)

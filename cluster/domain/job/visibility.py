"""Who may see which jobs: the one rule. Someone else's job answers exactly like a missing one."""

from collections.abc import Sequence
from typing import Protocol

from cluster.domain.job.records import JobRecord
from cluster.domain.trust.identity import Caller, Role

_SEE_ALL = frozenset({Role.ADMIN, Role.VIEWER})


class Jobs(Protocol):
    """All jobs that there are. Numbers come in ascending order."""

    def numbers(self, owner: str | None) -> Sequence[int]:
        """The numbers of that owner's jobs; None: of all."""

    def last(self, owner: str | None) -> int | None:
        """The newest of them."""

    def record(self, number: int) -> JobRecord | None:
        """The job of that number."""

    def number_of_id(self, job_id: str) -> int | None:
        """The job with that UUID."""

    def numbers_of_name(self, name: str, owner: str | None) -> Sequence[int]:
        """The jobs of that name and owner; None: whoever owns them."""


class VisibleJobs:
    """The `Directory` of what a caller may see: its own jobs, or all of them; where a job calls, those of its tree. (Of
    such a caller `jobs` has no others.)

    An owner is a user's id and no name: who is given the name of somebody who was revoked sees nothing of theirs."""

    def __init__(self, jobs: Jobs, caller: Caller) -> None:
        self._jobs = jobs
        self._caller = caller
        self._owner = self.owner_of(caller)

    @staticmethod
    def owner_of(caller: Caller) -> str | None:
        """Whose jobs the caller sees; None: everybody's."""
        return None if caller.role in _SEE_ALL else caller.user_id

    @staticmethod
    def root_of(caller: Caller) -> int:
        """Of a job that calls: which tree of jobs it sees, and nothing else of its owner's. 0: any."""
        return caller.vouched.root if caller.vouched else 0

    @staticmethod
    def sees(caller: Caller, record: JobRecord) -> bool:
        """Whether the caller sees that job."""
        owner, root = VisibleJobs.owner_of(caller), VisibleJobs.root_of(caller)
        return owner in (None, record.owner) and root in (0, record.root)

    def numbers(self) -> Sequence[int]:
        return self._jobs.numbers(self._owner)

    def last(self) -> int | None:
        return self._jobs.last(self._owner)

    def record(self, number: int) -> JobRecord | None:
        record = self._jobs.record(number)
        return record if record and self.sees(self._caller, record) else None

    def number_of_id(self, job_id: str) -> int | None:
        number = self._jobs.number_of_id(job_id)
        return number if number is not None and self.record(number) else None

    def numbers_of_name(self, name: str) -> Sequence[int]:
        return self._jobs.numbers_of_name(name, self._owner)

"""What a store says of the jobs that have ended and of the room that they take, for whoever decides what is kept.
`tests/contract/test_store_keeping.py` is the same as tests."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from cluster.domain.scheduler.retention import EndedJob, OutputExpired, OutputsWalked, Pin, Tombstone


class StoreSize(NamedTuple):
    """What a store takes, in bytes."""

    used: int  # by what is in it
    free: int = 0  # that it has, and something new may use
    small_outputs: int = 0  # of `used`, what the outputs in it count


class Weight(NamedTuple):
    """What a job takes in a store, in bytes: about, since an index counts nothing."""

    rows: int  # all of it
    outputs: int  # of that, outputs


class Remains(NamedTuple):
    """Of the first jobs that were deleted and have remains, those of which no row is left; the same of those whose
    output has expired."""

    deleted: list[int]
    expired: list[int]
    more: bool  # of others rows are left, or there are others


class Keeping(Protocol):
    """Each method raises StoreFailed when it cannot do its work."""

    def ended(self, after: OutputsWalked, most: int) -> list[EndedJob]:
        """The jobs that have ended, the first to end first: at most so many of those after that place."""
        ...

    def ended_among(self, jobs: Sequence[int]) -> list[EndedJob]:
        """Those of these jobs that have ended, in order of their numbers."""
        ...

    def pins(self, jobs: Sequence[int] | None = None) -> dict[int, Pin]:
        """Of these jobs (None: of all) those that are pinned."""
        ...

    def tombstone(self, number: int) -> Tombstone | None:
        """What is remembered of a job that was deleted."""
        ...

    def skipped(self, number: int) -> float:
        """Of when the backup was (Unix seconds) whose restoring made numbers go on beyond this one; 0: none did."""
        ...

    def tombstone_of_id(self, job_id: str) -> Tombstone | None: ...

    def output_expired(self, job: int) -> OutputExpired | None:
        """When and why the output of that job went, if it did."""
        ...

    def walked(self) -> OutputsWalked:
        """As it was committed last."""
        ...

    def remains(self, most: int) -> Remains:
        """Of so many jobs of each kind."""
        ...

    def keeps_files(self, jobs: Sequence[int]) -> list[int]:
        """Those of these numbers of which output may be in files: there is such a job, and its output has not
        expired."""
        ...

    def size(self) -> StoreSize: ...

    def runs_of(self, schedule: int, after: int, most: int) -> list[tuple[int, str]]:
        """The runs of that schedule which were not deleted, by number and UUID: at most so many after that number, in
        order."""
        ...

    def usage_days(self, before: int) -> int:
        """Of how many days before that one (counted from the Unix epoch, in UTC) there are sums of usage."""
        ...

    def weigh(self, jobs: Sequence[int]) -> list[Weight]:
        """What each of these jobs takes."""
        ...

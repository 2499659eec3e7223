"""What every store can do. `tests/contract/test_store.py` is the same contract as tests, run on each of them.

A store is synchronous and knows nothing of threads: `commit` comes from one thread (the driver's writer), reads may
come from one other at the same time and see what was committed last.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from cluster.domain.base.errors import ClusterError
from cluster.domain.job.history import HistoryPlace, HistoryWanted
from cluster.domain.job.records import JobProgress, JobRecord, LastEnd, SmallOutput, TaskEnd
from cluster.domain.job.results import EndedAttempt, KeptResults, ResultsTotal
from cluster.domain.job.states import TaskState
from cluster.domain.job.usage import UsageKind, UsageTotal
from cluster.domain.scheduler.event_records import EventRecord
from cluster.domain.scheduler.recovered import Recovered
from cluster.domain.scheduler.uncommitted import Saved
from cluster.domain.trust.enrolments import Enrolment
from cluster.domain.trust.tokens import TokenRecord
from cluster.domain.trust.users import UserRecord
from cluster.store.keeping import Keeping

# Each value is its own instruction: insert the record, or replace the one with its key; or add to it (UsageAdded).
Item = Saved


class StoreFailed(ClusterError):
    """The store cannot be opened, read or written, and will not heal: damaged, another version, another writer."""

    exit_code = 74  # EX_IOERR


class StoreTroubled(StoreFailed):
    """It cannot just now: the disk is full or reports an error, another process holds it. Nothing was changed; the same
    again may work later. (After a crash right then, a commit that failed so may yet turn out to be on disk.)"""


class TakenOver(StoreFailed):
    """Another scheduler writes there now."""

    exit_code = 76  # EX_PROTOCOL

    def __init__(self, place: str) -> None:
        super().__init__(f"the store {place}: another scheduler has taken over, so this one must stop")


class Store(Protocol):
    """Durable state of one cluster. Every method raises StoreFailed when it cannot do its work."""

    @property
    def claimed(self) -> bool:
        """Whether our epoch is on disk. If not, that is tried again with each commit, of nothing too."""
        ...

    @property
    def keeping(self) -> Keeping:
        """What it says of ended jobs, and of the room that they take."""
        ...

    def load(self) -> Recovered:
        """Starts a new epoch, durably, and returns all that goes on. Whoever loaded before can commit no more. Where
        the disk is full the epoch begins with our first commit, if nobody else has committed anything by then."""
        ...

    def commit(self, items: Sequence[Item]) -> None:
        """Makes all of it durable, or nothing. StoreFailed when another epoch has begun since `load`, StoreTroubled for
        what may work later.

        Of several items with one key the last one counts; of UsageAdded all do."""
        ...

    def numbers(
        self,
        owner: str | None,
        states: Collection[TaskState] = (),
        below: int | None = None,
        most: int | None = None,
        root: int = 0,
    ) -> list[int]:
        """Of the jobs of that owner (None: of anybody) and of the tree of that root (0: of any), newest first:
        those that have not ended, or have ended as one of these states (empty: as any); with a lower number than
        `below`; at most so many (None: all)."""
        ...

    def numbers_of_name(self, name: str, owner: str | None, root: int = 0) -> list[int]:
        """The numbers of the jobs of that name and owner (None: of anybody), and of that tree (0: of any), in order."""
        ...

    def history(self, wanted: HistoryWanted) -> list[HistoryPlace]:
        """Of the jobs that have ended those that are wanted, the one that ended last first, by an index: whatever else
        there is costs nothing."""
        ...

    def usage(self, kind: UsageKind, since: int, owner: str | None) -> list[UsageTotal]:
        """What was used from that day on (counted from the Unix epoch, in UTC) by jobs of that owner (None: of all),
        for each user, name of jobs or worker, in order of these."""
        ...

    def newest_of_name(self, name: str, owner: str | None, most: int) -> list[int]:
        """The numbers of at most so many jobs of that name and owner (None: of anybody), the newest first."""
        ...

    def latest_ends(self, job: int, most: int) -> list[TaskEnd]:
        """The ends of attempts of the job's last tasks by their indexes: of at most so many successes, and of so many
        others."""
        ...

    def children(self, job: int, below: int | None = None, most: int | None = None) -> list[int]:
        """The jobs that its attempts have submitted, newest first: of lower numbers than `below`, at most so many."""
        ...

    def number_of_id(self, job_id: str) -> int | None:
        """The job with that UUID."""
        ...

    def failed_children(self, job: int) -> dict[tuple[int, int], set[int]]:
        """Those jobs that the job has submitted, and that have ended and did not succeed, by the attempt that has:
        index of its task, number of the attempt."""
        ...

    def below(self, jobs: Sequence[int]) -> list[int]:
        """The jobs that these have submitted, and those that wait, or did, for one of these; in order."""
        ...

    def values(self, job: int) -> dict[str, str]:
        """What the job keeps for others to read, by its keys, which are in order."""
        ...

    def records(self, jobs: Sequence[int], *, whole: bool = False) -> list[JobRecord]:
        """Those of these jobs that there are, in order of their numbers. Not `whole`: without environment and lines (as
        JobSpec.without_lines)."""
        ...

    def progress_of(self, jobs: Sequence[int]) -> list[JobProgress]:
        """What was committed last of each of these jobs that there are, in order of their numbers; as `load` has it,
        with all their sets."""
        ...

    def ends_of_task(self, job: int, index: int, most: int | None = None) -> list[TaskEnd]:
        """The ends of one task, successes too, in order of attempts; at most so many, the last ones (None: all)."""
        ...

    def last_ends(self, job: int, start: int, most: int) -> list[LastEnd]:
        """The last end that is no success, of each task that has one, from task `start` on, in order of tasks: at most
        so many."""
        ...

    def small_outputs(self, job: int, start: int, stop: int) -> list[SmallOutput]:
        """The small outputs of all attempts of tasks start … stop-1, in order of index and attempt."""
        ...

    def large_outputs(self, job: int, start: int, stop: int) -> list[TaskEnd]:
        """The ends of tasks start … stop-1 whose output was too large to ride along, or which are lost, so that nobody
        knows. In order of index and attempt."""
        ...

    def results(self, job: int, start: int, stop: int) -> list[KeptResults]:
        """What is kept of what attempts of tasks start … stop-1 have left, in order of index and attempt."""
        ...

    def results_total(self, job: int) -> ResultsTotal:
        """All of that of the job together."""
        ...

    def last_attempts(self, job: int, start: int, stop: int) -> list[EndedAttempt]:
        """Of those tasks start … stop-1 that have had an attempt that ended: the last one, in order of tasks."""
        ...

    def events(self, after: int, owner: str | None, most: int) -> list[EventRecord]:
        """The events after the one of that sequence number, in order: all, or those that are about this owner's jobs or
        about no job; at most so many. There may be none that old any more."""
        ...

    def notices_done(self) -> int:
        """As in NoticesDone; 0: none yet."""
        ...

    def edges_of_events(self) -> tuple[int, int]:
        """The sequence numbers of the first and the last event that there is; where there is none yet, 1 and 0."""
        ...

    def tokens(self, after: str = "", most: int | None = None) -> list[TokenRecord]:
        """Oldest first: those after the token of that id (empty: from the first; none after one that there is not), at
        most so many (None: all)."""
        ...

    def users(self, after: str = "", most: int | None = None) -> list[UserRecord]:
        """Oldest first, as `tokens`; `after` is a name."""
        ...

    def joined_by(self, token: str, most: int) -> tuple[list[Enrolment], int]:
        """Who has joined by the token of that id, and was not expelled: at most so many, in order, and how many are."""
        ...

    def joinings_of(self, user: str) -> int:
        """How many times the user has joined, by tokens, and was not expelled."""
        ...

    def enrolments(self) -> list[Enrolment]: ...

    def close(self) -> None:
        """Ends the use of this object. What was committed stays."""
        ...

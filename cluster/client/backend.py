"""The one interface behind the client: a scheduler's Jobs service, or a lone worker's own.

Implementations raise ClusterErrors, make one call each, and never try again: that is the client's business.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cluster.client.keeping import KeepingBackend
from cluster.client.pools import PoolsBackend
from cluster.client.position import Position
from cluster.client.results import TaskResults
from cluster.client.types import (
    ClusterEvent,
    HistoryPage,
    Job,
    JobStats,
    JobTree,
    Me,
    Output,
    QueueStatus,
    RemovedWorker,
    RevocationResult,
    Task,
    Token,
    UsageReport,
    User,
    Worker,
)
from cluster.domain.files.pieces import ContentPiece
from cluster.domain.files.tree import Entry
from cluster.domain.job.changes import Changes
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState

if TYPE_CHECKING:
    from cluster.domain.job.workflow import NewJob
    from cluster.v1 import files_pb2


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """What a reader of output asks for: all of each stream, its last `tail` lines, or what follows `position`."""

    selector: str
    stdout: bool
    stderr: bool
    follow: bool
    tail: int | None
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class WantedHistory:
    """Which of the jobs that have ended; see AsyncClient.history."""

    states: Sequence[TaskState] = ()
    since: float = 0.0
    until: float = 0.0
    user: str = ""
    name: str = ""
    limit: int = 0
    page: str = ""


class Backend(KeepingBackend, PoolsBackend, Protocol):
    """Makes the calls. Selectors are texts as people type them; see AsyncClient for what each verb does."""

    address: str

    async def submit(self, job_id: str, spec: JobSpec, patience: float) -> Job:
        """The job; the same id again returns the same job. `patience`: seconds to wait for a connection, 0: none."""

    async def submit_many(self, jobs: "Sequence[NewJob]", patience: float) -> tuple[int, ...]:
        """Their numbers; the same ids again return the same jobs. `patience` as for `submit`."""

    async def list(self, selectors: Sequence[str], states: Sequence[TaskState], limit: int) -> tuple[Job, ...]:
        """The jobs, newest first. Empty selectors or states: all; limit 0: none."""

    async def history(self, wanted: WantedHistory) -> HistoryPage:
        """A page of the jobs that have ended, the one that ended last first."""

    async def stats(self, selector: str) -> JobStats:
        """What the last attempts of a job, or of the newest jobs of a name, took."""

    async def usage(self, by: str, since: float, limit: int) -> UsageReport:
        """What was used from that day on, by `user`, `name` or `worker`."""

    async def get(
        self, selector: str, max_tasks: int, states: Sequence[TaskState], attempts: bool = False
    ) -> tuple[Job, tuple[Task, ...]]:
        """One job and at most `max_tasks` of its tasks in `states` (empty: any), running and abnormal ones first, with
        their attempts if asked for."""

    def watch(self, selectors: Sequence[str], patience: float) -> AsyncGenerator[tuple[Job, ...], None]:
        """Yields the jobs at once and after each change; ends when all have ended."""

    def logs(
        self, wanted: WantedOutput, patience: float, connected: Callable[[], object]
    ) -> AsyncGenerator[Output, None]:
        """Yields output of one or more tasks. Calls `connected` once there is a connection: output may come much
        later."""

    def results(
        self, selectors: Sequence[str], patience: float, *, follow: bool
    ) -> AsyncGenerator[Sequence[TaskResults], None]:
        """Yields what tasks have left for keeps, some at a time."""

    def read_results(
        self, results: TaskResults, digests: Sequence[bytes], offset: int, patience: float
    ) -> "AsyncGenerator[Sequence[files_pb2.ContentPiece], None]":
        """Yields pieces of these contents of the results, in order; of the first from that byte on."""

    async def entries(self, results: TaskResults, patience: float) -> tuple[Entry, ...]:
        """What the results are."""

    async def cancel(
        self, selectors: Sequence[str], grace: float | None, reason: str, keep_children: bool
    ) -> tuple[tuple[Job, ...], int]:
        """The jobs as they are now, and how many tasks were asked to stop."""

    async def pause(self, selectors: Sequence[str], reason: str, stop_running: bool) -> tuple[tuple[Job, ...], int]:
        """Pauses jobs, with `stop_running` also the tasks that run. Returns the jobs as they are now, and how many of
        them are paused."""

    async def resume(self, selectors: Sequence[str]) -> tuple[tuple[Job, ...], int]:
        """Resumes jobs. Returns them as they are now, and how many of them were paused."""

    async def set_priority(self, selectors: Sequence[str], priority: int) -> tuple[tuple[Job, ...], int]:
        """Changes their priority. Returns the jobs as they are now, and how many of them had another one."""

    async def set_options(self, selectors: Sequence[str], changes: Changes) -> tuple[tuple[Job, ...], int]:
        """Changes options, by fields of JobSpec. Returns the jobs as they are now, and how many of them had others."""

    async def set_share(self, user: str, weight: float) -> QueueStatus:
        """Changes the weight by which a user's use is divided in fair sharing."""

    async def retry(self, selectors: Sequence[str]) -> tuple[tuple[Job, ...], int]:
        """Tries failed and cancelled tasks again. Returns the jobs as they are now, and the number of these tasks."""

    async def rerun(self, selector: str, job_id: str, once: bool) -> Job:
        """Submits a job with that id and the spec of the selected one; `once`: but for what makes that come again."""

    async def queue(self) -> QueueStatus:
        """The queue as it is now."""

    async def pause_queue(self, reason: str) -> QueueStatus:
        """Pauses the queue: nothing starts."""

    async def resume_queue(self) -> QueueStatus:
        """Resumes the queue."""

    async def tree(self, selector: str) -> JobTree:
        """The job and all jobs related to it."""

    async def set_state(self, values: Mapping[str, str]) -> None:
        """Sets values of the state of the job that this process belongs to."""

    async def state(self, selector: str) -> Mapping[str, str]:
        """The values that a job has set as its state."""

    def events(
        self, since: int | None, selectors: Sequence[str], patience: float, *, follow: bool
    ) -> AsyncGenerator[tuple[Sequence[ClusterEvent], int], None]:
        """Yields the events after number `since` (None: only new ones), with `follow` also those to come; each time
        with the number up to which all events were yielded."""

    async def workers(self) -> tuple[Worker, ...]:
        """All workers that the cluster knows."""

    async def create_token(self, role: str, life: float, uses: int, user: str, http: bool) -> tuple[Token, str]:
        """Makes a token. Returns its record and the text to paste. uses 0: without limit."""

    async def tokens(self) -> tuple[Token, ...]:
        """All tokens, used up and revoked ones included."""

    async def revoke_token(self, token_id: str, and_joined: bool, keep_jobs: bool) -> RevocationResult:
        """Revokes a token; with `and_joined` also those who joined by it."""

    async def who_am_i(self) -> Me:
        """In whose name and right this calls."""

    async def users(self) -> tuple[User, ...]:
        """All users, revoked ones included."""

    async def revoke_user(self, name: str, and_joined: bool, keep_jobs: bool) -> RevocationResult:
        """Revokes a user and its tokens; with `and_joined` also those who joined by these."""

    async def remove_worker(self, worker: str, revoke: bool) -> RemovedWorker:
        """Removes a worker from the list; with `revoke` its certificates are refused too."""

    async def drain_workers(self, workers: Sequence[str], reason: str, within: float | None) -> tuple[Worker, ...]:
        """Drains workers; what still runs after `within` seconds is stopped. Returns the workers as they are now."""

    async def resume_workers(self, workers: Sequence[str]) -> tuple[Worker, ...]:
        """Lets drained workers take tasks again. Returns them as they are now."""

    async def find_missing(self, digests: Sequence[bytes], patience: float) -> Sequence[tuple[int, int]]:
        """Of the contents that the caller has to send the place, and how many bytes are there already. `patience` as
        for `submit`."""

    async def put_contents(self, messages: AsyncGenerator[Sequence[ContentPiece], None]) -> None:
        """Sends pieces of contents; when it returns, all of these are on disk."""

    async def close(self) -> None:
        """Closes the connection."""

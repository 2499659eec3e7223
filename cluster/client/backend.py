"""The one interface behind the client: a scheduler's Jobs service, or a lone worker's own.

Implementations raise ClusterErrors, make one call each, and never try again: that is the client's business.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cluster.client.position import Position
from cluster.client.types import (
    ClusterEvent,
    Job,
    JobTree,
    Output,
    QueueStatus,
    RemovedWorker,
    RevocationResult,
    Task,
    Token,
    User,
    Worker,
)
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.job.workflow import NewJob


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """What a reader asks for: of each stream that is wanted all, its last lines, or what comes after `position`."""

    selector: str
    stdout: bool
    stderr: bool
    follow: bool
    tail: int | None
    position: Position | None = None


class Backend(Protocol):
    """Where jobs can be submitted and asked for. Selectors are texts as people type them."""

    address: str

    async def submit(self, job_id: str, spec: JobSpec, patience: float) -> Job:
        """The same id again answers the same job. `patience`: seconds to wait for a connection; 0: it does not wait."""

    async def submit_many(self, jobs: Sequence[NewJob], patience: float) -> tuple[int, ...]:
        """The numbers of all of them; the same ids again answer the same jobs. `patience`: as of `submit`."""

    async def list(self, selectors: Sequence[str], states: Sequence[TaskState], limit: int) -> tuple[Job, ...]:
        """Newest first; no selectors, no states: all; limit 0: without."""

    async def get(
        self, selector: str, max_tasks: int, states: Sequence[TaskState], attempts: bool = False
    ) -> tuple[Job, tuple[Task, ...]]:
        """One job and at most so many tasks of it in these states (none: in any), running and abnormal ones first.
        `attempts`: with theirs."""

    def watch(self, selectors: Sequence[str], patience: float) -> AsyncGenerator[tuple[Job, ...], None]:
        """The jobs at once and after changes; ends when all have ended."""

    def logs(
        self, wanted: WantedOutput, patience: float, connected: Callable[[], object]
    ) -> AsyncGenerator[Output, None]:
        """Output of one or more tasks. `connected` is called as soon as there is a connection: output may follow much
        later."""

    async def cancel(
        self, selectors: Sequence[str], grace: float | None, reason: str, keep_children: bool
    ) -> tuple[tuple[Job, ...], int]:
        """The jobs as they are now, and how many tasks were asked to stop."""

    async def pause(self, selectors: Sequence[str], reason: str) -> tuple[tuple[Job, ...], int]:
        """Nothing more of these jobs starts. The jobs as they are now, and how many of them are paused."""

    async def resume(self, selectors: Sequence[str]) -> tuple[tuple[Job, ...], int]:
        """They go on. The jobs as they are now, and how many of them were paused."""

    async def set_priority(self, selectors: Sequence[str], priority: int) -> tuple[tuple[Job, ...], int]:
        """They have it from now on. The jobs as they are now, and how many of them had another one."""

    async def set_share(self, user: str, weight: float) -> QueueStatus:
        """What the user has had is divided by that weight."""

    async def retry(self, selectors: Sequence[str]) -> tuple[tuple[Job, ...], int]:
        """What has failed or was cancelled is tried again. The jobs as they are now, and how many tasks are."""

    async def rerun(self, selector: str, job_id: str) -> Job:
        """A new job of that UUID, with the spec of the selected one."""

    async def queue(self) -> QueueStatus:
        """The queue as it is now."""

    async def pause_queue(self, reason: str) -> QueueStatus:
        """Nothing starts any more."""

    async def resume_queue(self) -> QueueStatus:
        """Jobs start again."""

    async def tree(self, selector: str) -> JobTree:
        """All that has to do with a job."""

    async def set_state(self, values: Mapping[str, str]) -> None:
        """Of the job in which we are."""

    async def state(self, selector: str) -> Mapping[str, str]:
        """What one job keeps for others to read."""

    def events(
        self, since: int | None, selectors: Sequence[str], patience: float, *, follow: bool
    ) -> AsyncGenerator[tuple[Sequence[ClusterEvent], int], None]:
        """What has happened since that event (None: nothing), and with `follow` what happens; each time with the
        number of the last event up to which all was told."""

    async def workers(self) -> tuple[Worker, ...]:
        """All workers that are known here."""

    async def create_token(self, role: str, life: float, uses: int, user: str) -> tuple[Token, str]:
        """The token's record, and the text to paste. uses 0: without limit."""

    async def tokens(self) -> tuple[Token, ...]:
        """All tokens, used up and revoked ones included."""

    async def revoke_token(self, token_id: str, and_joined: bool, keep_jobs: bool) -> RevocationResult:
        """Nobody can join with it; with `and_joined` who has is expelled."""

    async def users(self) -> tuple[User, ...]:
        """All users, revoked ones included."""

    async def revoke_user(self, name: str, and_joined: bool, keep_jobs: bool) -> RevocationResult:
        """No certificate of the user is let in, nor anybody by its tokens; with `and_joined` nor who has joined so."""

    async def remove_worker(self, worker: str, revoke: bool) -> RemovedWorker:
        """Takes it off the list; with `revoke` no certificate of it is let in."""

    async def drain_workers(self, workers: Sequence[str], reason: str, within: float | None) -> tuple[Worker, ...]:
        """They get nothing more, until they are resumed; what still runs after `within` seconds is stopped. Answers how
        they are now."""

    async def resume_workers(self, workers: Sequence[str]) -> tuple[Worker, ...]:
        """They take work again. Answers how they are now."""

    async def close(self) -> None:
        """Closes the connection."""

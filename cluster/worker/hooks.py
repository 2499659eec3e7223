"""What the agent asks of the rest of the worker, and tells it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cluster.domain.base.errors import ClusterError
from cluster.domain.base.ids import AttemptKey
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.members import ExpelledUser
from cluster.domain.worker.journal import JournalEntry
from cluster.v1 import scheduler_pb2
from cluster.worker.output.readers import OutputPhase


@dataclass(frozen=True, slots=True)
class Scheduler:
    """Whom to connect to, and as whom; asked anew for each session, because certificates are renewed and a scheduler
    on the same machine may come back at another port."""

    address: Callable[[], str]
    credentials: Callable[[], Credentials]
    registration: Callable[[], scheduler_pb2.RegisterRequest]


@dataclass(slots=True)
class Hooks:
    """Each is called in the loop and must be quick. The two that write to a disk are called in a lane."""

    handed_over: Callable[[Sequence[JournalEntry]], None]  # about jobs of the worker's own API
    launcher_held: Callable[[str, set[AttemptKey]], None]  # incarnation, and which own jobs it has or has reported
    own_phase: Callable[[int], OutputPhase]  # of a job of the own API, by its number
    own_limits: Callable[[], dict[int, int]]  # of those that run, by number: bytes of each stream that are kept
    save_epoch: Callable[[int], None]  # in a lane
    registered: Callable[[str], None]  # the name in force; in a lane
    welcomed: Callable[[], None]
    expelled: Callable[[Sequence[ExpelledUser]], None]  # whom the own API must not let in, all of them
    refused: Callable[[ClusterError], None]  # a session ended, or never came to be
    schedulers: Callable[[Sequence[str]], None] = lambda _: None  # of the cluster, where each is; none: there is one
    own_saved: Callable[[], bool] = lambda: True  # whether what was handed over is on disk
    own_unfinished: Callable[[], bool] = lambda: False  # whether jobs of the own API run or wait
    idle: Callable[[str], None] = lambda why: None  # it is to leave, having nothing to do: why, in words

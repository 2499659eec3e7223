"""What can happen to the launcher (events), what its core may ask for (effects), and what is reported.

Reports are what leaves the launcher: they are journalled, sent and repeated until acknowledged.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from cluster.domain.job import endings
from cluster.domain.launcher.template import Item, Template
from cluster.domain.session.offer import Offer

# -------------------------------------------------------------------------- events


@dataclass(slots=True)
class AgentConnected:
    """An agent said hello, and grants `capacity` millicpus."""

    capacity: int


@dataclass(slots=True)
class OfferMade:
    """The agent grants that beside cpus."""

    offer: Offer


@dataclass(slots=True)
class AgentLost:
    """No agent is connected any more, or none is yet."""


@dataclass(slots=True)
class AgentAcked:
    """Everything up to this sequence number is safe with the agent's scheduler."""

    acked: int


@dataclass(slots=True)
class StartRequested:
    """`confirmed_at`: when the last confirmed lease was asked for (boot clock), as the agent knew it when it said this.
    None: it says nothing."""

    template: Template
    items: list[Item]
    confirmed_at: float | None = None


@dataclass(slots=True)
class RecallRequested:
    """Give these back if they have not started; those that have go on."""

    keys: list[str]


@dataclass(slots=True)
class StopRequested:
    """End these. `reason` is what their end will be called; `grace` None means the template's own."""

    keys: list[str]
    reason: str = endings.CANCELLED
    grace: float | None = None
    signal: str = "SIGTERM"


@dataclass(slots=True)
class FreezeRequested:
    """These are to stand still where they are, once they have begun; with `thaw` they are to go on."""

    keys: list[str]
    thaw: bool = False


@dataclass(slots=True)
class LeaseConfirmed:
    """The lease was confirmed; `at` is the boot clock when the agent *asked* for it."""

    at: float


@dataclass(slots=True)
class ProcessStarted:
    """Its slot has started it, `at` on the boot clock (s) and `wall_us` on the wall clock (µs)."""

    key: str
    pid: int
    wall_us: int
    at: float


@dataclass(slots=True)
class StartFailed:
    """It could not be started. `code` as a shell would say: 127 not found, 126 not runnable. `returned`: it is not
    the command that is at fault but this machine, which lacks something now: it may start elsewhere, or here later."""

    key: str
    text: str
    code: int | None
    returned: bool = False


@dataclass(slots=True)
class ProcessEnded:
    """The leader was reaped, and nothing of its tree runs any more. Exactly one of `code` and `signal` is set. Of what
    was short, this is all that is told.

    took_us: from its start to the leader's end, or that of the checks of its output. sizes: bytes in stdout and stderr.
    cut: its leash was out, and its slot killed it. closed: something that we may not kill (a setuid program) runs on in
    its slot, which takes nothing more. wall_us: when it started, in µs since the Unix epoch; 0: as told before.
    text: more about how it ended, for people. oom: the kernel ended some of it, as it took more memory than it may.
    """

    key: str
    code: int | None
    signal: str | None
    took_us: int
    cpu_us: int
    peak_kib: int
    sizes: tuple[int, int]
    cut: bool = False
    closed: bool = False
    wall_us: int = 0
    text: str = ""
    wrong: str = ""  # what its check has found, in words; empty: nothing, or there was none
    oom: bool = False
    unmade: str = ""  # why what was to shut its command in could not be made, and it was not begun; empty: it was


@dataclass(slots=True)
class Unreached:
    """The signal that this attempt was to get found its leader ended: its end is its own. Said before that end."""

    key: str


@dataclass(slots=True)
class SlotReturned:
    """The slot has not begun these of what it was handed, and will not: the answer to RecallFromSlot."""

    slot: int
    keys: list[str]


@dataclass(slots=True)
class SlotLost:
    """The slot's process is gone, and so is all that was below it. `unbegun` of what it was handed never started;
    how the one ended that it had begun, if any, cannot be known. `stillborn`: it never told anything."""

    slot: int
    unbegun: list[str]
    stillborn: bool = False


@dataclass(slots=True)
class FoundUnfinished:
    """A dead launcher had begun this attempt; what became of it cannot be known. Microseconds since the Unix epoch."""

    key: str
    begun_us: int
    found_us: int


@dataclass(slots=True)
class Tick:
    """Time passed: do what is due."""


@dataclass(slots=True)
class QuitRequested:
    """Exit: at once when idle, else when everything has ended, which `kill` hastens."""

    kill: bool


Event = (
    AgentConnected
    | OfferMade
    | AgentLost
    | AgentAcked
    | StartRequested
    | RecallRequested
    | StopRequested
    | FreezeRequested
    | LeaseConfirmed
    | ProcessStarted
    | StartFailed
    | ProcessEnded
    | Unreached
    | SlotReturned
    | SlotLost
    | FoundUnfinished
    | Tick
    | QuitRequested
)

# ------------------------------------------------------------------------- effects


class Started(NamedTuple):
    """Report: it runs. `at` in microseconds since the Unix epoch."""

    seq: int
    key: str
    pid: int
    at: int


class Ended(NamedTuple):
    """Report: it ended, and nothing of it runs.

    reason: as in `cluster.domain.job.endings`, or whatever else a stop gave.
    code: exit code, or None. For `launch_failed` what a shell would say (126, 127).
    signal: what ended it; when we stopped it and it then exited by itself, the last signal that we sent.
    started_at: microseconds since the Unix epoch. duration, cpu: microseconds. 0 when it never started. One that is
        lost counts until that was found.
    peak: KiB of the largest process, 0: unknown. out, err: bytes of stdout and stderr.
    text: what went wrong, for people.
    """

    seq: int
    key: str
    reason: str
    code: int | None = None
    signal: str | None = None
    started_at: int = 0
    duration: int = 0
    cpu: int = 0
    peak: int = 0
    out: int = 0
    err: int = 0
    text: str = ""


@dataclass(slots=True)
class Spawn:
    """Hand this to the slot, which starts it once it has done what it was handed before. A slot that is named for the
    first time is to be made, as the template's user. `by`: the boot clock from which on it is too late to begin this,
    whatever is confirmed meanwhile; None: it has no leash. `gpus`: ids of the units that it has to itself."""

    slot: int
    item: Item
    template: Template
    by: float | None = None
    gpus: tuple[str, ...] = ()


@dataclass(slots=True)
class RecallFromSlot:
    """Let the slot begin nothing more of what it was handed; then say SlotReturned."""

    slot: int


@dataclass(slots=True)
class Signal:
    """Send this signal to every process of the attempt's tree, below its slot. If its leader (a pid) has ended by then,
    say Unreached."""

    slot: int
    key: str
    signal: str
    leader: int


@dataclass(slots=True)
class Kill:
    """SIGKILL the attempt's whole tree, below its slot."""

    slot: int
    key: str


@dataclass(slots=True)
class FreezeTree:
    """Stop every process of the attempt's tree, below its slot, where it is; with `thaw`, let them go on."""

    slot: int
    key: str
    thaw: bool = False


@dataclass(slots=True)
class KillSlot:
    """SIGKILL the slot as well: it does not say that the attempt, which was killed, has ended."""

    slot: int
    key: str


@dataclass(slots=True)
class Retire:
    """The slot is idle and needed no more."""

    slot: int


@dataclass(slots=True)
class JournalReport:
    """Write to the journal, then send to the agent, in this order."""

    report: Started | Ended


@dataclass(slots=True)
class Greet:
    """Tell the agent that just connected what is here, then repeat every report it has not acknowledged."""

    running: list[str]
    backlog: list[str]
    unacked: list[Started | Ended]
    # Of what runs and has a limit to how long it may write nothing: that, in seconds.
    quiet: dict[str, float] = field(default_factory=dict)
    frozen: list[str] = field(default_factory=list)  # that stand still, or will once they have begun


@dataclass(slots=True)
class Exit:
    pass


Effect = Spawn | RecallFromSlot | Signal | Kill | FreezeTree | KillSlot | Retire | JournalReport | Greet | Exit

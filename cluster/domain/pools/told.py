"""What the core of pools is told, and what it asks for. Times are Unix seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from cluster.domain.job.request import Request


class MachineState(StrEnum):
    """Of a machine, as its provider has it."""

    STARTING = "starting"  # asked for, queued, booting
    RUNNING = "running"
    BROKEN = "broken"  # it will not work any more, and is there or still counted: it is to be stopped


class ToldMachine(NamedTuple):
    """`name`: what the pool called it when it asked for it, found again by label, tag or marker. `id`: the provider's
    own. `why`: one line for people, of one that is broken or that waits."""

    name: str
    id: str
    state: MachineState = MachineState.RUNNING
    why: str = ""


class PoolWorker(NamedTuple):
    """A worker that says by its labels that it is a machine of a pool. `is_drained`: it gets nothing more."""

    pool: str
    machine: str
    id: str
    is_online: bool
    held: int = 0  # tasks
    is_drained: bool = False


class DemandClass(NamedTuple):
    """`ready`: tasks that could start and found no room. `since`: when the oldest of these jobs was last known to have
    none."""

    request: Request
    ready: int
    since: float


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class DemandTold:
    """By the scheduler, both at one moment."""

    classes: Sequence[DemandClass]
    workers: Sequence[PoolWorker]


@dataclass(frozen=True, slots=True)
class MachinesTold:
    """All machines of the pool, as its provider knew them at some moment since `asked_at`."""

    pool: str
    machines: Sequence[ToldMachine]
    asked_at: float


@dataclass(frozen=True, slots=True)
class MachinesUnknown:
    """What the pool has is not known just now."""

    pool: str
    why: str


@dataclass(frozen=True, slots=True)
class MachineRefused:
    """That machine was certainly not made."""

    pool: str
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class StopRefused:
    pool: str
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Wished:
    """By an admin. `count`: exactly so many, within what the settings allow; None: by demand. Paused: nothing is
    started, nothing leaves."""

    pool: str
    count: int | None = None
    is_paused: bool = False


PoolEvent = DemandTold | MachinesTold | MachinesUnknown | MachineRefused | StopRefused | Wished


# ── effects ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class StartMachine:
    """To be written down before it is done: whoever is killed in between counts it as started."""

    pool: str
    name: str


@dataclass(frozen=True, slots=True)
class DrainMachine:
    pool: str
    name: str
    worker: str  # its UUID
    reason: str


@dataclass(frozen=True, slots=True)
class StopMachine:
    pool: str
    name: str
    id: str  # the provider's; empty: not known
    worker: str = ""  # UUID of its worker; empty: it never came
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ForgetMachine:
    """It is gone, and what was written down of it can go."""

    pool: str
    name: str
    worker: str = ""


PoolEffect = StartMachine | DrainMachine | StopMachine | ForgetMachine

"""What Slurm says of its jobs, as tables."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from cluster.domain.pools.told import MachineState, ToldMachine

OLDEST = (20, 11)
FIELDS = ("JobID", "State", "Reason", "exit_code", "Name")  # of `squeue --Format`, the last may have anything in it
_HEADER = "JOBID|STATE|REASON|EXIT_CODE|NAME|"

_STARTS = frozenset(
    {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
)
_RUNS = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"})
_ENDED = frozenset({"COMPLETED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "DEADLINE", "REVOKED"})

# Why a job waits that nobody will start, unless somebody changes it.
_HOPELESS = (
    *("BadConstraints", "DependencyNeverSatisfied", "InvalidAccount", "InvalidQOS", "AccountNotAllowed"),
    *("QOSNotAllowed", "PartitionTimeLimit", "PartitionNodeLimit", "JobHeldAdmin", "JobHeldUser"),
)
_USUAL = ("None", "Priority", "Resources", "")


class ToldJob(NamedTuple):
    machine: ToldMachine
    is_over: bool  # nothing runs of it; Slurm still remembers how it ended


def job_name(machine: str, cluster: str) -> str:
    return f"{machine}.{cluster}"


def read_jobs(text: str, pool: str, cluster: str) -> Sequence[ToldJob]:
    """The jobs of that pool in what squeue prints for FIELDS; those that have ended in order are left out. ValueError,
    in one line, for what is no answer of squeue's."""
    header, _, rest = text.partition("\n")
    if header != _HEADER:
        raise ValueError(f"it printed {header[:80]!r} where the names of its fields are due")
    ours = re.compile(rf"({re.escape(pool)}-[a-z0-9]+-[0-9]+)\.{re.escape(cluster)}")
    jobs = []
    for line in rest.split("\n"):
        fields = line.split("|")
        if len(fields) < 2 or (found := ours.fullmatch(fields[-2])) is None:
            continue  # another's
        if len(fields) != len(FIELDS) + 1 or not fields[0].isdecimal():
            raise ValueError(f"it printed {line[:80]!r}, which is none of its lines")
        job, state, reason, code, *_ = fields
        if (told := _told(found[1], job, state.rstrip("+"), reason, code)) is not None:
            jobs.append(told)
    return jobs


def _told(name: str, job: str, state: str, reason: str, code: str) -> ToldJob | None:
    """None: it has ended, and there is nothing to say of that."""
    if state in _ENDED:
        return None
    if state in _RUNS:
        return ToldJob(ToldMachine(name, job, MachineState.RUNNING), False)
    if state in _STARTS:
        held = any(each in reason for each in _HOPELESS)
        why = "" if reason in _USUAL else f"job {job} of Slurm's waits: {reason}"
        return ToldJob(ToldMachine(name, job, MachineState.BROKEN if held else MachineState.STARTING, why), False)
    more = _code(code) if reason in ("NonZeroExitCode", *_USUAL) else f", {reason}"
    why = f"job {job} of Slurm's has ended: {state}{more}"
    return ToldJob(ToldMachine(name, job, MachineState.BROKEN, why), True)


def _code(status: str) -> str:
    """As wait(2) has it."""
    number = int(status) if status.isdecimal() else 0
    return f", with code {number >> 8}" if number >> 8 and not number & 0xFF else ""


def version_of(said: str) -> tuple[int, int]:
    """As `sbatch --version` has it: "slurm 23.02.1", "slurm-wlm 22.05.8". (0, 0): none of Slurm's."""
    found = re.match(r"slurm\S* ([0-9]+)\.([0-9]+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)

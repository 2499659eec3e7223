"""The plain fields of a job's message, numbers and texts, for client.types.Job and for quick commands, which start too
fast to load that."""

import os
import time
from collections import namedtuple
from typing import Any, NamedTuple, cast

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.pause import Pause
from cluster.domain.job.states import COUNTED, ENDED, TaskState

# Its fields are the states that there are: what checks types cannot know them.
_Fields: Any = cast(Any, namedtuple)("_Fields", [state.word for state in COUNTED], defaults=[0] * len(COUNTED))


class Counts(_Fields):  # type: ignore[misc]
    """How many tasks of a job are in each state, by its word: `counts.failed`; 0 where nothing is given."""

    __slots__ = ()

    @property
    def ended(self) -> int:
        return sum(map(self.of, ENDED))

    @property
    def total(self) -> int:
        return sum(self)

    def of(self, state: TaskState) -> int:
        """How many are in that one."""
        count: int = getattr(self, state.word)
        return count


class Used(NamedTuple):
    """What attempts have taken that have ended, summed up. Durations are seconds."""

    tasks: int = 0  # of which the first attempt has ended
    attempts: int = 0
    failed: int = 0  # attempts that neither succeeded nor were cancelled
    run_seconds: float = 0.0
    cpu_seconds: float = 0.0
    wait_seconds: float = 0.0  # until first attempts started, from when their tasks might have
    peak_memory_bytes: int = 0  # the highest of any
    output_bytes: int = 0


NOTHING_USED = Used()


def used_of(message: Any) -> Used:
    return Used(*(getattr(message, name) for name in Used._fields))


def job_fields(message: Any) -> dict[str, Any]:
    """Those of client.types.Job that are numbers and texts, and its counts."""
    names = (
        "number",
        "id",
        "owner",
        "reason",
        "submitted_at",
        "started_at",
        "ended_at",
        "exit_code",
        "schedule",
        "last_run",
    )
    others = ("no_worker_can", "no_worker_ever", "waits_until", "part", "cancelled_by", "cancel_reason", "rerun_of")
    reserved = ("reserved_worker", "reserved_from", "waits_for", "next_try_at")
    fields = {name: getattr(message, name) for name in (*names, *others, *reserved)}
    counts = Counts(*(getattr(message.counts, state.word) for state in COUNTED))
    priority = message.priority if message.HasField("priority") else message.spec.priority
    pause = pause_of(message.pause) if message.HasField("pause") else None
    callers = tuple(AttemptKey(each.job, 0, each.attempt).shown(each.task_number) for each in message.callers)
    because = tuple(message.pending_because)
    made = {"pending_because": because, "counts": counts, "pause": pause, "priority": priority, "callers": callers}
    made["changed"] = tuple(message.changed)
    made["used"] = used_of(message.used) if message.HasField("used") else NOTHING_USED
    return fields | made


def pause_of(message: Any) -> Pause:
    return Pause(message.by, message.since, message.reason, message.by_admin, message.stop_running)


def new_job_id() -> str:
    """A UUID of version 7 (RFC 9562, 5.7): 48 bits of Unix milliseconds, the rest random. Sorts by time."""
    millis = time.time_ns() // 1_000_000
    noise = int.from_bytes(os.urandom(10))
    value = (millis << 80 | noise) & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

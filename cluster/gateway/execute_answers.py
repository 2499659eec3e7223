"""What a run of /execute has come to, as its caller is told: output, or a problem, or for debugging all of it."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.domain.base.signals import signal_name
from cluster.domain.job import endings
from cluster.gateway.problems import CONFLICT, FAILED, TIMED_OUT, UNAVAILABLE, Problem
from cluster.rpc.exceptions import exception_from_proto
from cluster.v1 import job_pb2, jobs_pb2

_BY_SIGNAL = 128  # and its number: the exit code of what a signal ended in a sandbox
_MOST_SIGNAL = 64


@dataclass
class CodeOutcome:
    """How a run has ended. `inspection`: what was found about an exception, for debugging."""

    job: job_pb2.Job
    task: job_pb2.Task
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    notes: list[str] = field(default_factory=list)  # what is to be said about output that is not whole
    inspection: Mapping[str, Any] | None = None

    def text(self, stream: str) -> str:
        """What it wrote there, as far as it is UTF-8; other bytes as `\\\\xe9`."""
        data: bytearray = getattr(self, stream)
        return data.decode(errors="backslashreplace")

    def add(self, piece: jobs_pb2.ReadOutputResponse) -> None:
        """More of what it wrote."""
        (self.stderr if piece.stderr else self.stdout).extend(piece.data)
        if piece.note:
            self.notes.append(piece.note)

    def shorten_stderr(self, most: int) -> int:
        """Of stderr the end is enough, of so many bytes: how many go."""
        extra = len(self.stderr) - most
        if extra < most:  # not piece by piece
            return 0
        del self.stderr[:extra]
        return extra

    @property
    def signal(self) -> str:
        """By which it ended, as far as its exit code says so; empty: by none."""
        number = self.task.exit_code - _BY_SIGNAL
        own = endings.is_own_code(self.task.reason) and 0 < number <= _MOST_SIGNAL
        return signal_name(number) if own else self.task.signal

    @property
    def exception(self) -> dict[str, Any] | None:
        """What the code raised, and where."""
        if not self.task.HasField("exception"):
            return None
        raised = self.task.exception
        place = {"file": raised.file, "line": raised.line, "function": raised.function} if raised.file else {}
        return {"type": raised.type, "message": raised.message, **place}


def problem_in(outcome: CodeOutcome, most: int) -> Problem | None:
    """None: it has succeeded. `most`: bytes of a stream that are kept."""
    reason = endings.of_attempt(outcome.task.reason)
    if reason == endings.OK:
        return _wrong_output(outcome, most)
    kind, words = _kind_and_words(outcome, reason)
    return Problem(kind, words, more=_more(outcome, reason))


def _kind_and_words(outcome: CodeOutcome, reason: str) -> tuple[Any, str]:
    task = outcome.task
    if reason == endings.TIMEOUT:
        return (
            TIMED_OUT,
            f"the code ran for {task.ended_at - task.started_at:.1f} s, longer than it may, and was stopped",
        )
    if reason == endings.OOM:
        return FAILED, "the code took more memory than it may, and was ended"
    if reason == endings.QUEUE_TIMEOUT:
        return UNAVAILABLE, f"no worker was free in time: {task.detail or 'all are busy'}"
    if reason == endings.CANCELLED:
        by = f" by {outcome.job.cancelled_by}" if outcome.job.cancelled_by else ""
        return CONFLICT, f"the run was cancelled{by}"
    if endings.is_own_code(reason) or endings.is_signal(reason):
        return FAILED, _own_end(outcome)
    return UNAVAILABLE, f"the run failed by no fault of the code: {reason}" + (
        f": {task.detail}" if task.detail else ""
    )


def _own_end(outcome: CodeOutcome) -> str:
    if outcome.task.HasField("exception"):
        return exception_from_proto(outcome.task.exception).in_words
    if outcome.signal:
        return f"the code was ended by {outcome.signal}"
    return f"the code left with exit code {outcome.task.exit_code}"


def _wrong_output(outcome: CodeOutcome, most: int) -> Problem | None:
    """Of what has succeeded: its output may still not be what it wrote."""
    if len(outcome.stdout) >= most:
        words = f"the code wrote {most} bytes or more, the most that is kept"
        return Problem(FAILED, words, more={**_more(outcome, endings.OK), "reason": "output"})
    if outcome.notes:
        return Problem(UNAVAILABLE, f"the code has run, and its output is not here: {outcome.notes[0]}")
    return None


def _more(outcome: CodeOutcome, reason: str) -> dict[str, Any]:
    return {
        "job": outcome.job.number,
        "reason": reason,
        "exit_code": outcome.task.exit_code,
        "signal": outcome.signal or None,
        "exception": outcome.exception,
    }


def document(outcome: CodeOutcome) -> dict[str, Any]:
    """All that is known of the run."""
    job, task = outcome.job, outcome.task
    return {
        **_more(outcome, endings.of_attempt(task.reason)),
        "exception": outcome.inspection or outcome.exception,
        **_streams(outcome),
        "notes": outcome.notes,
        "timing": {**_timing(task), "submitted_at": job.submitted_at, "total_seconds": job.ended_at - job.submitted_at},
        "peak_memory_bytes": task.peak_memory_bytes,
        "worker": {"id": task.worker_id, "name": task.worker_name},
        "attempts": [
            {
                "attempt": each.attempt,
                "reason": each.reason,
                "exit_code": each.exit_code,
                "worker": {"id": each.worker_id, "name": each.worker_name},
                **_timing(each),
            }
            for each in task.attempts
        ],
    }


def _streams(outcome: CodeOutcome) -> dict[str, str]:
    """Both as text; where that is not all of it, as base64 too."""
    found: dict[str, str] = {}
    for name in ("stdout", "stderr"):
        data: bytearray = getattr(outcome, name)
        found[name] = outcome.text(name)
        if found[name].encode(errors="replace") != data:
            found[f"{name}_base64"] = base64.b64encode(data).decode()
    return found


def _timing(task: job_pb2.Task) -> dict[str, float]:
    return {
        "started_at": task.started_at,
        "ended_at": task.ended_at,
        "run_seconds": max(0.0, task.ended_at - task.started_at),
        "cpu_seconds": task.cpu_seconds,
    }

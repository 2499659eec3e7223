"""Results for people and for programs: words in columns (cluster.cli.table), JSON when asked for."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cluster.cli.json_text import json_text
from cluster.cli.table import print_table
from cluster.domain.base.printable import printable
from cluster.domain.base.quantities import format_duration
from cluster.domain.job import endings
from cluster.domain.job.growth import memory_after
from cluster.domain.job.states import COUNTED

if TYPE_CHECKING:  # commands that start fast have other values of the same shape
    from cluster.client.types import Job, Member, Output, Task, Token, User, Worker
    from cluster.domain.job.pause import Pause
    from cluster.domain.job.raised_exception import RaisedException
    from cluster.domain.job.spec import JobSpec
    from cluster.domain.scheduler.worker_states import Drain


def print_json(value: Any) -> None:
    """One document, indented on a terminal only."""
    terminal = sys.stdout.isatty()
    print(json_text(value, seen=terminal, indent=2 if terminal else None))


def iso(seconds: float) -> str | None:
    """ISO 8601 in UTC with milliseconds; None for a time that has not come."""
    if not seconds:
        return None
    millis = round(seconds * 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(millis // 1000))}.{millis % 1000:03}Z"


def ago(seconds: float, now: float) -> str:
    """How long ago, for people; `-` for a time that has not come."""
    return f"{format_duration(now - seconds)} ago" if seconds else "-"


def took(started: float, ended: float, now: float) -> str:
    """How long it ran, or has been running."""
    return format_duration((ended or now) - started) if started else "-"


SCRIPT_SENT = "-"  # a script that came with the job by stdin, as one would type it


def command_of(spec: JobSpec, line: bytes | None = None) -> str:
    """The command as one would type it; of a task with its `line` in it."""
    import shlex

    commands = [words_of(spec, line), *(_filled(words, spec, line) for words in spec.then)]
    return " && ".join(map(shlex.join, commands))


def words_of(spec: JobSpec, line: bytes | None) -> list[str]:
    """The words of the command, of several the first; of a task with its `line` in them."""
    script = (spec.script_name or SCRIPT_SENT) if spec.script_text else spec.script
    return _filled([*spec.argv, *([script] if script else []), *spec.script_args], spec, line)


def _filled(words: Sequence[str], spec: JobSpec, line: bytes | None) -> list[str]:
    if line is None:  # of `cluster map` as it was typed
        return [word.replace("{file}", "{}") for word in words] if spec.upload_each else list(words)
    text = os.fsdecode(line)
    if spec.rows:
        from cluster.domain.job.rows import filled, texts_of

        with suppress(ValueError):  # of a long row we have the beginning
            return filled(list(words), texts_of(text), text)
    return [word.replace("{}", text) for word in words]


def options_shown(spec: JobSpec) -> Iterator[tuple[str, str]]:
    """What `job show` says of the options: words and value."""
    from cluster.domain.job.options import Shown
    from cluster.domain.job.spec import OPTIONS

    for each in OPTIONS:
        value = getattr(spec, each.field)
        changed = each.shown is Shown.CHANGED and value != each.default
        if (changed or each.shown is Shown.ALWAYS) and (text := each.kind.shown(value)):
            yield each.words, text


def options_json(spec: JobSpec, *, whole: bool) -> dict[str, Any]:
    """The options by their names; `whole`: also what is too large for lists."""
    from cluster.domain.job.spec import OPTIONS

    told = [each for each in OPTIONS if (each.kind.is_told if whole else each.kind.is_listed)]
    return {each.name: each.kind.told(getattr(spec, each.field)) for each in told}


def state_of(job: Job) -> str:
    """The state, and of an array how far it is."""
    if not job.is_array or job.state.ended:
        return job.state.word
    return f"{job.state.word} {job.counts.ended}/{job.counts.total}"


def because(job: Job, now: float) -> list[str]:
    """Why it waits, most telling first; of a pause also how long ago that was."""
    pause = job.pause
    return [pause.said(now) if pause and line == pause.said() else line for line in job.pending_because]


def reason_of(job: Job) -> str:
    """Why it ended, or else what keeps it from going on, in a few words."""
    return job.reason if job.state.ended else job.waits_for


def why_of(job: Job, detail: str = "") -> str:
    """The reason in brackets with a space before; nothing where the state says it all."""
    return in_brackets(job, job.waits_for if job.pause else f"{job.reason}{detail}")


def in_brackets(job: Job, reason: str) -> str:
    """As it follows the state; nothing where that says it all."""
    return "" if reason in ("", endings.OK, job.state.word) else f" ({reason})"


USUAL_LIMIT = 100  # jobs that are listed where nobody says how many
JOB_HEADS = ("JOB", "STATE", "REASON", "SUBMITTED", "TOOK", "NAME", "COMMAND")
OWNED_HEADS = (*JOB_HEADS, "OWNER")  # last, so that no other column of a pipe moves


def job_row(job: Job, now: float, *, owned: bool = False) -> Sequence[str]:
    """A job in a list, below JOB_HEADS; `owned`: below OWNED_HEADS."""
    return (
        str(job.number),
        state_of(job),
        reason_of(job),
        ago(job.submitted_at, now),
        took(job.started_at, job.ended_at, now),
        job.spec.name,
        command_of(job.spec),
        *([job.owner] if owned else []),
    )


def print_jobs(jobs: Sequence[Job], limit: int, *, me: str, asked: bool, as_json: bool, quiet: bool) -> None:
    """A list of jobs, at most `limit` of them; 0: all. One more than that tells that there are more, and so is said
    unless somebody has `asked` for no more. `me`: the user whose jobs need no owner where all are; empty: a job, which
    sees those of one owner alone."""
    more = bool(limit) and len(jobs) > limit
    jobs = jobs[:limit] if limit else jobs
    if as_json:
        print_json([job_json(job) for job in jobs])
    elif quiet:
        print("".join(f"{job.number}\n" for job in jobs), end="")
    else:
        now = time.time()
        owned = bool(me) and any(job.owner != me for job in jobs)
        print_table(OWNED_HEADS if owned else JOB_HEADS, [job_row(job, now, owned=owned) for job in jobs])
    sys.stdout.flush()
    if more and not asked:
        print(f"cluster: these are the newest {limit}; --limit 0 lists all", file=sys.stderr)


def job_json(job: Job, *, whole: bool = False) -> dict[str, Any]:
    """A job in JSON: as lists show it, or `whole`, with its environment."""
    spec, counts = job.spec, job.counts
    return {
        "number": job.number,
        "id": job.id,
        "owner": job.owner,
        "state": job.state.word,
        "reason": job.reason or None,
        "exit_code": job.exit_code if job.state.ended else None,
        **options_json(spec, whole=whole),
        "priority": job.priority,  # as it is now
        "tasks": {"total": counts.total, **{state.word: counts.of(state) for state in COUNTED}},
        "submitted_at": iso(job.submitted_at),
        "started_at": iso(job.started_at),
        "ended_at": iso(job.ended_at),
        "waits_for": job.waits_for or None,
        "pending_because": list(job.pending_because),
        "no_worker_can": job.no_worker_can,
        "no_worker_ever": job.no_worker_ever,
        "waits_until": iso(job.waits_until),
        "next_try_at": iso(job.next_try_at),
        "reserved_on": job.reserved_worker or None,
        "reserved_from": iso(job.reserved_from),
        "schedule": job.schedule or None,
        "last_run": job.last_run or None,
        "part": job.part or None,
        "paused": job.pause
        and {**pause_json(job.pause), "stop_running": job.pause.stop_running, "frozen_tasks": job.frozen},
        "cancelled_by": job.cancelled_by or None,
        "cancel_reason": job.cancel_reason or None,
        "rerun_of": job.rerun_of or None,
        "changed": list(job.changed),
        "callers": list(job.callers),
        "used": job.used._asdict() if job.used.attempts else None,  # by attempts that have ended
    }


def pause_json(pause: Pause) -> dict[str, Any]:
    """Who has paused a job or the queue, as JSON shows it."""
    return {"by": pause.by, "since": iso(pause.since), "reason": pause.reason or None, "by_admin": pause.by_admin}


def task_json(task: Task, spec: JobSpec, *, with_attempts: bool = False) -> dict[str, Any]:
    """A task of a job with this spec as JSON shows it."""
    shown = {
        "task": task.number,
        "state": task.state.word,
        "attempt": task.attempt,
        "reason": task.reason or None,
        "exit_code": task.exit_code if task.state.ended else None,
        "signal": task.signal or None,
        "detail": task.detail or None,
        "line": None if task.line is None else os.fsdecode(task.line),
        "command": words_of(spec, task.line),
        "worker_id": task.worker_id or None,
        "worker": task.worker_name or None,
        "reference": task.reference or None,
        "assigned_at": iso(task.assigned_at),
        "started_at": iso(task.started_at),
        "ended_at": iso(task.ended_at),
        "next_try_at": iso(task.next_try_at),
        "cpu_seconds": task.cpu_seconds or None,  # null: not measured, as of a task that has not ended or was lost
        "peak_memory_bytes": task.peak_memory or None,  # null: also where it took too little to be told from ours
        "exception": exception_json(task.exception),
        "asks_for_memory": memory_after(spec.memory, spec.grow, task.grown)
        or None,  # at its next attempt, or at the one that runs
    }
    if with_attempts:
        shown["attempts"] = [_attempt_json(attempt, spec) for attempt in task.attempts]
    return shown


_OF_ATTEMPT = ("attempt", "state", "reason", "exit_code", "signal", "detail", "worker_id", "worker")
_MEASURED = ("reference", "started_at", "ended_at", "cpu_seconds", "peak_memory_bytes")


def _attempt_json(attempt: Task, spec: JobSpec) -> dict[str, Any]:
    """What differs between the attempts of a task."""
    shown = task_json(attempt, spec)
    return {name: shown[name] for name in (*_OF_ATTEMPT, *_MEASURED)}


def exception_json(exception: RaisedException | None) -> dict[str, Any] | None:
    """What a program raised as JSON shows it."""
    if exception is None:
        return None
    return {
        "type": exception.type,
        "message": exception.message,
        "file": exception.file or None,
        "line": exception.line or None,
        "function": exception.function or None,
        "following": list(exception.following),
        "cause": exception_json(exception.cause),
        "first_in_group": exception_json(exception.first_in_group),
    }


def note_of(piece: Output) -> str:
    """What is to be said about an attempt's output, as a line for people."""
    from cluster.domain.base.ids import AttemptKey

    return f"cluster: {AttemptKey(piece.job, 0, piece.attempt).shown(piece.task)}: {printable(piece.note)}"


def output_json(piece: Output) -> bytes:
    """A piece of output as a line of JSON; bytes that are no text are in base64, so that nothing is lost."""
    fields: dict[str, Any] = {"job": piece.job, "task": piece.task, "attempt": piece.attempt}
    if piece.note:
        fields["note"] = piece.note
    else:
        fields["stream"] = "stderr" if piece.stderr else "stdout"
        try:
            fields["data"] = piece.data.decode()
        except UnicodeDecodeError:
            import base64

            fields["data_base64"] = base64.b64encode(piece.data).decode()
    return json_text(fields, seen=sys.stdout.isatty()).encode() + b"\n"


def worker_json(worker: Worker) -> dict[str, Any]:
    """A worker as JSON shows it."""
    return {
        "id": worker.id,
        "name": worker.name,
        "state": worker.state.word,
        "cpus": worker.millicpus / 1000,
        "cpus_used": worker.used_millicpus / 1000,
        "resources": {
            name: {"offered": amount, "used": worker.taken.get(name, 0)}
            for name, amount in worker.offer.amounts.items()
        },
        "gpu_ids": list(worker.offer.gpus),
        "limits_memory": worker.offer.limits_memory,
        "sandbox": worker.offer.sandbox or None,
        "labels": dict(worker.offer.labels),
        "external_id": worker.offer.elsewhere.external_id or None,
        "metadata": dict(worker.offer.elsewhere.metadata),
        "running": worker.running,
        "assigned": worker.assigned,
        "address": worker.address or None,
        "version": worker.version,
        "registered_at": iso(worker.registered_at),
        "last_heard_at": iso(worker.last_heard_at),
        "no_room": worker.no_room or None,
        "trouble": worker.trouble or None,
        "drain": drain_json(worker.drain) if worker.drain else None,
        "leaves_at": iso(worker.leaves_at),
    }


def drain_json(drain: Drain) -> dict[str, Any]:
    """Who drains a worker, as JSON shows it."""
    return {
        "by": drain.by,
        "since": iso(drain.since),
        "reason": drain.reason or None,
        "deadline": iso(drain.deadline),
    }


def token_json(token: Token) -> dict[str, Any]:
    """A token's record as JSON shows it."""
    return {
        "id": token.id,
        "for": "http" if token.http else "join",
        "role": token.role,
        "user": token.user or None,
        "created_at": iso(token.created_at),
        "expires_at": iso(token.expires_at),
        "uses_left": token.uses_left,
        "revoked": token.revoked,
        "joined": [member_json(member) for member in token.joined],
        "joined_total": token.joined_total,
        "maker": token.maker or None,
    }


def member_json(member: Member) -> dict[str, Any]:
    """A worker or a user as JSON shows it."""
    return {"kind": member.kind, "id": member.id, "name": member.name or None}


def user_json(user: User) -> dict[str, Any]:
    """A user as JSON shows it."""
    return {
        "name": user.name,
        "role": user.role,
        "created_at": iso(user.created_at),
        "revoked_at": iso(user.revoked_at),
        "joined": user.joined,
        "id": user.id,
    }

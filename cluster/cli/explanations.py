"""Why a job or a task is where it is, one line each, most telling first: what `cluster job why` says.

What keeps it from starting the scheduler knows (cluster.domain.scheduler.views); what ended it stands in its reason.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from math import ceil

from cluster.cli.render import because
from cluster.client.types import Job, Task
from cluster.domain.base import wall_time
from cluster.domain.base.quantities import format_duration
from cluster.domain.base.signals import signal_name
from cluster.domain.job import endings
from cluster.domain.job.growth import memory_after
from cluster.domain.job.kinds import NO_LIMIT, SIZE
from cluster.domain.job.retry_policy import Verdict, befell, judge
from cluster.domain.job.states import COUNTED, TaskState

MOST_TOLD = 10  # attempts in a task's history
LAST_SIGNAL = 31  # of those that a shell is likely to mean by an exit code


def why_job(job: Job) -> list[str]:
    """Of all its tasks, or of the part of them that is meant."""
    lines = []
    if job.is_array:
        parts = [f"{count} {state.word}" for state in COUNTED if (count := job.counts.of(state))]
        lines.append(f"of {job.counts.total} tasks " + ", ".join(parts))
    lines += _why_it_waits(job)
    if job.cancelled_by:
        lines.append(_cancelled(job))
    elif job.cancel_reason:
        lines.append(job.cancel_reason)
    return lines


def why_task(job: Job, task: Task) -> list[str]:
    """Of one task of that job."""
    worker = task.worker_name or task.worker_id
    if task.state is TaskState.ASSIGNED:
        if job.pending_because:  # such as that it fetches an upload
            return [f"worker {worker} has it", *_why_it_waits(job)]
        return [f"worker {worker} has it, and starts it as soon as cpus are free there"]
    if task.state is TaskState.RUNNING:
        if job.pause and job.frozen:
            return [f"it has begun on worker {worker}, and is frozen there: its job is {job.pause.said(time.time())}"]
        return [f"it runs on worker {worker}"]
    if task.state is TaskState.FINISHING:
        return ["it has succeeded, and ends when the jobs have ended that it has called", *job.pending_because]
    if task.state is TaskState.BACKOFF:
        return [_what_happened(job, task), _when_again(job, task)]
    if not task.state.ended:
        limit = job.spec.max_running
        others = (
            "other tasks of its job are at work"
            if limit == NO_LIMIT
            else f"--max-running {limit} of its job are at work"
        )
        return list(_why_it_waits(job)) or [f"its turn has not come: {others}"]
    return [_what_happened(job, task), *_why_not_again(job, task)]


def _when_again(job: Job, task: Task) -> str:
    """Of one that is between two attempts."""
    when = "after a pause"
    if task.next_try_at:
        when = f"at {wall_time.iso(ceil(task.next_try_at))}, in {format_duration(task.next_try_at - time.time())}"
    memory = SIZE.typed(memory_after(job.spec.memory, job.spec.grow, task.grown))
    more = f"; it asks for {memory} of memory then" if task.grown else ""
    return f"it is tried again {when}: this was attempt {task.attempt}, and --retries is {job.spec.retries}{more}"


def history(task: Task) -> str:
    """How its attempts have ended and where, in short; empty where there was but one."""
    if task.attempt < 2 or not task.attempts:
        return ""
    several = [_where(attempt) for attempt in task.attempts[-MOST_TOLD:]]
    more = "…, " if len(several) < task.attempt else ""
    return f"{task.attempt} attempts: {more}{', '.join(several)}"


def _where(attempt: Task) -> str:
    worker = attempt.worker_name or attempt.worker_id
    how = endings.of_attempt(attempt.reason) or attempt.state.word
    return f"{how} on {worker}" if worker else how


def _why_not_again(job: Job, task: Task) -> Iterator[str]:
    spec, reason = job.spec, endings.of_attempt(task.reason)
    if reason != task.reason:
        was = "was lost" if befell(reason) else "has failed"
        yield f"it is not tried again: it {was} more often than --retries {spec.retries}"
    elif (
        spec.retries
        and task.state is TaskState.FAILED
        and judge(reason, spec.retries, spec.retry_on, 1, 1) is Verdict.OVER
    ):
        yield f"it is not tried again: that is none of --retry-on {','.join(spec.retry_on)}"


def _why_it_waits(job: Job) -> Iterator[str]:
    if job.no_worker_ever:
        yield "no worker that there is now can run it, however long it waits"
    elif job.no_worker_can:
        yield "no worker that has what it needs takes work now: it starts when one does"
    yield from because(job, time.time())


def _what_happened(job: Job, task: Task) -> str:
    """What ended the task's last attempt, and of several commands which."""
    which = f" ({task.detail})" if job.spec.then and task.detail else ""
    return f"{_ended(job, task)}{which}"


def _ended(job: Job, task: Task) -> str:
    reason = endings.of_attempt(task.reason)
    if endings.is_own_code(reason):
        return f"it left with exit code {task.exit_code}{_known_code(task.exit_code)}"
    if endings.is_signal(reason):
        return f"{task.signal} ended it, and neither cluster nor a user asked for it{_known_signal(task.signal)}"
    return ENDS[reason](job, task) if reason in ENDS else reason


# What each reason says that is no exit code and no signal.
ENDS: Mapping[str, Callable[[Job, Task], str]] = {
    endings.OK: lambda job, task: "it left with exit code 0",
    endings.CANCELLED: lambda job, task: _cancelled(job) + _killed(job, task),
    endings.DEPENDENCY: lambda job, task: f"it never ran: {job.cancel_reason or 'what it waited for did not happen'}",
    endings.MAX_FAILS: lambda job, task: (
        f"it was cancelled{_killed(job, task)}: more than --max-fails {job.spec.max_fails} tasks of its job had failed"
    ),
    endings.CHILDREN: lambda job, task: "it has succeeded, and a job that it has called has not (--wait-children)",
    endings.STOPPED: lambda job, task: f"{task.detail or 'its worker was told to end its jobs'}{_killed(job, task)}",
    endings.TIMEOUT: lambda job, task: (
        f"it ran longer than --timeout {format_duration(job.spec.timeout)}, and was stopped{_killed(job, task)}"
    ),
    endings.QUEUE_TIMEOUT: lambda job, task: (
        f"it was ready for --queue-timeout {format_duration(job.spec.queue_timeout)}, and no worker started it"
    ),
    endings.QUIET_TIMEOUT: lambda job, task: (
        f"it wrote nothing for --quiet-timeout {format_duration(job.spec.quiet_timeout)}, and was stopped"
        f"{_killed(job, task)}"
    ),
    endings.DEADLINE: lambda job, task: (
        f"its --deadline {job.spec.deadline} came before "
        + (f"it had ended, and it was stopped{_killed(job, task)}" if task.attempt else "it had started")
    ),
    endings.FORMAT_ERROR: lambda job, task: f"it left with exit code 0, and {task.detail or 'its output is wrong'}",
    endings.OOM: lambda job, task: f"it took more memory than {_asked(job, task)}, and the kernel ended it",
    endings.LAUNCH_FAILED: lambda job, task: f"it could not be started: {task.detail}",
    endings.LOST: lambda job, task: f"nobody can know how it ended: {task.detail or _never_heard(job)}",
}


def memory_asked(job: Job, task: Task) -> int:
    """Bytes that the task's last attempt had asked for."""
    before = task.grown - (endings.of_attempt(task.reason) == endings.OOM)
    return memory_after(job.spec.memory, job.spec.grow, max(0, before))


def _asked(job: Job, task: Task) -> str:
    first, memory = SIZE.typed(job.spec.memory), SIZE.typed(memory_asked(job, task))
    return f"--mem {first}" if memory == first else f"{memory}, to which --grow had brought its --mem {first}"


def _never_heard(job: Job) -> str:
    silent = f"its worker was silent for longer than --lost-after {format_duration(job.spec.lost_after)}"
    return f"{silent}, or does not know it any more"


def _killed(job: Job, task: Task) -> str:
    """That it took more than SIGTERM."""
    return f", by SIGKILL after --grace {format_duration(job.spec.grace)}" if task.signal == "SIGKILL" else ""


def _cancelled(job: Job) -> str:
    by = f"{job.cancelled_by} cancelled it" if job.cancelled_by else "it was cancelled"
    return f"{by}: {job.cancel_reason}" if job.cancel_reason else by


def _known_code(code: int) -> str:
    """What a shell means by it."""
    if code == endings.NOT_FOUND:
        return ", as a shell does that does not find a command"
    if code == endings.NOT_RUNNABLE:
        return ", as a shell does that cannot run a command"
    if 0 < code - 128 <= LAST_SIGNAL:
        name = signal_name(code - 128)
        return f", as a shell does whose command was ended by {name}{_known_signal(name)}"
    return ""


def _known_signal(name: str) -> str:
    return ": often the kernel does so where memory is short" if name == "SIGKILL" else ""

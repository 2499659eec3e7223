"""Domain values to messages and back: the one place that knows both. Nothing is judged here (spec.validate does that).

Every pair is `x_to_proto` and `x_from_proto`. What a message cannot say comes back as its domain default:
of an End the worker (whoever's session it came in).
"""

from collections.abc import Callable, Iterable, Sequence

from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import Range
from cluster.domain.job.changes import BY_FIELD
from cluster.domain.job.pause import Pause
from cluster.domain.job.records import OkEnds, SmallOutput, TaskEnd
from cluster.domain.scheduler.views import Detail, JobView, TaskView, WorkerView
from cluster.domain.session.home import Home
from cluster.domain.session.messages import (
    Assign,
    Attempts,
    Disown,
    Downward,
    Freeze,
    HeartbeatAnswered,
    Hello,
    Recall,
    Report,
    ReportAcknowledged,
    Stop,
    Welcome,
    by_attempt,
)
from cluster.domain.trust.members import ExpelledUser
from cluster.rpc.exceptions import add_last_words
from cluster.rpc.history import usage_to_proto
from cluster.rpc.specs import offer_from_proto, offer_to_proto, spec_from_proto, spec_to_proto
from cluster.v1 import job_pb2, jobs_pb2, scheduler_pb2


def ranges_to_proto(ranges: Iterable[Range]) -> list[job_pb2.IndexRange]:
    return [job_pb2.IndexRange(first=start, count=stop - start) for start, stop in ranges]


def ranges_from_proto(messages: Iterable[job_pb2.IndexRange]) -> tuple[Range, ...]:
    return tuple(Range(m.first, m.first + m.count) for m in messages)


def attempts_to_proto(attempts: Attempts) -> scheduler_pb2.Attempts:
    return scheduler_pb2.Attempts(job=attempts.job, attempt=attempts.attempt, indexes=ranges_to_proto(attempts.ranges))


def attempts_from_proto(message: scheduler_pb2.Attempts) -> Attempts:
    return Attempts(message.job, message.attempt, ranges_from_proto(message.indexes))


def keys_from_proto(messages: Iterable[scheduler_pb2.Attempts]) -> list[AttemptKey]:
    """Each of these attempts."""
    return [key for each in messages for key in attempts_from_proto(each)]


def keys_to_proto(keys: Iterable[AttemptKey]) -> list[scheduler_pb2.Attempts]:
    """The same, by job and attempt."""
    single = (Attempts(key.job, key.attempt, (Range(key.index, key.index + 1),)) for key in keys)
    return [attempts_to_proto(Attempts(*of, tuple(found.ranges()))) for of, found in by_attempt(single).items()]


def _several_from_proto(messages: Iterable[scheduler_pb2.Attempts]) -> tuple[Attempts, ...]:
    return tuple(attempts_from_proto(m) for m in messages)


def ok_ends_to_proto(ends: OkEnds) -> scheduler_pb2.OkEnds:
    return scheduler_pb2.OkEnds(
        job=ends.job, attempt=ends.attempt, first=ends.first, count=ends.count, packed=ends.packed
    )


def ok_ends_from_proto(message: scheduler_pb2.OkEnds) -> OkEnds:
    return OkEnds(message.job, message.attempt, message.first, message.count, message.packed)


def task_end_to_proto(end: TaskEnd) -> scheduler_pb2.End:
    return scheduler_pb2.End(
        job=end.job,
        index=end.index,
        attempt=end.attempt,
        reason=end.reason,
        exit_code=end.exit_code,
        signal=end.signal,
        detail=end.detail,
        started_at=end.started_at,
        ended_at=end.ended_at,
        cpu_seconds=end.cpu_seconds,
        peak_memory_bytes=end.peak_memory,
        output_bytes=end.output_bytes,
    )


def task_end_from_proto(message: scheduler_pb2.End) -> TaskEnd:
    return TaskEnd(
        job=message.job,
        index=message.index,
        attempt=message.attempt,
        reason=message.reason,
        exit_code=message.exit_code,
        signal=message.signal,
        detail=message.detail,
        started_at=message.started_at,
        ended_at=message.ended_at,
        cpu_seconds=message.cpu_seconds,
        peak_memory=message.peak_memory_bytes,
        output_bytes=message.output_bytes,
    )


def small_output_to_proto(output: SmallOutput) -> scheduler_pb2.SmallOutput:
    return scheduler_pb2.SmallOutput(
        job=output.job, index=output.index, attempt=output.attempt, stdout=output.stdout, stderr=output.stderr
    )


def small_output_from_proto(message: scheduler_pb2.SmallOutput) -> SmallOutput:
    return SmallOutput(message.job, message.index, message.attempt, message.stdout, message.stderr)


def home_to_proto(home: Home, uptime: float) -> scheduler_pb2.Home:
    return scheduler_pb2.Home(machine=home.machine, boot=home.boot, directory=home.directory, uptime=uptime)


def home_from_proto(message: scheduler_pb2.Home) -> Home:
    return Home(message.machine, message.boot, message.directory)


def hello_to_proto(hello: Hello) -> scheduler_pb2.Hello:
    return scheduler_pb2.Hello(
        incarnation=hello.incarnation,
        capacity_millicpus=hello.millicpus,
        epoch=hello.epoch,
        home=home_to_proto(hello.home, hello.uptime),
        backlog=map(attempts_to_proto, hello.backlog),
        running=map(attempts_to_proto, hello.running),
        ended=map(attempts_to_proto, hello.ended),
        frozen=map(attempts_to_proto, hello.frozen),
        no_room=hello.no_room,
        offer=offer_to_proto(hello.offer),
        leaves_in=hello.leaves_in,
    )


def hello_from_proto(message: scheduler_pb2.Hello) -> Hello:
    return Hello(
        message.incarnation,
        message.capacity_millicpus,
        message.epoch,
        home=home_from_proto(message.home),
        uptime=message.home.uptime,
        backlog=_several_from_proto(message.backlog),
        running=_several_from_proto(message.running),
        ended=_several_from_proto(message.ended),
        frozen=_several_from_proto(message.frozen),
        no_room=message.no_room,
        offer=offer_from_proto(message.offer),
        leaves_in=message.leaves_in if message.HasField("leaves_in") else None,
    )


def report_to_proto(report: Report) -> scheduler_pb2.Report:
    return scheduler_pb2.Report(
        sequence=report.sequence,
        started=map(attempts_to_proto, report.started),
        ok=map(ok_ends_to_proto, report.ok),
        ended=map(task_end_to_proto, report.ended),
        returned=map(attempts_to_proto, report.returned),
        outputs=map(small_output_to_proto, report.outputs),
        draining=report.draining,
    )


def report_from_proto(message: scheduler_pb2.Report) -> Report:
    return Report(
        message.sequence,
        started=_several_from_proto(message.started),
        ok=tuple(ok_ends_from_proto(m) for m in message.ok),
        ended=tuple(task_end_from_proto(m) for m in message.ended),
        returned=_several_from_proto(message.returned),
        outputs=tuple(small_output_from_proto(m) for m in message.outputs),
        draining=message.draining,
    )


def assign_to_proto(assign: Assign) -> scheduler_pb2.Assign:
    return scheduler_pb2.Assign(
        job=assign.attempts.job,
        attempt=assign.attempts.attempt,
        indexes=ranges_to_proto(assign.attempts.ranges),
        spec=spec_to_proto(assign.spec, with_lines=False) if assign.spec else None,
        leash=assign.leash,
        lines=assign.lines,
        job_id=assign.job_id,
        owner=assign.owner,
    )


def assign_from_proto(message: scheduler_pb2.Assign) -> Assign:
    return Assign(
        Attempts(message.job, message.attempt, ranges_from_proto(message.indexes)),
        spec_from_proto(message.spec) if message.HasField("spec") else None,
        message.leash,
        tuple(message.lines),
        message.job_id,
        message.owner,
    )


def joinable(messages: Sequence[Downward]) -> int:
    """How many of the first of these one response may carry: up to an acknowledgement that follows an assign.

    A task that was given back may be assigned to the same worker again, in the same attempt, in the very turn that
    acknowledges its return. The worker must read of the acknowledgement first, or it takes the assign for an old one.
    """
    assigned = False
    for count, message in enumerate(messages):
        if assigned and isinstance(message, ReportAcknowledged):
            return count
        assigned = assigned or isinstance(message, Assign)
    return len(messages)


def response_to_proto(messages: Sequence[Downward]) -> scheduler_pb2.SessionResponse:
    """Joins messages into one, as many as are `joinable`. Their order is lost, and need not be kept: within one turn of
    the core reports are acknowledged and an attempt is first disowned, then assigned, then stopped or recalled, and
    then frozen (whether it is to be thawed again the order among these tells, which is kept);
    `messages_from_response` gives them back in that order."""
    response = scheduler_pb2.SessionResponse()
    for message in messages:
        match message:
            case Welcome(epoch, lease):
                response.welcome.epoch, response.welcome.lease = epoch, lease
            case Assign():
                response.assign.append(assign_to_proto(message))
            case Stop(attempts, grace):
                response.stop.add(attempts=attempts_to_proto(attempts), grace=grace)
            case Recall(attempts):
                response.recall.append(attempts_to_proto(attempts))
            case Freeze(attempts, thaw):
                response.freeze.add(attempts=attempts_to_proto(attempts), thaw=thaw)
            case Disown(attempts):
                response.disown.append(attempts_to_proto(attempts))
            case ReportAcknowledged(sequence):
                response.report_acknowledged = max(response.report_acknowledged, sequence)
            case HeartbeatAnswered(sequence):
                response.heartbeat = max(response.heartbeat, sequence)
    return response


def messages_from_response(response: scheduler_pb2.SessionResponse) -> list[Downward]:
    """All that a response says, in the order in which it must be obeyed; `open_output` and `expelled` are left to the
    caller."""
    messages: list[Downward] = []
    if response.HasField("welcome"):
        messages.append(Welcome(response.welcome.epoch, response.welcome.lease))
    if response.report_acknowledged:
        messages.append(ReportAcknowledged(response.report_acknowledged))
    messages += [Disown(attempts_from_proto(m)) for m in response.disown]
    messages += [assign_from_proto(m) for m in response.assign]
    messages += [Stop(attempts_from_proto(m.attempts), m.grace) for m in response.stop]
    messages += [Recall(attempts_from_proto(m)) for m in response.recall]
    messages += [Freeze(attempts_from_proto(m.attempts), m.thaw) for m in response.freeze]
    if response.heartbeat:
        messages.append(HeartbeatAnswered(response.heartbeat))
    return messages


def expelled_to_proto(users: Sequence[ExpelledUser]) -> scheduler_pb2.ExpelledUsers:
    return scheduler_pb2.ExpelledUsers(
        users=[scheduler_pb2.ExpelledUser(name=name, enrolment=enrolment) for name, enrolment in users]
    )


def expelled_from_proto(message: scheduler_pb2.ExpelledUsers) -> tuple[ExpelledUser, ...]:
    return tuple(ExpelledUser(user.name, user.enrolment) for user in message.users)


def job_to_proto(view: JobView, detail: Detail = Detail.WHOLE) -> job_pb2.Job:
    record, counts, spec = view.record, view.counts, None
    if detail is not Detail.NONE:
        spec = spec_to_proto(record.spec.without_lines(), with_env=detail is Detail.WHOLE)
    return job_pb2.Job(
        number=record.number,
        id=record.id,
        owner=record.owner,
        spec=spec,
        state=view.state.value,  # type: ignore[arg-type]  # the numbers are the same
        reason=view.reason,
        counts=job_pb2.TaskCounts(**{state.word: count for state, count in counts.items()}),
        submitted_at=record.submitted_at,
        started_at=view.started_at,
        ended_at=view.ended_at,
        exit_code=view.exit_code,
        pending_because=view.pending_because,
        no_worker_can=view.no_worker_can,
        no_worker_ever=view.no_worker_ever,
        hindrances=[job_pb2.Hindrance(**group._asdict()) for group in view.explanation.hindrances],
        candidates=[job_pb2.Candidate(**candidate._asdict()) for candidate in view.explanation.candidates],
        more_candidates=view.explanation.more,
        waits_until=view.waits_until,
        schedule=record.schedule,
        last_run=view.last_run,
        cancelled_by=view.cancelled_by,
        cancel_reason=view.cancel_reason,
        part=view.part,
        pause=pause_to_proto(view.pause),
        callers=[
            job_pb2.CallingAttempt(job=each.job, task_number=each.number, attempt=each.attempt)
            for each in record.callers
        ],
        priority=record.spec.priority,
        changed=[BY_FIELD[field].name for field in view.changed],
        rerun_of=record.rerun_of,
        reserved_worker=view.reserved.worker if view.reserved else "",
        reserved_from=view.reserved.start if view.reserved else 0.0,
        waits_for=view.waits_for,
        next_try_at=view.next_try_at,
        used=usage_to_proto(view.used) if view.used.attempts else None,
    )


def pause_to_proto(pause: Pause | None) -> job_pb2.Pause | None:
    return pause and job_pb2.Pause(**pause._asdict())


def task_to_proto(view: TaskView) -> job_pb2.Task:
    task = job_pb2.Task(
        index=view.index,
        number=view.number,
        state=view.state.value,  # type: ignore[arg-type]  # the numbers are the same
        attempt=view.attempt,
        worker_id=view.worker_id,
        worker_name=view.worker_name,
        reason=view.reason,
        exit_code=view.exit_code,
        grown=view.grown,
        started_at=view.started_at,
        next_try_at=view.next_try_at,
        assigned_at=view.given_at,
        reference=view.reference,
    )
    if view.line is not None:
        task.line = view.line
    if end := view.end:
        task.detail, task.signal, task.ended_at = end.detail, end.signal, end.ended_at
        task.cpu_seconds, task.peak_memory_bytes = end.cpu_seconds, end.peak_memory
    if view.last_words:
        add_last_words(task, view.last_words)
    task.attempts.extend(map(task_to_proto, view.attempts))
    return task


def workers_to_proto(
    views: Iterable[WorkerView], now: float, sees: Callable[[str], bool] = lambda owner: False
) -> list[jobs_pb2.WorkerInfo]:
    """`now` is the wall clock, Unix seconds. `sees`: of which owners their jobs are told."""
    return [_worker_to_proto(view, now, sees) for view in views]


def _worker_to_proto(view: WorkerView, now: float, sees: Callable[[str], bool]) -> jobs_pb2.WorkerInfo:
    held = [job for job in view.jobs if sees(job.owner)]
    record = view.record
    return jobs_pb2.WorkerInfo(
        id=record.id,
        name=record.name,
        state=view.state.value,  # type: ignore[arg-type]  # the numbers are the same
        capacity_millicpus=record.millicpus,
        used_millicpus=view.used_millicpus,
        running=view.running,
        assigned=view.assigned,
        address=record.address,
        version=record.version,
        registered_at=record.registered_at,
        last_heard_at=0.0 if view.silent_for is None else now - view.silent_for,
        no_room=view.no_room,
        trouble=view.trouble,
        drain=record.drain and jobs_pb2.Drain(**record.drain._asdict()),
        offer=offer_to_proto(record.offer),
        taken=view.taken,
        leaves_at=view.leaves_at,
        jobs=[jobs_pb2.HeldJob(number=j.number, running=j.running, assigned=j.assigned) for j in held],
    )

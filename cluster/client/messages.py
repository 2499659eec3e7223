"""Between messages and the client's values."""

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from cluster.client.backend import WantedOutput
from cluster.client.job_fields import job_fields, pause_of
from cluster.client.types import (
    ClusterEvent,
    Job,
    Kept,
    Member,
    QueueStatus,
    RevocationResult,
    Share,
    Task,
    Token,
    User,
    Worker,
)
from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.hindrances import NOT_EXPLAINED, Candidate, Explanation, Hindrance
from cluster.domain.scheduler.worker_states import Drain, WorkerState
from cluster.rpc.exceptions import exception_from_proto
from cluster.rpc.specs import offer_from_proto, spec_from_proto, spec_to_proto
from cluster.v1 import job_pb2, jobs_pb2

if TYPE_CHECKING:
    from cluster.v1 import admin_pb2  # for admins only


def spec_message(spec: JobSpec) -> job_pb2.JobSpec:
    """InvalidInput for a name that is not UTF-8, and for a number out of range."""
    try:
        return spec_to_proto(spec)
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{error.object!r} is not UTF-8, and it must be") from None
    except ValueError as error:
        raise InvalidInput(f"a number in the job is out of range: {error}") from None


def event_of(message: Any) -> ClusterEvent:
    """The fields are called alike."""
    return ClusterEvent(**{field.name: getattr(message, field.name) for field in fields(ClusterEvent)})


def kept_of(answer: jobs_pb2.GetResponse) -> Kept:
    pin, expired = answer.pin, answer.output_expired
    return Kept(pin.by, pin.at, expired.at, expired.why)


def selectors_of(texts: Sequence[str]) -> list[jobs_pb2.Selector]:
    """InvalidInput for text that is not UTF-8."""
    try:
        return [jobs_pb2.Selector(text=text) for text in texts]
    except UnicodeEncodeError as error:
        raise InvalidInput(f"the selector {error.object!r} is not UTF-8") from None


def output_fields(wanted: WantedOutput) -> dict[str, Any]:
    """Those of a request for output, which are the same at both backends."""
    position = wanted.position
    return {
        "selector": selectors_of([wanted.selector])[0],
        "stdout": wanted.stdout,
        "stderr": wanted.stderr,
        "follow": wanted.follow,
        "tail_lines": wanted.tail,
        "position": position
        and jobs_pb2.Position(
            job=position.job,
            task_number=position.task,
            attempt=position.attempt,
            stdout=position.stdout,
            stderr=position.stderr,
        ),
    }


def job_of(message: job_pb2.Job) -> Job:
    return Job(
        spec=spec_from_proto(message.spec),
        state=TaskState(message.state),
        explanation=_explanation_of(message),
        **job_fields(message),
    )


def _explanation_of(message: job_pb2.Job) -> Explanation:
    if not (message.hindrances or message.candidates):
        return NOT_EXPLAINED
    hindrances = [Hindrance(tuple(m.workers), m.number, m.reason, m.fix) for m in message.hindrances]
    candidates = [
        Candidate(m.worker, m.preferred, m.tasks_there, m.tasks_that_fit, m.free_millicpus) for m in message.candidates
    ]
    return Explanation(hindrances, candidates, message.more_candidates)


def task_of(message: job_pb2.Task) -> Task:
    return Task(
        index=message.index,
        number=message.number,
        state=TaskState(message.state),
        attempt=message.attempt,
        reason=message.reason,
        exit_code=message.exit_code,
        signal=message.signal,
        detail=message.detail,
        worker_id=message.worker_id,
        worker_name=message.worker_name,
        started_at=message.started_at,
        ended_at=message.ended_at,
        cpu_seconds=message.cpu_seconds,
        peak_memory=message.peak_memory_bytes,
        line=message.line if message.HasField("line") else None,
        exception=exception_from_proto(message.exception) if message.HasField("exception") else None,
        stderr_tail=message.stderr_tail,
        attempts=tuple(map(task_of, message.attempts)),
        next_try_at=message.next_try_at,
        assigned_at=message.assigned_at,
        grown=message.grown,
        reference=message.reference,
    )


def worker_of(message: jobs_pb2.WorkerInfo) -> Worker:
    return Worker(
        id=message.id,
        name=message.name,
        state=WorkerState(message.state),
        millicpus=message.capacity_millicpus,
        used_millicpus=message.used_millicpus,
        running=message.running,
        assigned=message.assigned,
        address=message.address,
        version=message.version,
        registered_at=message.registered_at,
        last_heard_at=message.last_heard_at,
        no_room=message.no_room,
        trouble=message.trouble,
        drain=_drain_of(message.drain) if message.HasField("drain") else None,
        offer=offer_from_proto(message.offer),
        taken=dict(message.taken),
        leaves_at=message.leaves_at,
    )


def _drain_of(message: jobs_pb2.Drain) -> Drain:
    return Drain(message.by, message.since, message.reason, message.deadline)


def queue_of(message: "admin_pb2.QueueInfo") -> QueueStatus:
    pause = pause_of(message.pause) if message.HasField("pause") else None
    shares = [Share(s.user, s.weight, s.used_cpu_seconds, s.held_millicpus) for s in message.shares]
    running = message.running_jobs if message.HasField("running_jobs") else None
    return QueueStatus(pause, message.jobs, message.paused_jobs, tuple(shares), running)


def token_of(message: "admin_pb2.Token") -> Token:
    return Token(
        id=message.id,
        role=message.role,
        user=message.user,
        created_at=message.created_at,
        expires_at=message.expires_at,
        uses_left=None if message.unlimited else message.uses_left,
        revoked=message.revoked,
        joined=tuple(map(member_of, message.joined)),
        joined_total=message.joined_total,
        maker=message.maker,
        http=message.http,
    )


def member_of(message: "admin_pb2.Member") -> Member:
    return Member(message.kind, message.id, message.name, message.token)


def revoked_of(message: "admin_pb2.RevokeUserResponse | admin_pb2.RevokeTokenResponse") -> RevocationResult:
    return RevocationResult(
        tuple(map(member_of, message.expelled)),
        tuple(message.tokens),
        tuple(map(member_of, message.joined)),
        message.joined_total,
        tuple(map(member_of, message.kept)),
        message.cancelled,
    )


def user_of(message: "admin_pb2.User") -> User:
    return User(message.name, message.role, message.created_at, message.revoked_at, message.joined, message.id)

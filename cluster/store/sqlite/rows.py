"""Records as rows of the SQLite store, and back."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from cluster.domain.job.dependencies import references_of
from cluster.domain.job.pause import QueuePause
from cluster.domain.job.records import (
    Held,
    JobChunk,
    JobEnded,
    JobHeld,
    JobProgress,
    JobRecord,
    JobReopened,
    JobValue,
    OkEnds,
    SmallOutput,
    TaskEnd,
    TaskSets,
)
from cluster.domain.job.results import KeptResults
from cluster.domain.job.states import TaskState
from cluster.domain.job.usage import UsageAdded
from cluster.domain.scheduler.effects import WorkerForgotten
from cluster.domain.scheduler.event_records import EventRecord, NoticesDone
from cluster.domain.scheduler.pool_board import PoolWishes
from cluster.domain.scheduler.sharing import ShareRecord
from cluster.domain.scheduler.worker_record import WorkerRecord
from cluster.domain.scheduler.worker_states import Drain
from cluster.domain.session.home import Home
from cluster.domain.trust.enrolments import Enrolment, EnrolmentForgotten, Maker
from cluster.domain.trust.identity import IdentityKind, Role
from cluster.domain.trust.tokens import TokenRecord
from cluster.domain.trust.users import UserRecord
from cluster.store.packing import (
    pack_apart,
    pack_callers,
    pack_changes,
    pack_course,
    pack_held,
    pack_numbered,
    pack_offer,
    pack_pause,
    pack_set,
    pack_spec,
    pack_usage,
    pack_wishes,
    unpack_callers,
    unpack_changes,
    unpack_course,
    unpack_held,
    unpack_numbered,
    unpack_offer,
    unpack_pause,
    unpack_set,
    unpack_spec,
    unpack_usage,
)
from cluster.store.sqlite import (
    event_rows,
    family_sql,
    history_sql,
    keeping_rows,
    keeping_sql,
    members_sql,
    result_reads,
)
from cluster.store.sqlite import schema as sql
from cluster.store.sqlite.schema import Row


def _job(record: JobRecord) -> Iterator[tuple[str, Row]]:
    spec, lines = record.spec, record.spec.task_count if record.spec.lines else 0
    row = (record.number, record.id, record.owner, pack_spec(spec), record.submitted_at, spec.name, lines)
    callers = record.callers
    family = (pack_callers(callers), record.root if callers else 0, record.parent)
    yield sql.PUT_JOB, (*row, *family, record.schedule, record.rerun_of)
    if apart := pack_apart(spec):
        yield sql.PUT_ENV, (record.number, apart)
    if lines:
        yield sql.PUT_LINES, (record.number, spec.lines)
    for other in set(references_of(spec)) if spec.waits else ():  # numbers, in the one form
        yield family_sql.PUT_FOLLOWER, (int(other), record.number)


def _value(v: JobValue) -> Iterator[tuple[str, Row]]:
    yield family_sql.PUT_VALUE, v


def _ended(e: JobEnded) -> Iterator[tuple[str, Row]]:
    yield sql.END_JOB, (e.state.value, e.number)


def _reopened(r: JobReopened) -> Iterator[tuple[str, Row]]:
    yield sql.END_JOB, (0, r.number)
    yield keeping_sql.DROP_EXPIRED, (r.number,)  # it will write anew


def _progress(p: JobProgress) -> Iterator[tuple[str, Row]]:
    how = (p.cancel_grace, p.started_at, p.ended_at, p.cancelled_by, p.cancel_reason, p.exit_code, p.reason)
    changed = pack_changes(p.changed, p.deadline_since)
    changing = (p.chunked, pack_pause(p.pause), pack_course(p.course), changed, pack_usage(p.used))
    yield sql.PUT_PROGRESS, (p.number, *_sets(p.sets), *how, *changing, p.given_at)


def _chunk(c: JobChunk) -> Iterator[tuple[str, Row]]:
    yield sql.PUT_CHUNK, (c.job, c.chunk, *_sets(c.sets))


def _held(h: JobHeld) -> Iterator[tuple[str, Row]]:
    key = (h.job, h.worker_id, h.attempt)
    yield sql.PUT_HELD, (*key, pack_set(h.flat))
    if not h.flat:
        yield sql.DROP_HELD, key


def _sets(of: TaskSets) -> Row:
    """SET_COLUMNS."""
    numbers = (pack_numbered(of.losses), pack_numbered(of.forgiven), pack_numbered(of.grown))
    return pack_numbered(of.states), pack_held(of.held), pack_numbered(of.attempts), pack_set(of.cancelling), *numbers


def _ok_ends(e: OkEnds) -> Iterator[tuple[str, Row]]:
    yield sql.PUT_OK_ENDS, (e.job, e.first, e.attempt, e.count, e.packed, e.worker_id)


def _end(e: TaskEnd) -> Iterator[tuple[str, Row]]:
    times = (e.started_at, e.ended_at, e.cpu_seconds)
    why = (e.state.value, e.reason, e.exit_code, e.signal, e.detail, e.worker_id)
    yield sql.PUT_END, (e.job, e.index, e.attempt, *why, *times, e.peak_memory, e.output_bytes, e.is_exhausted)


def _output(o: SmallOutput) -> Iterator[tuple[str, Row]]:
    yield sql.PUT_OUTPUT, (o.job, o.index, o.attempt, o.stdout, o.stderr)


_NOBODY_DRAINS = Drain("", 0.0)


def _worker(w: WorkerRecord) -> Iterator[tuple[str, Row]]:
    row = (w.id, w.name, w.millicpus, w.address, w.version, w.registered_at, w.incarnation, w.offline, w.removed)
    how = (str(w.home), pack_offer(w.offer), w.is_silent, w.is_drained)
    yield sql.PUT_WORKER, (*row, *how, *(w.drain or _NOBODY_DRAINS))


def _forgotten(f: WorkerForgotten) -> Iterator[tuple[str, Row]]:
    yield sql.DROP_WORKER, (f.worker_id,)


def _user(u: UserRecord) -> Iterator[tuple[str, Row]]:
    yield members_sql.PUT_USER, (u.name, u.role.value, u.created, u.revoked, u.holder)


def _token(t: TokenRecord) -> Iterator[tuple[str, Row]]:
    row = (t.id, t.secret_hash, t.role.value, t.user, t.created, t.expires, t.uses_left, t.revoked)
    yield members_sql.PUT_TOKEN, (*row, *((str(t.maker), t.maker.enrolment) if t.maker else ("", 0)), t.bearer)


def _enrolment(e: Enrolment) -> Iterator[tuple[str, Row]]:
    yield members_sql.PUT_ENROLMENT, (e.kind.value, e.name, e.id, e.token, e.joined, e.revoked)


def _enrolment_forgotten(f: EnrolmentForgotten) -> Iterator[tuple[str, Row]]:
    yield members_sql.DROP_ENROLMENT, (f.kind.value, f.name, f.id)


def _queue_pause(q: QueuePause) -> Iterator[tuple[str, Row]]:
    yield sql.PUT_META, ("queue_pause", pack_pause(q.pause))


def _pool_wishes(w: PoolWishes) -> Iterator[tuple[str, Row]]:
    yield sql.PUT_META, ("pool_wishes", pack_wishes(w.wishes))


def _share(s: ShareRecord) -> Iterator[tuple[str, Row]]:
    yield sql.PUT_SHARE, s


def _usage(u: UsageAdded) -> Iterator[tuple[str, Row]]:
    yield history_sql.ADD_USAGE, (*u.place, *u.usage.kept())


# What to execute for each kind of record: statements and their rows.
TO_ROWS: dict[type, Callable[[Any], Iterator[tuple[str, Row]]]] = {
    JobRecord: _job,
    JobValue: _value,
    JobProgress: _progress,
    JobChunk: _chunk,
    JobHeld: _held,
    JobEnded: _ended,
    JobReopened: _reopened,
    OkEnds: _ok_ends,
    TaskEnd: _end,
    SmallOutput: _output,
    KeptResults: result_reads.to_rows,
    WorkerRecord: _worker,
    WorkerForgotten: _forgotten,
    UserRecord: _user,
    TokenRecord: _token,
    Enrolment: _enrolment,
    EnrolmentForgotten: _enrolment_forgotten,
    QueuePause: _queue_pause,
    PoolWishes: _pool_wishes,
    EventRecord: event_rows.to_rows,
    ShareRecord: _share,
    UsageAdded: _usage,
    NoticesDone: event_rows.done_to_rows,
    **keeping_rows.TO_ROWS,
}


def by_statement(items: Iterable[Any]) -> dict[str, list[Row]]:
    """The rows of these records for each statement that keeps them."""
    batches = defaultdict[str, list[Row]](list)
    for item in items:
        for statement, row in TO_ROWS[type(item)](item):
            batches[statement].append(row)
    if jobs := batches.get(sql.PUT_JOB):
        batches[sql.RAISE_NEXT_JOB_NUMBER] = [max((number,) for number, *_ in jobs)]
    if outputs := batches.get(sql.PUT_OUTPUT):
        batches[keeping_sql.COUNT_OUTPUTS] = [(sum(len(out) + len(err) for *_, out, err in outputs),)]
    return batches


def record_from_row(row: Row) -> JobRecord:
    """One row with RECORD_COLUMNS."""
    number, job_id, owner, spec, submitted_at, callers, schedule, rerun_of, line_count, env, lines = row
    whole = unpack_spec(spec, env, lines, line_count)
    return JobRecord(number, job_id, owner, whole, submitted_at, unpack_callers(callers), schedule, rerun_of)


def progress_from_row(row: Row) -> JobProgress:
    """One row with PROGRESS_COLUMNS."""
    number, *sets = row[: 1 + len(sql.SET_COLUMNS)]
    *rest, chunked, pause, course, changed, used, given_at = row[1 + len(sql.SET_COLUMNS) :]
    changes, deadline_since = unpack_changes(changed)
    how = bool(chunked), unpack_pause(pause), unpack_course(course), changes, unpack_usage(used)
    values: list[Any] = [number, _sets_from_row(sets), *rest, *how, given_at]
    return JobProgress(*values)._replace(deadline_since=deadline_since)


def chunk_from_row(row: Row) -> JobChunk:
    """One row of GET_CHUNKS."""
    job, chunk, *sets = row
    return JobChunk(job, chunk, _sets_from_row(sets))


def _sets_from_row(row: Sequence[bytes]) -> TaskSets:
    """SET_COLUMNS."""
    states, held, attempts, cancelling, losses, forgiven, grown = row
    of_states = tuple((TaskState(number), flat) for number, flat in unpack_numbered(states))
    numbers = (unpack_numbered(losses), unpack_numbered(forgiven), unpack_numbered(grown))
    return TaskSets(of_states, unpack_held(held), unpack_numbered(attempts), unpack_set(cancelling), *numbers)


def held_from_row(row: Row) -> Held:
    """One row of GET_HELD."""
    worker_id, attempt, tasks = row
    return Held(worker_id, attempt, unpack_set(tasks))


def end_from_row(row: Row) -> TaskEnd:
    """One row with END_COLUMNS."""
    job, index, attempt, _, *rest, exhausted = row  # the state follows from the reason
    values: list[Any] = [job, index, attempt, *rest, bool(exhausted)]
    return TaskEnd(*values)


def ok_ends_from_row(row: Row) -> OkEnds:
    """One row of GET_OK_ENDS."""
    return OkEnds(*row)


def worker_from_row(row: Row) -> WorkerRecord:
    """One row of LOAD_WORKERS."""
    drain = Drain(*row[-len(_NOBODY_DRAINS) :])
    *rest, offline, removed, home, offer, silent, drained = row[: -len(drain)]
    how = (Home.parse(home), drain if drain.by else None, unpack_offer(offer), bool(silent), bool(drained))
    values: list[Any] = [*rest, bool(offline), bool(removed), *how]
    return WorkerRecord(*values)


def user_from_row(row: Row) -> UserRecord:
    """One row of LOAD_USERS."""
    name, role, *rest = row
    return UserRecord(name, Role(role), *rest)


def token_from_row(row: Row) -> TokenRecord:
    """One row of LOAD_TOKENS."""
    token_id, secret_hash, role, *rest, maker, enrolment, bearer = row
    values: list[Any] = [token_id, secret_hash, Role(role), *rest, Maker.parse(maker, enrolment), bearer]
    return TokenRecord(*values)


def enrolment_from_row(row: Row) -> Enrolment:
    """One row of LOAD_ENROLMENTS."""
    kind, *rest = row
    return Enrolment(IdentityKind(kind), *rest)

"""The contract of `cluster.store.interface.Store`, run on every implementation."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.domain.job.history import NEWEST, HistoryPlace, HistoryWanted
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.pause import Pause, QueuePause
from cluster.domain.job.records import (
    PACKED,
    CallingAttempt,
    Flat,
    Held,
    JobChunk,
    JobEnded,
    JobHeld,
    JobProgress,
    JobRecord,
    JobReopened,
    JobValue,
    LastEnd,
    OkEnds,
    SmallOutput,
    TaskEnd,
    TaskSets,
)
from cluster.domain.job.results import EndedAttempt, KeptResults, ResultsTotal
from cluster.domain.job.schedule_course import ScheduleCourse
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.job.usage import MOST_KEPT, Usage, UsageAdded, UsageKind, UsageTotal
from cluster.domain.scheduler.effects import WorkerForgotten
from cluster.domain.scheduler.event_records import EventKind, EventRecord
from cluster.domain.scheduler.pool_board import PoolWish, PoolWishes
from cluster.domain.scheduler.sharing import ShareRecord
from cluster.domain.scheduler.worker_record import WorkerRecord
from cluster.domain.scheduler.worker_states import Drain
from cluster.domain.session.home import Home
from cluster.domain.trust.enrolments import Enrolment, EnrolmentForgotten, Maker
from cluster.domain.trust.identity import IdentityKind, Role
from cluster.domain.trust.tokens import TokenRecord
from cluster.domain.trust.users import UserRecord
from cluster.store.interface import Item, Store, StoreFailed
from cluster.store.memory import Disk, MemoryStore
from cluster.store.redis.store import RedisStore
from cluster.store.sqlite.store import SqliteStore

CLUSTER = "0123456789abcdef"
SPEC = JobSpec(
    argv=("sh", "-c", "echo ü", "\udce9"),  # the last a byte that is no UTF-8
    name="nightly",
    script_args=("x",),
    env=(("A", "1"),),
    array=(ArraySegment(1, 1000, 2),),
    timeout=2.5,
    grace=0.0,
    worker="w",
)

Opener = Callable[[], Store]


@pytest.fixture(params=["sqlite", "memory", "redis"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens the same data again and again, as restarts do."""
    disk, opened = Disk(), list[Store]()
    url = request.getfixturevalue("empty_redis") if request.param == "redis" else ""

    def opener() -> Store:
        store: Store = MemoryStore(disk)
        if request.param == "sqlite":
            store = SqliteStore(tmp_path / "db", CLUSTER)
        if request.param == "redis":
            store = RedisStore(url, CLUSTER, tmp_path / f"copy-{len(opened)}")
        opened.append(store)
        return store

    yield opener
    for store in opened:
        store.close()


def job(number: int, spec: JobSpec = SPEC) -> JobRecord:
    return JobRecord(number, f"id-{number}", "ann", spec, 1000.5)


STATES: tuple[tuple[TaskState, Flat], ...] = (
    (TaskState.READY, (0, 3, 7, 500)),
    (TaskState.SUCCEEDED, (3, 5)),
    (TaskState.FAILED, (5, 6)),
)


def progress(number: int, exit_code: int = 0) -> JobProgress:
    return JobProgress(number, TaskSets(STATES), exit_code=exit_code)


def end(index: int, attempt: int = 1, reason: str = "exit:3") -> TaskEnd:
    exhausted = attempt > 1
    return TaskEnd(1, index, attempt, reason, 3, "SIGTERM", "why", "w", 1.5, 2.5, 0.25, 1 << 40, 9, exhausted)


def ok(first: int, count: int, job_number: int = 1) -> OkEnds:
    packed = b"".join(struct.pack(PACKED, 100.0 + i, 2_000_000, 500_000, 2, i) for i in range(count))
    return OkEnds(job_number, 2, first, count, packed, "w")


def test_all_records_survive_a_restart(open_store: Opener) -> None:
    store = open_store()
    assert store.load().jobs == []
    sets = TaskSets(
        states=(*STATES, (TaskState.CANCELLED, (9, 10))),
        held=(Held("w1", 1, (10, 12, 20, 21)), Held("wörker", 2, (6, 7))),
        attempts=((1, (6, 7)), (2, (8, 9))),
        cancelling=(10, 11),
        losses=((1, (8, 9)),),
        forgiven=((2, (6, 7)),),
    )
    state = JobProgress(
        1,
        sets,
        cancel_grace=2.5,
        started_at=1.5,
        ended_at=2.5,
        cancelled_by="ann",
        cancel_reason="no more",
        exit_code=3,
        reason="exit:3",
        used=Usage(1, 2, 3, 4, 5, 6, 7, 8),
        pause=Pause("ann", 7.5, "full disk", by_admin=True),
        course=ScheduleCourse(3600.0, 7, 2, 1800.0, 5, 900.0),
        changed=(("backoff", (1.5, 60.0)), ("deadline", "2026-01-02T03:04:05Z"), ("priority", -7)),
        given_at=6.5,
        deadline_since=7.5,
    )
    lines = replace(job(2, JobSpec(argv=("xz", "{}"), lines=b"a\n\xff")), schedule=1)
    workers = [
        WorkerRecord("w1", "box", 2000, "h:1", "0.1", 5.0, "inc"),
        WorkerRecord("w2", "b", 1, "", "", 1.0, "", True),
        WorkerRecord("w3", "c", 1, "", "", 1.0, "", False, True, Home("m", "b", "d")),
        WorkerRecord("w4", "d", 1, "", "", 1.0, drain=Drain("ada", 7.0, "new kernel")),
        WorkerRecord("w5", "e", 1, "", "", 1.0, drain=Drain("ada", 7.0, deadline=9.0)),
    ]
    queue_pause, shares = Pause("root", 7.5), [ShareRecord("ann", 2.0, 7.5, 4000, 9.5), ShareRecord("bob")]
    wishes = PoolWishes((PoolWish("gpu", 3), PoolWish("wörker", None, True)))
    store.commit([job(1), state, lines, progress(2), *workers, QueuePause(queue_pause), *shares, wishes])
    store.close()

    loaded = open_store().load()
    assert loaded.jobs == [(job(1), state), (lines, progress(2))]
    assert loaded.workers == workers
    assert loaded.next_job_number == 3
    assert (loaded.queue_pause, loaded.shares) == (queue_pause, shares)
    assert loaded.pool_wishes == wishes.wishes


def test_a_job_in_chunks_is_loaded_whole(open_store: Opener) -> None:
    store = open_store()
    store.load()
    ready, failed = TaskState.READY, TaskState.FAILED
    first = TaskSets(((ready, (0, 1, 3, 8)),), (Held("w", 1, (1, 2)),), ((1, (2, 3)),), (1, 2))
    early = TaskSets(((ready, (8, 16)),))
    later = TaskSets(((ready, (8, 9)), (failed, (9, 16))), (Held("v", 2, (9, 10)), Held("w", 1, (12, 13))))
    store.commit([job(1), JobProgress(1, chunked=True, exit_code=3), JobChunk(1, 1, early), JobChunk(1, 0, first)])
    store.commit([JobChunk(1, 1, later), job(2), progress(2), JobChunk(2, 0, early)])
    sets = TaskSets(
        ((ready, (0, 1, 3, 9)), (failed, (9, 16))),
        held=(Held("v", 2, (9, 10)), Held("w", 1, (1, 2, 12, 13))),
        attempts=((1, (2, 3)),),
        cancelling=(1, 2),
    )
    whole = JobProgress(1, sets, exit_code=3, chunked=True)
    assert store.progress_of([2, 1, 5]) == [whole, progress(2)], "a job that is saved whole has no chunks"
    assert open_store().load().jobs == [(job(1), whole), (job(2), progress(2))]


@pytest.mark.parametrize("chunked", [False, True])
def test_what_workers_hold_of_a_job_is_loaded_with_it_where_it_is_kept_apart(open_store: Opener, chunked: bool) -> None:
    store = open_store()
    store.load()
    held = [
        JobHeld(1, worker, attempt, (n, n + 1)) for n, (worker, attempt) in enumerate((("w", 2), ("v", 1), ("w", 1)))
    ]
    plain = JobProgress(1, chunked=chunked)
    store.commit([job(1), plain, *held, job(2), progress(2)])
    sets = TaskSets(held=(Held("v", 1, (1, 2)), Held("w", 1, (2, 3)), Held("w", 2, (0, 1))))
    whole = plain._replace(sets=sets, held_apart=True)
    assert store.progress_of([1, 2]) == [whole, progress(2)]
    assert open_store().load().jobs == [(job(1), whole), (job(2), progress(2))]
    store = open_store()
    store.load()
    store.commit([JobHeld(1, "w", 1, ()), JobHeld(1, "v", 1, ()), JobHeld(1, "v", 1, (7, 8)), JobHeld(1, "w", 2, ())])
    assert store.progress_of([1]) == [whole._replace(sets=TaskSets(held=(Held("v", 1, (7, 8)),)))]
    store.commit([JobHeld(1, "v", 1, (8, 9)), JobHeld(1, "v", 1, ())])
    assert store.progress_of([1]) == [plain]


def test_only_what_goes_on_is_loaded_and_the_rest_is_found_by_number(open_store: Opener) -> None:
    store = open_store()
    store.load()
    lines = JobRecord(3, "id-9", "bob", JobSpec(("xz",), env=(("A", "1"),), lines=b"a\n\xff"), 3.0)
    ended = JobProgress(3, TaskSets(STATES[1:]), ended_at=2.5)
    store.commit([job(1), progress(1), job(2), progress(2), lines, progress(3)])
    store.commit([ended, JobEnded(3, TaskState.FAILED)])
    loaded = open_store().load()
    assert [record.number for record, _ in loaded.jobs] == [1, 2]
    assert loaded.next_job_number == 4
    assert [loaded.ended_ids.may_have(job_id) for job_id in ("id-1", "id-9", "id-91")] == [True, True, False]
    listed = replace(lines, spec=JobSpec(("xz",), array=(ArraySegment(1, 2),)))
    assert store.records([3, 7, 1], whole=True) == [job(1), lines]
    assert store.records([3]) == [listed], "neither its environment nor its lines"
    assert store.progress_of([3]) == [ended]


def test_uuids_that_are_ahead_of_the_clock_are_known_apart_from_the_usual_ones(open_store: Opener) -> None:
    store = open_store()
    store.load()
    usual, later = "018bcfe5-6800-7000-8000-000000000000", "018bcfe5-6900-7000-8000-000000000000"
    ahead, beside = "028bcfe5-6800-7000-8000-000000000001", "028bcfe5-6800-7000-8000-000000000002"
    other = "f" * 8 + "-ffff-4fff-ffff-" + "f" * 12
    for number, job_id in enumerate((ahead, other, usual), 1):
        store.commit([replace(job(number), id=job_id, submitted_at=1_700_000_000.0), progress(number)])
    ids = open_store().load().ended_ids
    assert [ids.may_have(job_id) for job_id in (usual, ahead, other)] == [True] * 3
    assert [ids.may_have(job_id) for job_id in (later, beside)] == [False] * 2


def test_a_job_may_begin_and_end_in_one_commit_beside_the_end_of_another(open_store: Opener) -> None:
    store = open_store()
    store.load()
    store.commit([job(1), progress(1)])
    store.commit([JobEnded(1, TaskState.FAILED), job(2), progress(2), JobEnded(2, TaskState.SUCCEEDED)])
    assert store.numbers(None, [TaskState.FAILED]) == [1]
    assert store.numbers(None, [TaskState.SUCCEEDED]) == [2]
    assert not open_store().load().jobs


def test_jobs_are_found_by_owner_name_state_and_id_newest_first(open_store: Opener) -> None:
    store = open_store()
    store.load()
    other = JobSpec(("true",), name="other")
    owners = ["ann", "bob", "ann", "bob", "ann"]
    records = [JobRecord(n, f"id-{n}", owner, other if n == 3 else SPEC, 1.0) for n, owner in enumerate(owners, 1)]
    store.commit([save for record in records for save in (record, progress(record.number))])
    store.commit([JobEnded(1, TaskState.FAILED), JobEnded(2, TaskState.SUCCEEDED), JobEnded(3, TaskState.CANCELLED)])
    assert store.numbers(None) == [5, 4, 3, 2, 1]
    assert (store.numbers("ann"), store.numbers("eve")) == ([5, 3, 1], [])
    assert (store.numbers(None, below=4, most=2), store.numbers("ann", below=5, most=1)) == ([3, 2], [3])
    assert store.numbers(None, [TaskState.FAILED]) == [5, 4, 1], "what goes on may be in any state by now"
    assert store.numbers("ann", [TaskState.FAILED, TaskState.CANCELLED], most=2) == [5, 3]
    assert store.numbers("ann", [TaskState.RUNNING]) == [5]
    assert store.numbers_of_name("nightly", None) == [1, 2, 4, 5]
    assert store.numbers_of_name("nightly", "bob") == [2, 4]
    assert [store.numbers_of_name(name, None) for name in ("", "none")] == [[], []]
    assert (store.number_of_id("id-3"), store.number_of_id("id-6")) == (3, None)


def ended(
    number: int, at: float, state: TaskState = TaskState.FAILED, owner: str = "ann", name: str = ""
) -> list[Item]:
    spec = JobSpec(("true",), name=name)
    record = JobRecord(number, f"id-{number}", owner, spec, 1.0)
    return [record, JobProgress(number, TaskSets(STATES[1:]), ended_at=at), JobEnded(number, state)]


def test_the_history_comes_by_the_time_of_the_end_the_last_first(open_store: Opener) -> None:
    store = open_store()
    store.load()
    ok, cancelled = TaskState.SUCCEEDED, TaskState.CANCELLED
    store.commit([*ended(1, 50.0), *ended(2, 10.0, ok, name="x"), *ended(3, 30.0, owner="bob", name="x")])
    store.commit([*ended(4, 30.0, cancelled, name="x"), *ended(5, 20.5, name="x"), job(6), progress(6)])

    def history(**wanted: Any) -> list[int]:
        return [place.job for place in store.history(HistoryWanted(**wanted))]

    assert history() == [1, 4, 3, 5, 2], "of two that ended together the newer one first; 6 has not"
    assert (history(owner="ann"), history(owner="bob"), history(owner="eve")) == ([1, 4, 5, 2], [3], [])
    assert (history(name="x"), history(name="x", owner="ann"), history(name="y")) == ([4, 3, 5, 2], [4, 5, 2], [])
    assert (history(states=[TaskState.FAILED]), history(states=[ok, cancelled], name="x")) == ([1, 3, 5], [4, 2])
    assert (history(since=20.5), history(until=30.0), history(since=20.5, until=30.0)) == ([1, 4, 3, 5], [5, 2], [5])
    pages, place = list[list[HistoryPlace]](), NEWEST
    while found := store.history(HistoryWanted(after=place, most=2)):
        pages, place = [*pages, found], found[-1]
    assert [[each.job for each in found] for found in pages] == [[1, 4], [3, 5], [2]]
    assert [HistoryPlace.parse(str(place)) for place in pages[1]] == pages[1]
    store.commit([JobReopened(4), JobProgress(4, TaskSets(STATES[1:]))])
    assert history() == [1, 3, 5, 2]
    store.commit(ended(4, 60.0, name="x")[1:])
    assert open_store().history(HistoryWanted(most=1)) == [HistoryPlace(60.0, 4)]


def test_the_newest_of_a_name_and_the_latest_ends_are_found_whatever_was_before(open_store: Opener) -> None:
    store = open_store()
    store.load()
    store.commit([*ended(1, 5.0, name="x"), *ended(2, 5.0, owner="bob", name="x"), *ended(3, 5.0, name="x"), job(4)])
    assert [store.newest_of_name("x", owner, 2) for owner in (None, "bob", "eve")] == [[3, 2], [2], []]
    store.commit([ok(0, 3), ok(3, 4), end(8), end(9), end(9, 2)])
    assert store.latest_ends(1, 0) == store.latest_ends(2, 9) == []
    found = store.latest_ends(1, 2)
    assert sorted((each.index, each.attempt) for each in found) == [(5, 2), (6, 2), (9, 1), (9, 2)]
    assert {(each.index, each.reason) for each in store.latest_ends(1, 5)} >= {(2, "ok"), (6, "ok"), (8, "exit:3")}
    assert len(store.latest_ends(1, 99)) == 10


def test_what_was_used_on_a_day_is_added_up_and_stays(open_store: Opener) -> None:
    store = open_store()
    store.load()
    one, two = Usage(1, 2, 1, 10, 5, 3, 700, 9), Usage(2, 2, 0, 30, 1, 0, 500, 1)
    by_worker = UsageAdded(7, UsageKind.WORKER, "ann", "w", one)
    store.commit([by_worker, UsageAdded(7, UsageKind.USER, "ann", "", one)])
    store.commit([by_worker, by_worker._replace(usage=two), UsageAdded(8, UsageKind.WORKER, "bob", "w", two)])
    store.commit([UsageAdded(8, UsageKind.USER, "bob", "", two), UsageAdded(8, UsageKind.WORKER, "bob", "v", two)])
    store = open_store()
    assert store.usage(UsageKind.USER, 0, None) == [UsageTotal("ann", one), UsageTotal("bob", two)]
    assert store.usage(UsageKind.USER, 8, None) == store.usage(UsageKind.USER, 0, "bob") == [UsageTotal("bob", two)]
    assert store.usage(UsageKind.WORKER, 0, "ann") == [UsageTotal("w", Usage(4, 6, 2, 50, 11, 6, 700, 19))]
    assert store.usage(UsageKind.WORKER, 0, None)[1] == UsageTotal("w", Usage(6, 8, 2, 80, 12, 6, 700, 20))
    assert store.usage(UsageKind.NAME, 0, None) == store.usage(UsageKind.USER, 9, None) == []


def test_sums_beyond_what_a_store_can_keep_stay_at_the_most(open_store: Opener) -> None:
    """Whatever a worker says, no commit may fail by it."""
    store = open_store()
    store.load()
    huge = Usage(*[1 << 70] * len(Usage._fields))
    store.commit([job(1), progress(1)._replace(used=huge), UsageAdded(7, UsageKind.USER, "ann", "", huge)])
    store.commit([UsageAdded(7, UsageKind.USER, "ann", "", huge)] * 3)
    if isinstance(store, SqliteStore):  # the other has no limit
        assert set(store.usage(UsageKind.USER, 0, None)[0].usage) == {MOST_KEPT}
        assert set(store.progress_of([1])[0].used) == {MOST_KEPT}


def test_every_start_is_a_new_epoch(open_store: Opener) -> None:
    assert [open_store().load().epoch for _ in range(3)] == [1, 2, 3]


def test_a_stale_writer_is_refused_and_changes_nothing(open_store: Opener) -> None:
    old, new = open_store(), open_store()
    old.load()
    old.commit([job(1), progress(1)])
    new.load()
    with pytest.raises(StoreFailed, match="another scheduler has taken over"):
        old.commit([job(2), progress(2)])
    new.commit([job(3), progress(3)])
    assert [record.number for record, _ in open_store().load().jobs] == [1, 3]


def test_nothing_is_committed_before_load(open_store: Opener) -> None:
    with pytest.raises(StoreFailed):
        open_store().commit([job(1), progress(1)])


def test_the_last_of_several_records_with_one_key_counts(open_store: Opener) -> None:
    store = open_store()
    store.load()
    store.commit([job(1), progress(1, exit_code=1), progress(1, exit_code=2)])
    store.commit([progress(1, exit_code=4), progress(1, exit_code=5)])
    assert open_store().load().jobs[0][1].exit_code == 5


def test_families_are_found_by_their_root_and_by_their_parent(open_store: Opener) -> None:
    store = open_store()
    store.load()
    first = CallingAttempt(1, 4, 2, 9)
    records = [
        job(1),
        replace(job(2), callers=(first,)),
        replace(job(3), callers=(first, CallingAttempt(2, 0, 1)), spec=replace(SPEC, name="leaf")),
        replace(job(4), callers=(first,), owner="bob"),
        job(5),
    ]
    store.commit([each for record in records for each in (record, progress(record.number))])
    store.commit([JobEnded(2, TaskState.SUCCEEDED)])
    store.close()

    store = open_store()
    assert [record for record, _ in store.load().jobs] == [records[0], *records[2:]]
    assert [store.failed_children(number) for number in (0, 1, 2)] == [{}, {}, {}]
    assert store.records([3], whole=True) == [records[2]]
    assert [store.numbers(None, root=root) for root in (0, 1, 2, 5)] == [[5, 4, 3, 2, 1], [4, 3, 2, 1], [], [5]]
    assert store.numbers(None, [TaskState.SUCCEEDED], below=4, most=2, root=1) == [3, 2]
    assert [store.children(number) for number in (0, 1, 2, 5)] == [[], [4, 2], [3], []]
    assert (store.children(1, below=4), store.children(1, most=1)) == ([2], [4])
    assert [store.numbers_of_name("nightly", None, root) for root in (0, 1, 5)] == [[1, 2, 4, 5], [1, 2, 4], [5]]
    assert (store.numbers_of_name("leaf", "ann", 1), store.numbers_of_name("leaf", "ann", 5)) == ([3], [])
    store.commit([JobEnded(3, TaskState.CANCELLED), JobEnded(4, TaskState.FAILED)])
    assert [store.failed_children(number) for number in (0, 1, 2)] == [{}, {(4, 2): {4}}, {(0, 1): {3}}]


def test_what_is_below_a_job_is_what_it_has_submitted_and_what_waits_for_it(open_store: Opener) -> None:
    store = open_store()
    store.load()
    records = [
        job(1),
        replace(job(2), callers=(CallingAttempt(1, 0, 1),)),
        replace(job(3), spec=replace(SPEC, after=("1", "2"), after_each=("2",))),
        replace(job(4), spec=replace(SPEC, after_any=("3",)), callers=(CallingAttempt(1, 1, 1),)),
    ]
    store.commit([each for record in records for each in (record, progress(record.number))])
    store.close()
    store = open_store()
    assert [store.below([number]) for number in range(6)] == [[], [2, 3, 4], [3], [4], [], []]
    assert store.below([2, 3]) == [3, 4]


def test_values_of_jobs_are_kept_and_their_sizes_loaded_for_those_that_go_on(open_store: Opener) -> None:
    store = open_store()
    store.load()
    store.commit([job(1), progress(1), job(2), progress(2), JobValue(1, "b", "old"), JobValue(2, "x", "y")])
    store.commit([JobValue(1, "b", "ü"), JobValue(1, "a", ""), JobEnded(2, TaskState.SUCCEEDED)])
    store.close()
    store = open_store()
    assert store.load().value_sizes == {1: {"b": 3, "a": 1}}
    assert (store.values(1), list(store.values(1))) == ({"a": "", "b": "ü"}, ["a", "b"])
    assert (store.values(2), store.values(3)) == ({"x": "y"}, {})


def test_numbers_of_jobs_never_go_back(open_store: Opener) -> None:
    store = open_store()
    store.load()
    store.commit([job(7), progress(7)])
    store.commit([job(3), progress(3)])
    assert open_store().load().next_job_number == 8


def test_ends_of_a_task_come_in_order_of_attempts_with_the_success_last(open_store: Opener) -> None:
    store = open_store()
    store.load()
    store.commit([end(4, 2), end(4, 1, "lost"), end(5), ok(3, 4)])
    ends = store.ends_of_task(1, 4)
    assert ends[:2] == [end(4, 1, "lost"), end(4, 2)]
    assert ends[2] == TaskEnd(1, 4, 2, "ok", 0, "", "", "w", 101.0, 103.0, 0.5, peak_memory=2048, output_bytes=1)
    assert store.ends_of_task(1, 4, 2) == ends[1:]
    assert store.ends_of_task(1, 4, 1) == ends[2:]
    assert store.ends_of_task(1, 7) == []
    assert store.ends_of_task(2, 4) == []


def test_the_last_end_of_each_task_that_did_not_succeed_at_once(open_store: Opener) -> None:
    store = open_store()
    store.load()
    store.commit([end(4, 2), end(4, 1, "lost"), end(5, 1, "lost"), end(9), ok(3, 4), replace(end(6), job=2)])
    reason = end(4, 2).reason
    assert store.last_ends(1, 0, 9) == [
        LastEnd(4, reason, 3, is_exhausted=True),
        LastEnd(5, "lost", 3),
        LastEnd(9, reason, 3),
    ]
    assert store.last_ends(1, 5, 1) == [LastEnd(5, "lost", 3)]
    assert store.last_ends(1, 10, 9) == []


def test_successes_are_found_by_any_of_their_tasks(open_store: Opener) -> None:
    store = open_store()
    store.load()
    store.commit([ok(0, 3), ok(10, 5), ok(20, 1), ok(12, 1, job_number=2)])
    found = [index for index in range(30) if store.ends_of_task(1, index)]
    assert found == [0, 1, 2, 10, 11, 12, 13, 14, 20]
    assert [store.ends_of_task(1, index)[0].output_bytes for index in found] == [0, 1, 2, 0, 1, 2, 3, 4, 0]


def test_small_outputs_come_in_order_of_tasks_and_attempts(open_store: Opener) -> None:
    store = open_store()
    store.load()
    first, second, other = (
        SmallOutput(1, task, attempt, b"out\0\xff", b"") for task, attempt in [(4, 1), (4, 2), (5, 1)]
    )
    store.commit([other, second, first, SmallOutput(2, 4, 1, b"", b"err"), SmallOutput(1, 6, 1, b"", b"")])
    assert store.small_outputs(1, 4, 6) == [first, second, other]
    assert store.small_outputs(1, 5, 6) == [other]
    assert store.small_outputs(1, 7, 100) == []


def test_results_are_kept_once_and_come_in_order_of_tasks_and_attempts(open_store: Opener) -> None:
    store = open_store()
    store.load()
    first, second, other = (
        KeptResults(1, task, attempt, "ab" * 32, 2, 1 << 40, ("a note",)) for task, attempt in [(4, 1), (4, 2), (5, 1)]
    )
    nothing = KeptResults(1, 6, 1)
    store.commit([other, second, first, nothing, KeptResults(2, 4, 1)])
    store.commit([replace(first, files=9)])
    store = open_store()
    assert store.results(1, 4, 7) == [first, second, other, nothing]
    assert store.results(1, 5, 6) == [other]
    assert store.results_total(1) == ResultsTotal(3, 6, 3 << 40)
    store.load()
    store.commit([ok(10, 5), end(4, 1), end(4, 2), replace(end(20), started_at=0.0)])
    assert store.results_total(1) == ResultsTotal(3, 6, 3 << 40, missing=3)
    assert store.results_total(3) == ResultsTotal()


def test_the_last_attempt_of_each_task_is_known(open_store: Opener) -> None:
    store = open_store()
    store.load()
    store.commit([end(4, 2), end(4, 1, "lost"), ok(3, 1), replace(end(7), started_at=0.0), end(8, 1, "lost")])
    assert store.last_attempts(1, 0, 100) == [
        EndedAttempt(3, 2, "w", "ok"),
        EndedAttempt(4, 2, "w", end(4, 2).reason),
        EndedAttempt(7, end(7).attempt, "w", end(7).reason, began=False),
        EndedAttempt(8, 1, "w", "lost"),
    ]
    assert [each.index for each in store.last_attempts(1, 4, 8)] == [4, 7]


def test_large_outputs_are_those_that_ends_tell_of(open_store: Opener) -> None:
    store = open_store()
    store.load()
    store.commit([end(4, 1), ok(3, 3), replace(end(5, 1), output_bytes=0), end(8)])  # ok has output_bytes 0, 1, 2
    found = [(e.index, e.attempt, e.output_bytes) for e in store.large_outputs(1, 4, 8)]
    assert found == [(4, 1, 9), (4, 2, 1), (5, 2, 2)]
    assert [e.index for e in store.large_outputs(1, 0, 4)] == []
    assert [e.index for e in store.large_outputs(1, 5, 100)] == [5, 8]
    store.commit([replace(end(9, 1), output_bytes=0, reason="lost")])  # nobody knows what it has written
    assert [e.index for e in store.large_outputs(1, 9, 100)] == [9]


def test_a_worker_that_is_forgotten_is_gone(open_store: Opener) -> None:
    store = open_store()
    store.load()
    workers = [WorkerRecord(worker, worker, 1000, "", "", 1.0) for worker in ("w1", "w2")]
    store.commit([*workers, WorkerForgotten("w1")])
    store.commit([WorkerForgotten("w3")])  # nobody
    assert open_store().load().workers == workers[1:]


def test_enrolments_are_replaced_by_key_and_come_in_order_of_joining(open_store: Opener) -> None:
    store = open_store()
    store.load()
    late = Enrolment(IdentityKind.WORKER, "w1", (1 << 63) - 1, "t1", 5.0)
    early = Enrolment(IdentityKind.USER, "ann", 0, "", 2.0)
    other = Enrolment(IdentityKind.USER, "ann", 7, "t2", 3.0)
    store.commit([late, early, other])
    revoked = replace(early, revoked=9.0)
    store.commit([revoked])
    assert open_store().enrolments() == [revoked, other, late]
    store = open_store()
    store.load()
    store.commit([other, EnrolmentForgotten(IdentityKind.USER, "ann", 7)])
    store.commit([EnrolmentForgotten(IdentityKind.WORKER, "w1", 1)])  # there is none
    assert open_store().enrolments() == [revoked, late]


def test_tokens_and_users_are_replaced_by_key(open_store: Opener) -> None:
    store = open_store()
    store.load()
    worker = TokenRecord("t1", "hash", Role.WORKER, "", 1.0, 2.0, 5)
    maker = Maker(IdentityKind.USER, "ann", 2**62)
    user = TokenRecord("t2", "hash2", Role.VIEWER, "bob", 0.5, 2.0, None, 1.5, maker, 2**62)
    ann = UserRecord("ann", Role.ADMIN, 2.0)
    store.commit([worker, user, ann])
    used = TokenRecord("t1", "hash", Role.WORKER, "", 1.0, 2.0, 4)
    gone = UserRecord("ann", Role.ADMIN, 2.0, 3.0, 2)
    store.commit([used, gone])
    again = open_store()
    assert again.tokens() == [user, used]
    assert again.users() == [gone]


def test_tokens_and_users_come_in_pages_oldest_first(open_store: Opener) -> None:
    store = open_store()
    store.load()
    tokens = [TokenRecord(f"t{n}", f"hash{n}", Role.WORKER, "", float(n // 2), 2.0, 5) for n in range(6)]
    users = [UserRecord(f"u{n}", Role.USER, float(n // 2)) for n in range(6)]
    store.commit([*reversed(tokens), *reversed(users)])
    assert (store.tokens(), store.users()) == (tokens, users)
    for after in range(6):
        assert store.tokens(f"t{after}", 3) == tokens[after + 1 : after + 4]
        assert store.users(f"u{after}", 3) == users[after + 1 : after + 4]
    assert (store.tokens("", 1), store.users("", 1)) == (tokens[:1], users[:1])
    assert [*store.tokens("nobody"), *store.users("nobody")] == [], "none after one that there is not"


def test_who_has_joined_is_asked_by_token_and_by_user(open_store: Opener) -> None:
    store = open_store()
    store.load()
    joined = [Enrolment(IdentityKind.USER, "ann", n, "t1", float(n)) for n in range(1, 5)]
    expelled, by_hand = (
        Enrolment(IdentityKind.USER, "ann", 9, "t1", 0.5, 3.0),
        Enrolment(IdentityKind.USER, "ann", 0, "", 0.1),
    )
    worker = Enrolment(IdentityKind.WORKER, "ann", 7, "t1", 9.0)
    store.commit([worker, expelled, by_hand, *reversed(joined), Enrolment(IdentityKind.USER, "bob", 8, "t2", 1.0)])
    assert store.joined_by("t1", 3) == (joined[:3], 5)
    assert store.joined_by("t1", 100) == ([*joined, worker], 5)
    assert store.joined_by("t3", 3) == ([], 0)
    assert [store.joinings_of(name) for name in ("ann", "bob", "eve")] == [4, 1, 0]


def event(sequence: int, owner: str = "") -> EventRecord:
    return EventRecord(sequence, 5.0, EventKind.JOB_ENDED, 1 if owner else 0, owner, detail="ü", exit_code=3)


def test_events_are_kept_in_order_and_read_from_any_on(open_store: Opener) -> None:
    store = open_store()
    assert store.load().next_event == 1
    assert store.edges_of_events() == (1, 0)
    store.commit([event(n, owner) for n, owner in enumerate(["", "ada", "bob", "ada", ""], start=1)])
    assert store.edges_of_events() == (1, 5)
    assert store.events(0, None, 2) == [event(1), event(2, "ada")]
    assert [e.sequence for e in store.events(1, "ada", 10)] == [2, 4, 5]
    assert store.events(5, None, 10) == []
    assert open_store().load().next_event == 6


def test_only_the_newest_events_are_kept(open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("store.memory", "store.sqlite.event_rows"):
        monkeypatch.setattr(f"cluster.{module}.KEPT", 20)
        monkeypatch.setattr(f"cluster.{module}.DROPPED_AT_ONCE", 10)
    store = open_store()
    store.load()
    for n in range(1, 60):
        store.commit([event(n)])
        assert store.edges_of_events() == (max(1, n // 10 * 10 - 19), n)
    assert open_store().load().next_event == 60


def test_what_was_told_of_a_worker_is_kept(open_store: Opener) -> None:
    # S2.6
    store = open_store()
    store.load()
    told = WorkerRecord("w1", "box", 2000, "h:1", "0.1", 5.0, "inc", is_silent=True, is_drained=True)
    store.commit([told])
    assert open_store().load().workers == [told]

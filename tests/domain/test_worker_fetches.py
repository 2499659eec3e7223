"""What waits on a worker until its contents are there: the exact effects."""

from dataclasses import replace

import pytest

from cluster.domain.job.spec import JobSpec
from cluster.domain.session.messages import Attempts, Disown, Freeze, Recall, Stop, Welcome
from cluster.domain.worker.fetching import EMPTY, LATE
from cluster.domain.worker.messages import (
    ContentsFetched,
    Define,
    FetchContents,
    FreezeAttempts,
    LauncherLost,
    RecallAttempts,
    ReleaseContents,
    SendHello,
    SendReport,
    SessionEnded,
    SessionReady,
    ShutdownRequested,
    Start,
    StopAttempts,
    WorkerEffect,
)
from cluster.domain.worker.outbox import LONG_REPORT_EVERY
from tests.domain.worker_bench import LEASE, SPEC, Bench, assign, connected, ended, key, reported, some

UPLOAD, STDIN = "a" * 64, "b" * 64
FINDS = replace(SPEC, upload=UPLOAD, stdin=STDIN)
FETCH = FetchContents(1, 5, UPLOAD, STDIN)


def given(spec: JobSpec = FINDS, count: int = 2) -> Bench:
    """A worker that was assigned the first tasks of a job, and fetches what they need."""
    bench = Bench().opened()
    effects = bench.down(assign(0, count, spec))
    assert [type(effect) for effect in effects] == [Define, FetchContents]
    return bench


def starts(effects: list[WorkerEffect]) -> list[object]:
    return [[item.key for item in e.items] for e in effects if isinstance(e, Start)]


def returned(bench: Bench, effects: list[WorkerEffect]) -> tuple[Attempts, ...]:
    """What the next report gives back."""
    bench.now += LONG_REPORT_EVERY
    reports = [e.report for e in (*effects, *bench.turn()) if isinstance(e, SendReport)]
    return tuple(attempts for report in reports for attempts in report.returned)


def test_nothing_starts_before_its_contents_are_here() -> None:
    bench = Bench().opened()
    define, fetch = bench.down(assign(0, 2, FINDS))
    assert isinstance(define, Define)
    assert fetch == FETCH
    late, start = bench.turn(ContentsFetched(1))
    assert late == replace(define, template=LATE)
    assert isinstance(start, Start)
    assert start.template == LATE
    assert [item.key for item in start.items] == [key(0), key(1)]


def test_what_comes_later_of_that_job_waits_for_the_same_fetch_and_then_for_none() -> None:
    bench = given()
    assert bench.down(assign(2, 3, None)) == []
    assert starts(bench.turn(ContentsFetched(1))) == [[key(0), key(1), key(2)]]
    (start,) = bench.down(assign(3, 4, None))
    assert isinstance(start, Start)
    assert start.template != LATE


def test_of_each_only_what_its_tasks_find_is_fetched() -> None:
    bench = Bench().opened()
    each = replace(FINDS, upload_each=True, rows=True)
    first = replace(assign(0, 2, each), lines=(b'{"file": "z/\xc3\xa9"}', b'{"file": "a"}'))
    assert bench.down(first)[-1] == replace(FETCH, paths=(b"z/\xc3\xa9", b"a"))
    assert bench.down(replace(assign(5, 6, None), lines=(b"no row",)))[-1] == replace(FETCH, number=2, paths=(b"",))
    assert starts(bench.turn(ContentsFetched(2))) == [[key(5)]]


@pytest.mark.parametrize("spec", [SPEC, replace(SPEC, stdin=EMPTY)])
def test_who_finds_nothing_waits_for_nothing(spec: JobSpec) -> None:
    assert len(starts(Bench().opened().down(assign(0, 2, spec)))) == 1


def test_what_was_fetched_is_released_once_the_last_attempt_has_ended() -> None:
    bench = given()
    bench.turn(ContentsFetched(1))
    assert ReleaseContents(1) not in bench.turn(reported(ended(1, 0)))
    assert ReleaseContents(1) in bench.turn(reported(ended(2, 1)))
    assert bench.down(assign(4, 5, None)) == [replace(FETCH, number=2)], "it may have gone"


def test_what_can_never_be_had_ends_as_what_cannot_be_started() -> None:
    bench = given()
    late, start = bench.turn(ContentsFetched(1, refusal="it is too large"))
    assert isinstance(late, Define)
    assert late.refusal == "it is too large"
    assert starts([start]) == [[key(0), key(1)]]
    assert bench.down(assign(2, 3, None)) == [replace(FETCH, number=2)], "who comes later tries again"


def test_where_there_is_no_room_for_it_its_tasks_are_given_back_and_nothing_is_taken_for_a_while() -> None:
    bench = given()
    effects = bench.turn(ContentsFetched(1, shortage="the disk is full"))
    assert ReleaseContents(1) in effects
    assert bench.core.room.shortage == "the disk is full"
    assert returned(bench, effects) == (some(0, 2),)


@pytest.mark.parametrize("command", [Recall(some(0, 1)), Stop(some(0, 1), 3.0)])
def test_what_waits_is_given_back_when_it_is_recalled_or_stopped(command: Recall | Stop) -> None:
    bench = given()
    effects = bench.down(command)
    assert not any(isinstance(effect, RecallAttempts | StopAttempts) for effect in effects)
    assert returned(bench, effects) == (some(0, 1),)
    assert starts(bench.turn(ContentsFetched(1))) == [[key(1)]]


def test_of_a_recall_the_launcher_hears_what_it_knows() -> None:
    bench = given(count=1)
    bench.turn(ContentsFetched(1))
    bench.down(assign(1, 2, replace(FINDS, upload_each=True, name="other")))
    assert RecallAttempts((key(0),)) in bench.down(Recall(some(0, 2)))


def test_what_is_disowned_while_it_waits_is_told_to_nobody() -> None:
    bench = given()
    assert bench.down(Disown(some(0, 2))) == [ReleaseContents(1)]
    assert bench.turn(ContentsFetched(1)) == []
    assert returned(bench, []) == ()
    assert not bench.core.held


def test_what_is_to_stand_still_does_once_it_has_begun() -> None:
    bench = given()
    bench.down(Freeze(some(1, 2)))
    assert bench.turn(ContentsFetched(1))[-1] == FreezeAttempts((key(1),), thaw=False)


@pytest.mark.parametrize("ends", [SessionEnded(1, 0.0), LauncherLost()])
def test_what_waits_is_forgotten_with_its_session(ends: SessionEnded | LauncherLost) -> None:
    bench = given()
    assert ReleaseContents(1) in bench.turn(ends)
    bench.turn(SessionEnded(1, 0.0), connected("inc"))
    bench.now += 60
    bench.turn()
    (hello,) = bench.turn(SessionReady(2))
    assert isinstance(hello, SendHello)
    assert not hello.hello.backlog
    bench.down(Welcome(1, LEASE), session=2)
    assert bench.turn(ContentsFetched(1)) == [], "nobody waits for it any more"


def test_who_ends_gives_back_what_waits() -> None:
    bench = given()
    effects = bench.turn(ShutdownRequested())
    assert ReleaseContents(1) in effects
    assert returned(bench, effects) == (some(0, 2),)


def test_what_another_launcher_does_not_hold_is_released() -> None:
    bench = given()
    bench.turn(ContentsFetched(1))
    bench.turn(LauncherLost())
    assert ReleaseContents(1) in bench.turn(connected("other"))

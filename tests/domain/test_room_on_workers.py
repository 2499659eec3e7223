"""A worker without room takes nothing, gives back what has not started, and says so; the scheduler passes it over."""

from cluster.domain.launcher.messages import Ended, Started
from cluster.domain.scheduler.events import HeartbeatReceived, ReportReceived, SessionClosed, WorkerRegistered
from cluster.domain.scheduler.views import job_view, worker_view
from cluster.domain.scheduler.worker_states import WorkerState
from cluster.domain.session.messages import Hello, Report
from cluster.domain.worker.messages import (
    RecallAttempts,
    RoomMeasured,
    SendHeartbeat,
    SendHello,
    SendReport,
    SessionReady,
)
from cluster.domain.worker.outbox import REPORT_EVERY
from cluster.domain.worker.room import FIRST_PAUSE, Space
from tests.domain import core_bench, worker_bench
from tests.domain.core_bench import attempts, spec
from tests.domain.worker_bench import LEASE, NOTHING, assign, connected, ended, key, reported, some

FULL, FREE = (Space("/jobs", 1000, 10),), (Space("/jobs", 1000, 900),)
WHY = "/jobs has 10 B free, and 50 B are kept free"


def test_a_worker_whose_disk_fills_says_so_first_and_gives_back_what_has_not_started() -> None:
    bench = worker_bench.Bench().opened(connected("inc", ["5.1#1"], ["5.2#1", "5.3#1"], ()))
    assert bench.turn(RoomMeasured(FULL)) == [SendHeartbeat(1, 1, WHY), RecallAttempts((key(2), key(3)))]
    assert bench.turn(RoomMeasured(FULL)) == []
    bench.now += LEASE
    assert SendHeartbeat(1, 2, WHY) in bench.turn() or not bench.core.connected


def test_what_is_assigned_all_the_same_is_returned() -> None:
    bench = worker_bench.Bench().opened()
    bench.turn(RoomMeasured(FULL))
    [report] = [e for e in bench.down(assign(0, 2)) if isinstance(e, SendReport)]
    assert report.report == Report(0, returned=(some(0, 2),))


def test_it_takes_work_again_when_there_is_room_and_says_so_at_once() -> None:
    bench = worker_bench.Bench().opened()
    bench.turn(RoomMeasured(FULL))
    assert bench.turn(RoomMeasured((Space("/jobs", 1000, 55),))) == []  # not for so little
    assert bench.turn(RoomMeasured(FREE)) == [SendHeartbeat(1, 2)]


def test_hello_says_it_too() -> None:
    bench = worker_bench.Bench()
    bench.turn(RoomMeasured(FULL), NOTHING)
    [hello] = bench.turn(SessionReady(1))
    assert isinstance(hello, SendHello)
    assert hello.hello.no_room == WHY


def test_a_start_that_failed_for_want_of_room_is_returned_and_the_next_one_comes_later_each_time() -> None:
    """Whatever is measured: a quota is not seen from outside."""
    bench = worker_bench.Bench().opened()
    bench.turn(RoomMeasured(FREE))
    bench.down(assign(0, 9))
    pauses, why = [], "the launcher cannot make /jobs/5/0.1.out: Disk quota exceeded"
    for number in range(1, 6):
        bench.turn(reported(Ended(number, f"5.{number}#1", "returned", text=why)))
        assert bench.core.room.shortage == why
        began = bench.now
        while bench.core.room.shortage:
            bench.now += 1.0
            bench.turn(RoomMeasured(FREE))
        pauses.append(bench.now - began)
        bench.now += REPORT_EVERY
    assert pauses == [5.0, 10.0, 20.0, 40.0, 60.0]
    bench.turn(reported(Started(9, "5.8#1", 77, 1)))
    bench.turn(reported(Ended(10, "5.6#1", "returned", text=why)))
    assert bench.core.room.due() == bench.now + FIRST_PAUSE


def test_one_that_was_returned_because_somebody_wished_it_says_nothing_of_room() -> None:
    bench = worker_bench.Bench().opened()
    bench.down(assign(0, 1))
    bench.turn(reported(ended(1, 0, "returned")))
    assert not bench.core.room.shortage


def test_a_full_worker_gets_nothing_until_it_has_room_and_shows_why() -> None:
    bench = core_bench.Bench()
    full = bench.worker("full")
    bench.worker("other", millicpus=1000)
    bench.turn(HeartbeatReceived(full, 1, WHY))
    bench.submit(spec(3))
    assert not bench.core.workers["full"].jobs
    assert len(bench.core.workers["other"].jobs) == 1
    view = worker_view(bench.core, bench.core.workers["full"])
    assert (view.state, view.no_room) == (WorkerState.FULL, WHY)
    assert [session for session, _ in bench.sent(HeartbeatReceived(full, 2))][1:] == [full]
    assert worker_view(bench.core, bench.core.workers["full"]).state is WorkerState.ONLINE


def test_a_job_says_that_it_waits_for_room() -> None:
    bench = core_bench.Bench()
    bench.register("box")
    bench.hello("box", Hello("inc", 2000, 1, no_room=WHY))
    bench.submit(spec())
    assert job_view(bench.core, bench.core.jobs[1]).pending_because == (f"worker box is full: {WHY}",)


def test_what_a_full_worker_gives_back_goes_elsewhere_in_the_same_attempt_and_counts_as_no_try() -> None:
    bench = core_bench.Bench()
    full = bench.worker("full", millicpus=1000)
    bench.submit(spec(retries=0))
    other = bench.worker("other", millicpus=1000)
    bench.turn(HeartbeatReceived(full, 1, WHY))
    sent = bench.sent(ReportReceived(full, Report(1, returned=(attempts(1, 1, (0, 1)),))))
    assert [session for session, message in sent if getattr(message, "attempts", None)] == [other]
    assert bench.core.jobs[1].held.keys() == {("other", 1)}


def test_a_worker_that_can_start_nothing_says_why_until_it_comes_back() -> None:
    bench, why = core_bench.Bench(), "cannot start the launcher: Resource temporarily unavailable"
    session = bench.worker("box")
    bench.turn(WorkerRegistered(8, "box", "box", 2000, trouble=why))
    view = worker_view(bench.core, bench.core.workers["box"])
    assert (view.state, view.trouble) == (WorkerState.ONLINE, ""), "that its session has ended was not heard yet"
    bench.turn(SessionClosed(session))
    view = worker_view(bench.core, bench.core.workers["box"])
    assert (view.state, view.trouble) == (WorkerState.UNREACHABLE, why)
    bench.submit(spec())
    job = job_view(bench.core, bench.core.jobs[1], explain=True)
    assert job.pending_because == (f"worker box is unreachable: {why}",)
    assert [hindrance.reason for hindrance in job.explanation.hindrances] == [f"unreachable; box says: {why}"]
    bench.hello("box")
    assert not worker_view(bench.core, bench.core.workers["box"]).trouble
    assert bench.state(1) == "assigned"

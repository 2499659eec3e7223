"""How a worker ends: what it gives back, stops, waits for and says, and when it has done so."""

import pytest

from cluster.domain.launcher.messages import Ended, Started
from cluster.domain.session.messages import (
    HeartbeatAnswered,
    Report,
    ReportAcknowledged,
    Welcome,
)
from cluster.domain.worker.closing import GOODBYE
from cluster.domain.worker.messages import (
    AckJournal,
    ConfirmLease,
    Define,
    Finished,
    HangUp,
    LauncherConnected,
    LauncherLost,
    RecallAttempts,
    SendHeartbeat,
    SendReport,
    SessionEnded,
    SessionReady,
    ShutdownRequested,
    StopAttempts,
)
from cluster.domain.worker.outbox import REPORT_EVERY
from tests.domain.worker_bench import ID, SPEC, Bench, assign, connected, ended, key, ok, reported, some


def test_a_shutdown_gives_back_what_has_not_started_and_leaves_the_rest_running() -> None:
    bench = Bench().opened(connected("inc", ["5.0#1"], ["5.1#1"], ()))
    said = bench.now
    assert bench.turn(ShutdownRequested()) == [
        RecallAttempts((key(1),)),
        SendReport(1, Report(0, draining=True)),
        SendHeartbeat(1, 1),
    ]
    bench.now += REPORT_EVERY
    assert bench.turn(reported(Ended(1, "5.1#1", "returned"))) == [
        SendReport(1, Report(1, returned=(some(1, 2),), draining=True)),
        SendHeartbeat(1, 2),
    ]
    bench.now += REPORT_EVERY
    # Assigned before the scheduler knew: it is given back, and the answer to that is waited for as well.
    assert bench.down(HeartbeatAnswered(1), assign(8, 9), ReportAcknowledged(1)) == [
        ConfirmLease(said),
        Define(0, 5, ID, SPEC, 30.0),
        AckJournal(1),
        SendReport(1, Report(0, returned=(some(8, 9),), draining=True)),
        SendHeartbeat(1, 3),
    ]
    assert bench.down(HeartbeatAnswered(2)) == [ConfirmLease(said + REPORT_EVERY)]
    assert bench.down(HeartbeatAnswered(3)) == [ConfirmLease(bench.now), Finished()]
    assert bench.turn() == []


def test_a_shutdown_waits_for_no_scheduler_that_does_not_answer() -> None:
    bench = Bench().opened(connected("inc", (), ["5.1#1"], ()))
    bench.turn(ShutdownRequested())
    until = bench.now + GOODBYE
    while bench.now < until:
        effects = bench.pass_on()
        assert (effects[-1] == Finished()) == (bench.now >= until)
    assert Bench().turn(ShutdownRequested()) == [Finished()]


def test_a_shutdown_behind_a_hello_waits_for_its_answer_and_says_what_has_ended() -> None:
    bench = Bench()
    bench.turn(connected("inc", (), (), (ended(1, 0),)))
    bench.turn(SessionReady(1))
    assert bench.turn(ShutdownRequested()) == []
    assert bench.down(Welcome(1, 15.0))[-2:] == [
        SendReport(1, Report(1, ok=(ok(0),), draining=True)),
        SendHeartbeat(1, 1),
    ]
    assert bench.down(HeartbeatAnswered(1), ReportAcknowledged(1))[-1] == Finished()


def test_a_shutdown_that_stops_jobs_waits_for_their_ends() -> None:
    bench = Bench().opened(connected("inc", ["5.0#1"], ["5.1#1"], ()))
    # The launcher may have started 5.1 meanwhile, so a return would not do.
    assert bench.turn(ShutdownRequested(stop_jobs=True)) == [
        StopAttempts((key(0), key(1))),
        SendReport(1, Report(0, draining=True)),
        SendHeartbeat(1, 1),
    ]
    bench.now += REPORT_EVERY
    assert len(bench.turn(reported(Ended(1, "5.0#1", "cancelled", None, "SIGTERM")))) == 2
    bench.down(ReportAcknowledged(1))
    bench.now += GOODBYE  # however long the grace of the other is
    assert bench.turn(reported(Started(2, "5.1#1", 9, 1))) != [Finished()]
    assert len(bench.turn(reported(Ended(3, "5.1#1", "cancelled", None, "SIGTERM")))) == 0
    bench.down(ReportAcknowledged(2))
    bench.now += REPORT_EVERY
    bench.turn()
    assert bench.down(ReportAcknowledged(3)) == [AckJournal(3)]
    assert bench.down(HeartbeatAnswered(bench.core.session.heartbeat))[-1] == Finished()


def test_a_launcher_that_comes_while_the_agent_ends_is_told_what_the_one_before_was() -> None:
    for stop_jobs, told in [(True, StopAttempts((key(0), key(1)))), (False, RecallAttempts((key(1),)))]:
        bench = Bench().opened(connected("inc", ["5.0#1"], ["5.1#1"], ()))
        bench.turn(ShutdownRequested(stop_jobs))
        assert bench.turn(connected("another", ["5.0#1"], ["5.1#1"], ()))[0] == told


def test_jobs_that_are_to_be_stopped_wait_for_the_launcher_after_one_that_died() -> None:
    bench = Bench().opened(connected("inc", ["5.0#1"], (), ()))
    bench.turn(ShutdownRequested(stop_jobs=True))
    assert [type(effect) for effect in bench.turn(LauncherLost())] == [HangUp]
    assert bench.turn(SessionEnded(1, 0.0)) == []
    lost = Ended(1, "5.0#1", "lost")
    assert bench.turn(connected("another", (), (), [lost]))[-1] == Finished()


@pytest.mark.parametrize("held", [connected("inc", ["5.0#1"], (), ()), None])
def test_they_do_not_wait_for_a_launcher_for_ever(held: LauncherConnected | None) -> None:
    """`held` None: nobody knows yet what an earlier agent has left."""
    bench = Bench()
    if held:
        bench.turn(held)
        bench.turn(LauncherLost())
    assert bench.turn(ShutdownRequested(stop_jobs=True)) == []
    bench.now += GOODBYE
    assert bench.core.next_deadline() == bench.now
    assert bench.turn() == [Finished()]
    assert bench.core.next_deadline() is None

"""The worker's decisions: events in, the exact list of effects out."""

from dataclasses import replace

import pytest

from cluster.domain.base.intervals import Range
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import TaskEnd
from cluster.domain.job.spec import JobSpec
from cluster.domain.launcher.messages import Ended, Started
from cluster.domain.session.messages import (
    Assign,
    Attempts,
    Disown,
    HeartbeatAnswered,
    Hello,
    Recall,
    Report,
    ReportAcknowledged,
    Stop,
    Welcome,
)
from cluster.domain.session.spec_memory import MOST_SPECS
from cluster.domain.worker.journal import entries_of
from cluster.domain.worker.messages import (
    AckJournal,
    ConfirmLease,
    Define,
    HandOver,
    HangUp,
    LauncherConnected,
    LauncherLost,
    OpenSession,
    PushOutput,
    RecallAttempts,
    RemoveOutput,
    SaveEpoch,
    SendHeartbeat,
    SendHello,
    SendReport,
    SessionEnded,
    SessionReady,
    Start,
    StartItem,
    StopAttempts,
)
from cluster.domain.worker.outbox import LONG_REPORT_EVERY, MANY, REPORT_BYTES, REPORT_EVERY
from cluster.domain.worker.report_making import SMALL_OUTPUT
from cluster.domain.worker.session import BACKOFF_FIRST, BACKOFF_IDLE, BACKOFF_MOST, WELCOME_WITHIN
from tests.domain.worker_bench import ID, LEASE, NOTHING, SPEC, Bench, assign, connected, ended, key, ok, reported, some

LARGE = SMALL_OUTPUT + 1  # bytes

# -- sessions


def test_connects_when_the_launcher_is_there_and_says_what_it_holds() -> None:
    bench = Bench(epoch=3)
    assert bench.turn() == []
    reports = (Started(1, "5.0#1", 77, 1), ended(2, 0))
    held = connected("inc", ["5.3#2"], ["5.1#1", "5.2#1", "0.9#1"], reports)
    assert bench.turn(held) == [OpenSession(1)]
    hello = Hello(
        "inc", 2000, 3, backlog=(some(1, 3),), running=(some(3, 4, 2),), ended=(some(0, 1),), uptime=bench.now
    )
    assert bench.turn(SessionReady(1)) == [SendHello(1, hello)]
    asked = bench.now
    bench.now += 0.5
    assert bench.down(Welcome(4, LEASE)) == [
        SaveEpoch(4),
        ConfirmLease(asked),  # as old as the question
        SendReport(1, Report(2, ok=(ok(0),))),
    ]


def test_a_scheduler_of_an_older_epoch_commands_nothing() -> None:
    bench = Bench(epoch=7)
    bench.turn(NOTHING)
    bench.turn(SessionReady(1))
    [close] = bench.down(Welcome(6, LEASE), assign(0, 9))
    assert isinstance(close, HangUp)
    assert "epoch 6" in close.why
    assert bench.core.epoch == 7


@pytest.mark.parametrize("epoch", [7, 8])
def test_a_scheduler_of_the_same_or_a_newer_epoch_is_obeyed(epoch: int) -> None:
    bench = Bench(epoch=7)
    bench.turn(NOTHING)
    bench.turn(SessionReady(1))
    saved = [SaveEpoch(8)] if epoch == 8 else []
    assert bench.down(Welcome(epoch, LEASE)) == [*saved, ConfirmLease(bench.now)]


@pytest.mark.parametrize(
    ("held", "most"), [(NOTHING, BACKOFF_IDLE), (connected("inc", ["5.1#1"], (), ()), BACKOFF_MOST)]
)
def test_backs_off_longer_each_time_up_to_a_bound_and_starts_over_once_welcomed(
    held: LauncherConnected, most: float
) -> None:
    """The bound is lower when something runs whose leash may end."""
    bench = Bench()
    bench.turn(held)
    waits = []
    for session in range(1, 10):
        bench.turn(SessionEnded(session, jitter=1.0))
        deadline = bench.core.next_deadline()
        assert deadline is not None
        waits.append(deadline - bench.now)
        bench.now = deadline
        assert bench.turn() == [OpenSession(session + 1)]
    assert waits == pytest.approx([min(most, BACKOFF_FIRST * 2**n) for n in range(9)])
    bench.turn(SessionReady(10))
    bench.down(Welcome(1, LEASE), session=10)
    bench.turn(SessionEnded(10, jitter=0.0))
    assert bench.core.next_deadline() == pytest.approx(bench.now + BACKOFF_FIRST / 2)


def test_what_comes_from_another_session_is_not_read() -> None:
    bench = Bench().opened()
    assert bench.down(assign(0, 1), session=0) == []
    assert bench.turn(SessionEnded(0, 0.0), SessionReady(1), SessionReady(0)) == []
    assert bench.core.connected


def test_without_a_launcher_there_is_no_session() -> None:
    bench = Bench().opened()
    assert bench.turn(LauncherLost()) == [HangUp(1, "the launcher does not answer")]
    assert bench.down(assign(0, 1)) == []
    bench.turn(SessionEnded(1, 1.0))
    bench.now += 60
    assert bench.core.next_deadline() is None
    assert bench.turn() == []
    assert bench.turn(replace(NOTHING, incarnation="other")) == [OpenSession(2)]


def test_a_scheduler_that_says_nothing_after_hello_is_tried_anew() -> None:
    bench = Bench()
    bench.turn(NOTHING)
    bench.turn(SessionReady(1))
    bench.now += WELCOME_WITHIN
    assert bench.core.next_deadline() == bench.now
    assert bench.turn() == [HangUp(1, "the scheduler has not answered for 10 s")]


def test_a_worker_that_stands_alone_never_connects() -> None:
    bench = Bench(connect=False)
    assert bench.turn(NOTHING) == []
    assert bench.core.next_deadline() is None


# -- leases


def test_heartbeats_go_out_every_third_of_the_lease_and_renew_from_when_they_were_sent() -> None:
    bench = Bench().opened()
    bench.now = 105.0
    assert bench.core.next_deadline() == bench.now
    assert bench.turn() == [SendHeartbeat(1, 1)]
    bench.now = 106.0
    assert bench.down(HeartbeatAnswered(1)) == [ConfirmLease(105.0)]
    assert bench.down(HeartbeatAnswered(1)) == []  # said twice
    assert bench.down(HeartbeatAnswered(9)) == []  # never asked
    bench.now = 110.0
    assert bench.turn() == [SendHeartbeat(1, 2)]


def test_a_scheduler_that_answers_no_heartbeat_for_a_whole_lease_is_hung_up_on() -> None:
    bench = Bench().opened()
    for bench.now in (105.0, 110.0):
        bench.turn()
    bench.now = 115.0
    assert bench.turn() == [HangUp(1, "the scheduler has not answered a heartbeat for 15 s")]
    assert bench.down(HeartbeatAnswered(2)) == []


# -- commands


def test_whose_a_job_is_goes_with_its_template() -> None:
    assert Bench().opened().down(replace(assign(2, 4), owner="ada"))[0] == Define(0, 5, ID, SPEC, 30.0, "ada")


def test_an_assign_goes_straight_into_the_backlog_with_the_numbers_of_the_tasks() -> None:
    bench = Bench().opened()
    start = Start(0, (StartItem(key(2), 5), StartItem(key(3), 7)))
    assert bench.down(assign(2, 4)) == [Define(0, 5, ID, SPEC, 30.0), start]
    assert bench.down(assign(2, 4)) == []  # said twice
    assert bench.down(assign(4, 5, spec=None)) == [Start(0, (StartItem(key(4), 9),))]
    assert bench.down(assign(3, 6)) == [Start(0, (StartItem(key(5), 11),))]


def test_lines_come_with_their_tasks() -> None:
    bench = Bench().opened()
    spec = JobSpec(argv=("echo", "{}"), array=(ArraySegment(1, 9, 2), ArraySegment(20, 29)))
    command = Assign(some(4, 6), spec, 30.0, (b"a b", b""), ID)
    items = (StartItem(key(4), 9, b"a b"), StartItem(key(5), 20, b""))
    assert bench.down(command) == [Define(0, 5, ID, spec, 30.0), Start(0, items)]


def test_the_task_of_a_job_that_is_no_array_has_no_number() -> None:
    bench = Bench().opened()
    spec = JobSpec(argv=("true",))
    assert bench.down(assign(0, 1, spec)) == [Define(0, 5, ID, spec, 30.0), Start(0, (StartItem(key(0)),))]


def test_an_assign_without_a_spec_makes_both_sides_start_afresh() -> None:
    bench = Bench().opened()
    assert bench.down(assign(0, 1, spec=None), assign(1, 2)) == [
        HangUp(1, "the scheduler assigned tasks of job 5 without its spec")
    ]


def test_a_job_that_was_forgotten_for_others_needs_its_spec_again() -> None:
    bench = Bench().opened()
    for job in range(6, 6 + MOST_SPECS):
        [define, _] = bench.down(Assign(Attempts(job, 1, (Range(0, 1),)), SPEC, 30.0, (), ID))
        assert define == Define(job - 6, job, ID, SPEC, 30.0)
    assert bench.down(Assign(Attempts(6, 1, (Range(1, 2),)), None, 30.0)) == [Start(0, (StartItem(key(1, job=6), 3),))]
    assert bench.down(assign(0, 1))[0] == Define(1, 5, ID, SPEC, 30.0)  # of 7, which was assigned longest ago
    [close] = bench.down(Assign(Attempts(7, 1, (Range(1, 2),)), None, 30.0))
    assert isinstance(close, HangUp)


def test_an_attempt_that_ended_is_not_started_again_while_its_report_is_under_way() -> None:
    bench = Bench().opened(connected("inc", (), (), (ended(1, 0),)))
    assert bench.down(assign(0, 1)) == [Define(0, 5, ID, SPEC, 30.0)]
    assert bench.down(assign(0, 1, spec=None)) == []


def test_stop_and_recall_touch_only_what_is_held() -> None:
    bench = Bench().opened(connected("inc", ["5.0#1"], ["5.1#1", "5.2#2"], ()))
    assert bench.down(Stop(some(0, 1000), 3.0)) == [StopAttempts((key(0), key(1)), 3.0)]
    assert bench.down(Stop(some(1, 2), 3.0), Stop(some(7, 9), 3.0)) == [StopAttempts((key(1),), 3.0)]
    assert bench.down(Recall(some(0, 3))) == [RecallAttempts((key(1),))]
    assert bench.down(Recall(some(0, 1))) == []
    bench.turn(reported(Ended(1, "5.1#1", "returned")))
    assert bench.down(Recall(some(1, 2))) == []


def test_what_could_be_returned_is_reported_as_returned() -> None:
    bench = Bench().opened(connected("inc", (), ["5.1#1", "5.2#1"], ()))
    reports = [Ended(1, "5.1#1", "returned"), Ended(2, "5.2#1", "returned")]
    assert bench.turn(reported(*reports)) == [SendReport(1, Report(2, returned=(some(1, 3),)))]


def test_what_was_returned_never_ran_and_starts_when_it_is_assigned_again() -> None:
    returned = [Ended(1, "5.1#1", "returned"), ended(2, 2)]
    bench = Bench().opened(connected("inc", (), ["5.1#1"], ()))
    bench.turn(reported(*returned))
    assert [bench.core.has_ended(key(index)) for index in (1, 2, 3)] == [False, True, False]
    effects = bench.down(ReportAcknowledged(2), assign(1, 2))
    assert effects[0] == AckJournal(2)
    assert [item.key for effect in effects if isinstance(effect, Start) for item in effect.items] == [key(1)]


def test_a_disowned_attempt_is_stopped_and_never_spoken_of_again() -> None:
    bench = Bench().opened(connected("inc", ["5.0#1"], (), ()))
    assert bench.down(Disown(some(0, 3))) == [StopAttempts((key(0),))]
    assert bench.turn(reported(ended(1, 0, "cancelled", out=3))) == [PushOutput((key(0),)), AckJournal(1)]
    assert bench.down(Disown(some(0, 3))) == []


def test_the_end_of_a_disowned_attempt_that_was_not_told_yet_stays_untold() -> None:
    bench = Bench().opened(connected("inc", ["5.0#1", "5.1#1"], (), ()))
    bench.turn(reported(ended(1, 0)))
    assert bench.turn(reported(ended(2, 1))) == []  # the first report is under way
    assert bench.down(Disown(some(1, 2))) == [PushOutput((key(1),))]
    assert bench.down(ReportAcknowledged(1)) == [AckJournal(2)]


def test_small_output_of_an_end_that_is_not_taken_is_pushed() -> None:
    """The report was under way when the scheduler, which had given the attempt up, saw it in the hello."""
    bench = Bench().opened(connected("inc", ["5.0#1", "5.1#1"], (), ()))
    [report] = bench.turn(reported(ended(1, 0, "lease", out=3), ended(2, 1, out=3)))
    assert isinstance(report, SendReport)
    assert bench.down(Disown(some(0, 1))) == []
    sent = bench.down(ReportAcknowledged(2))
    assert sent == [PushOutput((key(0),)), RemoveOutput((key(1),)), AckJournal(2)]


# -- reports


def test_the_first_event_goes_at_once_and_under_load_a_report_carries_all_that_gathered() -> None:
    bench = Bench().opened()
    bench.down(assign(0, 4))
    assert bench.turn(reported(Started(1, "5.0#1", 9, 1))) == [SendReport(1, Report(1, (some(0, 1),)))]
    assert bench.turn(reported(ended(2, 0))) == []  # one report under way
    assert bench.down(ReportAcknowledged(1)) == [AckJournal(1)]  # and not two within REPORT_EVERY
    assert bench.turn(reported(Started(3, "5.1#1", 9, 1), ended(4, 1), Started(5, "5.2#1", 9, 1))) == []
    bench.now += REPORT_EVERY
    assert bench.core.next_deadline() == pytest.approx(bench.now)
    assert bench.turn() == [SendReport(1, Report(5, (some(2, 3),), (ok(0, 2),)))]
    assert bench.down(ReportAcknowledged(4)) == []  # an older acknowledgement says nothing of this one
    assert bench.down(ReportAcknowledged(5)) == [AckJournal(5)]
    assert bench.down(ReportAcknowledged(5)) == []


def test_successes_are_packed_in_runs_of_consecutive_tasks() -> None:
    bench = Bench().opened()
    reports = [ended(1, 3), ended(2, 1), ended(3, 2), ended(4, 7, out=LARGE)]
    report = Report(4, ok=(ok(1, 3), ok(7, waiting=LARGE)))
    assert bench.turn(reported(*reports)) == [SendReport(1, report, large=(key(7),))]
    assert bench.down(ReportAcknowledged(4)) == [PushOutput((key(7),)), AckJournal(4)]


def test_what_a_lost_attempt_has_written_is_kept() -> None:
    bench = Bench().opened()
    bench.turn(reported(Ended(1, "5.0#1", "lost")))
    assert bench.down(ReportAcknowledged(1)) == [PushOutput((key(0),)), AckJournal(1)]


def test_small_outputs_ride_along_and_are_removed_once_acknowledged() -> None:
    bench = Bench().opened()
    assert bench.turn(reported(ended(1, 3, out=SMALL_OUTPUT), ended(2, 4))) == [
        SendReport(1, Report(2, ok=(ok(3, 2),)), small=(key(3),))
    ]
    assert bench.down(ReportAcknowledged(2)) == [RemoveOutput((key(3),)), AckJournal(2)]


@pytest.mark.parametrize(
    ("count", "more", "out", "pause"),
    [
        (MANY, 2, 0, LONG_REPORT_EVERY),
        (MANY - 1, 2, 0, REPORT_EVERY),
        (MANY, 0, 0, REPORT_EVERY),
        (MANY, 1, 0, REPORT_EVERY),
        (MANY, 2, 1, REPORT_EVERY),
    ],
    ids=["many", "few", "the last", "half of the work in advance is done", "with output"],
)
def test_after_a_report_of_many_ends_the_next_gathers_for_longer(count: int, more: int, out: int, pause: float) -> None:
    bench = Bench().opened()
    bench.down(assign(0, count + 1 + more))
    [report] = bench.turn(reported(*(ended(n + 1, n, out=out) for n in range(count))))
    assert isinstance(report, SendReport)
    bench.down(ReportAcknowledged(count))
    assert bench.turn(reported(ended(count + 1, count))) == []
    assert bench.core.next_deadline() == pytest.approx(bench.now + pause)
    bench.now += pause
    assert bench.turn() == [SendReport(1, Report(count + 1, ok=(ok(count, 1),)))]


@pytest.mark.parametrize(
    "what", [Started(MANY + 1, "6.0#1", 77, 1), Ended(MANY + 1, "6.0#1", "ok")], ids=["start", "end"]
)
def test_whoever_waits_for_a_single_task_does_not_wait_for_an_array(what: Started | Ended) -> None:
    bench = Bench().opened()
    bench.down(assign(0, 2 * MANY))
    bench.down(replace(assign(0, 1), attempts=Attempts(6, 1, (Range(0, 1),))))
    bench.turn(reported(*(ended(n + 1, n) for n in range(MANY))))
    bench.down(ReportAcknowledged(MANY))
    bench.turn(reported(what))
    assert bench.core.next_deadline() == pytest.approx(bench.now + REPORT_EVERY)


def test_small_outputs_of_many_ends_are_spread_over_reports() -> None:
    bench = Bench().opened()
    reports = [ended(n + 1, n, out=SMALL_OUTPUT, err=SMALL_OUTPUT) for n in range(200)]
    [first] = bench.turn(reported(*reports))
    assert isinstance(first, SendReport)
    assert first.report.sequence == len(first.small) == REPORT_BYTES // (2 * SMALL_OUTPUT)
    bench.now += REPORT_EVERY
    second = bench.down(ReportAcknowledged(first.report.sequence))[-1]
    assert isinstance(second, SendReport)
    assert second.report.sequence == min(2 * first.report.sequence, 200) == first.report.sequence + len(second.small)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (
            Ended(1, "5.0#1", "exit:3", 3, None, 1_000_000, 500_000, 250_000, 2, LARGE, 1),
            TaskEnd(5, 0, 1, "exit:3", 3, "", "", "", 1.0, 1.5, 0.25, 2048, LARGE + 1),
        ),
        (
            Ended(1, "5.0#1", "signal:SIGKILL", None, "SIGKILL"),
            TaskEnd(5, 0, 1, "signal:SIGKILL", 137, "SIGKILL"),
        ),
        (
            Ended(1, "5.0#1", "timeout:run", 0, "SIGTERM"),
            TaskEnd(5, 0, 1, "timeout:run", 143, "SIGTERM"),
        ),
        (
            Ended(1, "5.0#1", "cancelled", None, "SIGTERM"),
            TaskEnd(5, 0, 1, "cancelled", 143, "SIGTERM"),
        ),
        (
            Ended(1, "5.0#1", "launch_failed", 127, text="no such file"),
            TaskEnd(5, 0, 1, "launch_failed", 127, "", "no such file"),
        ),
        (Ended(1, "5.0#1", "launch_failed"), TaskEnd(5, 0, 1, "launch_failed", 126)),
        (Ended(1, "5.0#1", "lost"), TaskEnd(5, 0, 1, "lost", 70)),
        (
            Ended(1, "5.0#1", "lease", None, "SIGKILL"),
            TaskEnd(
                5,
                0,
                1,
                "lost",
                70,
                "SIGKILL",
                "it was killed because the lease of its worker ran out",
            ),
        ),
    ],
)
def test_an_abnormal_end_is_told_in_full(end: Ended, expected: TaskEnd) -> None:
    bench = Bench().opened()
    large = (key(0),) if expected.output_bytes else ()
    assert bench.turn(reported(end)) == [SendReport(1, Report(1, ended=(expected,)), large=large)]


def test_everything_unacknowledged_is_told_again_in_the_next_session() -> None:
    bench = Bench().opened()
    bench.turn(reported(ended(1, 0)))
    assert bench.turn(reported(ended(2, 1))) == []
    bench.turn(SessionEnded(1, 0.0))
    assert bench.turn(reported(Started(3, "5.2#1", 9, 1))) == []
    bench.now += 10
    assert bench.turn() == [OpenSession(2)]
    hello = Hello("inc", 2000, 1, running=(some(2, 3),), ended=(some(0, 2),), uptime=bench.now)
    assert bench.turn(SessionReady(2)) == [SendHello(2, hello)]
    assert bench.down(Welcome(1, LEASE), session=2) == [
        ConfirmLease(bench.now),
        SendReport(2, Report(3, (some(2, 3),), (ok(0, 2),))),
    ]


def test_a_killed_agent_learns_everything_from_the_launcher() -> None:
    """The second core stands for the agent that was started again: same launcher, nothing else."""
    bench = Bench().opened()
    bench.down(assign(0, 3))
    reports = (Started(1, "5.0#1", 9, 1), ended(2, 0), Started(3, "5.1#1", 9, 1))
    bench.turn(reported(*reports))
    again = Bench(epoch=1)
    again.turn(connected("inc", ["5.1#1"], ["5.2#1"], reports))
    hello = Hello("inc", 2000, 1, (some(2, 3),), (some(1, 2),), (some(0, 1),), uptime=again.now)
    assert again.turn(SessionReady(1)) == [SendHello(1, hello)]
    assert again.down(Welcome(1, LEASE)) == [
        ConfirmLease(again.now),
        SendReport(1, Report(3, (some(1, 2),), (ok(0),))),
    ]


# -- the worker's own jobs


def test_reports_about_own_jobs_are_handed_over_and_never_overtake_those_of_the_cluster() -> None:
    bench = Bench().opened()
    start, end = Started(1, "0.9#1", 9, 1), Ended(3, "0.9#1", "ok")
    started, over = (tuple(entries_of([report])) for report in (start, end))
    assert bench.turn(reported(start)) == [HandOver(started), AckJournal(1)]
    assert bench.turn(reported(ended(2, 0), end)) == [
        HandOver(over),
        SendReport(1, Report(2, ok=(ok(0),))),
    ]
    assert bench.down(ReportAcknowledged(2)) == [AckJournal(3)]


def test_who_was_expelled_knocks_no_more() -> None:
    bench = Bench().opened()
    bench.turn(SessionEnded(1, 0.0, for_good=True))
    bench.now += 3600
    assert bench.core.next_deadline() is None
    assert bench.turn() == []
    assert bench.turn(replace(NOTHING, incarnation="other")) == []  # nor for another launcher's sake

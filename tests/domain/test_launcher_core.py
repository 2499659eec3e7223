"""The launcher's decisions: exact effects, event by event."""

from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.launcher.core import (
    ALONE,
    LOST_TEXT,
    MOST_NEW,
    MOST_STILLBORN,
    STILLBORN_TEXT,
    LauncherCore,
)
from cluster.domain.launcher.messages import (
    AgentAcked,
    AgentConnected,
    AgentLost,
    Effect,
    Ended,
    Event,
    Exit,
    FoundUnfinished,
    Greet,
    JournalReport,
    Kill,
    KillSlot,
    LeaseConfirmed,
    ProcessEnded,
    ProcessStarted,
    QuitRequested,
    RecallFromSlot,
    RecallRequested,
    Retire,
    Signal,
    SlotLost,
    SlotReturned,
    Spawn,
    Started,
    StartFailed,
    StartRequested,
    StopRequested,
    Tick,
    Unreached,
)
from cluster.domain.launcher.slots import IDLE_SLOTS, STALE, IllegalEvent
from cluster.domain.launcher.state import DYING
from cluster.domain.launcher.stopping import MOST_AT_ONCE, STOP_WEIGHS
from cluster.domain.launcher.template import Item, Template

NOW = 1000.0
WALL = 1_700_000_000_000_000
ONE_CPU = Template(("true",), (), "/out")
A, B, C, D = (Item(f"1.{index}#1") for index in range(4))


def template(**changes: Any) -> Template:
    return Template(("true",), (), "/out", **changes)


def started(item: Item, pid: int = 7) -> ProcessStarted:
    return ProcessStarted(item.key, pid, WALL, NOW)


def ended(item: Item, code: int | None = 0, signal: str | None = None, took: float = 1.0) -> ProcessEnded:
    return ProcessEnded(item.key, code, signal, round(took * 1e6), 5, 6, (7, 8))


def running(capacity: int = 1000, of: Template = ONE_CPU, *items: Item) -> LauncherCore:
    """A core in which these run (A when none is named)."""
    core = LauncherCore(capacity)
    core.turn([LeaseConfirmed(NOW)], NOW)
    core.turn([StartRequested(of, list(items or [A]))], NOW)
    for item in items or [A]:
        core.turn([started(item)], NOW)
    return core


def end_reports(effects: list[Effect]) -> list[Ended]:
    return [e.report for e in effects if isinstance(e, JournalReport) and isinstance(e.report, Ended)]


def test_starts_what_fits_and_keeps_the_rest_in_order() -> None:
    core = LauncherCore(2000)
    assert core.turn([StartRequested(ONE_CPU, [A, B, C])], NOW) == [Spawn(0, A, ONE_CPU), Spawn(1, B, ONE_CPU)]
    assert core.turn([started(A, 7)], NOW) == [JournalReport(Started(1, A.key, 7, WALL))]
    assert core.turn([started(B, 8)], NOW) == [JournalReport(Started(2, B.key, 8, WALL))]
    assert core.turn([ended(B)], NOW + 1) == [
        JournalReport(Ended(3, B.key, "ok", 0, None, WALL, 1_000_000, 5, 6, 7, 8)),
        Spawn(1, C, ONE_CPU),
    ]
    assert core.next_deadline() is None


def test_nothing_passes_the_head_of_the_backlog() -> None:
    core = running(2000)
    assert core.turn([StartRequested(template(cpus=2000), [B])], NOW) == []
    assert core.turn([StartRequested(ONE_CPU, [C])], NOW) == []
    assert core.turn([ended(A)], NOW)[1:] == [Spawn(0, B, template(cpus=2000))]


def test_what_can_never_fit_is_refused_and_does_not_block() -> None:
    core = LauncherCore(1000)
    big = template(cpus=1001)
    text = "it needs 1.001 cpus; this worker has 1"
    assert core.turn([StartRequested(big, [A])], NOW) == [JournalReport(Ended(1, A.key, "launch_failed", text=text))]
    assert core.turn([StartRequested(ONE_CPU, [B])], NOW) == [Spawn(0, B, ONE_CPU)]


def test_requests_of_no_cpus_are_never_held_back() -> None:
    core = running(1000)
    free = template(cpus=0)
    assert core.turn([StartRequested(free, [B, C])], NOW) == [Spawn(1, B, free), Spawn(2, C, free)]


def test_a_start_that_is_said_twice_starts_once() -> None:
    core = running()
    assert core.turn([StartRequested(ONE_CPU, [A])], NOW) == []
    core.turn([ended(A)], NOW)
    assert core.turn([StartRequested(ONE_CPU, [A])], NOW) == []  # its end is not acknowledged yet
    assert core.attempts == {}


def test_acknowledging_the_start_does_not_forget_the_end() -> None:
    core = running()
    core.turn([ended(A)], NOW)
    core.turn([AgentAcked(1)], NOW)
    assert core.turn([StartRequested(ONE_CPU, [A])], NOW) == []


@pytest.mark.parametrize(
    ("code", "signal", "reason"),
    [(0, None, "ok"), (3, None, "exit:3"), (None, "SIGSEGV", "signal:SIGSEGV")],
)
def test_a_natural_end_is_called_what_it_was(code: int | None, signal: str | None, reason: str) -> None:
    core = running()
    (report,) = end_reports(core.turn([ended(A, code, signal)], NOW))
    assert (report.reason, report.code, report.signal) == (reason, code, signal)


def test_a_failed_start_frees_its_place() -> None:
    core = LauncherCore(1000)
    core.turn([StartRequested(ONE_CPU, [A, B])], NOW)
    assert core.turn([StartFailed(A.key, "no such file", 127)], NOW) == [
        JournalReport(Ended(1, A.key, "launch_failed", 127, text="no such file")),
        Spawn(0, B, ONE_CPU),
    ]


def test_stop_is_term_then_grace_then_kill() -> None:  # S2.11
    core = running()
    assert core.turn([StopRequested([A.key], grace=5)], NOW) == [Signal(0, A.key, "SIGTERM", 7)]
    assert core.next_deadline() == NOW + 5
    assert core.turn([Tick()], NOW + 4.9) == []
    assert core.turn([Tick()], NOW + 5) == [Kill(0, A.key)]
    assert core.next_deadline() == NOW + 5 + DYING
    (report,) = end_reports(core.turn([ended(A, None, "SIGKILL")], NOW + 6))
    assert (report.reason, report.signal) == ("cancelled", "SIGKILL")


def test_a_stopped_attempt_that_exits_by_itself_names_the_signal_it_was_sent() -> None:  # S2.11
    core = running()
    core.turn([StopRequested([A.key], "cancelled", None, "SIGINT")], NOW)
    (report,) = end_reports(core.turn([ended(A, 0)], NOW + 1))
    assert (report.reason, report.code, report.signal) == ("cancelled", 0, "SIGINT")


def test_what_had_ended_when_its_signal_came_was_not_stopped() -> None:
    core = running()
    core.turn([StopRequested([A.key])], NOW)
    (report,) = end_reports(core.turn([Unreached(A.key), ended(A, 0)], NOW))
    assert (report.reason, report.code, report.signal) == ("ok", 0, None)


@pytest.mark.parametrize(("grace", "reason"), [(0.0, "exit:3"), (5.0, "cancelled")])
def test_what_exits_with_a_code_was_not_killed(grace: float, reason: str) -> None:
    """With a grace it was asked to end first, and the code may be its answer."""
    core = running()
    core.turn([StopRequested([A.key], grace=grace)], NOW)
    core.turn([Tick()], NOW + 5)
    (report,) = end_reports(core.turn([ended(A, 3)], NOW + 5))
    assert report.reason == reason


def test_what_had_ended_when_its_leash_was_cut_ended_by_itself() -> None:
    core = running(1000, template(leash=40))
    core.turn([Tick()], NOW + 40)
    (report,) = end_reports(core.turn([replace(ended(A, 0), cut=True)], NOW + 40))
    assert report.reason == "ok"


MANY = [Item(f"2.{index}#1") for index in range(8192)]
LIGHT = template(cpus=0, leash=40)


def many_running(of: Template) -> LauncherCore:
    core = LauncherCore(1000)
    effects = core.turn([LeaseConfirmed(NOW), StartRequested(of, MANY[:200])], NOW)
    while spawned := [effect.item for effect in effects if isinstance(effect, Spawn)]:
        effects = core.turn([started(item) for item in spawned], NOW)
    return core


@pytest.mark.parametrize(
    "event",
    [StopRequested([item.key for item in MANY]), QuitRequested(kill=True), Tick()],
    ids=["cancel", "quit", "lease"],
)
def test_where_thousands_are_to_end_it_is_done_in_parts_and_others_are_heard_between(event: Event) -> None:
    core = many_running(LIGHT)
    core.turn([StartRequested(ONE_CPU, [A])], NOW)
    core.turn([started(A), StartRequested(template(leash=40), MANY[200:])], NOW)
    at = NOW + (40 if event == Tick() else 0)
    parts = [core.turn([event], at)]
    while core.next_deadline() == at:
        parts.append(core.turn([ended(MANY[0])] if MANY[0].key in core.attempts else [], at))
    assert end_reports(parts[1])[0].key == MANY[0].key
    spoken_to = [[effect for effect in part if isinstance(effect, Signal | Kill)] for part in parts]
    assert max(map(len, spoken_to)) <= MOST_AT_ONCE / STOP_WEIGHS
    assert max(map(len, parts)) <= MOST_AT_ONCE + 1
    assert {e.key for e in chain(*spoken_to)} - {A.key} == {item.key for item in MANY[:200]}
    returned = [report.key for report in end_reports(list(chain(*parts))) if report.reason == "returned"]
    assert returned == [item.key for item in MANY[200:]]
    assert not any(isinstance(effect, Spawn) for effect in chain(*parts)), "what is to end begins"


def test_graces_of_thousands_that_are_over_at_once_end_in_parts() -> None:
    core = many_running(template(cpus=0, grace=5))
    while core._asked or not core.attempts[MANY[199].key].sent:
        core.turn([StopRequested([item.key for item in MANY[:200]])] if not core._asked else [], NOW)
    killed = [core.turn([Tick()], NOW + 5) for _ in range(4)]
    assert [len(effects) for effects in killed] == [50] * 4
    assert {e.key for e in chain(*killed) if isinstance(e, Kill)} == {item.key for item in MANY[:200]}


def test_stop_without_grace_kills_at_once() -> None:
    core = running()
    assert core.turn([StopRequested([A.key], grace=0)], NOW) == [Kill(0, A.key)]


def test_a_second_stop_may_only_shorten_the_grace() -> None:
    core = running()
    core.turn([StopRequested([A.key], grace=10)], NOW)
    assert core.turn([StopRequested([A.key], grace=60)], NOW + 1) == []
    assert core.next_deadline() == NOW + 10
    assert core.turn([StopRequested([A.key], "again", 2)], NOW + 1) == []
    assert core.turn([Tick()], NOW + 3) == [Kill(0, A.key)]
    assert end_reports(core.turn([ended(A, None, "SIGKILL")], NOW + 3))[0].reason == "cancelled"


def test_stopping_a_finished_or_unknown_attempt_does_nothing() -> None:  # S2.11
    core = running()
    core.turn([ended(A)], NOW)
    assert core.turn([StopRequested([A.key, "9.9#9"])], NOW) == []


def test_an_unstarted_attempt_that_is_stopped_or_returned_never_starts() -> None:
    core = running(1000, ONE_CPU, A)
    core.turn([StartRequested(ONE_CPU, [B, C])], NOW)
    assert core.turn([StopRequested([B.key])], NOW) == [JournalReport(Ended(2, B.key, "returned"))]
    assert core.turn([RecallRequested([C.key, A.key])], NOW) == [JournalReport(Ended(3, C.key, "returned"))]
    assert len(core.turn([ended(A)], NOW)) == 1
    assert core.allocation.used == 0


def test_a_run_timeout_stops_it() -> None:  # S3.12
    core = running(1000, template(timeout=60, grace=3))
    assert core.next_deadline() == NOW + 60
    assert core.turn([Tick()], NOW + 60) == [Signal(0, A.key, "SIGTERM", 7)]
    assert core.next_deadline() == NOW + 63
    assert core.turn([Tick()], NOW + 63) == [Kill(0, A.key)]
    (report,) = end_reports(core.turn([ended(A, None, "SIGKILL", took=63.0)], NOW + 63))
    assert (report.reason, report.signal) == ("timeout:run", "SIGKILL")


def test_what_had_ended_before_its_timeout_did_not_time_out() -> None:
    """Its slot was stopped, so nobody heard of its end before the timeout."""
    core = running(1000, template(timeout=60, grace=3))
    for at in (60, 63):
        core.turn([Tick()], NOW + at)
    (report,) = end_reports(core.turn([ended(A, 3, took=59.0)], NOW + 70))
    assert (report.reason, report.code, report.signal) == ("exit:3", 3, None)


def test_a_timeout_of_a_finished_attempt_means_nothing() -> None:
    core = running(1000, template(timeout=60))
    core.turn([ended(A)], NOW)
    assert core.turn([Tick()], NOW + 61) == []
    assert core.next_deadline() is None


def test_old_timeouts_do_not_pile_up() -> None:
    core = LauncherCore(1000)
    for i in range(5000):
        item = Item(f"1.{i}#1")
        core.turn([StartRequested(template(timeout=3600), [item])], NOW)
        core.turn([started(item)], NOW)
        core.turn([ended(item)], NOW)
        core.turn([AgentAcked(core.seq)], NOW)
    assert len(core._deadlines) < 100


def test_the_leash_kills_what_runs_and_recalls_what_waits() -> None:
    core = running(1000, template(leash=40), A)
    core.turn([StartRequested(template(leash=40), [B])], NOW)
    core.turn([StartRequested(ONE_CPU, [C])], NOW)
    core.turn([LeaseConfirmed(NOW + 10)], NOW + 11)
    assert core.next_deadline() == NOW + 50
    assert core.turn([Tick()], NOW + 49) == []
    assert core.turn([Tick()], NOW + 50) == [Kill(0, A.key), JournalReport(Ended(2, B.key, "returned"))]
    effects = core.turn([ended(A, None, "SIGKILL")], NOW + 50)
    assert end_reports(effects)[0].reason == "lease"
    assert effects[1:] == [Spawn(0, C, ONE_CPU)]
    assert core.next_deadline() is None


def test_the_leash_kills_without_grace_what_is_being_stopped() -> None:
    core = running(1000, template(leash=40, grace=100))
    core.turn([StopRequested([A.key])], NOW)
    assert core.turn([Tick()], NOW + 40) == [Kill(0, A.key)]
    core.turn([ended(A, None, "SIGKILL")], NOW + 40)
    assert core.next_deadline() is None


def test_what_its_slot_has_cut_ended_by_its_leash() -> None:
    """The launcher was stopped, and hears of it before it looks at the clock."""
    core = running(1000, template(leash=40))
    cut = ProcessEnded(A.key, None, "SIGKILL", 1000, 0, 0, (0, 0), cut=True)
    assert end_reports(core.turn([cut, LeaseConfirmed(NOW + 50)], NOW + 60))[0].reason == "lease"


def test_who_is_stopped_in_the_check_of_its_output_was_stopped() -> None:
    """Its program has succeeded; what stopped it has stopped the check."""

    def stopped(events: list[Any], at: float, **how: Any) -> str:
        core = running(1000, template(leash=40, timeout=20, grace=5, check_with="sleep 99"))
        core.turn(events, NOW + at)
        core.turn([Tick()], NOW + at + 5)
        took = round(at * 1e6)
        end = ProcessEnded(A.key, 0, None, took, 0, 0, (0, 0), wrong="the check was stopped", **how)
        return end_reports(core.turn([end], NOW + at + 5))[0].reason

    assert stopped([StopRequested([A.key])], 3) == "cancelled"
    assert stopped([StopRequested([A.key], grace=0)], 3) == "cancelled"
    assert stopped([LeaseConfirmed(NOW + 20)], 20) == "timeout:run"
    assert stopped([LeaseConfirmed(NOW)], 3, cut=True) == "lease"
    assert stopped([], 3, oom=True) == "oom"
    assert stopped([], 3) == "format_error"


def test_what_could_not_be_shut_in_was_never_begun() -> None:
    """Unless it was stopped, or took too much memory, before that."""

    def ended(*before: Any, **how: Any) -> tuple[str, str]:
        core = running(1000, template())
        core.turn(list(before), NOW)
        end = ProcessEnded(A.key, 1, None, 9, 0, 0, (0, 40), text="command 1 of 2", unmade="no sandbox: bwrap", **how)
        (told,) = end_reports(core.turn([end], NOW))
        return told.reason, told.text

    assert ended() == ("launch_failed", "no sandbox: bwrap")
    assert ended(StopRequested([A.key]))[0] == "cancelled"
    assert ended(oom=True)[0] == "oom"


def test_nothing_on_a_leash_starts_after_it() -> None:
    core = LauncherCore(1000)
    core.turn([LeaseConfirmed(NOW)], NOW)
    assert core.turn([StartRequested(template(leash=5), [A])], NOW + 5) == [JournalReport(Ended(1, A.key, "returned"))]


def test_a_renewal_neither_goes_back_nor_comes_from_the_future() -> None:
    core = running(1000, template(leash=40))
    core.turn([LeaseConfirmed(NOW - 10)], NOW)
    assert core.next_deadline() == NOW + 40
    core.turn([LeaseConfirmed(NOW + 1e9)], NOW + 1)
    assert core.next_deadline() == NOW + 41


def test_what_was_returned_may_start_again_before_that_is_acknowledged() -> None:
    """The scheduler had heard of it from an agent that ended before it could tell; to the next one it gave it again, in
    the same attempt, while what had come before was still to be reported. It was held for ever, and never ran."""
    core = running(1000, ONE_CPU, A)
    core.turn([StartRequested(ONE_CPU, [B])], NOW)
    core.turn([RecallRequested([B.key])], NOW)
    core.turn([ended(A)], NOW)
    assert core.turn([StartRequested(ONE_CPU, [B])], NOW) == [Spawn(0, B, ONE_CPU)]
    (welcome,) = core.turn([AgentConnected(1000)], NOW)
    assert isinstance(welcome, Greet)
    assert welcome.backlog == [B.key]
    assert [report.key for report in welcome.unacked] == [A.key, A.key]


LEASHED = template(leash=50.0)


def test_what_has_not_begun_is_returned_when_a_lease_that_was_out_holds_again() -> None:
    """The scheduler gave it up meanwhile, and may have given it to others. The launcher was stopped, so it hears of the
    end of the lease and of the next one together."""
    core = LauncherCore(1000)
    core.turn([LeaseConfirmed(NOW)], NOW)
    core.turn([StartRequested(LEASHED, [A, B])], NOW)
    effects = core.turn([LeaseConfirmed(NOW + 70)], NOW + 71)
    assert effects == [RecallFromSlot(0), JournalReport(Ended(1, B.key, "returned"))]
    effects = core.turn([SlotReturned(0, [A.key])], NOW + 71)
    assert effects == [JournalReport(Ended(2, A.key, "returned"))]


def test_what_runs_goes_on_when_the_launcher_hears_late_that_the_lease_was_renewed() -> None:
    """It was stopped: whether the lease held throughout it cannot know. Its slot and the watchdog would have cut it."""
    core = LauncherCore(1000)
    core.turn([LeaseConfirmed(NOW)], NOW)
    core.turn([StartRequested(LEASHED, [A])], NOW)
    core.turn([started(A)], NOW)
    assert core.turn([LeaseConfirmed(NOW + 70)], NOW + 71) == []


def test_what_was_asked_for_while_a_lease_held_that_is_out_is_returned() -> None:
    """It waited in the socket of a launcher that was stopped."""
    core = LauncherCore(1000)
    core.turn([LeaseConfirmed(NOW)], NOW)
    effects = core.turn([StartRequested(LEASHED, [A], confirmed_at=NOW), LeaseConfirmed(NOW + 70)], NOW + 71)
    assert effects == [JournalReport(Ended(1, A.key, "returned"))]
    effects = core.turn([StartRequested(LEASHED, [B], confirmed_at=NOW + 70)], NOW + 71)
    assert effects == [Spawn(0, B, LEASHED, NOW + 70 + 50)]


def test_what_a_slot_is_handed_says_when_it_is_too_late_to_begin_it() -> None:
    core = LauncherCore(2000)
    core.turn([LeaseConfirmed(NOW)], NOW + 10)
    assert core.turn([StartRequested(LEASHED, [A])], NOW + 10) == [Spawn(0, A, LEASHED, NOW + 50)]
    assert core.turn([StartRequested(ONE_CPU, [B])], NOW + 10) == [Spawn(1, B, ONE_CPU)]


def test_a_new_agent_hears_everything_it_has_not_acknowledged() -> None:
    core = running(1000, ONE_CPU, A)
    core.turn([StartRequested(ONE_CPU, [B])], NOW)
    core.turn([ended(A)], NOW)
    core.turn([started(B)], NOW)
    core.turn([StartRequested(ONE_CPU, [C])], NOW)
    core.turn([AgentAcked(1)], NOW)
    a_ended = Ended(2, A.key, "ok", 0, None, WALL, 1_000_000, 5, 6, 7, 8)
    b_started = Started(3, B.key, 7, WALL)
    assert core.turn([AgentConnected(1000)], NOW) == [Greet([B.key], [C.key], [a_ended, b_started])]
    core.turn([AgentAcked(2)], NOW)
    assert core.turn([AgentConnected(1000)], NOW) == [Greet([B.key], [C.key], [b_started])]


def test_a_new_agent_hears_how_long_what_runs_may_write_nothing() -> None:
    silent = replace(ONE_CPU, quiet_timeout=60.0)
    core = running(1000, silent, A)
    core.turn([StartRequested(silent, [B])], NOW)
    assert core.turn([AgentConnected(1000)], NOW)[0] == Greet(
        [A.key], [B.key], [Started(1, A.key, 7, WALL)], {A.key: 60.0}
    )


def test_a_new_agent_sets_the_capacity() -> None:
    core = running(1000, ONE_CPU, A)
    core.turn([StartRequested(ONE_CPU, [B, C])], NOW)
    effects = core.turn([AgentConnected(2000)], NOW)
    assert effects[1:] == [Spawn(1, B, ONE_CPU)]


def test_what_a_dead_launcher_left_is_lost() -> None:
    core = LauncherCore(1000, 5, [Ended(5, B.key, "ok", 0)])
    lost = Ended(6, A.key, "lost", started_at=WALL, duration=3_000_000, text=LOST_TEXT)
    assert core.turn([FoundUnfinished(A.key, WALL, WALL + 3_000_000)], NOW) == [JournalReport(lost)]
    assert [r.seq for r in core.unacked] == [5, 6]
    assert core.turn([StartRequested(ONE_CPU, [A, B])], NOW) == []


def test_quit_waits_for_what_runs() -> None:
    core = running()
    core.turn([StartRequested(ONE_CPU, [B])], NOW)
    assert core.turn([QuitRequested(kill=False)], NOW) == [JournalReport(Ended(2, B.key, "returned"))]
    assert core.turn([StartRequested(ONE_CPU, [C])], NOW) == [JournalReport(Ended(3, C.key, "returned"))]
    assert core.turn([ended(A)], NOW)[1:] == [Exit()]


def test_quit_kills_when_told_and_the_end_is_a_plain_signal() -> None:
    core = running()
    assert core.turn([QuitRequested(kill=True)], NOW) == [Kill(0, A.key)]
    effects = core.turn([ended(A, None, "SIGKILL")], NOW)
    assert end_reports(effects)[0].reason == "signal:SIGKILL"
    assert effects[1:] == [Exit()]


def test_it_exits_when_it_is_idle_and_no_agent_comes_back() -> None:
    core = LauncherCore(1000)
    assert core.turn([AgentLost()], NOW) == []
    assert core.next_deadline() == NOW + ALONE
    assert core.turn([Tick()], NOW + ALONE - 1) == []
    assert core.turn([Tick()], NOW + ALONE) == [Exit()]


def test_it_does_not_exit_while_an_agent_is_there_or_anything_runs() -> None:
    core = LauncherCore(1000)
    core.turn([AgentLost()], NOW)
    core.turn([AgentConnected(1000)], NOW + 1)
    assert core.next_deadline() is None
    assert core.turn([Tick()], NOW + ALONE) == []
    core.turn([StartRequested(ONE_CPU, [A])], NOW + ALONE)
    core.turn([started(A)], NOW + ALONE)
    core.turn([AgentLost()], NOW + ALONE)
    assert core.next_deadline() is None
    assert core.turn([Tick()], NOW + 3 * ALONE) == []
    assert core.turn([ended(A)], NOW + 3 * ALONE)[-1] == Exit()


def test_quit_when_idle_exits() -> None:
    assert LauncherCore(1000).turn([QuitRequested(kill=False)], NOW) == [Exit()]


@pytest.mark.parametrize("event", [started(A), StartFailed(A.key, "", None), ended(B)])
def test_what_cannot_happen_changes_nothing(event: Event) -> None:
    core = running()
    before = core.turn([AgentConnected(1000)], NOW)
    with pytest.raises(IllegalEvent):
        core.turn([event], NOW)
    assert core.turn([AgentConnected(1000)], NOW) == before


SHORT = 0.001  # seconds; of such attempts a slot is handed many in advance


def ahead(*items: Item, template: Template = ONE_CPU) -> LauncherCore:
    """A core whose one slot runs B, knows that such attempts are short, and has been handed these as well."""
    core = running(1000, template, A)
    core.turn([StartRequested(template, [B, *items])], NOW)
    core.turn([ended(A, took=SHORT)], NOW)
    return core


def test_each_slot_is_handed_neighbours_and_no_more_than_its_share() -> None:
    """Their ends are told in ranges."""
    core = running(2000, ONE_CPU, A, B)
    items = [Item(f"2.{n}#1", n + 1) for n in range(21)]
    core.turn([ended(A, took=SHORT), ended(B, took=SHORT)], NOW)
    core.turn([StartRequested(ONE_CPU, items[:2])], NOW)
    core.turn([started(item) for item in items[:2]], NOW)
    effects = core.turn([StartRequested(ONE_CPU, items[2:])], NOW)
    spawned = [(effect.slot, effect.item.number) for effect in effects if isinstance(effect, Spawn)]
    first, second = spawned[0][0], spawned[-1][0]
    assert first != second
    assert spawned == [*((first, n) for n in range(3, 13)), *((second, n) for n in range(13, 22))]


def test_short_attempts_are_handed_out_in_advance() -> None:
    core = running(1000, ONE_CPU, A)
    assert core.turn([StartRequested(ONE_CPU, [B, C, D])], NOW) == []
    assert core.turn([ended(A, took=SHORT)], NOW)[1:] == [Spawn(0, item, ONE_CPU) for item in (B, C, D)]
    assert core.works_ahead
    assert core.allocation.used == 1000


def test_long_attempts_and_others_are_not_handed_out_in_advance() -> None:
    core = running(1000, ONE_CPU, A)
    core.turn([StartRequested(ONE_CPU, [B, C])], NOW)
    assert core.turn([ended(A, took=1.0)], NOW)[1:] == [Spawn(0, B, ONE_CPU)]
    core = running(1000, ONE_CPU, A)
    other = template(timeout=5)
    core.turn([StartRequested(ONE_CPU, [B]), StartRequested(other, [C])], NOW)
    assert core.turn([ended(A, took=SHORT)], NOW)[1:] == [Spawn(0, B, ONE_CPU)]


def test_nobody_is_told_that_an_attempt_began_which_is_over() -> None:
    core = ahead(C)
    effects = core.turn([started(B), ended(B), started(C, 9)], NOW)
    assert [(type(e.report), e.report.key) for e in effects if isinstance(e, JournalReport)] == [
        (Ended, B.key),
        (Started, C.key),
    ]
    assert end_reports(effects)[0].started_at == WALL


def test_what_waits_behind_one_that_takes_long_is_taken_back_and_starts_elsewhere() -> None:
    core = ahead(C, D)
    core.turn([started(B)], NOW)
    assert core.next_deadline() == NOW + STALE
    core.turn([AgentConnected(2000)], NOW)
    assert core.turn([Tick()], NOW + STALE) == [RecallFromSlot(0)]
    assert core.turn([SlotReturned(0, [C.key, D.key])], NOW + STALE) == [Spawn(1, C, ONE_CPU)]
    assert core.turn([ended(B, took=STALE)], NOW + STALE)[1:] == [Spawn(0, D, ONE_CPU)]


def test_what_a_slot_has_begun_meanwhile_is_not_taken_back() -> None:
    core = ahead(C)
    assert core.turn([StopRequested([C.key])], NOW) == [RecallFromSlot(0)]
    assert core.turn([started(B), ended(B), SlotReturned(0, [])], NOW)[1:] == []
    assert core.turn([started(C)], NOW)[1:] == [Signal(0, C.key, "SIGTERM", 7)]


@pytest.mark.parametrize("ask", [StopRequested([C.key]), RecallRequested([C.key])])
def test_what_a_slot_has_not_begun_is_returned(ask: Event) -> None:
    core = ahead(C, D)
    assert core.turn([ask], NOW) == [RecallFromSlot(0)]
    assert core.turn([SlotReturned(0, [C.key, D.key])], NOW) == [
        JournalReport(Ended(3, C.key, "returned")),
        Spawn(0, D, ONE_CPU),
    ]


def test_what_is_to_be_returned_and_has_begun_goes_on() -> None:
    core = ahead(C)
    core.turn([RecallRequested([B.key])], NOW)
    core.turn([SlotReturned(0, [C.key])], NOW)
    assert core.turn([started(B)], NOW) == [JournalReport(Started(3, B.key, 7, WALL))]


def test_nothing_may_begin_behind_what_is_stopped() -> None:
    core = ahead(C)
    core.turn([started(B)], NOW)
    assert core.turn([StopRequested([B.key])], NOW) == [RecallFromSlot(0), Signal(0, B.key, "SIGTERM", 7)]
    assert (
        core.turn([SlotReturned(0, [C.key])], NOW) == []
    )  # it is not handed to that slot again before the other's end
    assert core.turn([ended(B, None, "SIGTERM")], NOW)[1:] == [Spawn(0, C, ONE_CPU)]


def test_the_leash_is_cut_of_what_a_slot_was_handed_too() -> None:
    leashed = template(leash=40)
    core = ahead(C, template=leashed)
    assert core.turn([Tick()], NOW + 40) == [RecallFromSlot(0)]
    assert core.turn([SlotReturned(0, [C.key])], NOW + 40) == [JournalReport(Ended(3, C.key, "returned"))]
    assert core.turn([started(B)], NOW + 40)[1:] == [Kill(0, B.key)]
    assert end_reports(core.turn([ended(B, None, "SIGKILL")], NOW + 41))[0].reason == "lease"


def test_a_slot_that_is_lost_takes_with_it_what_it_had_begun_and_nothing_else() -> None:
    core = ahead(C)
    core.turn([started(B)], NOW)
    effects = core.turn([SlotLost(0, [C.key])], NOW + 1)
    assert [(end.key, end.reason) for end in end_reports(effects)] == [(B.key, "lost")]
    assert effects[1:] == [Spawn(0, C, ONE_CPU)]
    assert core.allocation.used == 1000


def test_what_was_killed_and_whose_slot_does_not_say_that_it_is_gone_loses_its_slot() -> None:
    core = running()
    core.turn([StopRequested([A.key], grace=0)], NOW)
    assert core.next_deadline() == NOW + DYING
    assert core.turn([Tick()], NOW + DYING) == [KillSlot(0, A.key)]
    (end,) = end_reports(core.turn([SlotLost(0, [])], NOW + DYING))
    assert (end.reason, end.signal) == ("cancelled", "SIGKILL")


def test_a_slot_with_something_that_cannot_be_killed_takes_nothing_more() -> None:
    core = ahead(C)
    core.turn([started(B)], NOW)
    closed = ProcessEnded(B.key, 0, None, 1000, 0, 0, (0, 0), closed=True)
    assert core.turn([closed], NOW)[1:] == [Spawn(0, C, ONE_CPU)]
    assert core.turn([SlotLost(7, [])], NOW) == []  # of one that was let go


def test_a_slot_that_has_begun_the_next_when_it_is_asked_is_asked_again_later_and_not_at_once() -> None:
    """It answers that there is nothing to give back; the end that it told before that is heard after."""
    core = ahead(C)
    core.turn([started(B)], NOW)
    assert core.turn([Tick()], NOW + STALE) == [RecallFromSlot(0)]
    assert core.turn([SlotReturned(0, [])], NOW + STALE) == []
    assert core.next_deadline() == NOW + 2 * STALE


def test_a_slot_whose_queue_is_full_gets_no_more_before_it_has_done_something() -> None:
    core = ahead(C, D)
    assert core.turn([SlotReturned(0, [D.key])], NOW) == []
    assert core.turn([Tick()], NOW) == []
    assert core.turn([started(B), ended(B, took=SHORT)], NOW)[1:] == [Spawn(0, D, ONE_CPU)]


def test_what_hangs_before_it_starts_loses_its_slot_when_it_is_to_be_stopped() -> None:
    core = LauncherCore(1000)
    core.turn([StartRequested(ONE_CPU, [A])], NOW)
    assert core.turn([StopRequested([A.key], grace=0)], NOW) == [RecallFromSlot(0)]
    assert core.turn([SlotReturned(0, [])], NOW) == []
    assert core.next_deadline() == NOW + DYING
    assert core.turn([Tick()], NOW + DYING) == [KillSlot(0, A.key)]
    assert end_reports(core.turn([SlotLost(0, [])], NOW + DYING))[0].reason == "cancelled"
    assert core.allocation.used == 0


def test_what_this_machine_lacks_something_for_is_returned() -> None:
    core = LauncherCore(1000)
    core.turn([StartRequested(ONE_CPU, [A])], NOW)
    effects = core.turn([StartFailed(A.key, "no room", None, returned=True)], NOW)
    assert effects == [JournalReport(Ended(1, A.key, "returned", text="no room"))]
    assert core.allocation.used == 0


def test_slots_that_die_at_birth_are_not_made_for_ever() -> None:
    core = LauncherCore(1000)
    core.turn([StartRequested(ONE_CPU, [A])], NOW)
    for _ in range(MOST_STILLBORN - 1):
        assert core.turn([SlotLost(0, [A.key], stillborn=True)], NOW) == [Spawn(0, A, ONE_CPU)]
    effects = core.turn([SlotLost(0, [A.key], stillborn=True)], NOW)
    assert effects == [JournalReport(Ended(1, A.key, "returned", text=STILLBORN_TEXT))]
    assert core.attempts == {}


def test_only_some_idle_slots_are_kept() -> None:
    core = LauncherCore(1000 * (IDLE_SLOTS + 2))
    items = [Item(f"1.{i}#1", i) for i in range(IDLE_SLOTS + 2)]
    core.turn([StartRequested(ONE_CPU, items)], NOW)
    while core.backlog:
        core.turn([Tick()], NOW)
    core.turn([started(item) for item in items], NOW)
    effects = core.turn([ended(item) for item in items], NOW)
    assert [effect for effect in effects if isinstance(effect, Retire)] == [Retire(IDLE_SLOTS), Retire(IDLE_SLOTS + 1)]


def test_many_slots_are_made_in_as_many_turns_and_others_are_heard_between() -> None:
    """Each is a fork: hundreds in one turn held up for seconds who wanted something else."""
    core = LauncherCore(1000 * 1000)
    items = [Item(f"1.{i}#1", i) for i in range(20)]
    handed = [_spawned(core.turn([StartRequested(ONE_CPU, items)], NOW))]
    while core.next_deadline() == NOW:
        stopped = core.turn([StopRequested([items[-1].key], "cancelled")], NOW) if len(handed) == 2 else []
        assert _spawned(stopped) <= MOST_NEW
        handed.append(_spawned([*stopped, *core.turn([Tick()], NOW)]))
    assert max(handed) <= 2 * MOST_NEW
    assert handed[0] == MOST_NEW
    assert sum(handed) == 19, "the one that was stopped never started"
    core.turn([started(item) for item in items[:19]], NOW)
    core.turn([ended(item) for item in items[:IDLE_SLOTS]], NOW)
    again = [Item(f"2.{i}#1", i) for i in range(IDLE_SLOTS)]
    assert _spawned(core.turn([StartRequested(ONE_CPU, again)], NOW)) == IDLE_SLOTS, "those that are there cost no fork"


def _spawned(effects: list[Effect]) -> int:
    return sum(isinstance(effect, Spawn) for effect in effects)


class World:
    """A launcher's surroundings in a few lines, with slots that begin what they are handed when they like. Checks the
    promises after every event."""

    def __init__(self, capacity: int) -> None:
        self.core = LauncherCore(capacity)
        self.capacity = capacity
        self.now = NOW
        self.slots: dict[int, list[tuple[str, int]]] = {}  # what each was handed and has not ended: key and millicpus
        self.alive: dict[str, int] = {}  # what runs: key and slot
        self.asked: list[str] = []
        self.handed: list[str] = []
        self.began: set[str] = set()
        self.ended: dict[str, str] = {}
        self.seq = 0

    def happen(self, *events: Event) -> None:
        todo = list(events)
        while todo:
            effects, todo = self.core.turn(todo, self.now), []
            for effect in effects:
                todo += self._perform(effect)
        used = [queue[0][1] for queue in self.slots.values() if queue]
        assert sum(used) == self.core.allocation.used <= self.capacity

    def _perform(self, effect: Effect) -> list[Event]:
        match effect:
            case Spawn(slot, item, of):
                queue = self.slots.setdefault(slot, [])
                assert all(cpus == of.cpus for _, cpus in queue)
                queue.append((item.key, of.cpus))
                if item.key not in self.handed:
                    self.handed.append(item.key)
            case RecallFromSlot(slot):
                queue = self.slots.get(slot, [])
                back = [key for key, _ in queue if key not in self.alive]
                self.slots[slot] = [each for each in queue if each[0] in self.alive]
                return [SlotReturned(slot, back)]
            case Signal(slot, key, _) | Kill(slot, key):
                assert [each for each, _ in self.slots[slot]] == [key] or key not in self.alive
            case Retire(slot):
                assert self.slots.pop(slot, []) == []
            case JournalReport(report):
                assert report.seq == self.seq + 1
                self.seq = report.seq
                if isinstance(report, Ended):
                    assert report.key not in self.ended, "two ends"
                    assert report.key not in self.alive
                    self.ended[report.key] = report.reason
        return []

    def begin(self, which: int) -> None:
        able = [slot for slot, queue in self.slots.items() if queue and queue[0][0] not in self.alive]
        if able:
            slot = able[which % len(able)]
            key = self.slots[slot][0][0]
            assert key not in self.began, "ran twice"
            self.began.add(key)
            self.alive[key] = slot
            self.happen(ProcessStarted(key, 1, WALL, self.now))

    def end(self, which: int, took: float) -> None:
        if self.alive:
            key = list(self.alive)[which % len(self.alive)]
            self.slots[self.alive.pop(key)].pop(0)
            self.happen(ProcessEnded(key, 0, None, round(took * 1e6), 0, 0, (0, 0)))

    def lose(self, which: int) -> None:
        """A slot's process is killed."""
        if self.slots:
            slot = list(self.slots)[which % len(self.slots)]
            unbegun = [key for key, _ in self.slots.pop(slot) if self.alive.pop(key, None) is None]
            self.happen(SlotLost(slot, unbegun))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("start"), st.integers(0, 9), st.sampled_from([None, 3.0]), st.sampled_from([None, 5.0])),
        st.tuples(st.just("begin"), st.integers(0, 9)),
        st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from([0.001, 0.001, 1.0])),
        st.tuples(st.just("lose"), st.integers(0, 9)),
        st.tuples(st.just("stop"), st.integers(0, 30), st.sampled_from([None, 0.0, 1.0])),
        st.tuples(st.just("recall"), st.integers(0, 30)),
        st.tuples(st.just("pass"), st.sampled_from([0.05, 0.2, 1.0, 4.0])),
        st.tuples(st.just("renew")),
        st.tuples(st.just("ack")),
    ),
    max_size=80,
)


@given(STEPS)
def test_every_start_gets_exactly_one_end_within_capacity_in_order(steps: list[Any]) -> None:
    world = World(2000)
    for step in steps:
        match step:
            case ("start", count, timeout, leash):
                of = template(cpus=(0, 500, 1000, 2500)[count % 4], timeout=timeout, leash=leash)
                keys = [f"1.{len(world.asked) + n}#1" for n in range(1 + count)]
                world.asked += keys
                world.happen(StartRequested(of, [Item(key, n) for n, key in enumerate(keys)]))
            case ("begin", which):
                world.begin(which)
            case ("end", which, took):
                world.end(which, took)
            case ("lose", which):
                world.lose(which)
            case ("stop", index, grace):
                world.happen(StopRequested([f"1.{index}#1"], grace=grace))
            case ("recall", index):
                world.happen(RecallRequested([f"1.{index}#1"]))
            case ("pass", seconds):
                world.now += seconds
                due = world.core.next_deadline()
                if due is not None and due <= world.now:
                    world.happen(Tick())
                    after = world.core.next_deadline()
                    assert after is None or after > world.now
            case ("renew",):
                world.happen(LeaseConfirmed(world.now))
            case ("ack",):
                world.happen(AgentAcked(world.seq))
    while any(world.slots.values()):
        world.begin(0)
        world.end(0, 0.001)
    assert world.core.attempts == {}
    assert world.core.next_deadline() is None
    assert sorted(world.ended) == sorted(world.asked)
    assert world.handed == sorted(world.handed, key=world.asked.index)  # first come, first served

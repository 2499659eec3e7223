"""The launcher's decisions: exact effects, event by event."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.launcher_core import ALONE, LOST_TEXT, IllegalTransition, LauncherCore
from cluster.domain.launcher_events import (
    AgentAcked,
    AgentConnected,
    AgentLost,
    Effect,
    Ended,
    Event,
    Exit,
    FoundUnfinished,
    Item,
    Kill,
    ProcessEnded,
    ProcessStarted,
    QuitRequested,
    RenewReceived,
    Report,
    Signal,
    Spawn,
    Started,
    StartFailed,
    StartRequested,
    StopRequested,
    Template,
    Tick,
    TreeGone,
    Welcome,
    WithdrawRequested,
)

NOW = 1000.0
WALL = 1_700_000_000_000_000
ONE_CPU = Template(("true",), (), "/out")
A, B, C = Item("1.0#1"), Item("1.1#1"), Item("1.2#1")


def template(**changes: Any) -> Template:
    return Template(("true",), (), "/out", **changes)


def started(item: Item, pid: int = 7) -> ProcessStarted:
    return ProcessStarted(item.key, pid, WALL)


def ended(item: Item, code: int | None = 0, signal: str | None = None, strays: bool = False) -> ProcessEnded:
    return ProcessEnded(item.key, code, signal, 5, 6, (7, 8), strays)


def running(capacity: int = 1000, of: Template = ONE_CPU, *items: Item) -> LauncherCore:
    """A core in which these run (A when none is named)."""
    core = LauncherCore(capacity)
    core.handle(RenewReceived(NOW), NOW)
    core.handle(StartRequested(of, list(items or [A])), NOW)
    for item in items or [A]:
        core.handle(started(item), NOW)
    return core


def end_reports(effects: list[Effect]) -> list[Ended]:
    return [e.report for e in effects if isinstance(e, Report) and isinstance(e.report, Ended)]


def test_starts_what_fits_and_keeps_the_rest_in_order() -> None:
    core = LauncherCore(2000)
    assert core.handle(StartRequested(ONE_CPU, [A, B, C]), NOW) == [Spawn(A, ONE_CPU), Spawn(B, ONE_CPU)]
    assert core.handle(started(A, 7), NOW) == [Report(Started(1, A.key, 7, WALL))]
    assert core.handle(started(B, 8), NOW) == [Report(Started(2, B.key, 8, WALL))]
    assert core.handle(ended(B), NOW + 1) == [
        Report(Ended(3, B.key, "ok", 0, None, WALL, 1_000_000, 5, 6, 7, 8)),
        Spawn(C, ONE_CPU),
    ]
    assert core.next_deadline() is None


def test_nothing_passes_the_head_of_the_backlog() -> None:
    core = running(2000)
    assert core.handle(StartRequested(template(cpus=2000), [B]), NOW) == []
    assert core.handle(StartRequested(ONE_CPU, [C]), NOW) == []
    assert core.handle(ended(A), NOW)[1:] == [Spawn(B, template(cpus=2000))]


def test_what_can_never_fit_is_refused_and_does_not_block() -> None:
    core = LauncherCore(1000)
    big = template(cpus=1001)
    text = "it needs 1001 millicpus and this worker has 1000"
    assert core.handle(StartRequested(big, [A]), NOW) == [Report(Ended(1, A.key, "launch_failed", text=text))]
    assert core.handle(StartRequested(ONE_CPU, [B]), NOW) == [Spawn(B, ONE_CPU)]


def test_requests_of_no_cpus_are_never_held_back() -> None:
    core = running(1000)
    free = template(cpus=0)
    assert core.handle(StartRequested(free, [B, C]), NOW) == [Spawn(B, free), Spawn(C, free)]


def test_a_start_that_is_said_twice_starts_once() -> None:
    core = running()
    assert core.handle(StartRequested(ONE_CPU, [A]), NOW) == []
    core.handle(ended(A), NOW)
    assert core.handle(StartRequested(ONE_CPU, [A]), NOW) == []  # its end is not acknowledged yet
    assert core.attempts == {}


def test_acknowledging_the_start_does_not_forget_the_end() -> None:
    core = running()
    core.handle(ended(A), NOW)
    core.handle(AgentAcked(1), NOW)
    assert core.handle(StartRequested(ONE_CPU, [A]), NOW) == []


@pytest.mark.parametrize(
    ("code", "signal", "reason"),
    [(0, None, "ok"), (3, None, "exit:3"), (None, "SIGSEGV", "signal:SIGSEGV")],
)
def test_a_natural_end_is_called_what_it_was(code: int | None, signal: str | None, reason: str) -> None:
    core = running()
    (report,) = end_reports(core.handle(ended(A, code, signal), NOW))
    assert (report.reason, report.code, report.signal) == (reason, code, signal)


def test_a_failed_start_frees_its_place() -> None:
    core = LauncherCore(1000)
    core.handle(StartRequested(ONE_CPU, [A, B]), NOW)
    assert core.handle(StartFailed(A.key, "no such file", 127), NOW) == [
        Report(Ended(1, A.key, "launch_failed", 127, text="no such file")),
        Spawn(B, ONE_CPU),
    ]


def test_stop_is_term_then_grace_then_kill() -> None:  # S2.11
    core = running()
    assert core.handle(StopRequested([A.key], grace=5), NOW) == [Signal(A.key, "SIGTERM")]
    assert core.next_deadline() == NOW + 5
    assert core.handle(Tick(), NOW + 4.9) == []
    assert core.handle(Tick(), NOW + 5) == [Kill(A.key)]
    assert core.next_deadline() is None
    (report,) = end_reports(core.handle(ended(A, None, "SIGKILL"), NOW + 6))
    assert (report.reason, report.signal) == ("cancelled", "SIGKILL")


def test_a_stopped_attempt_that_exits_by_itself_names_the_signal_it_was_sent() -> None:  # S2.11
    core = running()
    core.handle(StopRequested([A.key], "cancelled", None, "SIGINT"), NOW)
    (report,) = end_reports(core.handle(ended(A, 0), NOW + 1))
    assert (report.reason, report.code, report.signal) == ("cancelled", 0, "SIGINT")


def test_stop_without_grace_kills_at_once() -> None:
    core = running()
    assert core.handle(StopRequested([A.key], grace=0), NOW) == [Kill(A.key)]


def test_a_second_stop_may_only_shorten_the_grace() -> None:
    core = running()
    core.handle(StopRequested([A.key], grace=10), NOW)
    assert core.handle(StopRequested([A.key], grace=60), NOW + 1) == []
    assert core.next_deadline() == NOW + 10
    assert core.handle(StopRequested([A.key], "again", 2), NOW + 1) == []
    assert core.handle(Tick(), NOW + 3) == [Kill(A.key)]
    assert end_reports(core.handle(ended(A, None, "SIGKILL"), NOW + 3))[0].reason == "cancelled"


def test_stopping_a_finished_or_unknown_attempt_does_nothing() -> None:  # S2.11
    core = running()
    core.handle(ended(A), NOW)
    assert core.handle(StopRequested([A.key, "9.9#9"]), NOW) == []


def test_an_unstarted_attempt_that_is_stopped_or_withdrawn_never_starts() -> None:
    core = running(1000, ONE_CPU, A)
    core.handle(StartRequested(ONE_CPU, [B, C]), NOW)
    assert core.handle(StopRequested([B.key]), NOW) == [Report(Ended(2, B.key, "withdrawn"))]
    assert core.handle(WithdrawRequested([C.key, A.key]), NOW) == [Report(Ended(3, C.key, "withdrawn"))]
    assert len(core.handle(ended(A), NOW)) == 1
    assert core.used == 0


def test_a_run_timeout_stops_it() -> None:  # S3.12
    core = running(1000, template(timeout=60, grace=3))
    assert core.next_deadline() == NOW + 60
    assert core.handle(Tick(), NOW + 60) == [Signal(A.key, "SIGTERM")]
    assert core.next_deadline() == NOW + 63
    assert core.handle(Tick(), NOW + 63) == [Kill(A.key)]
    (report,) = end_reports(core.handle(ended(A, None, "SIGKILL"), NOW + 63))
    assert (report.reason, report.signal) == ("timeout:run", "SIGKILL")


def test_a_timeout_of_a_finished_attempt_means_nothing() -> None:
    core = running(1000, template(timeout=60))
    core.handle(ended(A), NOW)
    assert core.handle(Tick(), NOW + 61) == []
    assert core.next_deadline() is None


def test_old_timeouts_do_not_pile_up() -> None:
    core = LauncherCore(1000)
    for i in range(5000):
        item = Item(f"1.{i}#1")
        core.handle(StartRequested(template(timeout=3600), [item]), NOW)
        core.handle(started(item), NOW)
        core.handle(ended(item), NOW)
        core.handle(AgentAcked(core.seq), NOW)
    assert len(core._deadlines) < 100


def test_the_tree_is_swept_before_the_end_is_told() -> None:  # S2.11
    core = running()
    core.handle(StartRequested(ONE_CPU, [B]), NOW)
    assert core.handle(ended(A, 3, strays=True), NOW) == [Kill(A.key)]
    assert core.handle(StopRequested([A.key]), NOW) == []
    effects = core.handle(TreeGone(A.key, (70, 80)), NOW + 1)
    assert effects == [
        Report(Ended(2, A.key, "exit:3", 3, None, WALL, 1_000_000, 5, 6, 70, 80)),
        Spawn(B, ONE_CPU),
    ]


def test_the_leash_kills_what_runs_and_withdraws_what_waits() -> None:
    core = running(1000, template(leash=40), A)
    core.handle(StartRequested(template(leash=40), [B]), NOW)
    core.handle(StartRequested(ONE_CPU, [C]), NOW)
    core.handle(RenewReceived(NOW + 10), NOW + 11)
    assert core.next_deadline() == NOW + 50
    assert core.handle(Tick(), NOW + 49) == []
    assert core.handle(Tick(), NOW + 50) == [Kill(A.key), Report(Ended(2, B.key, "withdrawn"))]
    assert core.next_deadline() is None
    effects = core.handle(ended(A, None, "SIGKILL"), NOW + 50)
    assert end_reports(effects)[0].reason == "lease"
    assert effects[1:] == [Spawn(C, ONE_CPU)]


def test_the_leash_kills_without_grace_what_is_being_stopped() -> None:
    core = running(1000, template(leash=40, grace=100))
    core.handle(StopRequested([A.key]), NOW)
    assert core.handle(Tick(), NOW + 40) == [Kill(A.key)]
    core.handle(ended(A, None, "SIGKILL"), NOW + 40)
    assert core.next_deadline() is None


def test_nothing_on_a_leash_starts_after_it() -> None:
    core = LauncherCore(1000)
    core.handle(RenewReceived(NOW), NOW)
    assert core.handle(StartRequested(template(leash=5), [A]), NOW + 5) == [Report(Ended(1, A.key, "withdrawn"))]


def test_a_renewal_neither_goes_back_nor_comes_from_the_future() -> None:
    core = running(1000, template(leash=40))
    core.handle(RenewReceived(NOW - 10), NOW)
    assert core.next_deadline() == NOW + 40
    core.handle(RenewReceived(NOW + 1e9), NOW + 1)
    assert core.next_deadline() == NOW + 41


def test_a_new_agent_hears_everything_it_has_not_acknowledged() -> None:
    core = running(1000, ONE_CPU, A)
    core.handle(StartRequested(ONE_CPU, [B]), NOW)
    core.handle(ended(A), NOW)
    core.handle(started(B), NOW)
    core.handle(StartRequested(ONE_CPU, [C]), NOW)
    a_ended = Ended(2, A.key, "ok", 0, None, WALL, 0, 5, 6, 7, 8)
    b_started = Started(3, B.key, 7, WALL)
    assert core.handle(AgentConnected(1, 1000), NOW) == [Welcome([B.key], [C.key], [a_ended, b_started])]
    core.handle(AgentAcked(2), NOW)
    assert core.handle(AgentConnected(0, 1000), NOW) == [Welcome([B.key], [C.key], [b_started])]


def test_a_new_agent_sets_the_capacity() -> None:
    core = running(1000, ONE_CPU, A)
    core.handle(StartRequested(ONE_CPU, [B, C]), NOW)
    effects = core.handle(AgentConnected(0, 2000), NOW)
    assert effects[1:] == [Spawn(B, ONE_CPU)]


def test_what_a_dead_launcher_left_is_lost() -> None:
    core = LauncherCore(1000, 5, [Ended(5, B.key, "ok", 0)])
    lost = Ended(6, A.key, "lost", started_at=WALL, duration=3_000_000, text=LOST_TEXT)
    assert core.handle(FoundUnfinished(A.key, WALL, WALL + 3_000_000), NOW) == [Report(lost)]
    assert [r.seq for r in core.unacked] == [5, 6]
    assert core.handle(StartRequested(ONE_CPU, [A, B]), NOW) == []


def test_quit_waits_for_what_runs() -> None:
    core = running()
    core.handle(StartRequested(ONE_CPU, [B]), NOW)
    assert core.handle(QuitRequested(kill=False), NOW) == [Report(Ended(2, B.key, "withdrawn"))]
    assert core.handle(StartRequested(ONE_CPU, [C]), NOW) == [Report(Ended(3, C.key, "withdrawn"))]
    assert core.handle(ended(A), NOW)[1:] == [Exit()]


def test_quit_kills_when_told_and_the_end_is_a_plain_signal() -> None:
    core = running()
    assert core.handle(QuitRequested(kill=True), NOW) == [Kill(A.key)]
    effects = core.handle(ended(A, None, "SIGKILL"), NOW)
    assert end_reports(effects)[0].reason == "signal:SIGKILL"
    assert effects[1:] == [Exit()]


def test_it_exits_when_it_is_idle_and_no_agent_comes_back() -> None:
    core = LauncherCore(1000)
    assert core.handle(AgentLost(), NOW) == []
    assert core.next_deadline() == NOW + ALONE
    assert core.handle(Tick(), NOW + ALONE - 1) == []
    assert core.handle(Tick(), NOW + ALONE) == [Exit()]


def test_it_does_not_exit_while_an_agent_is_there_or_anything_runs() -> None:
    core = LauncherCore(1000)
    core.handle(AgentLost(), NOW)
    core.handle(AgentConnected(0, 1000), NOW + 1)
    assert core.next_deadline() is None
    assert core.handle(Tick(), NOW + ALONE) == []
    core.handle(StartRequested(ONE_CPU, [A]), NOW + ALONE)
    core.handle(started(A), NOW + ALONE)
    core.handle(AgentLost(), NOW + ALONE)
    assert core.next_deadline() is None
    assert core.handle(Tick(), NOW + 3 * ALONE) == []
    assert core.handle(ended(A), NOW + 3 * ALONE)[-1] == Exit()


def test_quit_when_idle_exits() -> None:
    assert LauncherCore(1000).handle(QuitRequested(kill=False), NOW) == [Exit()]


@pytest.mark.parametrize("event", [started(A), StartFailed(A.key, "", None), TreeGone(A.key, (0, 0)), ended(B)])
def test_what_cannot_happen_changes_nothing(event: Event) -> None:
    core = running()
    before = core.handle(AgentConnected(0, 1000), NOW)
    with pytest.raises(IllegalTransition):
        core.handle(event, NOW)
    assert core.handle(AgentConnected(0, 1000), NOW) == before


class World:
    """A launcher's surroundings in a few lines: performs effects at once, checks the promises after every event."""

    def __init__(self, capacity: int) -> None:
        self.core = LauncherCore(capacity)
        self.capacity = capacity
        self.now = NOW
        self.alive: dict[str, int] = {}
        self.asked: list[str] = []
        self.spawned: list[str] = []
        self.ended: dict[str, str] = {}
        self.seq = 0

    def happen(self, event: Event) -> None:
        effects = self.core.handle(event, self.now)
        for effect in effects:
            self._perform(effect)
        for effect in effects:
            if isinstance(effect, Spawn):
                self.happen(ProcessStarted(effect.item.key, 1, WALL))
        assert sum(self.alive.values()) == self.core.used <= self.capacity

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Spawn(item, of):
                assert item.key not in self.spawned, "ran twice"
                self.spawned.append(item.key)
                self.alive[item.key] = of.cpus
            case Report(report):
                assert report.seq == self.seq + 1
                self.seq = report.seq
                if isinstance(report, Ended):
                    assert report.key not in self.ended, "two ends"
                    self.ended[report.key] = report.reason
                    self.alive.pop(report.key, None)

    def end(self, which: int, strays: bool) -> None:
        able = [k for k in self.alive if self.core.attempts[k].ended is None]
        if able:
            key = able[which % len(able)]
            self.happen(ProcessEnded(key, 0, None, 0, 0, (0, 0), strays))
            if strays:
                self.happen(TreeGone(key, (0, 0)))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("start"), st.integers(0, 2500), st.sampled_from([None, 3.0]), st.sampled_from([None, 5.0])),
        st.tuples(st.just("end"), st.integers(0, 9), st.booleans()),
        st.tuples(st.just("stop"), st.integers(0, 30), st.sampled_from([None, 0.0, 1.0])),
        st.tuples(st.just("withdraw"), st.integers(0, 30)),
        st.tuples(st.just("pass"), st.floats(0, 4)),
        st.tuples(st.just("renew")),
        st.tuples(st.just("ack")),
    ),
    max_size=60,
)


@given(STEPS)
def test_every_start_gets_exactly_one_end_within_capacity_in_order(steps: list[Any]) -> None:
    world = World(2000)
    for step in steps:
        match step:
            case ("start", cpus, timeout, leash):
                key = f"1.{len(world.asked)}#1"
                world.asked.append(key)
                world.happen(StartRequested(template(cpus=cpus, timeout=timeout, leash=leash), [Item(key)]))
            case ("end", which, strays):
                world.end(which, strays)
            case ("stop", index, grace):
                world.happen(StopRequested([f"1.{index}#1"], grace=grace))
            case ("withdraw", index):
                world.happen(WithdrawRequested([f"1.{index}#1"]))
            case ("pass", seconds):
                world.now += seconds
                due = world.core.next_deadline()
                if due is not None and due <= world.now:
                    world.happen(Tick())
                    after = world.core.next_deadline()
                    assert after is None or after > world.now
            case ("renew",):
                world.happen(RenewReceived(world.now))
            case ("ack",):
                world.happen(AgentAcked(world.seq))
    while world.alive:
        world.end(0, False)
    assert world.core.attempts == {}
    assert world.core.next_deadline() is None
    assert sorted(world.ended) == sorted(world.asked)
    assert world.spawned == sorted(world.spawned, key=world.asked.index)  # first come, first served

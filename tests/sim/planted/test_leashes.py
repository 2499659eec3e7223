"""Launchers, slots and leashes: bugs that must be caught."""

from collections.abc import Iterator
from dataclasses import replace
from math import inf
from typing import Any

import pytest

from cluster.domain.launcher.core import LauncherCore
from cluster.domain.scheduler import assigning
from cluster.domain.scheduler import core as scheduler_core
from cluster.domain.session.leashes import is_out
from cluster.domain.worker import session as worker_session
from cluster.launcher.journal import Memory, Recollection
from cluster.launcher.journal_pipeline import JournalPipeline, LauncherStep
from cluster.worker.templates import Templates
from tests.sim import lives
from tests.sim.launcher import Launcher
from tests.sim.planted.catching import Bug, Method, Patch, found_by, must_be_caught, planted
from tests.sim.slots import Handed, Slot, Watchdog


def the_leash_is_ignored(patch: Patch) -> None:
    make: Method = Templates.make
    patch.setattr(Templates, "make", lambda *said: replace(make(*said), leash=None))


@found_by(35)
def the_leash_is_longer_than_lost_after(patch: Patch) -> None:
    patch.setattr(assigning, "leash_of", lambda lost_after: 1.5 * lost_after)


@found_by(7)
def a_scheduler_that_was_stopped_counts_that_as_silence(patch: Patch) -> None:
    patch.setattr(scheduler_core, "overslept", lambda *_: False)


def a_slot_starts_late_what_hung(patch: Patch) -> None:
    patch.setattr(Slot, "_is_late", lambda self, handed: False)


@pytest.mark.slow
@planted(
    the_leash_is_ignored,
    the_leash_is_longer_than_lost_after,
)
def test_a_leash_that_does_not_hold_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch)


@pytest.mark.slow
@planted(a_scheduler_that_was_stopped_counts_that_as_silence)
def test_a_scheduler_that_was_stopped_and_does_not_see_it_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_takeovers)


def too_much_is_started(patch: Patch) -> None:
    admit: Method = LauncherCore._admit

    def generous(self: LauncherCore, *args: Any) -> None:
        used, self.allocation.used = self.allocation.used, -(10**9)
        admit(self, *args)
        self.allocation.used += used + 10**9

    patch.setattr(LauncherCore, "_admit", generous)


@found_by(14)
def starts_are_not_journalled(patch: Patch) -> None:
    patch.setattr(Recollection, "begin", lambda self, begun: None)


@found_by(10)
def starts_are_handed_out_before_they_are_in_the_journal(patch: Patch) -> None:
    spawn: Method = JournalPipeline._spawn

    def hasty(self: JournalPipeline, spawns: Any) -> Iterator[LauncherStep]:
        with pytest.MonkeyPatch.context() as for_now:
            for_now.setattr(self, "_write_journal", lambda: None)
            yield from list(spawn(self, spawns))

    patch.setattr(JournalPipeline, "_spawn", hasty)


def what_a_launcher_had_begun_is_forgotten_by_the_next(patch: Patch) -> None:
    take_over: Method = JournalPipeline.take_over

    def forgetful(self: JournalPipeline, memory: Memory) -> Iterator[LauncherStep]:
        yield from take_over(self, memory._replace(begun={}))

    patch.setattr(JournalPipeline, "take_over", forgetful)


@pytest.mark.slow
@planted(
    too_much_is_started,
    starts_are_not_journalled,
    what_a_launcher_had_begun_is_forgotten_by_the_next,
)
def test_a_launcher_that_forgets_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch)


@pytest.mark.slow
@planted(starts_are_handed_out_before_they_are_in_the_journal)
def test_a_launcher_that_writes_too_late_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_unwritten_journals)


def a_launcher_that_was_stopped_looks_at_the_clock_first(patch: Patch) -> None:
    one_round: Method = JournalPipeline.round

    def hasty(self: JournalPipeline) -> Iterator[LauncherStep]:
        with pytest.MonkeyPatch.context() as for_now:
            for_now.setattr(self.host, "confirmed_at", lambda: self.core.confirmed_at)  # as it knew that before
            yield from self.turn()
        yield from one_round(self)

    patch.setattr(JournalPipeline, "round", hasty)
    patch.setattr(Launcher, "reads_first", False)


@found_by(6, 17)
def the_launcher_alone_cuts_leashes(patch: Patch) -> None:
    patch.setattr(Slot, "_watch_leash", lambda self: None)
    patch.setattr(Watchdog, "watch", lambda self, leash: None)


@found_by(89)
def a_slot_keeps_the_alarm_of_the_leash_before(patch: Patch) -> None:
    set_alarm: Method = Slot._set_alarm

    def once(self: Slot, at: float) -> None:
        if self._alarm_at == inf:
            set_alarm(self, at)

    patch.setattr(Slot, "_set_alarm", once)


@pytest.mark.slow
@planted(
    a_launcher_that_was_stopped_looks_at_the_clock_first,
    the_launcher_alone_cuts_leashes,
    a_slot_keeps_the_alarm_of_the_leash_before,
)
def test_what_lets_an_attempt_outlive_its_leash_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_stalls, lives.PLAYED[lives.with_stalls])


@found_by(5)
def a_slot_believes_a_renewal_after_a_gap(patch: Patch) -> None:
    def is_late(self: Slot, handed: Handed) -> bool:
        leash = handed.template.leash
        return leash is not None and is_out(self.machine.box.clock, self.launcher.table.confirmed_at, leash)

    patch.setattr(Slot, "_is_late", is_late)


@pytest.mark.slow
@planted(a_slot_starts_late_what_hung, a_slot_believes_a_renewal_after_a_gap)
def test_a_slot_that_starts_what_it_may_not_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_lonely_slots, lives.PLAYED[lives.with_lonely_slots])


def connecting_anew_takes_long(patch: Patch) -> None:
    patch.setattr(worker_session, "BACKOFF_MOST", 5.0)


def the_leash_is_three_quarters(patch: Patch) -> None:
    patch.setattr(assigning, "leash_of", lambda lost_after: 0.75 * lost_after)


@pytest.mark.slow
@planted(connecting_anew_takes_long, the_leash_is_three_quarters)
def test_what_breaks_the_promise_of_an_absence_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_an_absence, 300)


def an_agent_that_was_stopped_looks_at_the_clock_first(patch: Patch) -> None:
    patch.setattr(worker_session, "overslept", lambda *_: False)


def slots_outlive_their_launcher(patch: Patch) -> None:
    patch.setattr(Slot, "_end", lambda self: None)


@pytest.mark.extra_seeds
@planted(an_agent_that_was_stopped_looks_at_the_clock_first, slots_outlive_their_launcher)
def test_a_bug_that_shows_in_a_rare_moment_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch)

"""What workers and their scheduler say to each other: bugs that must be caught."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.job import Job
from cluster.domain.scheduler import sessions
from cluster.domain.scheduler.report_intake import Reports
from cluster.domain.scheduler.sessions import Sessions
from cluster.domain.scheduler.state import State
from cluster.domain.scheduler.worker_record import Worker
from cluster.domain.session.messages import Downward, ReportAcknowledged
from cluster.domain.session.spec_memory import SpecMemory
from cluster.domain.worker.core import WorkerCore
from cluster.domain.worker.messages import SendReport
from cluster.domain.worker.outbox import Outbox
from cluster.rpc.convert import messages_from_response
from cluster.worker.agent_pipeline import AgentPipeline, ReportQueue
from tests.sim import lives
from tests.sim.planted.catching import Bug, Method, Patch, found_by, must_be_caught, planted
from tests.sim.scheduler_process import SchedulerProcess


@found_by(8)
def the_journal_is_acknowledged_before_the_commit(patch: Patch) -> None:
    def all_that_was_seen(self: Outbox) -> int | None:
        settled, self._settled = self._settled, self._last
        return self._last if self._last > settled else None

    patch.setattr(Outbox, "newly_settled", all_that_was_seen)


def hello_does_not_say_what_ended(patch: Patch) -> None:
    compare: Method = Sessions._compare

    def deaf(self: Sessions, worker: Any, hello: Any) -> None:
        compare(self, worker, replace(hello, ended=()))

    patch.setattr(Sessions, "_compare", deaf)


@found_by(10, 12)
def reports_are_sent_only_once(patch: Patch) -> None:
    on_welcome: Method = WorkerCore._on_welcome

    def once(self: WorkerCore, *args: Any) -> None:
        self.outbox._sent = []
        on_welcome(self, *args)

    patch.setattr(WorkerCore, "_on_welcome", once)


def reports_are_sent_before_their_outputs_are_read(patch: Patch) -> None:
    def hasty(self: ReportQueue) -> Iterator[SendReport]:
        while self._items:
            item = self._items.pop(0)
            self._send(item)
            if isinstance(item, SendReport):
                yield item

    patch.setattr(ReportQueue, "steps", hasty)


@found_by(11)
def stops_are_not_repeated(patch: Patch) -> None:
    patch.setattr(sessions, "send_stops", lambda *_: None)


@found_by(17)
def acknowledgements_are_read_last(patch: Patch) -> None:
    """As it once was: an assign of a task that was given back was read before the acknowledgement of its return."""

    def with_acknowledgements_last(response: Any) -> Any:
        return sorted(messages_from_response(response), key=lambda message: isinstance(message, ReportAcknowledged))

    patch.setattr("tests.sim.scheduler_process.messages_from_response", with_acknowledgements_last)
    patch.setattr(SchedulerProcess, "joinable", staticmethod(len))


def the_scheduler_takes_the_workers_memory_for_endless(patch: Patch) -> None:
    class Endless(SpecMemory[None]):
        def __init__(self) -> None:
            super().__init__()
            self._ever: set[int] = set()

        def get(self, job: int) -> Any:
            known = job in self._ever
            self._ever.add(job)
            return known or None

    for module in ("worker_record", "sessions"):
        patch.setattr(f"cluster.domain.scheduler.{module}.SpecMemory", Endless)


def an_epoch_is_obeyed_before_it_is_saved(patch: Patch) -> None:
    heard: Method = AgentPipeline.heard

    def hasty(self: AgentPipeline, *said: Any) -> Iterator[Downward]:
        yield from list(heard(self, *said))

    patch.setattr(AgentPipeline, "heard", hasty)


@pytest.mark.slow
@planted(
    the_journal_is_acknowledged_before_the_commit,
    hello_does_not_say_what_ended,
    reports_are_sent_only_once,
    reports_are_sent_before_their_outputs_are_read,
    stops_are_not_repeated,
    acknowledgements_are_read_last,
    the_scheduler_takes_the_workers_memory_for_endless,
    an_epoch_is_obeyed_before_it_is_saved,
)
def test_what_is_told_wrongly_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch)


def copies_are_not_recognised(patch: Patch) -> None:
    for module in ("registering", "sessions"):
        patch.setattr(f"cluster.domain.scheduler.{module}.refusal", lambda *_: None)


def an_old_hello_is_believed(patch: Patch) -> None:
    patch.setattr(sessions, "is_overtaken", lambda *_: False)


@found_by(8)
def what_a_removed_worker_holds_is_given_up_at_once(patch: Patch) -> None:
    remove: Method = State.remove

    def give_up(self: State, worker: Worker, name: str) -> None:
        remove(self, worker, name)
        for number in list(worker.jobs):
            for attempt, held in list(self.jobs[number].held_by(worker.id)):
                Reports(self).lost(worker, self.jobs[number], attempt, held.copy(), "removed")

    patch.setattr(State, "remove", give_up)


@found_by(8, 9)
def who_gives_up_its_name_is_forgotten_with_what_it_holds(patch: Patch) -> None:
    def forget(self: State, worker: Worker, name: str) -> None:
        self.workers.pop(worker.id)

    patch.setattr(State, "remove", forget)


@pytest.mark.slow
@planted(
    what_a_removed_worker_holds_is_given_up_at_once,
    who_gives_up_its_name_is_forgotten_with_what_it_holds,
)
def test_a_worker_that_is_taken_for_another_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch)


def a_hello_from_a_boot_that_is_over_counts(patch: Patch) -> None:
    patch.setattr(Worker, "comes_from", lambda self, boot: None)


@pytest.mark.slow
@planted(copies_are_not_recognised)
def test_copies_that_are_let_in_are_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_copied_directories)


@pytest.mark.slow
@planted(an_old_hello_is_believed, a_hello_from_a_boot_that_is_over_counts)
def test_a_late_hello_that_counts_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_late_hellos, lives.PLAYED[lives.with_late_hellos])


@found_by(133)
def stale_reports_count(patch: Patch) -> None:
    """No fence: a report ends a task whoever holds it, and in whatever attempt."""
    release: Method = Job.release

    def from_anybody(self: Job, worker_id: str, attempt: int, tasks: IntervalSet, *rest: Any) -> Any:
        for holder, held in self.held.items():
            if held.intersection(tasks):
                return release(self, *holder, tasks, *rest)
        return IntervalSet()

    patch.setattr(Job, "release", from_anybody)


@pytest.mark.slow
@planted(stale_reports_count)
def test_ends_that_are_not_the_workers_own_are_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_absent_workers, lives.PLAYED[lives.with_absent_workers])


@found_by(11)
def a_worker_gets_something_in_the_midst_of_its_report(patch: Patch) -> None:
    """As it once did: it dropped what it had just given back, and that was held for ever."""

    def takes_work(self: Worker) -> bool:
        return self.session is not None and not (self.drains or self.no_room)

    patch.setattr(Worker, "takes_work", property(takes_work))


@pytest.mark.slow
@planted(a_worker_gets_something_in_the_midst_of_its_report)
def test_a_worker_that_gets_something_in_the_midst_of_its_report_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_long_reports, lives.PLAYED[lives.with_long_reports])


def a_launcher_that_forgot_is_believed(patch: Patch) -> None:
    compare: Method = Sessions._compare

    def trusting(self: Sessions, worker: Any, hello: Any) -> None:
        compare(self, worker, replace(hello, incarnation=worker.record.incarnation))

    patch.setattr(Sessions, "_compare", trusting)


@pytest.mark.extra_seeds
@planted(a_launcher_that_forgot_is_believed)
def test_a_launcher_that_forgot_and_is_believed_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch)

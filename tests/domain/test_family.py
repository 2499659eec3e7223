"""Jobs that jobs have called for: by whom they may be submitted, and what is cancelled with whom."""

from dataclasses import replace

import pytest

from cluster.domain.base.errors import ClusterError, Conflict, InvalidInput, NotPermitted
from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import Range
from cluster.domain.job.records import CallingAttempt, JobEnded, TaskEnd
from cluster.domain.job.states import TaskState
from cluster.domain.job.target import Target
from cluster.domain.scheduler import family
from cluster.domain.scheduler.effects import Reply
from cluster.domain.scheduler.events import CancelRequested, JobSubmitted, ReopenRequested
from cluster.domain.scheduler.family import MOST_CALLERS, called_by, tasks_of, to_be_cancelled_with
from cluster.domain.scheduler.views import job_view
from cluster.domain.trust.identity import Vouched
from tests.domain.core_bench import Bench, Effect, failed, ok, spec, uuid


def vouched(job: int, index: int = 0, attempt: int = 1, worker: str = "w") -> Vouched:
    return Vouched(AttemptKey(job, index, attempt), worker, "alice", 0)


class Home(Bench):
    """With one worker, which holds all that is submitted."""

    def __init__(self) -> None:
        super().__init__()
        self.session = self.worker("w", 100_000)
        self.asks = 0

    def hand_in(self, by: Vouched | None = None, tasks: int = 1, job_id: str = "", owner: str = "alice") -> int:
        """The number of the new job; raises what is answered instead."""
        self.asks += 1
        job_id = job_id or uuid(self.core.next_number)
        effects = self.turn(JobSubmitted(self.asks, job_id, owner, spec(tasks, retries=1), vouched=by))
        (answer,) = [effect.value for effect in effects if isinstance(effect, Reply)]
        if isinstance(answer, ClusterError):
            raise answer
        assert isinstance(answer, int)
        return answer

    def cancelled_with(self, *targets: Target) -> list[int]:
        return to_be_cancelled_with(self.core.family, self.core.jobs, tasks_of(targets), set()) or []


def test_the_callers_of_a_job_are_kept_from_the_first_to_the_one_that_has_submitted_it() -> None:
    home = Home()
    first = home.hand_in(tasks=3)
    second = home.hand_in(vouched(first, 2))
    third = home.hand_in(vouched(second))
    records = [home.core.jobs[number].record for number in (first, second, third)]
    assert [record.callers for record in records] == [
        (),
        (CallingAttempt(first, 2, 1, 3),),
        (CallingAttempt(first, 2, 1, 3), CallingAttempt(second, 0, 1)),
    ]
    assert [(record.parent, record.root) for record in records] == [(0, first), (first, first), (second, first)]
    assert [str(caller) for caller in records[2].callers] == ["1.3#1", "2#1"]
    home.restart()
    assert home.core.jobs[third].record == records[2]
    assert list(home.core.family.below(first)) == [second, third]


@pytest.mark.parametrize(
    "by",
    [
        vouched(1, attempt=2),  # not yet
        vouched(1, index=1),  # there is none
        vouched(1, worker="another"),
        vouched(7),
    ],
)
def test_only_an_attempt_that_its_worker_holds_submits_anything(by: Vouched) -> None:
    home = Home()
    home.hand_in()
    with pytest.raises(NotPermitted, match="no say"):
        home.hand_in(by)
    assert home.core.next_number == 2


def test_an_ended_attempt_submits_nothing_any_more_and_neither_does_one_that_was_given_up() -> None:
    home = Home()
    home.hand_in(tasks=2)
    home.report(home.session, 1, ok=(ok(1, 0, 1),), ended=(failed(1, 1),))
    for ended in (vouched(1, 0), vouched(1, 1)):
        with pytest.raises(NotPermitted, match="has ended"):
            home.hand_in(ended)
    home.turn(after=5.0)  # the second attempt of the second task
    assert home.hand_in(vouched(1, 1, attempt=2)) == 2
    with pytest.raises(NotPermitted, match="has ended"):
        home.hand_in(vouched(1, 1))


def test_a_repeated_submission_is_the_same_child_also_once_its_attempt_has_ended() -> None:
    home = Home()
    parent = home.hand_in()
    child = home.hand_in(vouched(parent), job_id="same")
    assert home.hand_in(vouched(parent), job_id="same") == child
    home.report(home.session, 1, ok=(ok(parent, 0, 1),))
    assert home.hand_in(vouched(parent), job_id="same") == child


def test_a_job_is_told_nothing_of_another_one_whose_uuid_it_has_guessed() -> None:
    home = Home()
    home.hand_in(job_id="known")
    parent = home.hand_in()
    with pytest.raises(Conflict, match="taken"):
        home.hand_in(vouched(parent), job_id="known")


def test_a_job_that_calls_itself_ends_somewhere() -> None:
    home = Home()
    number = home.hand_in()
    for _ in range(MOST_CALLERS):
        number = home.hand_in(vouched(number))
    assert len(home.core.jobs[number].record.callers) == MOST_CALLERS
    with pytest.raises(InvalidInput, match=f"job {number} .* does it call itself"):
        home.hand_in(vouched(number))


def test_who_is_being_cancelled_calls_for_nothing_more() -> None:
    home = Home()
    home.hand_in(tasks=2)
    home.turn(CancelRequested(9, (Target(1, (Range(1, 2),)),), "alice"))
    assert home.hand_in(vouched(1, 0)) == 2
    with pytest.raises(NotPermitted, match="being cancelled"):
        home.hand_in(vouched(1, 1))


def test_with_a_job_all_is_cancelled_that_it_has_called_for_whoever_has_ended() -> None:
    home = Home()
    first = home.hand_in(tasks=2)
    left, right = home.hand_in(vouched(first, 0)), home.hand_in(vouched(first, 1))
    below = home.hand_in(vouched(left))
    other = home.hand_in()
    home.hand_in(vouched(other))
    home.report(home.session, 1, ok=(ok(left, 0, 1),))  # the one in the middle
    home.core.let_go([JobEnded(left, TaskState.SUCCEEDED)])
    assert home.cancelled_with(Target(first)) == [right, below]
    assert home.cancelled_with(Target(first, (Range(0, 1),))) == [below]
    assert home.cancelled_with(Target(first, (Range(1, 2),))) == [right]
    assert home.cancelled_with(Target(left)) == [below]  # which has ended itself
    assert home.cancelled_with(Target(below), Target(99)) == []
    home.restart()
    assert home.cancelled_with(Target(first)) == [right, below]


class Waiting(Home):
    """Job 1 has two tasks, and waits for what these call."""

    def __init__(self) -> None:
        super().__init__()
        self.turn(JobSubmitted(99, uuid(1), "alice", spec(2, retries=1, wait_children=True)))
        self.reports = 0
        self.last: list[Effect] = []

    def ends(self, job: int, index: int = 0, attempt: int = 1, *, well: bool = True) -> None:
        self.reports += 1
        parts = {"ok": (ok(job, index, index + 1, attempt),)} if well else {"ended": (failed(job, index, attempt),)}
        self.last = self.report(self.session, self.reports, **parts)

    def end_of(self, job: int, index: int = 0) -> list[tuple[str, int]]:
        """As it was saved in the last turn."""
        ends = [e for e in self.last if isinstance(e, TaskEnd) and (e.job, e.index) == (job, index)]
        return [(end.reason, end.exit_code) for end in ends]


def test_a_task_that_waits_for_its_children_ends_with_the_last_of_them() -> None:
    home = Waiting()
    first, second = home.hand_in(vouched(1)), home.hand_in(vouched(1))
    home.ends(1)
    assert (home.state(1), home.end_of(1)) == ("finishing", [("ok", 0)])
    assert home.state(1, 1) == "assigned"  # which has called none
    home.ends(1, 1)
    assert home.state(1, 1) == "succeeded"
    assert job_view(home.core, home.core.jobs[1]).pending_because == (
        f"job {first}, which it has called, must end first",
        f"job {second}, which it has called, must end first",
    )
    with pytest.raises(NotPermitted, match="has ended"):
        home.hand_in(vouched(1))
    home.ends(first)
    assert home.state(1) == "finishing"
    home.ends(second)
    assert (home.state(1), home.core.jobs[1].outcome) == ("succeeded", TaskState.SUCCEEDED)


def test_of_what_has_succeeded_no_event_says_that_it_has_failed_or_is_tried_again() -> None:
    home = Waiting()
    child = home.hand_in(vouched(1))
    home.told()
    home.ends(1)  # and waits
    home.ends(1, 1)  # and waits for none
    assert home.told() == []
    home.ends(child, well=False)
    home.turn(after=5.0)
    home.ends(child, attempt=2, well=False)
    assert home.told() == ["tasks.retried", "tasks.failed", "job.ended", "tasks.failed", "job.ended"]


def test_one_of_whose_children_one_has_failed_fails_whenever_that_was() -> None:
    home = Waiting()
    early, late = home.hand_in(vouched(1, 0)), home.hand_in(vouched(1, 1))
    other = home.hand_in(vouched(1, 0))
    home.ends(early, well=False)  # it is tried again
    home.turn(after=5.0)
    home.ends(early, attempt=2, well=False)
    home.ends(1, 0)
    assert home.state(1, 0) == "finishing"  # the other one goes on
    home.ends(other)
    assert (home.state(1, 0), home.end_of(1, 0)) == ("failed", [("children", 1)])
    home.turn(CancelRequested(9, (Target(late),), "alice"))
    home.ends(late, well=False)
    home.ends(1, 1)
    assert (home.state(1, 1), home.end_of(1, 1)) == ("failed", [("children", 1)])
    job = home.core.jobs[1]
    assert (job.ended_at > 0, job.reason, job.exit_code) == (True, "children", 1)
    home.core.let_go([JobEnded(1, TaskState.SUCCEEDED)])
    assert (home.core.finishing, home.core.family._open, home.core.family._failed) == ({}, {}, {})


def test_what_a_former_attempt_has_called_counts_no_more() -> None:
    home = Waiting()
    first, slow = home.hand_in(vouched(1)), home.hand_in(vouched(1))
    for attempt in (1, 2):
        home.ends(first, attempt=attempt, well=False)
        home.turn(after=5.0)
    home.ends(1, well=False)
    home.turn(after=5.0)
    second = home.hand_in(vouched(1, attempt=2))
    home.ends(1, attempt=2)
    assert home.state(1) == "finishing"
    assert job_view(home.core, home.core.jobs[1]).pending_because == ()  # the other task is at work
    home.ends(1, 1)
    assert job_view(home.core, home.core.jobs[1]).pending_because == (
        f"job {second}, which it has called, must end first",
    )
    home.ends(second)
    assert home.state(1) == "succeeded"
    home.ends(slow)
    assert home.state(1) == "succeeded"


def test_a_child_that_failed_and_is_tried_again_is_waited_for_again() -> None:
    for done in (False, True):  # whether its parent's attempt has ended before that
        home = Waiting()
        child, other = home.hand_in(vouched(1)), home.hand_in(vouched(1))
        for attempt in (1, 2):
            home.ends(child, attempt=attempt, well=False)
            home.turn(after=5.0)
        assert home.state(child) == "failed"
        if done:
            home.ends(1)
        tasks, states = (Range(0, 1),), (TaskState.FAILED,)
        home.turn(ReopenRequested(8, child, tasks, states, None, home.core.openings))
        if not done:
            home.ends(1)
        home.ends(other)
        assert home.state(1) == "finishing"
        home.ends(child, attempt=3)
        assert home.state(1) == "succeeded"


def test_a_deadline_ends_also_what_is_finishing() -> None:
    for early in (True, False):  # whether its attempt has ended before that
        home = Home()
        home.turn(JobSubmitted(99, uuid(1), "alice", spec(wait_children=True, deadline="5s"), vouched=None))
        child = home.hand_in(vouched(1))
        if early:
            home.report(home.session, 1, ok=(ok(1, 0, 1),))
        effects = home.turn(after=6.0)
        if not early:
            effects = home.report(home.session, 1, ok=(ok(1, 0, 1),))
        job = home.core.jobs[1]
        assert (home.state(1), job.reason, job.exit_code) == ("failed", "timeout:deadline", 124)
        (end,) = [end for end in effects if isinstance(end, TaskEnd)]
        assert (end.reason, end.exit_code) == ("timeout:deadline", 124)
        home.report(home.session, 2, ok=(ok(child, 0, 1),))
        assert (home.core.finishing.get(1, {}), home.core.family._open) == ({}, {})


def test_what_is_finishing_when_too_many_fail_says_so() -> None:
    home = Home()
    home.turn(JobSubmitted(99, uuid(1), "alice", spec(2, wait_children=True, max_fails=0), vouched=None))
    home.hand_in(vouched(1, 0))
    home.report(home.session, 1, ok=(ok(1, 0, 1),))
    effects = home.report(home.session, 2, ended=(failed(1, 1),))
    assert home.state(1, 0) == "cancelled"
    ends = [(end.index, end.reason, end.exit_code) for end in effects if isinstance(end, TaskEnd)]
    assert ends == [(1, "exit:3", 3), (0, "max_fails", 143)]


def test_a_whole_line_of_callers_ends_in_one_turn() -> None:
    home = Home()
    line: list[int] = []
    for place in range(3):
        by = vouched(line[-1]) if place else None
        number = home.core.next_number
        home.turn(JobSubmitted(50 + place, uuid(number), "alice", spec(wait_children=place < 2), vouched=by))
        line.append(number)
    home.report(home.session, 1, ok=(ok(line[0], 0, 1),))
    home.report(home.session, 2, ok=(ok(line[1], 0, 1),))
    assert [home.state(number) for number in line] == ["finishing", "finishing", "assigned"]
    home.report(home.session, 3, ok=(ok(line[2], 0, 1),))
    assert [home.state(number) for number in line] == ["succeeded"] * 3


def test_what_is_finishing_is_cancelled_at_once_and_an_attempt_that_fails_waits_for_nobody() -> None:
    home = Waiting()
    home.hand_in(vouched(1, 0))
    home.hand_in(vouched(1, 1))
    home.ends(1, 0)
    effects = home.turn(CancelRequested(9, (Target(1, (Range(0, 1),)),), "alice"))
    assert home.state(1, 0) == "cancelled"
    assert [(end.reason, end.exit_code) for end in effects if isinstance(end, TaskEnd)] == [("cancelled", 143)]
    home.ends(1, 1, well=False)
    assert home.state(1, 1) == "backoff"
    home.turn(after=5.0)
    home.ends(1, 1, attempt=2, well=False)
    assert (home.state(1, 1), home.core.jobs[1].ended_at > 0) == ("failed", True)


def test_what_has_ended_is_known_to_no_family_any_more() -> None:
    home = Home()
    parent = home.hand_in()
    child = home.hand_in(vouched(parent))
    home.report(home.session, 1, ok=(ok(child, 0, 1),))
    assert list(home.core.family.below(parent)) == []
    assert home.core.family._below == {}


def test_a_job_is_called_by_those_above_it_alone() -> None:
    home = Home()
    first = home.hand_in()
    record = home.core.jobs[home.hand_in(vouched(first))].record
    assert called_by(record, {first: None})
    assert not called_by(record, {record.number: None})
    assert not called_by(replace(record, callers=()), {first: None})


def test_what_tasks_have_called_is_looked_for_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family, "SOME", 4)
    home = Home()
    first = home.hand_in(tasks=3)
    children = [home.hand_in(vouched(first, index % 3)) for index in range(9)]
    tasks, looked = tasks_of([Target(first, (Range(0, 1),)), Target(first, (Range(2, 3),))]), set[int]()
    found, counts = [], []
    while (some := to_be_cancelled_with(home.core.family, home.core.jobs, tasks, looked)) is not None:
        found += some
        counts.append(len(looked))
    assert found == [number for number in children if (number - first - 1) % 3 != 1]
    assert counts == [4, 8, 9]
    later = home.hand_in(vouched(first, 0))
    assert to_be_cancelled_with(home.core.family, home.core.jobs, tasks, looked) == [later]
    assert called_by(home.core.jobs[later].record, tasks_of([Target(first, (Range(2, 3),)), Target(first)]))

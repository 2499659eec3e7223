"""What waits for the disk, in which order, and what need not wait."""

from dataclasses import replace
from typing import get_args

from cluster.domain.base.intervals import Range
from cluster.domain.job.records import JobProgress, SmallOutput
from cluster.domain.job.spec import JobSpec
from cluster.domain.scheduler.effects import (
    Act,
    Amended,
    CloseSession,
    Decided,
    Notify,
    Reply,
    Save,
    Send,
    WorkerForgotten,
)
from cluster.domain.scheduler.uncommitted import Saved, Waiting
from cluster.domain.scheduler.worker_record import WorkerRecord
from cluster.domain.session.messages import (
    Assign,
    Attempts,
    Disown,
    HeartbeatAnswered,
    Recall,
    ReportAcknowledged,
    Stop,
    Welcome,
)
from cluster.store.sqlite.rows import TO_ROWS

THESE = Attempts(1, 1, (Range(0, 1),))
ASSIGN, STOP = Send(1, Assign(THESE, JobSpec(argv=("true",)), 45.0)), Send(1, Stop(THESE, 10.0))
WORKER = WorkerRecord("w", "box", 1000, "", "", 1.0)


def decided(*effects: Save | Amended | Act) -> Decided:
    """By one turn."""
    turn = Decided([], [])
    for effect in effects:
        if isinstance(effect, Act):
            turn.acts.append(effect)
        else:
            turn.saves.append(effect)
    return turn


def progress(number: int, exit_code: int = 0) -> JobProgress:
    return JobProgress(number, exit_code=exit_code)


def test_no_act_can_be_taken_for_a_save_and_no_save_lacks_a_place_in_the_store() -> None:
    assert not {*get_args(Act)} & {*get_args(Saved)}
    assert TO_ROWS.keys() == {*get_args(Saved)}


def test_of_several_saves_with_one_key_the_last_is_kept_and_counts_once() -> None:
    waiting = Waiting()
    waiting.add(decided(progress(1), progress(2), Notify(1)))
    waiting.add(decided(progress(1, exit_code=3), Notify(1)))
    assert waiting.saves == [progress(1, exit_code=3), progress(2)]
    assert waiting.acts == [Notify(1)]
    assert waiting.weight == 2
    assert list(waiting.jobs) == [1, 2]


def test_output_weighs_what_it_takes() -> None:
    waiting = Waiting()
    waiting.add(decided(SmallOutput(1, 0, 1, b"x" * 3000, b"y" * 2000)))
    assert waiting.weight == 1 + 4


def test_what_came_later_goes_to_disk_together_with_what_came_first() -> None:
    first, later = Waiting(), Waiting()
    first.add(decided(progress(1), Reply(1, 1)))
    later.add(decided(progress(1, exit_code=3), progress(2), Reply(2, 2), Notify(2)))
    first.absorb(later)
    assert first.saves == [progress(1, exit_code=3), progress(2)]
    assert first.acts == [Reply(1, 1), Reply(2, 2), Notify(2)]


def test_a_lease_and_a_stop_need_no_disk_and_everything_else_does() -> None:
    waiting = Waiting()
    free: list[Act] = [Send(1, Welcome(1, 15.0)), Send(1, HeartbeatAnswered(1)), CloseSession(2, "gone")]
    bound: list[Act] = [
        ASSIGN,
        Send(1, Disown(THESE)),
        Send(1, Recall(THESE)),
        Send(1, ReportAcknowledged(1)),
        Reply(1, 1),
    ]
    waiting.add(decided(progress(1), *bound, *free, Notify(1)))
    assert waiting.go_ahead() == free
    assert waiting.go_ahead() == []
    assert waiting.acts == [*bound, Notify(1)]
    assert waiting.weight == 1 + len(bound)


def test_a_stop_goes_ahead_and_is_said_again_after_the_assign_that_waits() -> None:
    waiting = Waiting()
    waiting.add(decided(progress(1), ASSIGN, STOP))
    assert waiting.go_ahead() == [STOP]
    assert waiting.go_ahead() == []
    assert waiting.acts == [ASSIGN, STOP]


def test_a_worker_that_keeps_its_name_is_answered_whatever_else_waits_about_workers() -> None:
    waiting, before, sure = Waiting(), Waiting(), Reply(1, "box", sure=True)
    before.add(decided(Amended(WORKER)))
    waiting.add(decided(Amended(replace(WORKER, id="other")), sure))
    assert waiting.go_ahead(before) == [sure]
    assert (before.saves, waiting.saves) == ([WORKER], [replace(WORKER, id="other")])
    waiting.add(decided(Amended(WORKER), sure))
    waiting.add(decided(WorkerForgotten("third")))
    before.absorb(waiting)
    assert before.go_ahead() == []  # a name has become free, which the next may get


def test_a_worker_that_is_known_is_answered_unless_its_record_waits() -> None:
    sure, before = Reply(1, "box", sure=True), Waiting()
    waiting = Waiting()
    waiting.add(decided(sure))
    before.add(decided(WORKER))
    assert waiting.go_ahead(before) == []
    assert waiting.acts == [sure]
    other = Waiting()
    other.add(decided(sure, progress(1)))
    assert other.go_ahead(Waiting()) == [sure]


def test_nothing_waits_for_a_session_that_is_closed() -> None:
    waiting = Waiting()
    waiting.add(decided(ASSIGN, Send(2, HeartbeatAnswered(1)), Reply(1, 1)))
    waiting.forget(1)
    assert waiting.acts == [Send(2, HeartbeatAnswered(1)), Reply(1, 1)]
    assert waiting.weight == 2

"""What is decided while a commit is being acted upon, when others have their turns between the steps of that."""

from typing import Any

from cluster.domain.base.now import Now
from cluster.domain.job.records import JobProgress
from cluster.domain.scheduler.effects import Decided, Reply
from cluster.scheduler.commit_pipeline import ACTS_AT_ONCE, CommitPipeline

MUCH = Decided([JobProgress(1)], [Reply(ask, 1) for ask in range(2 * ACTS_AT_ONCE + 1)])


class Script:
    """Stands for core and host: turns decide what is given, and commits are counted."""

    def __init__(self, *decided: Decided) -> None:
        self.decided = list(decided)
        self.commits = 0

    def turn(self, events: object, now: Now) -> Decided:
        return self.decided.pop(0)

    def commit(self) -> None:
        self.commits += 1

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **named: None


def pipeline(*decided: Decided) -> CommitPipeline:
    script: Any = Script(*decided)
    return CommitPipeline(script, script, lambda: Now(0.0, 0.0), most=1)


def take_turn(pipeline: CommitPipeline) -> None:
    pipeline._turn(pipeline.gathering.cut(1))


def test_what_is_decided_while_a_commit_lands_is_committed_next() -> None:
    later = pipeline(MUCH, Decided([JobProgress(2)], []))
    take_turn(later)
    landing = later.land()
    next(landing)
    take_turn(later)
    list(landing)
    assert (later.committing, later.trying.saves, later.held.saves) == (True, [JobProgress(2)], [])
    assert not later.agrees, "readers are told what is on disk"


def test_a_core_that_goes_ahead_while_the_last_commit_lands_is_not_ahead_afterwards() -> None:
    late = pipeline(MUCH)
    take_turn(late)
    landing = late.land()
    next(landing)
    late.go_ahead()
    list(landing)
    assert (late.committing, late.ahead) == (False, False)


def test_what_several_turns_do_together_is_committed_together() -> None:
    begins, ends = Decided([JobProgress(2)], [], goes_on=True), Decided([JobProgress(3)], [])
    several = pipeline(Decided([JobProgress(1)], []), begins, ends)
    take_turn(several)
    take_turn(several)
    list(several.land())
    assert (several.committing, several.trying.saves, several.held.saves) == (False, [], [JobProgress(2)])
    assert not several.agrees, "readers are told what is on disk"
    take_turn(several)
    assert (several.committing, several.trying.saves) == (True, [JobProgress(2), JobProgress(3)])


def test_what_is_not_complete_is_not_committed_with_what_is_tried_again() -> None:
    several = pipeline(Decided([JobProgress(1)], []), Decided([JobProgress(2)], [], goes_on=True))
    take_turn(several)
    take_turn(several)
    several.go_ahead()
    several.try_again()
    assert (several.trying.saves, several.held.saves) == ([JobProgress(1)], [JobProgress(2)])

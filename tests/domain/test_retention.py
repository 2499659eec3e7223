"""What of ended jobs is kept, and what goes next."""

import pytest

from cluster.domain.base.errors import Conflict, InvalidInput, NotFound
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.base.now import Now
from cluster.domain.job.dependencies import Course
from cluster.domain.job.records import CallingAttempt, JobRecord
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Decided, Reply
from cluster.domain.scheduler.events import JobsDeleted, JobsPinned, JobSubmitted, OutputsExpire, ReopenRequested
from cluster.domain.scheduler.retention import (
    DAY,
    FEWEST,
    MOST,
    STEADY,
    Bonds,
    EndedJob,
    JobPinned,
    Keep,
    Limits,
    OutputExpired,
    OutputsWalked,
    Pin,
    SteadyClock,
    Tombstone,
    UserOutputs,
    first_day,
    next_piece,
    parse_keep,
    parse_keep_age,
    too_many,
    too_old,
)


def ended(number: int, at: float = 100.0, root: int = 0) -> EndedJob:
    return EndedJob(at, number, f"id-{number}", "ann", root or number)


@pytest.mark.parametrize(
    ("text", "keep", "said"),
    [
        ("90d", Keep(90 * DAY), "90d"),
        ("20 GB", Keep(None, 20 << 30), "20.0 GiB"),
        ("1h30m,500k", Keep(5400.0, 500 << 10), "1h30m, 500 KiB"),
        ("2G, 30d", Keep(30 * DAY, 2 << 30), "30d, 2.0 GiB"),
        ("forever", Keep(), "forever"),
    ],
)
def test_what_is_kept_is_said_by_age_by_size_or_by_both(text: str, keep: Keep, said: str) -> None:
    assert (parse_keep(text), str(keep)) == (keep, said)
    assert parse_keep(said) == keep


@pytest.mark.parametrize("text", ["", "90", "90x", "90d,30d", "1G,2G", "-3d", "0s", "0.5s", "90d,", "d", "forever,3d"])
def test_what_says_neither_how_long_nor_how_much_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_keep(text)


def test_what_ended_first_goes_first_and_no_more_than_must() -> None:
    some = [ended(n, at=100.0 * n) for n in (1, 2, 3)]
    assert too_old(some, Keep(50.0), now=250.0) == some[:2]
    assert too_old(some, Keep(), now=1e12) == []
    assert too_many([10, 20, 30], 100, Keep(size=75)) == 2
    assert too_many([10, 20, 30], 75, Keep(size=75)) == 0
    assert too_many([10, 20, 30], 100, Keep(size=0)) == 3
    assert too_many([10], 100, Keep(5.0)) == 0


def test_sums_of_usage_go_by_whole_days_and_by_age_alone() -> None:
    assert first_day(Keep(2 * DAY), 10.5 * DAY) == 8
    assert (first_day(Keep(2 * DAY), DAY), first_day(Keep(), 10 * DAY)) == (0, 0)
    assert first_day(Limits().without_ages().usage, 9999 * DAY) == 0
    assert (parse_keep_age("30d"), parse_keep_age("forever")) == (Keep(30 * DAY), Keep())
    with pytest.raises(InvalidInput, match=r"^'5GB': sums of usage go by their age alone: use a time as in 1095d"):
        parse_keep_age("5GB")


def test_output_of_a_user_is_too_much_beyond_the_limit_and_counted_anew_before_it_goes() -> None:
    users = UserOutputs(100)
    for owner, size in [("ada", 60), ("bob", 100), ("ada", 60), ("eve", 0)]:
        users.add(owner, size)
    assert (users.over(), users.sizes) == (["ada"], [("ada", 120), ("bob", 100)])
    assert users.recount("ada", 90) == 0, "30 have been deleted meanwhile"
    assert users.over() == []
    users.add("ada", 50)
    assert (users.over(), users.recount("ada", 140)) == (["ada"], 40)
    users.went("ada", 20)  # the rest is pinned
    assert users.over() == [], "nothing else can go"
    users.add("ada", 1)
    assert users.over() == ["ada"]


def test_pieces_become_larger_while_they_are_quick_and_smaller_when_they_are_not() -> None:
    assert (next_piece(FEWEST, 0.001), next_piece(MOST, 0.001)) == (2 * FEWEST, MOST)
    assert (next_piece(64, 0.015), next_piece(64, 0.5), next_piece(FEWEST, 9.0)) == (64, 32, FEWEST)


def test_why_something_goes_is_said_as_the_option_that_wants_it() -> None:
    limits = Limits(Keep(90 * DAY), Keep(None, 20 << 30))
    assert limits.why("jobs", by_size=False) == "as --keep-jobs 90d says"
    assert limits.why("output", by_size=True) == "as --keep-output 20.0 GiB says"


def test_what_goes_on_keeps_what_it_waits_for_and_its_tree() -> None:
    bonds = Bonds()
    waits = JobRecord(9, "id-9", "ann", JobSpec(("true",), after=("3",), after_any=("4",)), 1.0)
    child = JobRecord(8, "id-8", "ann", JobSpec(("true",)), 1.0, (CallingAttempt(5, 0, 1), CallingAttempt(6, 0, 1)))
    run = JobRecord(10, "id-10", "ann", JobSpec(("true",)), 1.0, schedule=11)
    for record in (waits, child, run):
        bonds.goes_on(record)
    bonds.pins[2] = Pin("bob", 1.0)
    alive = {9, 8}
    assert [bool(bonds.why_kept(ended(n), alive)) for n in (1, 2, 3, 4, 5)] == [False, True, True, True, True]
    assert bonds.why_kept(ended(11), alive).startswith("has a run that goes on")
    assert "tree of job 5" in bonds.why_kept(ended(6, root=5), alive)
    assert "tree of job 8" in bonds.why_kept(ended(7, root=8), alive)
    assert bonds.why_kept(ended(9), alive) == "has not ended"
    assert bonds.why_kept(ended(2), alive) == "is pinned by bob: `cluster job unpin 2`"
    for record in (waits, child, run):
        bonds.has_ended(record)
    assert [n for n in (3, 4, 5, 6, 11) if bonds.why_kept(ended(n, root=5 if n == 6 else 0), ())] == []
    assert bonds.same_as(Bonds())


class Played:
    """A core to which events are given, and which answers."""

    def __init__(self) -> None:
        self.core = SchedulerCore(1)
        self.asks = 0

    def ask(self, make: object, *arguments: object, **named: object) -> tuple[object, Decided]:
        self.asks += 1
        decided = self.core.turn([make(self.asks, *arguments, **named)], Now(float(self.asks), 1e9 + self.asks))  # type: ignore[operator]
        (reply,) = [act for act in decided.acts if isinstance(act, Reply)]
        return reply.value, decided

    def delete(self, *jobs: EndedJob, refuses: bool = True) -> tuple[object, list[Tombstone]]:
        answer, decided = self.ask(JobsDeleted, jobs, "by ann", refuses)
        return answer, [save for save in decided.saves if isinstance(save, Tombstone)]


def test_jobs_are_deleted_all_of_them_or_none_or_those_that_need_not_be_kept() -> None:
    played = Played()
    played.core.next_number = 5
    number, _ = played.ask(JobSubmitted, "id-5", "ann", JobSpec(("true",), after=("3",)), ended={3: _course()})
    assert number == 5
    refused, stones = played.delete(ended(1), ended(3), ended(5))
    assert isinstance(refused, Conflict)
    assert str(refused) == "nothing was deleted: job 3 is waited for by a job that goes on; job 5 has not ended"
    assert stones == []
    done, stones = played.delete(ended(1), ended(3), ended(5), refuses=False)
    assert (done, [(s.number, s.id, s.owner, s.why) for s in stones]) == ((1,), [(1, "id-1", "ann", "by ann")])
    assert played.delete(ended(1), refuses=False) == ((), [])


def test_whoever_has_read_a_job_before_it_was_deleted_is_told_so() -> None:
    """What waits for it, or has it tried again, would not be there after a restart."""
    played = Played()
    played.core.next_number = 5
    openings = played.core.openings
    assert played.delete(ended(3))[0] == (3,)
    refused, _ = played.ask(JobSubmitted, "id-5", "ann", JobSpec(("true",), after=("3",)), ended={3: _course()})
    assert isinstance(refused, NotFound)
    assert "job 3, which is to be waited for, was deleted" in str(refused)
    again, decided = played.ask(ReopenRequested, 3, (), (), None, openings)
    assert isinstance(again, NotFound)
    assert decided.saves == []


def test_a_pin_keeps_a_job_and_its_output_until_it_is_taken_back() -> None:
    played, pin = Played(), Pin("ann", 7.0)
    assert played.ask(JobsPinned, (1, 2), pin)[0] == 2
    count, decided = played.ask(JobsPinned, (2, 3), Pin("bob", 8.0))
    assert (count, decided.saves) == (1, [JobPinned(3, Pin("bob", 8.0))])
    assert "pinned by ann" in str(played.delete(ended(2))[0])
    place = OutputsWalked(9.0, 4)
    gone, decided = played.ask(OutputsExpire, (1, 4), "as told", place)
    assert gone == (4,)
    assert decided.saves == [OutputExpired(4, decided.saves[0].at, "as told"), place]  # type: ignore[union-attr]
    count, decided = played.ask(JobsPinned, (2, 4), None)
    assert (count, decided.saves) == (1, [JobPinned(2, None)])
    assert played.delete(ended(2))[0] == (2,)
    assert played.ask(JobsPinned, (2,), pin)[0] == 0


def _course() -> Course:
    return Course(TaskState.SUCCEEDED, IntervalSet([(0, 1)]), IntervalSet())


def test_nothing_is_too_old_by_a_clock_that_has_just_been_set() -> None:
    """A clock that was 400 days ahead for a moment would have deleted all history."""
    clock = SteadyClock()
    year = 365 * DAY
    assert not clock.is_steady(Now(0.0, year))
    assert not clock.is_steady(Now(STEADY - 1, year + STEADY - 1))
    assert clock.is_steady(Now(STEADY, year + STEADY - 30)), "it was set by half a minute"
    assert not clock.is_steady(Now(STEADY + 60, 3 * year)), "it leapt"
    assert not clock.is_steady(Now(STEADY + 120, year + STEADY + 120)), "and was set right"
    assert clock.is_steady(Now(2 * STEADY + 120, year + 2 * STEADY + 120))
    assert Limits(Keep(DAY, 5), Keep(DAY)).without_ages() == Limits(Keep(None, 5), Keep(), usage=Keep())

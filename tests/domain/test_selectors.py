"""Selectors find the jobs and tasks that people mean."""

import contextlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.base.errors import ClusterError, InvalidInput, NotFound
from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.job.arrays import parse_array
from cluster.domain.job.conditions import Condition, parse_condition
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import JobRecord
from cluster.domain.job.selectors import (
    Found,
    Selection,
    Selector,
    SelectorKind,
    check_name,
    likely,
    names_itself,
    names_tasks,
    parse_selector,
    refuse_condition,
    refuse_ended,
    resolve,
)
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.job.target import Target

ID = "01900000-0000-7000-8000-000000000007"


class Shelf:
    """A directory of given jobs."""

    def __init__(self, *records: JobRecord) -> None:
        self._records = {record.number: record for record in records}

    def numbers(self) -> Sequence[int]:
        return list(self._records)

    def last(self) -> int | None:
        return max(self._records, default=None)

    def record(self, number: int) -> JobRecord | None:
        return self._records.get(number)

    def number_of_id(self, job_id: str) -> int | None:
        return next((r.number for r in self._records.values() if r.id == job_id), None)

    def numbers_of_name(self, name: str) -> Sequence[int]:
        return [r.number for r in self._records.values() if r.spec.name == name]


def job(number: int, array: str = "", lines: bytes = b"", name: str = "", id: str = "") -> JobRecord:
    segments = parse_array(array) if array else ()
    return JobRecord(number, id, "admin", JobSpec(("true",), name=name, array=segments, lines=lines), 0.0)


SHELF = Shelf(job(3, name="nightly"), job(5, "1-1000:2"), job(6, lines=b"a\nb\nc", name="nightly"), job(7, id=ID))


def select(text: str) -> list[Target]:
    return resolve(parse_selector(text), SHELF)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", Selector(SelectorKind.NUMBER, "5")),
        ("005", Selector(SelectorKind.NUMBER, "5")),
        ("5.17", Selector(SelectorKind.NUMBER, "5", (ArraySegment(17, 17),))),
        ("5.1-10", Selector(SelectorKind.NUMBER, "5", (ArraySegment(1, 10),))),
        ("last", Selector(SelectorKind.LAST)),
        ("last.3", Selector(SelectorKind.LAST, "", (ArraySegment(3, 3),))),
        ("all", Selector(SelectorKind.ALL)),
        ("my job", Selector(SelectorKind.NAME, "my job")),
        (ID, Selector(SelectorKind.ID, ID)),
        (f"{ID}.2", Selector(SelectorKind.ID, ID, (ArraySegment(2, 2),))),
        ("v1.2", Selector(SelectorKind.NAME, "v1.2")),
        ("5.17#2", Selector(SelectorKind.NUMBER, "5", (ArraySegment(17, 17),), 2)),
        ("5#2", Selector(SelectorKind.NUMBER, "5", None, 2)),
        (f"{ID}#1", Selector(SelectorKind.ID, ID, None, 1)),
        ("sweep.23#1", Selector(SelectorKind.NAME, "sweep.23#1")),
    ],
)
def test_reads_each_form(text: str, expected: Selector) -> None:
    assert parse_selector(text) == expected
    assert parse_selector(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", [Target(5)]),
        ("5.1", [Target(5, (Range(0, 1),))]),
        ("5.3-9", [Target(5, (Range(1, 5),))]),
        ("5.2-4,999", [Target(5, (Range(1, 2), Range(499, 500)))]),
        ("5.1-9:4", [Target(5, (Range(0, 1), Range(2, 3), Range(4, 5)))]),
        ("6.2-99", [Target(6, (Range(1, 3),))]),
        ("7.0", [Target(7, (Range(0, 1),))]),
        ("nightly", [Target(3), Target(6)]),
        ("last", [Target(7)]),
        (ID, [Target(7)]),
        ("all", [Target(3), Target(5), Target(6), Target(7)]),
    ],
)
def test_finds_jobs_and_tasks(text: str, expected: list[Target]) -> None:
    assert select(text) == expected


@pytest.mark.parametrize("text", ["4", "nobody", "5.2", "5.1001", "7.1", "01900000-0000-7000-8000-000000000008"])
def test_finding_nothing_is_an_error_with_the_value(text: str) -> None:
    with pytest.raises(NotFound, match=text.rpartition(".")[2]):
        select(text)


def test_all_of_nothing_is_nothing_and_last_of_nothing_an_error() -> None:
    assert resolve(Selector(SelectorKind.ALL), Shelf()) == []
    with pytest.raises(NotFound, match="none was submitted"):
        resolve(Selector(SelectorKind.LAST), Shelf())


@pytest.mark.parametrize("text", ["", "  ", "5.", "5.x", "5.3-1", "last."])
def test_refuses_what_can_select_nothing(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_selector(text)


@given(
    st.builds(lambda a, n, s: f"{a}-{a + n}:{s}", st.integers(0, 30), st.integers(0, 60), st.integers(1, 7)),
    st.builds(lambda a, n, s: f"{a}-{a + n}:{s}", st.integers(0, 60), st.integers(0, 60), st.integers(1, 7)),
)
def test_task_numbers_become_the_indexes_that_the_job_gives_them(array: str, wanted: str) -> None:
    record = job(1, array)
    (segment,) = parse_array(wanted)
    numbers = range(segment.first, segment.last + 1, segment.step)
    expected = [i for i in (record.spec.index_of(n) for n in numbers) if i is not None]
    try:
        (target,) = resolve(Selector(SelectorKind.NUMBER, "1", (segment,)), Shelf(record))
    except NotFound:
        assert not expected
        return
    assert [i for r in target.ranges or () for i in range(*r)] == expected


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ClusterError):
        select(text)


def test_what_takes_too_many_ranges_is_refused() -> None:
    with pytest.raises(InvalidInput, match="one job for each"):
        resolve(parse_selector("1.0-9999999:3"), Shelf(job(1, "0-9999999")))


@pytest.mark.parametrize("name", ["5", "5.17", "last", "last.1-3", "all", ID, " padded", "x" * 256])
def test_a_name_that_could_not_be_selected_by_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="a job"):
        check_name(name)


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("a.5", "tasks 5 of 'a'"),
        ("v1.2", "tasks 2 of 'v1'"),
        ("a.1-10", "tasks 1-10 of 'a'"),
        ("a#2", "attempt 2 of 'a'"),
        ("a:failed", "tasks that are failed of 'a'"),
        ("a.3:lost", "tasks 3 of 'a'"),
    ],
)
def test_a_name_that_also_selects_tasks_of_another_name_is_refused_with_that_reason(name: str, meaning: str) -> None:
    with pytest.raises(InvalidInput, match=meaning):
        check_name(name)


@pytest.mark.parametrize(
    "name", ["", "nightly", "build 5", "5a", "v1.2b", "v1.", "run.sh", "a#b", "lasting", "build:fast", "12:30"]
)
def test_other_names_select_their_job(name: str) -> None:
    check_name(name)
    assert not name or parse_selector(name) == Selector(SelectorKind.NAME, name)


def test_selectors_together_mean_each_job_once_and_its_tasks_together() -> None:
    selection = Selection()
    for text in ("5.1-9", "6", "5.3,21", "6.1", "nightly"):
        selection.add_tasks(selection.find(parse_selector(text), SHELF))
    assert selection.numbers() == [3, 5, 6]
    assert list(selection.targets()) == [Target(3), Target(5, (Range(0, 5), Range(10, 11))), Target(6)]
    assert list(selection.parts()) == [(5, IntervalSet([(0, 5), (10, 11)]))]
    assert [selection.tasks(number) for number in (3, 5)] == [None, IntervalSet([(0, 5), (10, 11)])]


def test_one_that_finds_nothing_is_named_whatever_others_find() -> None:
    selection = Selection()
    selection.add_tasks(selection.find(parse_selector("5.1"), SHELF))
    with pytest.raises(NotFound, match="job 5 has no task 2000"):
        selection.add_tasks(selection.find(parse_selector("5.2000"), SHELF))


def test_many_selectors_of_single_tasks_are_refused_together() -> None:
    """A hundred of them took 8 s, each being within its own limit."""
    record, selection = job(1, "1-100000000"), Selection()
    for start in (1, 5001):
        selection.add_tasks(Found([record], (ArraySegment(start, start + 19_998, 2),)))
    with pytest.raises(InvalidInput, match="too many single tasks in 10001-29999:2"):
        selection.add_tasks(Found([record], (ArraySegment(10_001, 29_999, 2),)))


def test_parts_that_reach_over_many_segments_are_refused() -> None:
    record = JobRecord(1, "", "", JobSpec(("a",), array=tuple(ArraySegment(n, n) for n in range(0, 20_000, 2))), 0.0)
    with pytest.raises(InvalidInput, match="too many single tasks"):
        resolve(
            Selector(SelectorKind.NUMBER, "1", tuple(ArraySegment(n, 30_000 + n, 7) for n in range(4))), Shelf(record)
        )


def test_a_number_is_found_among_many_segments_without_a_look_at_each() -> None:
    """Of 300,000 it took half a second."""
    segments = tuple(ArraySegment(n, n + 1) for n in range(0, 1_200_000, 4))
    record, selection = JobRecord(1, "", "", JobSpec(("a",), array=segments), 0.0), Selection()
    for number in range(0, 1_200_000, 1000):
        selection.add_tasks(Found([record], (ArraySegment(number, number),)))
    assert sum(r.size for r in selection.target(1).ranges or ()) == 1200
    assert selection._looks == 1200


NAMED = Shelf(
    job(1, "1-30", name="sweep"),
    job(2, name="sweep.23"),
    job(3, "20-25", name="sweep"),
    job(4, "1-9", name="v1.2"),
    job(8, name="one"),
)


def named(text: str) -> list[Target]:
    return resolve(parse_selector(text), NAMED)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sweep", [Target(1), Target(3)]),
        ("sweep.23", [Target(2)]),  # the name that somebody chose comes first
        ("sweep.24", [Target(1, (Range(23, 24),)), Target(3, (Range(4, 5),))]),
        ("sweep.2", [Target(1, (Range(1, 2),))]),  # the other has none
        ("sweep.1-3,7", [Target(1, (Range(0, 3), Range(6, 7)))]),
        ("v1.2.9", [Target(4, (Range(8, 9),))]),
        ("v1.2", [Target(4)]),
        ("sweep.24#2", [Target(1, (Range(23, 24),)), Target(3, (Range(4, 5),))]),
        ("one#1", [Target(8, (Range(0, 1),))]),
        ("8#1", [Target(8, (Range(0, 1),))]),
    ],
)
def test_tasks_may_follow_a_name(text: str, expected: list[Target]) -> None:
    assert named(text) == expected


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("sweep.99", NotFound, "has no task 99"),
        ("sweep.x", NotFound, "no job 'sweep.x'"),
        ("other.3", NotFound, "no job 'other.3'"),
        ("1#2", InvalidInput, "job 1 has many tasks: name the attempt's, as in 1.17#2"),
        ("1.1-3#2", InvalidInput, "names no attempt"),
        ("1.1#0", InvalidInput, "names no attempt"),
        ("1.#2", InvalidInput, "names no task"),
    ],
)
def test_what_no_task_and_no_attempt_is(text: str, error: type[ClusterError], words: str) -> None:
    with pytest.raises(error, match=words):
        named(text)


def test_an_attempt_is_remembered_with_its_task() -> None:
    selection = Selection()
    for text in ("1.5#2", "8#3", "1.7"):
        selection.add_tasks(selection.find(parse_selector(text), NAMED))
    assert selection.attempts == {(1, 4): 2, (8, 0): 3}
    selection.leave_out(1, 4)
    assert list(selection.targets()) == [Target(1, (Range(6, 7),)), Target(8, (Range(0, 1),))]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("sweep.23", "sweep.23", "7"),
        ("sweep.23", "sweep", "7.23"),
        ("last.3#2", "any", "7.3#2"),
        ("sweep", "sweep", "7"),
    ],
)
def test_what_is_meant_of_one_job(text: str, name: str, expected: str) -> None:
    assert str(parse_selector(text).of(7, name)) == expected


FAILED, LOST = Condition((TaskState.FAILED,)), Condition((), ("lost",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5:failed", Selector(SelectorKind.NUMBER, "5", condition=FAILED)),
        ("last:lost", Selector(SelectorKind.LAST, condition=LOST)),
        (f"{ID}:lost", Selector(SelectorKind.ID, ID, condition=LOST)),
        ("5.1-9:2:failed", Selector(SelectorKind.NUMBER, "5", (ArraySegment(1, 9, 2),), condition=FAILED)),
        ("5:failed,lost", Selector(SelectorKind.NUMBER, "5", condition=Condition((TaskState.FAILED,), ("lost",)))),
        ("5:exit:75,signal", Selector(SelectorKind.NUMBER, "5", condition=Condition((), ("exit:75", "signal")))),
        ("5:ok", Selector(SelectorKind.NUMBER, "5", condition=Condition((TaskState.SUCCEEDED,)))),
        ("sweep:failed", Selector(SelectorKind.NAME, "sweep:failed")),  # until it is known that no job is called so
        ("build:fast", Selector(SelectorKind.NAME, "build:fast")),
    ],
)
def test_states_and_reasons_may_follow(text: str, expected: Selector) -> None:
    assert parse_selector(text) == expected
    assert parse_selector(str(expected)) == expected


def test_states_and_reasons_follow_a_name_and_the_shortest_end_is_taken() -> None:
    assert likely("sweep:failed") == Selector(SelectorKind.NAME, "sweep", condition=FAILED)
    assert likely("sweep.3:lost") == Selector(SelectorKind.NAME, "sweep", (ArraySegment(3, 3),), condition=LOST)
    assert likely("a:b:failed") == Selector(SelectorKind.NAME, "a:b", condition=FAILED)
    assert likely("a:exit:7") == Selector(SelectorKind.NAME, "a", condition=Condition((), ("exit:7",)))
    assert likely("build:fast") == Selector(SelectorKind.NAME, "build:fast")
    assert [names_tasks(text) for text in ("5", "5:failed", "sweep:lost", "5#1", "build:fast")] == [
        *(False, True, True, False, False)
    ]


def test_a_job_is_named_itself_by_its_number_or_uuid_or_as_the_last() -> None:
    ID = "018f0000-0000-7000-8000-000000000005"
    assert [names_itself([text], 5, ID) for text in ("5", " 5 ", ID, "last", "5.1")] == [True] * 5
    assert [names_itself([text], 5, ID) for text in ("6", "all", "sweep", "sweep:failed", ID[:-1] + "6")] == [False] * 5
    assert names_itself(["all", "5"], 5, ID)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5:exit:x", "'exit:x' is no exit code"),
        ("5:failed,signal:FOO", "'signal:FOO' names no signal"),
        ("5:timeout:foo", "'timeout:foo' names no time limit"),
        ("5:lost:w1", "'lost:w1' says more than there is"),
        ("5:faild", "'faild' is no state and no reason: use waiting, .*failed.*, lost, .*exit:N or signal:NAME"),
        ("last.3:failed,nope", "'nope' is no state"),
        ("5:failed#2", "names an attempt, which has but one end: leave out :failed"),
        (
            "all:failed",
            "all:failed: of all jobs no tasks can be selected; name jobs, or use `cluster job list --state STATE`",
        ),
        ("5.:failed", "names no task"),
    ],
)
def test_what_no_state_is_and_where_none_can_stand(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        parse_selector(text)


def test_a_word_that_is_no_state_after_a_name_is_told_with_what_may_stand_there() -> None:
    with pytest.raises(NotFound, match=r"there is no job 'sweep:faild' \(after a colon come waiting, .*\)"):
        named("sweep:faild")


def test_those_that_meet_a_condition_are_added_to_what_else_is_selected() -> None:
    selection = Selection()
    selection.add_tasks(selection.find(parse_selector("1.1-3"), NAMED))
    found = selection.find(parse_selector("sweep:failed"), NAMED)
    assert found.condition == FAILED
    assert [(record.number, chosen) for record, chosen in selection.chosen(found)] == [
        (1, IntervalSet([(0, 30)])),
        (3, IntervalSet([(0, 6)])),
    ]
    (chosen,) = selection.chosen(selection.find(parse_selector("1.2-4:failed"), NAMED))
    assert chosen[1] == IntervalSet([(1, 4)])
    selection.add_meeting(1, IntervalSet([(2, 3), (9, 11)]), 30)
    selection.add_meeting(3, IntervalSet(), 6)
    selection.add_meeting(4, IntervalSet([(0, 9)]), 9)
    assert selection.numbers() == [1, 4]
    assert list(selection.targets()) == [Target(1, (Range(0, 3), Range(9, 11))), Target(4)]


def test_a_condition_is_met_by_state_or_by_why_it_ended() -> None:
    assert parse_condition("signal:KILL") == parse_condition("signal:9") == parse_condition("signal:SIGKILL")
    met = parse_condition("running,exit,signal:KILL").is_met
    assert met(TaskState.RUNNING, "")
    assert met(TaskState.FAILED, "exit:3")
    assert met(TaskState.FAILED, "signal:SIGKILL")
    assert not met(TaskState.FAILED, "signal:SIGTERM")
    assert not met(TaskState.BACKOFF, "exit:3"), "it has not ended"


@pytest.mark.parametrize("text", ["5:failed", "sweep:lost,succeeded", "last:cancelled"])
def test_what_has_ended_cannot_be_cancelled(text: str) -> None:
    head = text.partition(":")[0]
    with pytest.raises(InvalidInput, match=f"{text}: what has ended cannot be .*, as in {head}:ready,running"):
        refuse_ended(text, parse_condition(text.partition(":")[2]))


def test_what_goes_on_can_be_cancelled() -> None:
    for words in ("ready", "failed,running"):
        refuse_ended(f"5:{words}", parse_condition(words))


def test_what_takes_whole_jobs_refuses_states() -> None:
    for text, job in {"5:running": "5", "sweep.3:lost": "sweep", "last:failed": "last"}.items():
        words = text.partition(":")[2]
        why = f"^{text}: pause takes whole jobs and no tasks that are {words}; give {job}$"
        with pytest.raises(InvalidInput, match=why):
            refuse_condition(text, parse_condition(words), "pause")


@pytest.mark.parametrize(
    "text", ["5." + ":a,a" * 60_000 + "!", "x" + ":failed,exit" * 20_000 + "!", "5." + ":a" * 120_000, ":" * 250_000]
)
def test_a_long_text_is_read_in_one_go(text: str) -> None:
    """Wherever a condition might have begun it was read to its end: of 250,000 characters that took minutes."""
    with contextlib.suppress(ClusterError):
        likely(text)


@pytest.mark.parametrize("text", ["all.5", "all#2", "allover", "all.5:x"])
def test_what_only_begins_like_all_is_a_name(text: str) -> None:
    assert parse_selector(text) == Selector(SelectorKind.NAME, text)


def test_the_newest_job_of_a_name() -> None:
    shelf = Shelf(job(3, name="nightly"), job(5, "1-3", name="nightly"), job(7, name="other"), job(8, name="odd@last"))
    assert resolve(parse_selector("nightly@last"), shelf) == [Target(5)]
    assert resolve(parse_selector("nightly@last.2"), shelf) == [Target(5, (Range(1, 2),))]
    assert resolve(parse_selector("odd@last"), shelf) == [Target(8)], "it was stored before that meant anything"
    with pytest.raises(NotFound, match="there is no job 'none@last'"):
        resolve(parse_selector("none@last"), shelf)
    with pytest.raises(InvalidInput, match="'nightly@last': as a selector that means the newest of a name; use - or _"):
        check_name("nightly@last")
    assert parse_selector("nightly@last").newest_of == "nightly"

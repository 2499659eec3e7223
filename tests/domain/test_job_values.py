"""What jobs keep for others to read: only a running attempt sets it, of its own job, and it stays small."""

import pytest

from cluster.domain.base.errors import Conflict, InvalidInput, NotPermitted
from cluster.domain.job.records import JobEnded, JobValue
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.effects import Reply
from cluster.domain.scheduler.events import ValuesSet
from cluster.domain.scheduler.job_values import MAX_BYTES, MAX_KEY, MAX_VALUE, MOST_KEYS, check_values
from tests.domain.core_bench import Bench, failed, ok, spec
from tests.domain.test_family import vouched


def a_running_job() -> tuple[Bench, int]:
    bench = Bench()
    session = bench.worker("w")
    bench.submit(spec(2, retries=1))
    return bench, session


def said(bench: Bench, values: dict[str, str], job: int = 1, index: int = 0, attempt: int = 1) -> list[object]:
    """What is saved, and the reply."""
    effects = bench.turn(ValuesSet(3, vouched(job, index, attempt), values))
    return [e if isinstance(e, JobValue) else e.value for e in effects if isinstance(e, JobValue | Reply)]


def test_values_are_saved_before_the_answer_and_the_last_counts() -> None:
    bench, _ = a_running_job()
    assert said(bench, {"a": "1", "b": ""}) == [JobValue(1, "a", "1"), JobValue(1, "b", ""), 0]
    assert said(bench, {"a": "ü"}, index=1) == [JobValue(1, "a", "ü"), 0]
    assert bench.core.value_sizes == {1: {"a": 3, "b": 1}}


def test_an_attempt_that_has_ended_sets_nothing_and_the_next_one_goes_on() -> None:
    bench, session = a_running_job()
    said(bench, {"a": "1"})
    bench.report(session, 1, ended=(failed(1, 0),))
    (refused,) = said(bench, {"a": "2"})
    assert isinstance(refused, NotPermitted)
    (refused,) = said(bench, {"a": "2"}, job=9)
    assert isinstance(refused, NotPermitted)
    bench.turn(after=5.0)
    assert said(bench, {"a": "3"}, attempt=2) == [JobValue(1, "a", "3"), 0]


def test_a_job_keeps_only_so_much() -> None:
    bench, session = a_running_job()
    most = {f"k{n}": "x" for n in range(MOST_KEYS)}
    assert said(bench, most)[-1] == 0
    (refused,) = said(bench, {"more": "x"})
    assert isinstance(refused, Conflict)
    assert str(refused).startswith(f"the state of job 1 would have {MOST_KEYS + 1} keys")
    assert said(bench, {"k0": "y"}) == [JobValue(1, "k0", "y"), 0]
    large = {f"k{n}": "x" * MAX_VALUE for n in range(MAX_BYTES // MAX_VALUE)}
    (refused,) = said(bench, large)
    assert isinstance(refused, Conflict)  # and none of them is set
    bench.report(session, 1, ok=(ok(1, 0, 2),))
    bench.core.let_go([JobEnded(1, TaskState.SUCCEEDED)])
    assert bench.core.value_sizes == {}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"": "x"},
        {"a b": "x"},
        {"a=b": "x"},
        {"a\n": "x"},
        {"x" * (MAX_KEY + 1): ""},
        {"a": "ü" * (MAX_VALUE // 2 + 1)},
    ],
)
def test_what_is_no_value_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        check_values(values)


def test_what_is_one_is_taken() -> None:
    check_values({"x" * MAX_KEY: "y" * MAX_VALUE, "ü.1-b": "any\nthing = goes"})

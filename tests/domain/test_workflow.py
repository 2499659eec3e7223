"""Jobs that come in one call: whom each means by a name, in which order they are taken, and what is refused."""

from typing import Any

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.workflow import MAX_JOBS, NewJob, Workflow


def uuid(place: int) -> str:
    return f"00000000-0000-7000-8000-{place:012x}"


def job(place: int, name: str = "", tasks: int = 1, **fields: Any) -> NewJob:
    array = (ArraySegment(1, tasks),) if tasks > 1 else ()
    return NewJob(uuid(place), JobSpec(("true",), name=name, array=array, **fields))


def test_jobs_keep_their_order_but_come_after_those_that_they_wait_for() -> None:
    jobs = [job(0, "a", after=("c",)), job(1, "b"), job(2, "c", after_any=("d",)), job(3, "d"), job(4, "e")]
    assert Workflow(jobs).order() == [3, 2, 0, 1, 4]


def test_a_name_of_the_call_wins_over_an_older_job_and_all_others_are_outside() -> None:
    jobs = [job(0, "build", after=("fetch", "nightly")), job(1, "fetch", after=("nightly", "7"))]
    workflow = Workflow(jobs)
    assert dict(workflow.outside()) == {"nightly": 0, "7": 1}
    fetch, build = workflow.in_order({"nightly": 12, "7": 7})
    assert (fetch.id, fetch.spec.after) == (uuid(1), ("7", "12"))
    assert (build.id, build.spec.after) == (uuid(0), ("12", uuid(1)))


def test_jobs_without_names_are_meant_by_their_ids() -> None:
    first, second = Workflow([job(0, after_fail=(uuid(1),)), job(1)]).in_order({})
    assert (first.id, second.spec.after_fail) == (uuid(1), (uuid(1),))


@pytest.mark.parametrize(
    ("waits", "circle"),
    [
        ({"a": "a"}, "a -> a"),
        ({"a": "b", "b": "a"}, "a -> b -> a"),
        ({"start": "a", "a": "b", "b": "c", "c": "a"}, "a -> b -> c -> a"),
    ],
)
def test_a_circle_is_named(waits: dict[str, str], circle: str) -> None:
    jobs = [job(place, name, after=(other,)) for place, (name, other) in enumerate(waits.items())]
    with pytest.raises(InvalidInput, match=f"in a circle: {circle} "):
        Workflow(jobs).order()


def test_a_long_circle_is_named_in_part_and_needs_no_deep_stack() -> None:
    jobs = [job(place, f"j{place}", after=(f"j{(place + 1) % 5000}",)) for place in range(5000)]
    with pytest.raises(InvalidInput, match=r"j0 -> j1 .* -> … -> j0 \(each waits for the next\)"):
        Workflow(jobs).order()


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        ([job(0), job(0)], f"job id {uuid(0)} comes twice in one call: make a new UUID for each job"),
        ([job(0, "a"), job(1, "a"), job(2, "b", after=("a",))], "job b: --after a: 2 jobs of this call are called 'a'"),
        ([job(0, "a"), job(1, "b", after=("all",))], "job b: --after all: all: a job cannot wait for all jobs"),
        ([job(0, "a"), job(1, after_any=("5.3",))], "job number 2 of the call: --after-any 5.3: 5.3: a job waits for"),
        ([job(0, "a", grace=-1.0)], "job a: --grace -1"),
        ([job(0, "5")], "job 5: a job cannot be called '5'"),
    ],
)
def test_what_is_wrong_names_the_job_and_what_to_do(jobs: list[NewJob], words: str) -> None:
    with pytest.raises(InvalidInput) as wrong:
        Workflow(jobs).validate()
    assert str(wrong.value).startswith(words)


def test_tasks_that_do_not_go_together_one_by_one_are_refused() -> None:
    jobs = [job(0, "split", tasks=3), job(1, "sum", tasks=2, after_each=("split",))]
    with pytest.raises(InvalidInput, match="job split has 3 tasks and job sum 2: with --after-each they go together"):
        Workflow(jobs).in_order({})


def test_a_call_has_a_bound() -> None:
    with pytest.raises(InvalidInput, match="hand them in by several calls"):
        Workflow([job(0)] * (MAX_JOBS + 1))

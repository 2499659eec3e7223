"""Where tasks go that want more of a worker than cpus: what is needed is true, what is preferred comes first."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.expressions import Facts
from cluster.domain.job.request import Request, request_of
from cluster.domain.job.spec import JobSpec, refuse_what_needs_a_scheduler, validate
from cluster.domain.scheduler.evaluator import can_ever_run, rank
from cluster.domain.scheduler.events import WorkersDrained, WorkersResumed
from cluster.domain.scheduler.judge import Judge
from cluster.domain.scheduler.worker_record import MOST_EXPRESSIONS, Worker, WorkerRecord
from cluster.domain.session.messages import Hello
from cluster.domain.session.offer import Offer
from tests.domain.core_bench import Bench, ok, spec

G = 1 << 30


def labelled(**labels: str) -> Offer:
    return Offer(labels=tuple(sorted(labels.items())))


def held(bench: Bench) -> Mapping[str, int]:
    """Tasks that each worker holds, where it holds any."""
    return {worker.id: worker.held for worker in bench.core.workers.values() if worker.held}


def three(*cpus: int) -> Bench:
    """Workers w1, w2 … of so many cpus, in zones a, b, a, b …"""
    bench = Bench()
    for number, count in enumerate(cpus, 1):
        bench.worker(f"w{number}", count * 1000, labelled(zone="ab"[(number - 1) % 2]))
    return bench


def test_what_is_needed_is_true_of_the_worker() -> None:
    bench = three(2, 2, 2)
    bench.submit(spec(9, need='zone == "a"'))
    assert held(bench) == {"w1": 2, "w3": 2}
    bench.submit(spec(1, need='name == "w2"'))
    assert held(bench) == {"w1": 2, "w2": 1, "w3": 2}
    bench.submit(spec(1, need="has fpga"))
    assert bench.state(3) == "ready"


def test_who_comes_back_with_another_label_is_judged_anew() -> None:
    bench = three(2)
    bench.submit(spec(1, need='zone == "b"'))
    assert bench.state(1) == "ready"
    bench.hello("w1", Hello("inc", 2000, 1, offer=labelled(zone="b")))
    assert bench.state(1) == "assigned"


def test_each_expression_is_evaluated_once_for_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated: list[str] = []
    holds = Judge.holds

    def counting(self: Judge, text: str, facts: Facts) -> bool:
        evaluated.append(text)
        return holds(self, text, facts)

    monkeypatch.setattr(Judge, "holds", counting)
    bench = three(1, 1, 1)
    session = 1
    bench.submit(spec(50, need='zone == "a"', prefer="cpus > 1"))
    for index in range(20):
        ((attempt, tasks),) = bench.core.jobs[1].held_by("w1")
        (range_,) = tasks.ranges()
        bench.report(session, index + 1, ok=(ok(1, *range_, attempt, run=9.0),))
    assert sorted(evaluated) == sorted(['zone == "a"'] * 3 + ["cpus > 1"] * 2)


def test_the_answers_that_are_kept_are_bounded() -> None:
    worker = Worker(WorkerRecord("w", "w", 1000, "", "", 0.0), 0.0)
    for number in range(3 * MOST_EXPRESSIONS):
        assert worker.meets(f"cpus == 1 and cpus < {number + 2}")
        assert len(worker._meets) <= MOST_EXPRESSIONS


def test_what_is_preferred_comes_first_and_others_when_that_is_full() -> None:  # S4.4
    bench = three(2, 4, 2)
    bench.submit(spec(3, prefer='zone == "a"'))
    assert held(bench) == {"w1": 2, "w3": 1}
    bench.submit(spec(3, prefer='zone == "a"'))
    assert held(bench) == {"w1": 2, "w2": 2, "w3": 2}


def test_packed_tasks_fill_one_worker_before_the_next() -> None:
    bench = three(4, 2, 4)
    bench.submit(spec(3, pack=True))
    assert held(bench) == {"w2": 2, "w1": 1}
    bench.submit(spec(4, pack=True))
    assert held(bench) == {"w2": 2, "w1": 4, "w3": 1}


def test_spread_tasks_are_where_fewest_of_their_job_are() -> None:
    bench = three(8, 2, 2)
    bench.submit(spec(4))
    assert held(bench) == {"w1": 2, "w2": 2}
    bench.submit(spec(2, need='name != "w3"', millicpus=500, spread=True))
    assert held(bench) == {"w1": 4, "w2": 2}, "there was no room on w2"
    bench.submit(spec(6, spread=True))
    job = bench.core.jobs[3]
    there = {w: sum(len(tasks) for _, tasks in job.held_by(w)) for w in ("w1", "w2", "w3")}
    assert there == {"w1": 4, "w2": 0, "w3": 2}, "as even as the room lets it be"


def test_an_exclusive_task_is_alone_on_its_worker() -> None:
    bench = three(4, 4)
    bench.submit(spec(1, need='zone == "a"'))
    bench.submit(spec(3, exclusive=True))
    assert held(bench) == {"w1": 1, "w2": 1}
    bench.submit(spec(9))
    assert held(bench) == {"w1": 1, "w2": 1}, "nothing comes beside it, nor to where the next one is to be alone"
    bench.report(2, 1, ok=(ok(2, 0, 1),))
    assert bench.core.workers["w2"].exclusive == 1, "the next one of the job, which comes first"
    bench.restart()
    bench.hello("w2")
    assert bench.core.workers["w2"].exclusive == 1
    assert held(bench)["w2"] == 1


def test_nothing_comes_beside_an_exclusive_task_that_is_placed_in_the_same_turn() -> None:
    bench = Bench()
    bench.submit(spec(1, exclusive=True))
    bench.submit(spec(5))
    bench.worker("w", 4000)
    assert held(bench) == {"w": 1}


def test_tasks_that_need_a_label_alone_may_wait_on_their_worker() -> None:
    bench = three(2)
    bench.submit(spec(100, need='zone == "a"'))
    bench.report(1, 1, ok=(ok(1, 0, 1, run=0.01),))
    assert bench.core.workers["w1"].held > 2
    for other in ({"memory": G}, {"exclusive": True}, {"spread": True}, {"prefer": "cpus > 1"}):
        assert not request_of(spec(1, **other)).may_wait_there


Fields = list[dict[str, Any]]
jobs = st.lists(
    st.fixed_dictionaries(
        {"tasks": st.integers(1, 6)},
        optional={
            "millicpus": st.sampled_from((500, 1000, 3000)),
            "memory": st.sampled_from((G, 3 * G)),
            "need": st.sampled_from(('zone == "a"', "cpus >= 4", 'name != "w1"', "has fpga")),
            "prefer": st.sampled_from(('zone == "b"', "mem >= 4G")),
            "exclusive": st.just(True),
            "worker": st.sampled_from(("w1", "w2")),
        },
    ).flatmap(lambda fields: st.sampled_from((fields, {**fields, "spread": True}, {**fields, "pack": True}))),
    max_size=6,
)
workers = st.lists(st.tuples(st.sampled_from((1, 2, 4, 8)), st.sampled_from(("a", "b")), st.integers(0, 6)), max_size=4)


@given(jobs, workers, st.booleans())
def test_whatever_is_asked_for_is_kept(
    jobs: list[dict[str, Any]], workers: list[tuple[int, str, int]], first: bool
) -> None:
    """That nothing waits that would fit, and nobody is beside an exclusive task, the bench looks at after each turn."""
    bench = Bench()
    for fields in jobs if first else []:
        bench.submit(spec(**fields))
    for number, (cpus, zone, mem) in enumerate(workers, 1):
        bench.worker(f"w{number}", cpus * 1000, Offer((("mem", mem * G),) if mem else (), labels=(("zone", zone),)))
    for fields in [] if first else jobs:
        bench.submit(spec(**fields))
    for worker in list(bench.core.workers.values()):
        bench.turn(WorkersDrained(9, (worker.id,), "admin"))
        bench.turn(WorkersResumed(9, (worker.id,)))
        for number in worker.jobs:
            assert can_ever_run(bench.core.jobs[number].request, worker)


def test_ranks_say_which_worker_gets_the_next_task() -> None:  # S4.4
    bench = three(4, 2, 8)
    bench.submit(spec(2, millicpus=9000, pack=True, prefer='zone == "b"'))
    job = bench.core.jobs[1]
    order = sorted(bench.core.workers.values(), key=lambda worker: rank(job, worker))
    assert [worker.id for worker in order] == ["w2", "w1", "w3"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"need": "zone ="}, "--need 'zone =': column 6: use == to compare"),
        ({"prefer": "mem >"}, "--prefer 'mem >': column 6: it ends too early: a value is missing here"),
        ({"spread": True, "pack": True}, "--spread and --pack exclude each other"),
    ],
)
def test_wrong_wishes_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        validate(spec(**fields))


@pytest.mark.parametrize("field", ["need", "prefer", "spread", "pack"])
def test_a_worker_alone_refuses_to_choose(field: str) -> None:
    fields: dict[str, Any] = {field: "true" if field in ("need", "prefer") else True}
    with pytest.raises(InvalidInput, match="needs a scheduler: a worker alone has no other to choose from"):
        refuse_what_needs_a_scheduler(JobSpec(("true",), **fields))


def test_a_request_says_all_that_is_asked_for() -> None:
    assert request_of(spec(need="true")).beside is not None
    assert request_of(spec(exclusive=True)) != request_of(spec()) == Request(1000)

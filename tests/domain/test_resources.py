"""Resources beside cpus: no worker is promised more than it has, and what nobody has is said by name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.amounts import MOST_RESOURCES, parse_amount, parse_amounts
from cluster.domain.job.request import Beside, Request, request_of
from cluster.domain.job.spec import validate
from cluster.domain.scheduler.views import job_view, worker_view
from cluster.domain.session.messages import Hello
from cluster.domain.session.offer import Offer, check_offer, parse_gpus, parse_labels
from tests.domain.core_bench import Bench, ok, spec

G = 1 << 30

amounts = st.fixed_dictionaries(
    {},
    optional={"memory": st.sampled_from((G, 3 * G)), "gpus": st.integers(1, 3), "resources": st.just(("licence=2",))},
)
offers = st.builds(
    lambda memory, gpus, licences: Offer(
        tuple(sorted({"mem": memory, **({"licence": licences} if licences else {})}.items())),
        tuple(map(str, range(gpus))),
    ),
    st.sampled_from((G, 4 * G, 16 * G)),
    st.integers(0, 4),
    st.integers(0, 5),
)


@given(st.lists(offers, min_size=1, max_size=4), st.lists(st.tuples(st.integers(1, 9), amounts), max_size=6))
def test_no_worker_is_promised_more_than_it_has(
    offers: list[Offer], jobs: list[tuple[int, dict[str, Any]]]
) -> None:  # S4.4
    """And nothing waits that would fit (the bench looks at that after each turn)."""
    bench = Bench()
    sessions = [bench.worker(f"w{n}", 8000, offer) for n, offer in enumerate(offers)]
    for tasks, needs in jobs:
        bench.submit(spec(tasks, **needs))
    for place, session in enumerate(sessions):
        for number, job in bench.core.jobs.items():
            for attempt, held in list(job.held_by(f"w{place}"))[:1]:
                first = next(iter(held.ranges())).start
                bench.report(session, 1, ok=(ok(number, first, first + 1, attempt, run=0.001),))
        for worker in bench.core.workers.values():
            has = worker.record.offer.amounts
            assert all(taken <= has.get(name, 0) for name, taken in worker.taken.items())


def test_tasks_that_share_memory_take_turns() -> None:
    bench = Bench()
    session = bench.worker("w", 8000, Offer((("mem", 5 * G),)))
    bench.submit(spec(5, memory=2 * G))
    worker = bench.core.workers["w"]
    assert (worker.held, worker.taken) == (2, {"mem": 4 * G})
    bench.submit(spec(3))  # which asks for none, has room beside
    assert worker.held == 5
    bench.report(session, 1, ok=(ok(1, 0, 1, run=0.001),))
    assert worker.taken == {"mem": 4 * G}, "the next one, and none in advance although the tasks are short"
    bench.restart()
    bench.hello("w")
    assert bench.core.workers["w"].taken == {"mem": 4 * G}, "known from what it holds"


def test_cpus_alone_have_a_class_that_asks_for_nothing_else() -> None:
    assert request_of(spec()) == Request(1000, "", None)
    assert request_of(spec(memory=G, gpus=2, resources=("b=3", "a=1"))) == Request(
        1000, "", Beside((("a", 1), ("b", 3), ("gpus", 2), ("mem", G)))
    )


def test_a_worker_that_comes_back_with_more_gets_what_waited_for_that() -> None:
    bench = Bench()
    bench.worker("w", 2000, Offer())
    bench.submit(spec(gpus=1))
    assert bench.state(1) == "ready"
    bench.hello("w", Hello("inc", 2000, 1, offer=Offer(gpus=("0",))))
    assert bench.state(1) == "assigned"
    assert bench.workers["w"].offer.gpus == ("0",), "saved"


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        ({"gpus": 1}, "needs 1 gpu a task; no worker offers any gpus"),
        (
            {"resources": ("licence=9",)},
            "needs 9 licence a task; w2, which has most, has 4: --resource licence=4 fits w2",
        ),
        ({"memory": 64 * G}, "needs 64.0 GiB mem a task; w1, which has most, has 8.0 GiB: --mem 8G fits w1"),
    ],
)
def test_what_no_worker_has_is_said_by_its_name(needs: dict[str, Any], words: str) -> None:
    bench = Bench()
    bench.worker("w1", 2000, Offer((("mem", 8 * G),)))
    bench.worker("w2", 2000, Offer((("licence", 4), ("mem", G))))
    bench.submit(spec(**needs))
    view = job_view(bench.core, bench.core.jobs[1])
    assert view.no_worker_can
    assert view.pending_because == (words,)


def test_what_waits_for_others_to_end_says_what_it_needs() -> None:
    bench = Bench()
    bench.worker("w", 8000, Offer((("licence", 4),)))
    bench.submit(spec(resources=("licence=3",)))
    bench.submit(spec(resources=("licence=2",)))
    view = job_view(bench.core, bench.core.jobs[2])
    assert not view.no_worker_can
    assert view.pending_because == (
        "needs 1 cpu, 2 licence a task; all that fit are busy, 1 unfinished job comes first",
    )
    assert worker_view(bench.core, bench.core.workers["w"]).taken == {"licence": 3}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("licence", "'licence' says no amount: use NAME=N, as in licence=4"),
        ("licence=", "'licence=' is no amount: use a whole number from 1"),
        ("licence=0", "is no amount"),
        ("licence=-1", "is no amount"),
        ("licence=99999999999999999999", "is no amount"),
        ("mem=2G", "mem has an option of its own: use --mem"),
        ("gpus=2", "use --gpus"),
        ("gpu=1", "'gpu' means gpus in --need, and nothing else: use --gpus, or choose another name"),
        ("cpu=1", "'cpu' means cpus in --need"),
        ("memory=1G", "'memory' means mem in --need, and nothing else: use --mem, or"),
        ("and=2", "'and' is a word of --need: choose another name"),
        ("4u=2", "'4u' is no name of a resource or label"),
        ("a b=2", "is no name of a resource or label"),
        ("x" * 64 + "=1", "is no name of a resource or label: use at most 63"),
    ],
)
def test_wrong_amounts_are_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        parse_amount(text)
    with pytest.raises(InvalidInput, match=words):
        validate(spec(resources=(text,)))


def test_nobody_can_be_called_what_an_expression_would_not_find() -> None:
    for name in ("gpu", "cpu", "memory"):
        with pytest.raises(InvalidInput, match=f"'{name}' means"):
            parse_labels((f"{name}=a100",))
        with pytest.raises(InvalidInput, match=f"'{name}' means"):
            check_offer(Offer(labels=((name, "a100"),)))
        with pytest.raises(InvalidInput, match=f"'{name}' means"):
            check_offer(Offer(sums=((name, 1),)))


def test_what_a_job_was_taken_with_it_keeps() -> None:
    """By a version that let more names pass."""
    assert request_of(spec(resources=("gpu=1", "b = 2k"))).beside == Beside((("b", 2048), ("gpu", 1)))


def test_amounts_may_have_units_and_come_once() -> None:
    assert parse_amounts(("b=3", "a=2k")) == (("a", 2048), ("b", 3))
    with pytest.raises(InvalidInput, match="a comes twice"):
        parse_amounts(("a=1", "a=2"))
    with pytest.raises(InvalidInput, match="65 resources: the most are 64"):
        parse_amounts(tuple(f"r{n}=1" for n in range(MOST_RESOURCES + 1)))


def test_gpus_are_counted_or_named() -> None:
    assert parse_gpus("3") == ("0", "1", "2")
    assert parse_gpus("0") == ()
    assert parse_gpus("1,3") == ("1", "3")
    assert parse_gpus("3,") == ("3",)
    assert parse_gpus("GPU-8f2c, GPU-11aa") == ("GPU-8f2c", "GPU-11aa")
    for wrong in ("", "1,1", "a b", "1,,2", "9999"):
        with pytest.raises(InvalidInput):
            parse_gpus(wrong)


def test_labels_say_a_name_and_a_value() -> None:
    assert parse_labels(("zone=a", "rack=7", "note=x=y z")) == (("note", "x=y z"), ("rack", "7"), ("zone", "a"))
    for wrong in ("zone", "=a", "zo ne=a", "name=a", "a=\n"):
        with pytest.raises(InvalidInput):
            parse_labels((wrong,))
    with pytest.raises(InvalidInput, match="label zone comes twice"):
        parse_labels(("zone=a", "zone=b"))


@pytest.mark.parametrize(
    "offer",
    [
        Offer((("licence", -1),)),
        Offer((("licence", 2**63),)),
        Offer((("no name", 1),)),
        Offer((("gpus", 1),)),
        Offer(gpus=("0", "0")),
        Offer(gpus=("",)),
        Offer(gpus=tuple(map(str, range(2000)))),
        Offer(labels=(("zone", "\0"),)),
        Offer(labels=(("zone", "x" * 256),)),
        Offer((("zone", 1),), labels=(("zone", "a"),)),
        Offer(tuple((f"r{n}", 1) for n in range(70))),
    ],
)
def test_no_worker_can_offer_that(offer: Offer) -> None:
    with pytest.raises(InvalidInput):
        check_offer(offer)

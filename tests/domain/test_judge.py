"""What people need of workers is found out in parts, whoever asks for how much of it."""

from collections.abc import Iterator

import pytest

from cluster.domain.job.expressions import parse
from cluster.domain.job.workflow import NewJob
from cluster.domain.scheduler import judge, worker_record
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.events import HeartbeatReceived, JobsSubmitted
from cluster.domain.scheduler.judge import A_UNIT, READING
from cluster.domain.session.offer import Offer
from tests.domain.core_bench import Bench, Effect, spec, uuid

LONGEST = 1000  # characters of an expression
COUNT = 60  # jobs, of as many classes


def need(number: int) -> str:
    """As long as it may be, and true nowhere."""
    start = f"zone in ({number + 10},"
    return f"{start}{'1,' * ((LONGEST - len(start) - 1) // 2)})"


def crowd(workers: int = 3) -> Bench:
    bench = Bench(SchedulerCore(epoch=1, lease=1e6))
    for number in range(workers):
        bench.worker(f"w{number}", 4000, offer=Offer(labels=(("zone", "a"),)))
    return bench


def turns(bench: Bench, *events: object) -> Iterator[list[Effect]]:
    """Until nothing is due any more."""
    yield bench.turn(*events)  # type: ignore[arg-type]
    while (due := bench.core.next_deadline()) is not None and due <= bench.mono:
        yield bench.turn()


def work(bench: Bench, *events: object) -> list[int]:
    """What was judged in each turn, in units of its room."""
    units: list[int] = []
    count = bench.core.judge.units

    def counted() -> int:
        units[-1] += (found := count())
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge.Judge, "units", lambda _: counted())
        steps = turns(bench, *events)
        while True:
            units.append(0)
            if next(steps, None) is None:
                return units[:-1]


def test_many_expressions_have_several_turns_and_each_is_looked_at() -> None:
    bench = crowd()
    most = bench.core.most
    bench.core.most = 100
    one = (LONGEST * READING + 3 * (LONGEST + judge.EACH)) // A_UNIT + 1
    jobs = tuple(NewJob(uuid(n), spec(need=need(n))) for n in range(COUNT))
    units = work(bench, JobsSubmitted(1, "alice", jobs))
    assert max(units) <= 100 + one, "a turn ends with the class at which its room does"
    assert sum(units) >= COUNT * (one - 2), "all are judged, and each of them is read"
    assert not bench.core.ready.fresh
    bench.core.most = most
    bench.submit(spec())
    assert bench.state(COUNT + 1) == "assigned"


def test_who_has_room_again_costs_no_more_than_a_turn_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "MOST_READ", COUNT // 2)
    monkeypatch.setattr(worker_record, "MOST_EXPRESSIONS", COUNT // 2)
    bench = crowd(1)
    for number in range(COUNT):
        bench.submit(spec(need=need(number)))
    bench.core.most = 100
    list(turns(bench, HeartbeatReceived(1, 1, no_room="x")))
    one = (LONGEST * READING + LONGEST + judge.EACH) // A_UNIT + 1
    units = work(bench, HeartbeatReceived(1, 2, no_room=""))
    assert max(units) <= 100 + one
    assert len(units) > 3
    assert not bench.core.ready.fresh
    assert not bench.core.takers.roomier


def test_what_is_known_is_forgotten_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_record, "MOST_EXPRESSIONS", 4)
    bench = crowd(1)
    (worker,) = bench.core.workers.values()
    for number in range(5):
        worker.meets(need(number))
    bench.core.judge.units()
    assert not worker.meets(need(4))
    assert not worker.meets(need(1))
    assert bench.core.judge.work == 0, "four are known"
    worker.meets(need(0))
    assert 0 < bench.core.judge.work < LONGEST * 2, "and the first has been read"


def test_a_long_list_of_values_is_looked_up() -> None:
    expression = parse(need(7))
    assert (len(expression.texts), expression.numbers) == (0, {17.0, 1.0})  # type: ignore[union-attr]
    for there, holds in (("1", True), ("1.0", True), ("17", True), ("a", False), (1.0, True), (2, False)):
        assert expression.holds({"zone": there}) is holds
    assert not expression.holds({})

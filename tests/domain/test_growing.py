"""Tasks that took too much memory ask for more at their next attempt."""

from dataclasses import replace

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.intervals import Range
from cluster.domain.job.growth import MemoryGrowth, memory_after, parse_growth
from cluster.domain.job.spec import JobSpec, validate
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.effects import Send
from cluster.domain.scheduler.events import ReopenRequested
from cluster.domain.session.messages import Assign, Hello
from cluster.domain.session.offer import Offer
from tests.domain.core_bench import Bench, Effect, attempts, failed, ok, spec

GIB = 1 << 30
MEMORY = Offer((("mem", 8 * GIB),))


def growing(tasks: int = 1, **fields: object) -> JobSpec:
    return spec(tasks, **{"memory": GIB, "retries": 3, "grow": "mem=2x", "backoff": (0.0, 0.0), **fields})


def took_too_much(index: int, attempt: int = 1, job: int = 1) -> object:
    return failed(job, index, attempt, reason="oom", code=137)


def assigned(effects: list[Effect]) -> list[tuple[int, int | None]]:
    """Of each assign the attempt, and the memory in the spec that comes with it."""
    found = [each.message for each in effects if isinstance(each, Send) and isinstance(each.message, Assign)]
    return [(each.attempts.attempt, each.spec.memory if each.spec else None) for each in found]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_each_attempt_that_took_too_much_is_followed_by_one_that_asks_for_more(bench: Bench) -> None:
    session = bench.worker("w", 2000, MEMORY)
    bench.submit(growing(max_running=1))
    asked = []
    for attempt in range(1, 4):
        effects = bench.report(session, ended=(took_too_much(0, attempt),))
        effects += bench.turn(after=0.01)
        asked += assigned(effects)
    assert asked == [(2, 2 * GIB), (3, 4 * GIB), (4, 8 * GIB)]
    assert bench.core.workers["w"].taken == {"mem": 8 * GIB}
    bench.report(session, ok=(ok(1, 0, 1, attempt=4),))
    assert not bench.core.workers["w"].taken


def test_only_those_that_took_too_much_ask_for_more_and_the_others_go_first(bench: Bench) -> None:
    session = bench.worker("w", 8000, MEMORY)
    bench.submit(growing(20))
    assert bench.core.workers["w"].taken == {"mem": 8 * GIB}
    bench.report(session, ended=(took_too_much(2), failed(1, 3)))
    bench.turn(after=0.01)
    job = bench.core.jobs[1]
    assert (job.level, bench.state(1, 2), bench.state(1, 3)) == (0, "ready", "assigned")
    done = [index for index in range(20) if index not in (2, 3)]
    for index in done:
        bench.report(session, ok=(ok(1, index, index + 1),))
    bench.turn(after=0.01)
    assert (job.level, bench.state(1, 2)) == (1, "assigned")
    assert bench.core.workers["w"].taken == {"mem": 3 * GIB}, "two of the one, one of the other"


def test_what_grew_too_large_for_all_workers_waits_and_that_is_said(bench: Bench) -> None:
    from cluster.domain.scheduler.views import job_view

    session = bench.worker("w", 2000, Offer((("mem", GIB),)))
    bench.submit(growing())
    bench.report(session, ended=(took_too_much(0),))
    bench.turn(after=0.01)
    because = job_view(bench.core, bench.core.jobs[1]).pending_because
    assert because[0].startswith("needs 2.0 GiB mem a task; w, which has most, has 1.0 GiB"), because


def test_a_restart_knows_what_has_grown_and_what_workers_hold(bench: Bench) -> None:
    session = bench.worker("w", 2000, MEMORY)
    bench.submit(growing(3))
    bench.report(session, ended=(took_too_much(0), took_too_much(1)))
    bench.turn(after=0.01)
    bench.report(session, ok=(ok(1, 2, 3),))
    bench.report(session, ended=(took_too_much(0, 2),))
    bench.turn(after=0.01)
    bench.restart()
    bench.hello("w", Hello("inc", 2000, 1, backlog=(attempts(1, 2, (1, 2)), attempts(1, 3, (0, 1))), offer=MEMORY))
    bench.turn(after=0.01)
    job = bench.core.jobs[1]
    assert job.tries.grown.flats() == ((1, (1, 2)), (2, (0, 1)))
    assert bench.core.workers["w"].taken == {"mem": 6 * GIB}


def test_an_end_that_is_no_lack_of_memory_changes_nothing(bench: Bench) -> None:
    session = bench.worker("w", 2000, MEMORY)
    bench.submit(growing())
    assert assigned(
        bench.report(session, ended=(failed(1, 0, reason="signal:SIGKILL", code=137),)) + bench.turn(after=0.1)
    )
    assert (bench.core.jobs[1].level, bench.core.workers["w"].taken) == (0, {"mem": GIB})


def test_whoever_tries_it_again_later_asks_for_more_as_well(bench: Bench) -> None:
    session = bench.worker("w", 2000, MEMORY)
    bench.submit(growing(2, retries=1))
    for attempt in (1, 2):
        bench.report(session, ended=(took_too_much(0, attempt),))
        bench.turn(after=0.01)
    assert bench.state(1, 0) == "failed"
    openings = bench.core.openings
    bench.turn(ReopenRequested(9, 1, (Range(0, 1),), (TaskState.FAILED,), None, openings))
    assert bench.core.workers["w"].taken == {"mem": 5 * GIB}, "4 of the one, 1 of the other"


def test_a_job_of_many_pieces_keeps_it_in_its_chunks(bench: Bench) -> None:
    session = bench.worker("w", 2000, MEMORY)
    bench.core.most = 10**6
    bench.submit(growing(200_000, max_running=2))
    job = bench.core.jobs[1]
    job._changed = set()  # as of one in thousands of pieces
    bench.report(session, ended=(took_too_much(0), took_too_much(1)))
    saved = bench.chunks[1, 0].sets
    assert saved.grown == ((1, (0, 2)),)


@pytest.mark.parametrize(
    ("text", "growth"),
    [
        ("mem=2x", MemoryGrowth(2.0, 2**63 - 1)),
        ("mem=1.5x,max=64G", MemoryGrowth(1.5, 64 * GIB)),
        ("mem=2x, max=1T", MemoryGrowth(2.0, 1 << 40)),
    ],
)
def test_what_people_type(text: str, growth: MemoryGrowth) -> None:
    assert parse_growth(text) == growth


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"grow": "2x"}, "'2x' does not say how memory grows: use mem=FACTORx"),
        ({"grow": "cpus=2x"}, "does not say how memory grows"),
        ({"grow": "mem=1x"}, "the factor is from 1.1x to 100x"),
        ({"grow": "mem=2x,most=4G"}, "after the comma comes max=SIZE"),
        ({"grow": "mem=2x,max=1"}, "no program starts with so little"),
        ({"grow": "mem=2x,max=1x"}, "'1x'"),
        ({"grow": "mem=2x,max=512M"}, "--grow mem=2x,max=512M: --mem is more than that already"),
        ({"memory": 0}, "--grow mem=2x needs --mem"),
        ({"retries": 0}, "--grow mem=2x needs --retries"),
        ({"retry_on": ("exit:75", "lost")}, "needs oom among --retry-on exit:75,lost"),
    ],
)
def test_what_would_never_grow_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput) as error:
        validate(replace(growing(), **options))  # type: ignore[arg-type]
    assert said in str(error.value)


def test_it_grows_to_the_most_and_no_further() -> None:
    job = replace(growing(), grow="mem=1.5x,max=4G")
    asked = [memory_after(job.memory, job.grow, times) for times in range(5)]
    assert asked == [GIB, 3 * GIB // 2, 9 * GIB // 4, 27 * GIB // 8, 4 * GIB]
    assert memory_after(job.memory, job.grow, 1000) == 4 * GIB

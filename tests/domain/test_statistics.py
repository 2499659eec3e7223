"""What attempts have taken, and what the next ones should ask for."""

from cluster.domain.job.records import TaskEnd
from cluster.domain.job.spread import Spread, spread
from cluster.domain.job.statistics import stats_of

MIB = 1 << 20


def end(index: int, run: float = 10.0, cpus: float = 1.0, memory: int = 100 * MIB, reason: str = "ok") -> TaskEnd:
    times = {"started_at": 1000.0 + index, "ended_at": 1000.0 + index + run, "cpu_seconds": run * cpus}
    return TaskEnd(1, index, 1, reason, peak_memory=memory, **times)  # type: ignore[arg-type]


def test_the_median_and_the_95th_of_a_hundred_are_numbers_that_there_are() -> None:
    assert spread(list(range(100, 0, -1))) == Spread(50, 95, 100, 100)
    assert spread([3.0]) == Spread(3.0, 3.0, 3.0, 1)
    assert spread([1.0, 9.0]) == Spread(1.0, 9.0, 9.0, 2)
    assert spread([]) == Spread()


def test_what_is_proposed_covers_95_of_100_in_cpus_and_all_in_memory() -> None:
    ends = [end(n, cpus=1.1, memory=200 * MIB) for n in range(95)] + [end(n, cpus=3.0) for n in range(95, 100)]
    advice = stats_of(ends, 4000, 1024 * MIB).advice
    assert (advice.millicpus, advice.memory) == (1250, 240 * MIB)
    assert advice.cpus_because == "95 of 100 kept at most 1.10 cpus busy, half of them 1.10; 4 were asked for"
    assert advice.memory_because == (
        "the most that any took was 200 MiB, and a fifth more is spare; 1.0 GiB were asked for"
    )


def test_steps_are_wider_where_more_is_used() -> None:
    advice = [
        stats_of([end(1, cpus=used, memory=int(mib * MIB))], 0, 0).advice for used, mib in ((0.02, 1), (3.1, 900))
    ]
    assert [(each.millicpus, each.memory // MIB) for each in advice] == [(250, 16), (4000, 1152)]


def test_what_took_too_much_memory_is_to_ask_for_twice_as_much() -> None:
    advice = stats_of([end(1), end(2, reason="oom"), end(3, reason="oom")], 1000, 64 * MIB).advice
    assert advice.memory == 128 * MIB
    assert advice.memory_because == "2 took more than the 64.0 MiB that they had asked for: twice that"


def test_what_is_too_short_or_was_not_measured_tells_nothing() -> None:
    stats = stats_of([end(1, run=0.05, memory=0)], 1000, 0)
    assert (stats.run.of, stats.cpus.of, stats.memory.of) == (1, 0, 0)
    assert stats.advice == (0, "", 0, "")


def test_failures_are_counted_by_their_reasons_and_do_not_blur_what_successes_took() -> None:
    failed = [end(n, run=1000.0, reason="exit:3") for n in range(3)] + [
        end(3, reason="lost"),
        end(4, reason="cancelled"),
    ]
    stats = stats_of([*failed, end(5), end(6)], 1000, 0)
    assert (stats.attempts, stats.failed, stats.reasons) == (7, 4, (("exit:3", 3), ("lost", 1)))
    assert (stats.run, stats.since, stats.until) == (Spread(10.0, 10.0, 10.0, 2), 1013.0, 2002.0)


def test_where_none_succeeded_all_that_ran_tell() -> None:
    unstarted = TaskEnd(1, 2, 1, "launch_failed")
    stats = stats_of([end(1, run=7.0, reason="exit:1"), unstarted], 1000, 0)
    assert (stats.attempts, stats.failed, stats.run) == (2, 2, Spread(7.0, 7.0, 7.0, 1))

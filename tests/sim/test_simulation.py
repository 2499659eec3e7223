"""The three real cores, hundreds of unlucky lives: nothing is lost, nothing runs twice, everything ends."""

import os
import subprocess
import sys
from math import ceil
from pathlib import Path

import pytest

from cluster.store.sqlite.store import SqliteStore
from tests.sim import lives, many
from tests.sim.lives import PLAYED
from tests.sim.scenario import seeds, simulate

SUBMISSIONS = 2500  # of one or several jobs


def in_parts(seeds: range) -> pytest.MarkDecorator:
    """A third of the lives, the first ones, is played each time, and all with the extra seeds: all of them took a third
    of the suite's time."""
    usual = ceil(len(seeds) / 3)
    extra = [pytest.param(part, marks=pytest.mark.extra_seeds) for part in lives.parts(seeds[usual:])]
    played = [*lives.parts(seeds[:usual]), *extra]
    return pytest.mark.parametrize("part", played, ids=lambda part: f"{part[0]}-{part[-1]}")


@pytest.mark.slow
@in_parts(seeds(PLAYED[lives.usual]))
def test_every_seed(part: range) -> None:
    """CLUSTER_SIM_SEEDS=N plays N of them, CLUSTER_SIM_SEED=K one, aloud with pytest -s."""
    steps, trace = 0, ""
    for seed in part:
        world = simulate(seed, loud="CLUSTER_SIM_SEED" in os.environ).world
        steps, trace = steps + world.steps, world.trace
    print(f"{steps} steps, trace {trace}")


@in_parts(seeds(100))
def test_reports_and_turns_that_are_cut_small(part: range) -> None:
    for seed in part:
        simulate(seed, most=(1, 5)[seed % 2])


@pytest.mark.extra_seeds
def test_ten_thousand_seeds() -> None:
    """Some minutes, on all cores. Those that fail say how to run them alone."""
    assert many.run(seeds(10_000)) == []


@pytest.mark.extra_seeds
@pytest.mark.parametrize("seed", range(3))
def test_a_large_house(seed: int) -> None:
    """50 machines, to which others come, and 5,000 jobs; half a minute for each."""
    assert len(simulate(seed, machines=50, submissions=SUBMISSIONS).scheduler.acknowledged) >= 5000


ONE_LIFE = "from tests.sim.scenario import simulate; print(simulate(7).world.trace)"


def test_one_seed_is_one_life_whatever_the_process() -> None:
    """Also where texts have other hashes, so that sets of them have another order."""
    for salt in ("0", "1"):
        environ = {**os.environ, "PYTHONHASHSEED": salt}
        other = subprocess.run([sys.executable, "-c", ONE_LIFE], env=environ, capture_output=True, text=True)
        assert other.stdout.strip() == simulate(7).world.trace, other.stderr


def test_another_seed_is_another_life() -> None:
    assert simulate(7).world.trace != simulate(8).world.trace


def test_a_seed_that_fails_is_told_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(seed: int) -> None:
        raise AssertionError(f"seed {seed} is unlucky")

    monkeypatch.setattr(many, "simulate", lambda seed: fails(seed) if seed == 3 else simulate(seed))
    said: list[str] = []
    assert many.run(range(2, 6), said.append) == [3]
    assert "FAILED seed 3 is unlucky\n" in said
    assert said[-1].startswith("4 seeds from 2 on, 1 failed: 3;")


@pytest.mark.parametrize(("text", "seeds"), [("3", [0, 1, 2]), ("4-6", [4, 5, 6]), ("5-5", [5])])
def test_seeds_are_named_by_their_number_or_by_the_first_and_the_last(text: str, seeds: list[int]) -> None:
    assert list(many.parse(text)) == seeds


@pytest.mark.parametrize("text", ["", "0", "6-4", "many", "-3", "3-", "1-2-3"])
def test_what_names_no_seeds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="seed"):
        many.parse(text)


@pytest.mark.slow
@pytest.mark.long
@in_parts(range(PLAYED[lives.with_long_reports]))
def test_what_is_given_back_in_a_long_report_goes_to_nobody_who_does_not_take_it(part: range) -> None:
    for seed in part:
        lives.with_long_reports(seed)


@pytest.mark.slow
@in_parts(range(PLAYED[lives.with_times]))
def test_whatever_clocks_show_nothing_starts_before_its_time_and_no_time_is_lost_or_runs_twice(part: range) -> None:
    for seed in part:
        lives.with_times(seed)


@pytest.mark.slow
@in_parts(range(PLAYED[lives.with_mistyped_dates]))
def test_a_clock_that_was_far_ahead_for_a_while_keeps_no_schedule_back(part: range) -> None:
    for seed in part:
        lives.with_mistyped_dates(seed)


@pytest.mark.slow
@pytest.mark.long
@in_parts(range(PLAYED[lives.with_workflows]))
def test_jobs_that_come_together_are_all_there_or_none_however_many_turns_that_takes(part: range) -> None:
    for seed in part:
        lives.with_workflows(seed)


@pytest.mark.slow
@in_parts(range(PLAYED[lives.with_families]))
def test_jobs_that_jobs_call_come_once_and_only_from_attempts_that_go_on(part: range) -> None:
    for seed in part:
        lives.with_families(seed)


@pytest.mark.slow
@in_parts(range(PLAYED[lives.with_orders]))
def test_what_is_paused_starts_nothing_and_no_more_run_at_once_than_may(part: range) -> None:
    for seed in part:
        lives.with_orders(seed)


@pytest.mark.slow
@pytest.mark.long
@in_parts(range(PLAYED[lives.with_a_crowd]))
def test_what_is_reserved_is_not_overrun_and_neither_a_job_nor_a_user_starves(part: range) -> None:
    for seed in part:
        lives.with_a_crowd(seed)


@pytest.mark.slow
@in_parts(range(PLAYED[lives.with_stalls]))
def test_whoever_stalls_no_attempt_outlives_its_leash(part: range) -> None:
    for seed in part:
        lives.with_stalls(seed)


@pytest.mark.slow
@in_parts(range(PLAYED[lives.with_absent_workers]))
def test_a_worker_that_is_back_ends_nothing_that_others_have(part: range) -> None:
    for seed in part:
        lives.with_absent_workers(seed)


@pytest.mark.slow
@in_parts(range(PLAYED[lives.with_lonely_slots]))
def test_slots_that_are_alone_begin_nothing_that_was_given_up(part: range) -> None:
    for seed in part:
        lives.with_lonely_slots(seed)


@pytest.mark.slow
@in_parts(range(PLAYED[lives.with_late_hellos]))
def test_no_late_hello_gives_away_what_runs(part: range) -> None:
    for seed in part:
        lives.with_late_hellos(seed)


@pytest.mark.slow
@in_parts(range(PLAYED[lives.with_takeovers]))
def test_of_two_schedulers_on_one_store_the_old_one_is_refused_and_nothing_runs_twice(part: range) -> None:
    for seed in part:
        lives.with_takeovers(seed)


@pytest.mark.slow
@in_parts(range(PLAYED[lives.with_drained_workers]))
def test_a_worker_that_is_drained_gets_nothing_whoever_restarts(part: range) -> None:
    for seed in part:
        lives.with_drained_workers(seed)


@pytest.mark.slow
@in_parts(range(PLAYED[lives.with_needs]))
def test_no_resource_is_promised_twice_whoever_restarts(part: range) -> None:
    for seed in part:
        lives.with_needs(seed)


@pytest.mark.slow
@in_parts(range(PLAYED[lives.with_an_absence]))
def test_absences_of_the_scheduler_below_what_is_promised_cost_nothing(part: range) -> None:
    for seed in part:
        lives.with_an_absence(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 9))
def test_with_the_real_store(seed: int, tmp_path: Path) -> None:
    """Its rows bring back the same jobs as records kept in memory do."""
    simulate(seed, open_store=lambda: SqliteStore(tmp_path / "cluster.db", "0123456789abcdef"))


@pytest.mark.slow
@in_parts(range(PLAYED[lives.with_uploads]))
def test_nothing_starts_before_what_it_finds_is_here_and_nothing_waits_for_that_for_ever(part: range) -> None:
    for seed in part:
        lives.with_uploads(seed)


@pytest.mark.slow
@in_parts(range(PLAYED[lives.with_keepers]))
def test_what_goes_on_keeps_what_it_needs_whatever_is_deleted(part: range) -> None:
    for seed in part:
        lives.with_keepers(seed)

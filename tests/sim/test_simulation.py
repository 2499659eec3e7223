"""The three real cores, hundreds of unlucky lives: nothing is lost, nothing runs twice, everything ends."""

import os
from pathlib import Path

import pytest

from cluster.domain.job import DEFAULT_LOST_AFTER
from cluster.store.sqlite import SqliteStore
from tests.sim.bad_luck import STALLS, BadLuck
from tests.sim.scenario import seeds, simulate

NORMAL = 500  # seeds; CLUSTER_SIM_SEEDS=N runs N, CLUSTER_SIM_SEED=K one of them, aloud with pytest -s


@pytest.mark.slow
def test_every_seed() -> None:
    steps = sum(simulate(seed, loud="CLUSTER_SIM_SEED" in os.environ).world.steps for seed in seeds(NORMAL))
    print(f"{steps} steps")


@pytest.mark.extra_seeds
def test_ten_thousand_seeds() -> None:
    """A quarter of an hour. The one that fails says how to run it alone."""
    for seed in seeds(10_000):
        simulate(seed)


STALLING = 150  # seeds


@pytest.mark.slow
def test_whoever_stalls_no_attempt_outlives_its_leash() -> None:
    for seed in range(STALLING):
        simulate(seed, climate=STALLS, stubborn=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_absences_of_the_scheduler_below_what_is_promised_cost_nothing(seed: int) -> None:
    """Nothing else goes wrong, so nothing may die of its leash or be lost."""
    truth = simulate(seed, climate=(BadLuck.scheduler_is_away,), lost_after=DEFAULT_LOST_AFTER).truth
    assert (truth.leashed, truth.lost) == (0, 0), f"replay with simulate({seed}, ...)"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 9))
def test_with_the_real_store(seed: int, tmp_path: Path) -> None:
    """Its rows bring back the same jobs as records kept in memory do."""
    simulate(seed, open_store=lambda: SqliteStore(tmp_path / "cluster.db", "0123456789abcdef"))

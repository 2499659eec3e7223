"""The three real cores, hundreds of unlucky lives: nothing is lost, nothing runs twice, everything ends."""

import os
from pathlib import Path

import pytest

from cluster.store.sqlite import SqliteStore
from tests.sim.scenario import seeds, simulate

NORMAL = 500  # seeds; CLUSTER_SIM_SEEDS=N runs N, CLUSTER_SIM_SEED=K one of them, aloud with pytest -s


@pytest.mark.slow
def test_every_seed() -> None:
    steps = sum(simulate(seed, loud="CLUSTER_SIM_SEED" in os.environ).world.steps for seed in seeds(NORMAL))
    print(f"{steps} steps")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 9))
def test_with_the_real_store(seed: int, tmp_path: Path) -> None:
    """Its rows bring back the same jobs as records kept in memory do."""
    simulate(seed, open_store=lambda: SqliteStore(tmp_path / "cluster.db", "0123456789abcdef"))

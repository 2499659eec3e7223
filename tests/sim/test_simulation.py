"""The three real cores, hundreds of unlucky lives: nothing is lost, nothing runs twice, everything ends."""

import os

import pytest

from tests.sim.scenario import seeds, simulate

NORMAL = 500  # seeds; CLUSTER_SIM_SEEDS=N runs N, CLUSTER_SIM_SEED=K one of them, aloud with pytest -s


@pytest.mark.slow
def test_every_seed() -> None:
    steps = sum(simulate(seed, loud="CLUSTER_SIM_SEED" in os.environ).world.steps for seed in seeds(NORMAL))
    print(f"{steps} steps")

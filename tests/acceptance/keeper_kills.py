"""A keeper of pools that is killed again and again, while a pool goes from nothing to its bound and back, twice."""

import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.acceptance.daemons import Daemons

MOST, KILLS = 10, 30  # machines of the pool, and kills of its keeper
LONGEST = 1800  # seconds for all of it


def kill_while_a_pool_grows_and_shrinks(daemons: Daemons, config: Path, any_there: Callable[[], bool]) -> None:
    """At random moments while machines come, work and go. `any_there`: whether any machine is left."""
    cluster, chance = daemons.command, Random(11)

    def kill(times: int) -> None:
        for _ in range(times):
            daemons.start_pools(config)
            time.sleep(chance.uniform(0.0, 4.0))
            daemons.kill("pools")

    with daemons.client() as client:
        for wave in (1, 2):
            cluster.ok("job", "submit", "--array", "1-60", "--", "sleep", "3")
            kill(KILLS // 3)
            daemons.start_pools(config)
            cluster.ok("job", "wait", str(wave), patience=1500.0)
            daemons.kill("pools")
            kill(KILLS // 6)
            daemons.start_pools(config)
            while any_there() or client.workers():
                time.sleep(0.2)
            daemons.kill("pools")

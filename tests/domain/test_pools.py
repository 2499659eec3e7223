"""Pools when something was away: what was only not heard of is not lost, and what is left over is taken away."""

from cluster.domain.pools.core import PoolsCore
from cluster.domain.pools.settings import PoolSettings
from cluster.domain.pools.shape import Shape
from cluster.domain.pools.told import (
    DemandTold,
    ForgetMachine,
    MachinesTold,
    PoolEffect,
    PoolWorker,
    StopMachine,
    ToldMachine,
)

SETTINGS = PoolSettings("gpu", Shape(1000), maximum=2, start_within=300.0, lost_after=60.0, missing_after=10.0)
BUSY = PoolWorker("gpu", "gpu-a-1", "w", is_online=True, held=1)
AWAY = BUSY._replace(is_online=False)
THERE = ToldMachine("gpu-a-1", "i")


def turn(core: PoolsCore, now: float, worker: PoolWorker | None) -> list[PoolEffect]:
    """Its machine is there; `worker` None: the scheduler does not answer."""
    told = [] if worker is None else [DemandTold([], [worker])]
    return core.turn([MachinesTold("gpu", [THERE], now), *told], now)


def test_while_the_scheduler_is_away_no_worker_counts_as_lost() -> None:
    core = PoolsCore([SETTINGS], "b")
    assert turn(core, 1000.0, BUSY) == []
    for later in (1020.0, 1100.0, 1500.0):
        assert turn(core, later, None) == []
    for second in range(1501, 1580):  # it is back, and its workers have not found it yet
        if stopped := turn(core, float(second), AWAY):
            break
    assert second == 1561
    assert stopped == [StopMachine("gpu", "gpu-a-1", "i", "w", "its worker is offline for 1m00s")]


def test_a_worker_that_had_joined_before_this_process_began_has_time_to_come_back() -> None:
    core = PoolsCore([SETTINGS], "b")
    core.remember("gpu", "gpu-a-1", 10.0)  # long ago: it should be there by now
    assert turn(core, 1000.0, AWAY) == []
    assert turn(core, 1009.0, BUSY) == []


def test_a_machine_that_could_not_join_meanwhile_has_its_whole_time_again() -> None:
    core = PoolsCore([SETTINGS], "b")
    core.remember("gpu", "gpu-a-1", 1000.0)
    other = PoolWorker("", "", "x", is_online=True)
    assert turn(core, 1001.0, other) == []
    assert turn(core, 1400.0, other) == []
    for second in range(1401, 1702):
        if stopped := turn(core, float(second), other):
            break
    assert (second, [each.reason for each in stopped if isinstance(each, StopMachine)]) == (
        1700,
        ["its worker was not there within 5m00s"],
    )


def test_a_worker_that_is_left_on_the_list_is_taken_off() -> None:
    core = PoolsCore([SETTINGS], "b")
    left, by_hand = AWAY._replace(machine="gpu-a-0", id="v"), AWAY._replace(machine="", id="u")
    elsewhere = left._replace(pool="cpu", id="t")
    found: list[PoolEffect] = []
    for second in range(1000, 1080):
        told = DemandTold([], [BUSY, left, by_hand, elsewhere])
        found += core.turn([MachinesTold("gpu", [THERE], float(second)), told], float(second))
        assert core.is_unclear("gpu") or found, "a provider that tells of changes alone is asked meanwhile"
    assert found == [ForgetMachine("gpu", "gpu-a-0", "v")]

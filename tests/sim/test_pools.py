"""Pools, in lives of all climates: bounds are kept, all comes to rest, and no more is started than there must be."""

from collections.abc import Callable

import pytest

from cluster.domain.pools import core, leaving
from cluster.domain.pools.pool import Machine, Pool
from cluster.domain.scheduler.pool_board import PoolBoard
from tests.sim.pools_world import CLIMATES, Wrong, play

Patch = pytest.MonkeyPatch
Bug = Callable[[Patch], None]


@pytest.mark.parametrize("seed", range(len(CLIMATES)))
def test_a_life_of_each_climate(seed: int) -> None:  # S4.2
    play(seed)


@pytest.mark.extra_pools
@pytest.mark.parametrize("first", range(0, 2000, 100))
def test_two_thousand_lives(first: int) -> None:
    _play_all(range(first, first + 100))


def what_leaves_is_not_counted(patch: Patch) -> None:
    def room(self: Pool, now: float) -> int:
        return max(0, self.maximum - self.stays) if self.told_at and now >= self.not_before else 0

    patch.setattr(Pool, "room", room)


def what_comes_is_not_counted_on(patch: Patch) -> None:
    patch.setattr(Machine, "comes", property(lambda _: False))


def what_one_list_misses_is_gone(patch: Patch) -> None:
    patch.setattr(Pool, "is_gone", lambda _, machine: not machine.is_told and not machine.is_online)


def what_is_idle_goes_at_once(patch: Patch) -> None:
    leave = leaving.leave

    def at_once(pool: Pool, now: float, *, waits: bool) -> object:
        for machine in pool.machines.values():
            if machine.idle_since is not None:
                machine.idle_since = -1.0
        return leave(pool, now, waits=False)

    patch.setattr(core, "leave", at_once)


def what_is_broken_stays(patch: Patch) -> None:
    patch.setattr(leaving, "_broken", lambda *_: "")


def a_scheduler_that_begins_anew_knows_no_wishes(patch: Patch) -> None:
    patch.setattr(PoolBoard, "restore", lambda *_: None)


BUGS: dict[Bug, int] = {  # and of how many lives one must show it
    what_leaves_is_not_counted: 400,
    what_comes_is_not_counted_on: 8,
    what_one_list_misses_is_gone: 400,
    what_is_idle_goes_at_once: 400,
    what_is_broken_stays: 400,
    a_scheduler_that_begins_anew_knows_no_wishes: 400,
}


@pytest.mark.extra_pools
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(bug: Bug, monkeypatch: Patch) -> None:
    bug(monkeypatch)
    with pytest.raises(Wrong):
        _play_all(range(BUGS[bug]))


def _play_all(seeds: range) -> None:
    for seed in seeds:
        play(seed)

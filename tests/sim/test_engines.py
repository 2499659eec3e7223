"""Runners with an engine, in lives of all weathers: nothing that has begun is forgotten, and nothing runs that nobody
wants."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from cluster.domain.launcher.sightings import Sighting
from cluster.worker.runners.engine_containers import EngineContainers
from cluster.worker.runners.engine_store import EngineStore
from tests.sim.engine_cloud import Cloud
from tests.sim.engine_world import WEATHERS, Wrong, play

Patch = pytest.MonkeyPatch
Bug = Callable[[Patch], None]


@pytest.mark.parametrize("seed", range(len(WEATHERS)))
def test_a_life_in_each_weather(seed: int, tmp_path: Path) -> None:  # S3.5
    play(seed, tmp_path)


@pytest.mark.extra_pools
@pytest.mark.parametrize("first", range(0, 2000, 100))
def test_two_thousand_lives(first: int, tmp_path: Path) -> None:
    _play_all(range(first, first + 100), tmp_path)


def what_is_acknowledged_meanwhile_stays_on_disk(patch: Patch) -> None:
    """As it was: an agent that was killed later was told to have lost what had come again."""
    acked, calls = EngineStore.acked, list[int]()

    def some(self: EngineStore, seq: int) -> list[tuple[str, str]]:
        calls.append(seq)
        return acked(self, seq) if len(calls) % 2 else []

    patch.setattr(EngineStore, "acked", some)


def an_order_that_comes_late_goes_on(patch: Patch) -> None:
    patch.setattr(EngineContainers, "doubt", lambda *_: None)


def what_comes_late_is_only_stopped(patch: Patch) -> None:
    """So that its end is taken for that of who comes by its name."""
    patch.setattr(Cloud, "discard", lambda self, name, reference: self.stop(name, reference, 1.0))


def nobody_asks_before_it_is_given_back(patch: Patch) -> None:
    async def there_is_none(*_: object) -> bool:
        return True

    patch.setattr(EngineContainers, "_find", there_is_none)


def what_could_not_be_begun_keeps_its_name(patch: Patch) -> None:
    patch.setattr(EngineStore, "again", lambda *_: [])


def what_was_of_that_name_counts(patch: Patch) -> None:
    """As it was: what could not be begun was told of, and taken for what had come again by its name."""
    patch.setattr(Sighting, "is_same", lambda *_: True)


BUGS: Iterable[Bug] = (
    what_is_acknowledged_meanwhile_stays_on_disk,
    an_order_that_comes_late_goes_on,
    what_comes_late_is_only_stopped,
    nobody_asks_before_it_is_given_back,
    what_could_not_be_begun_keeps_its_name,
    what_was_of_that_name_counts,
)


@pytest.mark.extra_pools
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(bug: Bug, monkeypatch: Patch, tmp_path: Path) -> None:
    bug(monkeypatch)
    with pytest.raises(Wrong):
        _play_all(range(400), tmp_path)


def _play_all(seeds: range, directory: Path) -> None:
    for seed in seeds:
        play(seed, directory / str(seed))

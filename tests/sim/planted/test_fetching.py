"""Planted bugs about contents that attempts wait for."""

from dataclasses import replace

import pytest

from cluster.domain.worker import fetching
from cluster.domain.worker.fetching import Fetches
from cluster.domain.worker.messages import ContentsFetched, Define, FetchContents, Start
from tests.sim import lives
from tests.sim.planted.catching import Bug, Patch, found_by, must_be_caught, planted


@found_by(0)
def starts_before_it_is_here(patch: Patch) -> None:
    admit = Fetches.admit

    def at_once(self: Fetches, define: Define, start: Start) -> list[FetchContents | Start]:
        effects = admit(self, define, start)
        return effects if start in effects else [*effects, start]

    patch.setattr(Fetches, "admit", at_once)


@found_by(12)
def waits_for_ever_when_it_can_never_be_had(patch: Patch) -> None:
    fetched = Fetches.fetched
    patch.setattr(Fetches, "fetched", lambda self, event, frozen: [] if event.refusal else fetched(self, event, frozen))


@found_by(0)
def lets_go_of_what_runs(patch: Patch) -> None:
    """The cache may drop it before all have started."""
    fetched = Fetches.fetched

    def lets_go(self: Fetches, event: ContentsFetched, frozen: dict[object, None]) -> list[object]:
        effects = fetched(self, event, frozen)  # type: ignore[arg-type]
        if fetch := self._fetches.get(event.number):
            fetch.keys.clear()
        return list(effects)

    patch.setattr(Fetches, "fetched", lets_go)


@found_by(0)
def keeps_what_nobody_uses(patch: Patch) -> None:
    patch.setattr(Fetches, "ended", lambda self, key: None)


@found_by(53)
def a_recall_is_left_to_the_launcher(patch: Patch) -> None:
    """That has never heard of what waits."""
    patch.setattr(Fetches, "take_out", lambda self, effects: [])


@found_by(4)
def starts_by_a_template_that_is_another_jobs(patch: Patch) -> None:
    fetched = Fetches.fetched

    def by_its_own(self: Fetches, event: ContentsFetched, frozen: dict[object, None]) -> list[object]:
        effects = fetched(self, event, frozen)  # type: ignore[arg-type]
        return [replace(e, template=0) if isinstance(e, Define | Start) else e for e in effects]

    patch.setattr(Fetches, "fetched", by_its_own)
    patch.setattr(fetching, "LATE", 0)


@pytest.mark.slow
@planted(
    starts_before_it_is_here,
    waits_for_ever_when_it_can_never_be_had,
    lets_go_of_what_runs,
    keeps_what_nobody_uses,
    a_recall_is_left_to_the_launcher,
    starts_by_a_template_that_is_another_jobs,
)
def test_what_waits_for_its_contents(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_uploads, searched=200)

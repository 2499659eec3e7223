"""The launcher's decisions where an *engine* (Kubernetes, ECS) runs the attempts, each in a *container* of its own.

All is as in `LauncherCore`: the backlog, leases, stops with grace, reports. A slot stands for one container. What is
different: a container outlives whoever asked for it, so attempts are adopted after a crash; and an engine may lose one,
and say why.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.domain.job import endings
from cluster.domain.launcher.allocation import Needs
from cluster.domain.launcher.core import LauncherCore
from cluster.domain.launcher.messages import (
    Effect,
    Ended,
    Event,
    ProcessEnded,
    ProcessStarted,
    SlotReturned,
    StartFailed,
)
from cluster.domain.launcher.sightings import Sight, Sighting, code_and_signal
from cluster.domain.launcher.slots import Attempt, Phase
from cluster.domain.launcher.stopping import cause_of
from cluster.domain.launcher.template import Item, Template


@dataclass(slots=True)
class ContainerSeen:
    """The engine says this of the attempt's container. `wall_us`: when, in µs since the Unix epoch. `sizes`: bytes of
    its output, of what is over."""

    key: str
    seen: Sighting
    wall_us: int
    sizes: tuple[int, int] = (0, 0)


class EngineCore(LauncherCore):
    """A slot takes one attempt at a time: containers do not wait in each other."""

    def adopt(self, item: Item, template: Template, now: float, wall_us: int, ran: float) -> None:
        """An earlier agent has ordered a container for this. `wall_us`: when it began, as was reported; 0: that was
        not. `ran`: seconds for which it has run since. It holds what it needs even where there is less by now."""
        attempt = self.attempts[item.key] = Attempt(item, template)
        if template.leash is not None:
            attempt.leashed = True
            self._leashes[template.leash] = self._leashes.get(template.leash, 0) + 1
        slot = self.slots.idle((None, None))
        assert slot is not None, "no more are adopted than were held"
        self.allocation.take(slot.number, Needs(template.cpus, template.amounts, template.exclusive))
        attempt.phase, attempt.slot = Phase.STARTING, slot
        slot.hand(attempt, now)
        if wall_us:
            attempt.phase, attempt.pid, attempt.wall_us = Phase.RUNNING, 1, wall_us
            if template.timeout is not None:
                self._set_deadline(attempt, now - ran + template.timeout)

    def given_back(self, keys: Iterable[str]) -> list[str]:
        """Those of these that were given back, and nobody has acknowledged that."""
        return [key for key in keys if self._ended_unacked.get(key) == endings.RETURNED]

    def grace_left(self, key: str, now: float) -> float:
        """Seconds until the attempt, which was told to end, is ended by force."""
        attempt = self.attempts.get(key)
        return 0.0 if attempt is None or attempt.deadline is None else max(0.0, attempt.deadline - now)

    def _on_event(self, event: Event | ContainerSeen, now: float, effects: list[Effect]) -> None:
        if not isinstance(event, ContainerSeen):
            super()._on_event(event, now, effects)
        elif (attempt := self.attempts.get(event.key)) is not None and attempt.slot is not None:
            self._on_seen(attempt, event, now, effects)

    def _on_seen(self, attempt: Attempt, event: ContainerSeen, now: float, effects: list[Effect]) -> None:
        """It may be told twice, and not all of it: what has ended has begun."""
        key, seen = event.key, event.seen
        if attempt.phase is Phase.STARTING and seen.sight in (Sight.RUNNING, Sight.ENDED):
            began = seen.began_us or event.wall_us
            started = ProcessStarted(key, 1, began, now - max(0, event.wall_us - began) / 1e6)
            super()._on_event(started, now, effects)
        if seen.sight is Sight.ENDED:
            code, signal = code_and_signal(seen.code)
            took = (self._took(attempt, seen), 0, 0, event.sizes)
            ended = ProcessEnded(key, code, signal, *took, wall_us=seen.began_us, text=seen.text, oom=seen.oom)
            super()._on_event(ended, now, effects)
        elif seen.sight.over and attempt.phase is Phase.STARTING and attempt.wanted is not None:
            assert attempt.slot is not None
            super()._on_event(SlotReturned(attempt.slot.number, [key]), now, effects)
        elif seen.sight is Sight.UNMADE and attempt.phase is Phase.STARTING:
            super()._on_event(StartFailed(key, seen.text, None, seen.returned), now, effects)
        elif seen.sight.over:
            self._on_container_lost(attempt, event, effects)

    def _took(self, attempt: Attempt, seen: Sighting) -> int:
        """Of one whose time was over, at least that, if the engine's clock is not exact enough to deny it."""
        limit = round((attempt.template.timeout or 0) * 1e6)
        is_late = attempt.cause == endings.TIMEOUT and seen.took_us + seen.within_us >= limit
        return max(seen.took_us, limit) if is_late else seen.took_us

    def _on_container_lost(self, attempt: Attempt, event: ContainerSeen, effects: list[Effect]) -> None:
        """What we have asked for gives its end the name: that it is gone is all we wanted."""
        reason = attempt.cause or cause_of(attempt.wanted) or endings.LOST
        self._forget(attempt)
        said = (reason, None, attempt.sent, attempt.wall_us, event.seen.took_us)
        text = event.seen.text if reason == endings.LOST else ""
        ended = Ended(self._next_seq(), event.key, *said, out=event.sizes[0], err=event.sizes[1], text=text)
        self._report(ended, effects)
        self._leave(attempt, effects)

    def _work_ahead(self, now: float, effects: list[Effect]) -> None:
        pass

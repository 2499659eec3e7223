"""The hardware below a simulated machine: its power and its clock, which all directories on it share.

A worker's directory may be copied on the machine that it is on; then two workers run on one box, and lose its power
and get a new boot together.
"""

from typing import Protocol

from tests.sim.world import World


class Powered(Protocol):
    """What loses power and starts again with its box."""

    def loses_power(self) -> None: ...

    def boots(self) -> None: ...


class Box:
    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self.name = name
        self.boot = f"boot-{name}"
        self.on = True
        self.above: list[Powered] = []
        self._rate = world.between(0.995, 1.005)  # of its clock
        self._booted = world.now - world.between(10, 1e6)

    @property
    def clock(self) -> float:
        """Seconds since it booted, as it counts them."""
        return (self._world.now - self._booted) * self._rate

    def counts(self, seconds: float) -> float:
        """What its clock shows after so many true seconds."""
        return seconds * self._rate

    def until(self, at: float) -> float:
        """True seconds until its clock shows `at`, and not a tick before."""
        return (at - self.clock) / self._rate + 1e-9

    def reboot(self, back_after: float) -> None:
        """Power off, for so many seconds: nobody is told."""
        self.on = False
        for each in self.above:
            each.loses_power()
        self._world.at(back_after, self._starts)

    def _starts(self) -> None:
        self.on = True
        self.boot = f"boot-{self.name}-{self._world.now:.6f}"
        self._booted = self._world.now
        for each in self.above:
            each.boots()

"""What an engine must be able to do to run a worker's attempts, and how it says that it cannot.

Every call blocks, and is made in a thread that waits for nothing else; several may be made at once.
"""

from collections.abc import Callable, Mapping
from threading import Event
from typing import NamedTuple, Protocol

from cluster.domain.launcher.sightings import Sighting
from cluster.domain.worker.engine_orders import ContainerOrder


class EngineRefused(Exception):
    """It will never make that container. The text says why."""


class EngineFull(Exception):
    """It does not answer, or has no room now: what was asked may have been done all the same, or be done yet. The text
    says why."""


class EngineDeclined(EngineFull):
    """It has answered, and has done nothing; later it may."""


class OutputPart(NamedTuple):
    """What comes next of a container's output. `position`: where what follows begins. `more`: some is there."""

    data: bytes
    position: str
    more: bool


Tell = Callable[[Sighting], None]
Wanted = Callable[[], Mapping[str, str]]  # of containers that have not ended: name, and reference ("" while unknown)


class Engine(Protocol):
    """`name`: as `--runner` calls it. `metadata`: what it is, by keys, for people. `external_id`: how others call it,
    once it was checked. `reference`: how it calls an attempt (domain/session/elsewhere.py)."""

    @property
    def name(self) -> str: ...
    @property
    def metadata(self) -> Mapping[str, str]: ...
    @property
    def external_id(self) -> str: ...
    @property
    def reference(self) -> str: ...

    def check(self) -> None:
        """ClusterError, in one line, for what keeps it from running anything."""

    def make(self, order: ContainerOrder) -> Sighting:
        """Makes the container, or finds the one of that name. Raises EngineRefused, EngineFull."""

    def find(self, name: str) -> Sighting | None:
        """The container of that name; None: there is none. Raises EngineFull."""

    def watch(self, owner: str, wanted: Wanted, tell: Tell, over: Event) -> None:
        """Tells of each that is wanted what has changed, and of those that it does not know that they are lost; and, at
        first, of what there is of this owner's without being wanted. Returns when it is `over`."""

    def stop(self, name: str, reference: str, grace: float) -> None:
        """Ends the container: SIGTERM, and SIGKILL after so many seconds, as far as the engine lets that be chosen.
        Once more with less grace hastens that. What has ended stays as it is. Raises EngineFull."""

    def output(self, name: str, reference: str, position: str) -> OutputPart:
        """The next part of its output; `position` is "" at first. Raises EngineFull."""

    def discard(self, name: str, reference: str) -> None:
        """Nobody wants it, whatever it does: ends it soon, and from then on there is none of that name, by any answer:
        `make` and `find` raise EngineFull until it has ended. Raises EngineFull."""

    def forget(self, name: str, reference: str) -> None:
        """Nobody asks for it any more, and it has ended."""

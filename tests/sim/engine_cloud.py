"""An engine of the simulation: containers that begin and end in their time, orders and answers that are lost, and
orders that arrive long after whoever sent them was told that they did not."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cluster.domain.launcher.sightings import Sight, Sighting
from cluster.domain.worker.engine_orders import ContainerOrder
from cluster.worker.runners.engine import EngineFull, OutputPart, Tell, Wanted
from tests.sim.engine_time import START, Time


@dataclass(frozen=True, slots=True)
class Weather:
    """Chances of each call. `late`: an order is told not to have arrived, and arrives up to `latest` seconds after."""

    silent: float = 0.0  # it does not answer, and has done nothing
    unanswered: float = 0.0  # it has done it, and does not answer
    late: float = 0.0
    full: float = 0.0  # a container cannot be begun for want of room
    lives: float = 5.0  # seconds, on average, until an agent is killed
    latest: float = 300.0
    forgets: bool = True  # what is forgotten is gone, and its name free (Kubernetes); else it stays as it is (ECS)


@dataclass(slots=True, eq=False)
class Box:
    """A container. `given_up`: it was discarded. `late`: whoever ordered it was told that it may not come, or died."""

    name: str
    sight: Sight = Sight.PENDING
    began: float = 0.0
    ended: float = 0.0
    code: int | None = None
    returned: bool = False
    given_up: bool = False
    late: bool = False
    signal: int = 0

    @property
    def key(self) -> str:
        job, index, attempt = self.name.split("-")[2:]
        return f"{job}.{index}#{attempt}"


def code_of(key: str) -> int:
    """With which the attempt's command ends."""
    return int(key.partition(".")[2].partition("#")[0]) % 3


class Cloud:
    """As Engine; `discard` and the rest are what the engine and our side of it do together."""

    name, metadata, external_id, reference = "cloud", {"engine": "cloud"}, "cloud", "cloud"

    def __init__(self, time: Time, weather: Weather) -> None:
        self._time, self._weather = time, weather
        self.boxes: list[Box] = []  # all that there ever were
        self._there: list[Box] = []
        self._known: dict[str, Box] = {}  # by the token of the order that made it
        self._tell: Callable[[Sighting], None] | None = None
        self._wanted: Wanted = dict
        self.is_watched = threading.Event()
        self.is_orphan = False  # the next order's sender is dead

    # -- what a runner asks for

    def check(self) -> None:
        pass

    def make(self, order: ContainerOrder) -> Sighting:
        present = self._present(order.name)
        if present and not (present.sight is Sight.UNMADE and present.returned):
            return self._seen(present)
        if present and self._weather.forgets:
            return self._seen(present)
        chance, token = self._time.random.random(), self._token(order.name)
        if chance < self._weather.silent:
            raise EngineFull("it does not answer")
        if (chance := chance - self._weather.silent) < self._weather.late:
            after = self._time.random.uniform(0.0, self._weather.latest)
            self._time.after(after, partial(self._arrives, order.name, token, late=True))
            raise EngineFull("it does not answer, and hears it yet")
        box = self._arrives(order.name, token)
        if chance - self._weather.late < self._weather.unanswered:
            raise EngineFull("its answer is lost")
        return self._seen(box)

    def find(self, name: str) -> Sighting | None:
        self._may_be_silent()
        present = self._present(name)
        return self._seen(present) if present else None

    def watch(self, owner: str, wanted: Wanted, tell: Tell, over: threading.Event) -> None:
        """It is told of by whatever happens: nothing waits here."""
        self._wanted, self._tell = wanted, tell
        self.is_watched.set()

    def look(self) -> None:
        """As a watch begins, and one that has missed something: all that there is is told."""
        wanted = set(self._wanted())
        for box in list(self._there):
            self._told(box)
            wanted.discard(box.name)
        for name in sorted(wanted):
            if self._tell:
                self._tell(Sighting(name, Sight.LOST, self._wanted()[name], text="nobody knows it"))

    def stop(self, name: str, reference: str, grace: float) -> None:
        self._may_be_silent()
        if present := self._present(name):
            self._ends_by(present, 15, grace)

    def output(self, name: str, reference: str, position: str) -> OutputPart:
        self._may_be_silent()
        present = next((box for box in reversed(self.boxes) if box.name == name), None)
        text = present.key.encode() if present and present.began else b""
        return OutputPart(text[int(position or 0) :], str(len(text)), False)

    def discard(self, name: str, reference: str) -> None:
        self._may_be_silent()
        if present := self._present(name):
            present.given_up = True
            self._ends_by(present, 9, 1.0)
            if present.sight.over:
                self._is_gone(present)

    def forget(self, name: str, reference: str) -> None:
        self._may_be_silent()
        if self._weather.forgets and (present := self._present(name)):
            self._is_gone(present)

    # -- what becomes of it

    def alive(self) -> list[Box]:
        return [box for box in self._there if not box.sight.over]

    def _token(self, name: str) -> str:
        return f"{name} {sum(box.name == name for box in self._there)}"

    def _present(self, name: str) -> Box | None:
        """The one of that name. Raises EngineFull while one that was given up is still there."""
        there = [box for box in self._there if box.name == name]
        if any(box.given_up and not box.sight.over for box in there):
            raise EngineFull("the former one has not ended yet")
        there = [box for box in there if not box.given_up]
        return next((box for box in there if not box.returned), there[-1] if there else None)

    def _arrives(self, name: str, token: str, late: bool = False) -> Box:
        late, self.is_orphan = late or self.is_orphan, False
        if not self._weather.forgets and token in self._known:
            return self._known[token]
        if self._weather.forgets and (there := [box for box in self._there if box.name == name]):
            return there[0]
        box = self._known[token] = Box(name, late=late)
        self.boxes.append(box)
        self._there.append(box)
        self._time.after(self._time.random.uniform(0.0, 3.0), lambda: self._begins(box))
        return box

    def _begins(self, box: Box) -> None:
        if box.sight.over:
            return
        if self._time.random.random() < self._weather.full:
            box.sight, box.returned = Sight.UNMADE, True
        else:
            box.sight, box.began = Sight.RUNNING, self._time.now
            self._time.after(self._time.random.uniform(0.0, 20.0), lambda: self._ends(box, code_of(box.key)))
        self._tells(box)

    def _ends(self, box: Box, code: int) -> None:
        if not box.sight.over:
            box.sight = Sight.ENDED if box.began else Sight.UNMADE
            box.code, box.ended = code, self._time.now
            self._tells(box)
            if box.given_up:
                self._is_gone(box)

    def _ends_by(self, box: Box, signal: int, grace: float) -> None:
        after = self._time.random.uniform(0.0, max(grace, 0.1))
        box.signal = max(box.signal, signal)
        self._time.after(after, lambda: self._ends(box, 128 + signal))

    def _is_gone(self, box: Box) -> None:
        if self._weather.forgets and box in self._there:
            self._there.remove(box)

    def _tells(self, box: Box) -> None:
        self._time.after(self._time.random.uniform(0.0, 0.5), lambda: self._told(box))

    def _told(self, box: Box) -> None:
        is_asked_about = self._weather.forgets or self._wanted().get(box.name) == self._reference(box)
        if self._tell and is_asked_about and not box.given_up:
            self._tell(self._seen(box))

    def _reference(self, box: Box) -> str:
        return box.name if self._weather.forgets else f"{box.name}/{self.boxes.index(box)}"

    def _may_be_silent(self) -> None:
        if self._time.random.random() < self._weather.silent:
            raise EngineFull("it does not answer")

    def _seen(self, box: Box) -> Sighting:
        began, ended = _us(box.began), _us(box.ended)
        return Sighting(
            box.name,
            box.sight,
            self._reference(box),
            "",
            began,
            ended,
            box.code,
            returned=box.returned,
            uid=str(self.boxes.index(box)),
        )


def _us(at: float) -> int:
    return round((START + at) * 1e6) if at else 0

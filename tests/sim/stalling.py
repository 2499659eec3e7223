"""A process that can be stopped: what would have happened in it happens when it goes on.

While it stands still the kernel goes on: bytes gather in its sockets, and its timers run out. When it goes on, what is
due by the clock happens first, and what waits in the sockets a moment later: the worst order that real loops show.
(A launcher reads its sockets before it looks at the clock.)
"""

from collections import deque
from collections.abc import Callable

from cluster.domain.base.stalls import LISTENING
from tests.sim.world import Action, World


class Stalling:
    def __init__(self, world: World, *, reads_first: bool = False) -> None:
        self._world = world
        self._reads_first = reads_first
        self._holds = 0  # how many reasons there are to stand still
        self.went_on = 0.0  # when it did so last
        self._hung: deque[Action] = deque()  # in the midst of which it stood still
        self._due: deque[Action] = deque()
        self._unread: deque[Action] = deque()

    @property
    def stopped(self) -> bool:
        return self._holds > 0

    def awake_since(self, at: float) -> bool:
        """Whether it has not stood still from then until now."""
        return not self.stopped and self.went_on <= at

    def stop(self) -> None:
        self._holds += 1

    def hang_until(self, tell: Callable[[Action], None], then: Action) -> None:
        """It stands still in the midst of something, until who is asked to `tell` does: `then` it goes on with that,
        before all else."""

        def goes_on() -> None:
            self._hung.append(then)
            self.go_on()

        self.stop()
        tell(goes_on)

    def go_on(self) -> None:
        self._holds -= 1
        if self._holds:
            return
        self.went_on = self._world.now
        while self._hung and not self.stopped:
            self._hung.popleft()()
        if self._reads_first:
            self._read()
        while self._due and not self.stopped:
            self._due.popleft()()
        self._world.at(self._world.between(0.0, LISTENING / 2), self._read)

    def on_time(self, action: Action) -> None:
        """A timer has run out, or a step of its own is to be done."""
        if self._holds:
            self._due.append(action)
        else:
            action()

    def hear(self, action: Action) -> None:
        """Something has come in by a socket, after all that came before."""
        if self._holds or self._unread:
            self._unread.append(action)
        else:
            action()

    def _read(self) -> None:
        while self._unread and not self.stopped:
            self._unread.popleft()()

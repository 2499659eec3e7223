"""What is on the terminal, and what brings it to what the model is now: rows that are others than before."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cluster.cli.top.drawing import Row, draw
from cluster.cli.top.painting import paint

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from cluster.cli.top.model import Model
    from cluster.cli.top.terminal import Terminal


class Screen:
    def __init__(self, terminal: Terminal, *, colours: bool) -> None:
        self._terminal, self._colours = terminal, colours
        self._rows: list[Row] | None = None  # on the terminal; None: nobody knows
        self._size = (0, 0)  # for which they were drawn
        self._missed = False  # something was to be drawn, and the terminal had not taken what was drawn before
        self._again: Callable[[], object] = lambda: None

    def show(self, model: Model) -> None:
        """Draws what has changed, once the terminal has taken what was drawn before."""
        if self._terminal.is_busy:
            self._missed = True
            return
        size = self._terminal.size
        rows = draw(model, *size, time.time())
        text = paint(self._rows if size == self._size else None, rows, size[0], colours=self._colours)
        self._rows, self._size = rows, size
        if text:
            self._terminal.write(text, self._drawn)

    def take(self, model: Model) -> None:
        """Takes the terminal and shows that, before anything else is loaded that takes time."""
        self._terminal.take(self._drawn)
        self.show(model)

    def enter(
        self,
        loop: AbstractEventLoop,
        pressed: Callable[[bytes], object],
        gone: Callable[[], object],
        again: Callable[[], object],
    ) -> None:
        """Takes the terminal, and listens to it. `again`: it has taken a frame, and there may be something newer."""
        self._again = again
        self._terminal.take(self._drawn)
        self._terminal.listen(loop, pressed, gone)

    def leave(self) -> None:
        self._terminal.leave()

    def forget(self) -> None:
        """Nobody knows what is on the terminal."""
        self._rows = None

    def _drawn(self) -> None:
        """The terminal has taken a frame. Where it is slow there may be something newer."""
        if self._missed:
            self._missed = False
            self._again()

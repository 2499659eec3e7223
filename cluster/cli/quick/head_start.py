"""What a quick command has done already when the whole command line takes over."""

import signal
from collections.abc import Callable
from typing import Any


class HeadStart:
    """A job that is handed in, and followed if it is to be."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id  # to hand it in by again: that answers the same job
        self.sent = False  # something of the request to hand it in: the scheduler may have heard that
        self.accepted: Any = None  # the job's message, once the scheduler has answered
        self.position: tuple[int, int, int, int, int] | None = None  # as client.position.Position: what was read
        self.unwritten: list[tuple[bool, bytes]] = []  # what was read and not written: whether to stderr, and bytes
        self.signals: list[int] = []  # that came meanwhile, to be acted upon
        self._waking: Callable[[], object] = lambda: None

    def catch_signals(self, waking: Callable[[], object]) -> None:
        """From now on those that have a meaning for who follows a job are kept; `waking` is called for each."""
        self._waking = waking
        signal.signal(signal.SIGINT, self._caught)
        signal.signal(signal.SIGTERM, self._caught)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._caught)

    def act_upon_signals(self) -> None:
        """Once there are others to handle them."""
        while self.signals:
            signal.raise_signal(self.signals.pop(0))

    def _caught(self, number: int, frame: object) -> None:
        self.signals.append(number)
        self._waking()

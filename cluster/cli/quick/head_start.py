"""What a quick command has done already when the whole command line takes over."""

import signal
from collections.abc import Callable
from typing import Any


class HeadStart:
    """A job that a quick command has begun to submit, and perhaps to follow."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id  # a repeated submission with it answers the same job
        self.sent = False  # some of the request was sent: the scheduler may have accepted it
        self.accepted: Any = None  # the job's message, once the scheduler has answered
        self.position: tuple[int, int, int, int, int] | None = None  # as client.position.Position: what was read
        self.unwritten: list[tuple[bool, bytes]] = []  # output that was read and not yet written: (to stderr, bytes)
        self.signals: list[int] = []  # numbers of those that came, for act_upon_signals
        self._waking: Callable[[], object] = lambda: None

    def catch_signals(self, waking: Callable[[], object]) -> None:
        """From now on SIGINT, SIGTERM and SIGHUP are kept for later; `waking` is called for each."""
        self._waking = waking
        signal.signal(signal.SIGINT, self._caught)
        signal.signal(signal.SIGTERM, self._caught)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._caught)

    def act_upon_signals(self) -> None:
        """Raises the kept signals again, once the whole command line handles them."""
        while self.signals:
            signal.raise_signal(self.signals.pop(0))

    def _caught(self, number: int, frame: object) -> None:
        self.signals.append(number)
        self._waking()

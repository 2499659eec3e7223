"""The output of a container that is being ended, followed until it ends: its log goes with its Pod."""

import threading
from typing import Any

from cluster.domain.worker.kubernetes_logs import LogReader
from cluster.worker.runners.engine import OutputPart

MOST_HELD = 4 << 20  # bytes that nobody has taken yet
PATIENCE = 5.0  # seconds that somebody waits for more
_PART = 1 << 16  # bytes


class KubernetesTail:
    """`answer`: of the log API, that follows. Its thread ends with the container."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self._reader: LogReader | None = None
        self._parts: list[bytes] = []
        self._held = 0
        self._ended = False
        self._changed = threading.Condition()
        threading.Thread(target=self._read, name="log-tail", daemon=True).start()

    def next(self, position: str) -> OutputPart | None:
        """What comes next after `position`, which is where the part before has ended; None: nothing will."""
        with self._changed:
            self._changed.wait_for(lambda: self._parts or self._ended, PATIENCE)
            parts, self._parts, self._held = self._parts, [], 0
            self._changed.notify_all()
            if not parts:
                return None if self._ended else OutputPart(b"", position, False)
        if self._reader is None:
            self._reader = LogReader(position, 1 << 62)
        for part in parts:
            self._reader.feed(part)
        return OutputPart(self._reader.take(), self._reader.position, True)

    def _read(self) -> None:
        try:
            for part in self._answer.stream(_PART):
                with self._changed:
                    self._changed.wait_for(lambda: self._held < MOST_HELD)
                    self._parts.append(part)
                    self._held += len(part)
                    self._changed.notify_all()
        except Exception:  # noqa: S110 (the connection broke: what has come is all that comes)
            pass
        finally:
            self._answer.close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

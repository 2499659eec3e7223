"""The output of a container, copied from its engine into the attempt's file, from where an earlier agent has stopped.

An engine keeps one stream: what a command writes to stderr is in the `.out` file, too.
"""

import os
from contextlib import suppress
from pathlib import Path

from cluster.domain.base.ids import AttemptKey
from cluster.domain.launcher.template import Template
from cluster.worker.runners.engine import Engine


class EngineOutput:
    """Of one attempt. Use it from one thread at a time."""

    def __init__(self, key: AttemptKey, template: Template) -> None:
        self.path = Path(template.outputs, f"{key.index}.{key.attempt}.out")
        self._position = ""
        self._skip: int | None = None  # bytes that an earlier agent has copied; None: nobody has looked

    def copy(self, engine: Engine, name: str, reference: str) -> bool:
        """Copies the next part, if any. Answers whether there is more just now. Raises EngineFull, OSError."""
        if self._skip is None:
            self._skip = self.size
        part = engine.output(name, reference, self._position)
        data, self._skip = part.data[self._skip :], max(0, self._skip - len(part.data))
        if data:
            fd = self._open()
            try:
                while data:
                    data = data[os.write(fd, data) :]
            finally:
                os.close(fd)
        self._position = part.position
        return part.more

    def prepare(self) -> None:
        """Makes its file: whoever follows it may come before anything is written, and takes no file for no output."""
        os.close(self._open())

    def remove_empty(self) -> None:
        """Removes the file if nothing was written, as a launcher does: whoever follows it has it open."""
        if not self.size:
            with suppress(FileNotFoundError):
                self.path.unlink()

    def _open(self) -> int:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    @property
    def size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

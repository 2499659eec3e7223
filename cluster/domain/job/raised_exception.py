"""What a program raised, as its traceback tells (cluster.domain.job.traceback_reader)."""

from dataclasses import dataclass

MAIN = "<module>"  # what Python calls the function that is a file's own code


@dataclass(frozen=True, slots=True)
class RaisedException:
    """One exception as its traceback tells of it, and where it was raised: of frames the last one."""

    type: str  # as in ValueError, or module.Error
    message: str = ""  # its first line
    file: str = ""  # "": not known, as of one that was never raised; so are the next two
    line: int = 0
    function: str = ""  # "" also of a SyntaxError
    following: tuple[str, ...] = ()  # more of the message, notes, and what else was written after it
    cause: "RaisedException | None" = None  # which it was raised from, or while handling
    first_in_group: "RaisedException | None" = None  # of a group: the first in it that is no group itself

    @property
    def in_words(self) -> str:
        """For people, in one line: `ValueError: bad row (load.py:17 in parse), after KeyError: 'x' (load.py:15)`."""
        words = f"{self.type}: {self.message}" if self.message else self.type
        if self.file:
            function = "" if self.function in ("", MAIN) else f" in {self.function}"
            words += f" ({self.file.rpartition('/')[2]}:{self.line}{function})"
        if self.first_in_group:
            words += f", first {self.first_in_group.in_words}"
        return f"{words}, after {self.cause.in_words}" if self.cause else words

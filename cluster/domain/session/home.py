"""Where a worker lives, as it says in each hello.

What follows from it is in `cluster.domain.scheduler.clone_detection`.
"""

from typing import NamedTuple


class Home(NamedTuple):
    """Three texts without spaces; empty when not known (workers before 0.2 do not say)."""

    machine: str = ""  # the same after a reboot, as far as that can be told
    boot: str = ""  # of the kernel: two machines never share one
    directory: str = ""  # the same as long as it is not a copy, within a boot

    @property
    def is_known(self) -> bool:
        return bool(self.boot and self.directory)

    def is_elsewhere(self, other: "Home") -> bool:
        """Whether a worker that lives here is certainly not the process tree that lives in `other`."""
        return self.is_known and other.is_known and (self.boot, self.directory) != (other.boot, other.directory)

    def __str__(self) -> str:
        return " ".join(self) if self.is_known else ""

    @classmethod
    def parse(cls, text: str) -> "Home":
        """The home that `str` has made this text of; UNKNOWN for any other text."""
        parts = text.split(" ")
        return cls(*parts) if len(parts) == 3 else cls()


UNKNOWN = Home()

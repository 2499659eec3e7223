"""What an engine says of one container, in the same words for every engine."""

from dataclasses import dataclass
from enum import Enum

from cluster.domain.base.signals import signal_name

_LAST_SIGNAL = 31  # beyond these are real-time signals, which end nothing that programs did not make them for


class Sight(Enum):
    """`UNMADE`: the container was not begun, and never will be. `LOST`: the engine has taken it away, or has forgotten
    it: how its command ended cannot be known."""

    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"
    UNMADE = "unmade"
    LOST = "lost"

    @property
    def over(self) -> bool:
        return self in (Sight.ENDED, Sight.UNMADE, Sight.LOST)


@dataclass(frozen=True, slots=True)
class Sighting:
    """`name`: of the container. `reference`: by which the engine calls it. `node`: the machine that runs it there, if
    it is told. Times in microseconds since the Unix epoch, 0: not told; `within_us`: how exactly they are. `returned`:
    of what was not begun: the engine had no room for it, so it may start elsewhere. `text`: why, for people. `uid`:
    where a reference may be given again, what tells the container from a later one; empty: not told."""

    name: str
    sight: Sight
    reference: str = ""
    node: str = ""
    began_us: int = 0
    ended_us: int = 0
    code: int | None = None
    oom: bool = False
    returned: bool = False
    text: str = ""
    within_us: int = 0
    uid: str = ""

    def is_same(self, other: "Sighting") -> bool:
        """Whether both may be of one container; else there was another of its name."""
        return self.reference in ("", other.reference) and (not self.uid or not other.uid or self.uid == other.uid)

    @property
    def took_us(self) -> int:
        return max(0, self.ended_us - self.began_us) if self.began_us else 0


def code_and_signal(code: int | None) -> tuple[int | None, str | None]:
    """As a container's exit code says it: from 129 on, a signal ended its command. What is no signal's is a code."""
    if code is not None and 0 < code - 128 <= _LAST_SIGNAL:
        return None, signal_name(code - 128)
    return code, None

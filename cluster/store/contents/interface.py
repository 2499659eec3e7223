"""What a store of contents can do. All of it blocks, and may be called from any thread.

A content counts for its **senders** alone: nobody learns, and nobody uses, what only somebody else has sent. Jobs
**use** trees and contents; a tree that is used **holds** all that is in it. What nothing holds goes a day after it
came.
"""

from collections.abc import Iterator, Sequence
from math import inf
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from cluster.domain.base.errors import Unreachable
from cluster.domain.files.tree import Entry, TreeSize

LIFE = 24 * 3600.0  # seconds that a content stays which nothing holds


class BrokenContent(Unreachable):
    """What came before of a content that broke off was damaged, and has been removed: send all of it again."""


class Missing(NamedTuple):
    """One of the contents that somebody asked for, and has to send."""

    place: int  # in the question
    begun: int  # bytes that are here already


class ContentsSpace(NamedTuple):
    """What contents take."""

    contents: int  # how many there are
    bytes: int
    coming: int  # bytes of what has not come whole yet


class NewContent(Protocol):
    """A large content as it comes in. Use it in `with`: what was not kept may be gone on with."""

    def write(self, data: bytes) -> None:
        """More of it. InvalidInput for more than its size; Exhausted where the disk is full."""
        ...

    def keep(self) -> None:
        """Makes it durable. InvalidInput where it is not what its digest says, BrokenContent where what came before may
        be why: nothing of it stays then."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Contents(Protocol):
    """Every method raises StoreFailed where it cannot do its work, Exhausted where that is for want of room."""

    def missing(self, sender: str, digests: Sequence[bytes]) -> list[Missing]:
        """Those of the contents that the sender has to send, in their order."""
        ...

    def add(self, sender: str, contents: Sequence[tuple[bytes, bytes]]) -> None:
        """Keeps small contents, each with its digest: all of them, or none. InvalidInput where one is not what its
        digest says."""
        ...

    def new(self, sender: str, digest: bytes, size: int, offset: int) -> NewContent:
        """A large content that begins to come in, at the offset. Conflict where so much of it is not here."""
        ...

    def use(
        self, by: str, sender: str | None, trees: Sequence[bytes] = (), plain: Sequence[bytes] = (), owner: str = ""
    ) -> TreeSize:
        """`by`, a job's UUID, uses these trees, and contents that are no trees, until `release`: durable when this
        returns. What the trees come to. `owner`: the id of the user whose job it is. MissingContents unless the sender
        has sent all of it (None: whoever has); InvalidInput for what is no tree."""
        ...

    def release(self, *several: str) -> None:
        """What these jobs used, they use no more, and nobody asks for it again."""
        ...

    def pass_on(self, by: str, heirs: Sequence[str]) -> None:
        """What `by` uses, these use from now on, too, for the same owner; but for those whose files have expired."""
        ...

    def expire(
        self, several: Sequence[str], at: float, why: str, least: float = inf, *, dry: bool = False
    ) -> tuple[int, int]:
        """These use no more what they have used, in this order, until so many bytes or more are held by nobody. How
        many of them used anything, and the bytes that may go now. Who asks `expired` hears when and why. `dry`: only
        says what that would be."""
        ...

    def expired(self, by: str) -> tuple[float, str] | None:
        """When and why what it used was let go; None: it was not."""
        ...

    def used_by(self, by: str) -> set[bytes]:
        """The digests of the trees and contents that it uses."""
        ...

    def held_bytes(self) -> int:
        """Bytes of all that something holds."""
        ...

    def owned_bytes(self, owner: str) -> int:
        """Bytes of all that jobs of that owner use, each content counted once."""
        ...

    def owners(self) -> list[str]:
        """Of jobs that use anything."""
        ...

    def users(self, after: str, since: float, most: int) -> list[str]:
        """Who uses something since before that time, or did, by UUID: those after `after`."""
        ...

    def is_held(self, tree: bytes, digests: Sequence[bytes]) -> bool:
        """Whether the tree is used, and holds all of these."""
        ...

    def sizes(self, digests: Sequence[bytes]) -> dict[bytes, int]:
        """Bytes of those that are here."""
        ...

    def small(self, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        """Those of them that are here and small."""
        ...

    def read(self, digest: bytes, offset: int = 0) -> Iterator[bytes]:
        """A content from that byte on, in pieces. NotFound where it is not here."""
        ...

    def entries(self, tree: bytes) -> Iterator[Entry]:
        """Those of a tree. NotFound where it is not here."""
        ...

    def space(self) -> ContentsSpace:
        """What all of it takes."""
        ...

    def collect(self, most: int) -> int:
        """Removes contents whose time is over and which nothing holds, at most so many, and returns how many. Their
        space is given back. Fewer than `most`: there are no more."""
        ...

    def tidy(self) -> None:
        """Removes what a crash has left, and what broke off and nobody has gone on with for a day."""
        ...

    def close(self) -> None: ...

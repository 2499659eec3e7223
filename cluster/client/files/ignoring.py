"""What of a directory is left out: what its .gitignore and .clusterignore files say, and git's own directory.

Both have git's syntax and meaning: a file's lines are about what lies below its directory; of several lines that match
a path the last counts, and those of the deepest file. What a .clusterignore says comes before all that .gitignore files
say, so `!build/` there brings back what git leaves out. Below a directory that is left out nothing is looked at.
"""

import os
from typing import TYPE_CHECKING

from cluster.domain.base.errors import InvalidInput
from cluster.domain.files.tree import shown

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

OURS, GITS = b".clusterignore", b".gitignore"
GIT = b".git"
_MOST = 1024 * 1024  # bytes of such a file


class Ignored:
    """What is left out in one directory and below it, as far as the directories above say."""

    def __init__(self, directory: bytes, above: "Ignored | None" = None) -> None:
        """`directory` is absolute. InvalidInput where one of its files cannot be read."""
        self._above = above
        self._from = len(directory) + (directory != b"/")
        self._ours, self._gits = (_spec_in(directory, name) for name in (OURS, GITS))
        self.says_something: bool = bool(self._ours or self._gits or (above and above.says_something))

    def leaves_out(self, path: bytes, *, is_directory: bool) -> bool:
        """Whether this path is left out, an absolute one below the directory."""
        if self.says_something:
            for name in (OURS, GITS):
                if (said := self._said(name, path, is_directory)) is not None:
                    return said
        return is_directory and os.path.basename(path) == GIT

    def _said(self, name: bytes, path: bytes, is_directory: bool) -> bool | None:
        """What the files of that name say; None: nothing."""
        spec = self._ours if name == OURS else self._gits
        if spec is not None:
            text = path[self._from :].decode(errors="surrogateescape")
            found = spec.check_file(f"{text}/" if is_directory else text).include
            if found is not None:
                return found
        return self._above._said(name, path, is_directory) if self._above else None


def ignored_from_above(directory: bytes) -> Ignored | None:
    """What the directories above say, up to that of the git repository it is in; None: nothing, and nothing either
    where they leave out the directory itself, which somebody has named all the same."""
    above: list[bytes] = []
    here = directory
    while not os.path.isdir(os.path.join(here, GIT)):
        parent = os.path.dirname(here)
        if parent == here:
            return None
        above.append(here := parent)
    found: Ignored | None = None
    for each in reversed(above):
        found = Ignored(each, found)
    path = directory
    while found and path not in (here, os.path.dirname(path)):
        if found.leaves_out(path, is_directory=True):
            return None
        path = os.path.dirname(path)
    return found


def _spec_in(directory: bytes, name: bytes) -> "GitIgnoreSpec | None":
    path = os.path.join(directory, name)
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InvalidInput(f"{shown(path)} cannot be read: {error.strerror}") from None
    try:
        text = os.read(file, _MOST).decode(errors="surrogateescape")
    except IsADirectoryError:
        return None
    finally:
        os.close(file)
    from pathspec import GitIgnoreSpec  # 20 ms, where there is such a file

    try:
        return GitIgnoreSpec.from_lines(line.removesuffix("\r") for line in text.split("\n"))
    except ValueError as error:
        raise InvalidInput(f"{shown(path)}: {error}") from None

"""What a command says beside its answer."""

import sys

from cluster.domain.base.printable import printable


def remark(words: str) -> None:
    """Prints one line on stderr."""
    print(f"cluster: {printable(words)}", file=sys.stderr)

"""The one question that destructive commands ask, and only on a terminal."""

import sys

import click

from cluster.domain.base.errors import ClusterError


def is_terminal() -> bool:
    """Whether stdin and stderr are a terminal, so that a person can be asked. Scripts are not."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str) -> None:
    """Asks the question on a terminal, and raises ClusterError unless the answer is yes. Elsewhere it does nothing."""
    if is_terminal() and not click.confirm(question, err=True):
        raise ClusterError("nothing was done; --yes would not have asked")

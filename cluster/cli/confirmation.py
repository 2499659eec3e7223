"""The one question that destructive commands ask, and only on a terminal."""

import sys

import click

from cluster.domain.base.errors import ClusterError


def is_terminal() -> bool:
    """Whether somebody is there to be asked. In a pipe or a script commands do what they were told."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str) -> None:
    """ClusterError unless the answer is yes, where there is somebody to give one."""
    if is_terminal() and not click.confirm(question, err=True):
        raise ClusterError("nothing was done; --yes would not have asked")

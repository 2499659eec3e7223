"""The CLUSTER_ variables that there are, so that one whose name is misspelt is not ignored without a word."""

import os
import sys
from collections.abc import Iterator

import click

from cluster.domain.job.task_variables import OWN_VARIABLES

PREFIX = "CLUSTER_"
OF_COLUMNS = "CLUSTER_COL_"  # which tasks have, for each column of a row (cluster.domain.job.rows)
# Variables that are read without an option, beside OWN_VARIABLES, which jobs see.
KNOWN = {PREFIX + name for name in ("HOME", "CONFIG", "CACHE", "DEBUG", "SCHEDULER", "AT", "CREDENTIALS")}
# What the commands of a pool's provider are given (cluster.pools.providers.command), and may hand on to a worker.
KNOWN |= {PREFIX + name for name in ("MACHINE", "MACHINE_WORKER", "POOL_NAME", "ID")}
ALIKE = 0.8  # of difflib's measure. Other programs have variables of that prefix, too: those are none of our business


def warn_of_misspelt(root: click.Group) -> None:
    """A line on stderr for each variable that is nearly one of ours."""
    ours = [name for name in os.environ if name.startswith(PREFIX) and not name.startswith(OF_COLUMNS)]
    unknown = sorted(name for name in ours if name not in KNOWN | OWN_VARIABLES)
    if not unknown:
        return  # the usual case, in which no other command is loaded
    from difflib import get_close_matches

    known = {name.removeprefix(PREFIX) for name in (*KNOWN, *of_options(root, click.Context(root), PREFIX))}
    for name in unknown:
        word = name.removeprefix(PREFIX)
        if word not in known and (near := get_close_matches(word, known, 1, ALIKE)):
            print(f"cluster: the variable {name} means nothing here: did you mean {PREFIX}{near[0]}?", file=sys.stderr)


def of_options(command: click.Command, ctx: click.Context, prefix: str) -> Iterator[str]:
    """The variables that set options of the command and of those below it."""
    for param in command.params:
        if isinstance(param, click.Option) and param.allow_from_autoenv and param.name:
            yield prefix + param.name.upper()
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            below = command.get_command(ctx, name)
            if below is not None:
                yield from of_options(below, ctx, f"{prefix}{name.upper().replace('-', '_')}_")

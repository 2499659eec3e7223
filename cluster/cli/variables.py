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
COMMAND_ALIKE = 0.6  # of a command's name and the variable's word for it, which is short: one letter counts for more


def warn_of_misspelt(root: click.Group) -> None:
    """A line on stderr for each variable that is nearly one of ours."""
    ours = [name for name in os.environ if name.startswith(PREFIX) and not name.startswith(OF_COLUMNS)]
    unknown = sorted(name for name in ours if name not in KNOWN | OWN_VARIABLES)
    if not unknown:
        return  # the usual case
    from difflib import get_close_matches

    for name in unknown:
        word = name.removeprefix(PREFIX)
        known = {name.removeprefix(PREFIX) for name in KNOWN} | set(of_options(root, click.Context(root), "", word))
        if word not in known and (near := get_close_matches(word, known, 1, ALIKE)):
            print(f"cluster: the variable {name} means nothing here: did you mean {PREFIX}{near[0]}?", file=sys.stderr)


def of_options(command: click.Command, ctx: click.Context, prefix: str, word: str | None = None) -> Iterator[str]:
    """The variables that set options of the command and of those below it. `word`: only of commands whose names are
    like the beginning of this variable's; the others are not even loaded."""
    for param in command.params:
        if isinstance(param, click.Option) and param.allow_from_autoenv and param.name:
            yield prefix + param.name.upper()
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            below = f"{prefix}{name.upper().replace('-', '_')}_"
            if (word is None or _begins_like(word, below)) and (loaded := command.get_command(ctx, name)):
                yield from of_options(loaded, ctx, below, word)


def _begins_like(word: str, names: str) -> bool:
    """Whether the variable may be a misspelt one of the command with these names, each of which ends in `_`."""
    from difflib import SequenceMatcher

    of_words = "_".join([*word.split("_")[: names.count("_")], ""])
    beginnings = (of_words, word[: len(names)])  # the second, where the misspelling is a `_` too few or too many
    return any(SequenceMatcher(None, names, beginning).ratio() >= COMMAND_ALIKE for beginning in beginnings)

"""Groups whose commands are imported when they are run, so that no command pays for another's imports."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

import click

from cluster.cli.options import refuse_empty

# Name of a command → where it is (`package.module:attribute`) and its line in the group's help.
Commands = Mapping[str, tuple[str, str]]


@cache
def _loaded(where: str) -> click.Command:
    module, attribute = where.split(":")
    return refuse_empty(getattr(import_module(module), attribute))


class LazyGroup(click.Group):
    """A group that knows names and one line of help of its commands, and loads each when it is asked for."""

    def __init__(
        self, *args: Any, commands_at: Commands | None = None, meant: Mapping[str, str] | None = None, **kwargs: Any
    ) -> None:
        """`meant`: words that are no commands here, though people type them, and the whole commands that they mean."""
        super().__init__(*args, **kwargs)
        self._commands_at, self._meant = commands_at or {}, meant or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table, which is that in which people need them."""
        return list(self._commands_at)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._commands_at:
            return None
        return _loaded(self._commands_at[cmd_name][0])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The error for an unknown command names what that means elsewhere, or those that are spelt nearly like it."""
        if (meant := self._meant.get(args[0])) and args[0] not in self._commands_at:
            raise click.UsageError(f"No such command {args[0]!r}, did you mean `cluster {meant}`?", ctx)
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = " or ".join(get_close_matches(args[0], self._commands_at))
            message = error.message.removesuffix(".") + (f", did you mean {near}?" if near else "")
            raise click.UsageError(message, ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table alone: help must not load every command there is."""
        if self._commands_at:
            with formatter.section("Commands"):
                formatter.write_dl([(name, line) for name, (_, line) in self._commands_at.items()])

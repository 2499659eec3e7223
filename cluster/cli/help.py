"""`cluster help` and `cluster version`: what many people type before they know about --help and --version."""

import click

from cluster import __version__
from cluster.cli.options import as_json
from cluster.cli.tab_completion import commands_below

VERSION = "cluster %(version)s"


@click.command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND]...", shell_complete=commands_below)
@click.pass_context
def help_command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Explain a command, as --help after it does."""
    about = ctx.find_root()
    for word in words:
        if not isinstance(about.command, click.Group):
            raise click.UsageError(f"No such command {word!r}", about)
        name, command, _ = about.command.resolve_command(about, [word])
        assert command is not None, "resolve_command raises where there is none"
        about = click.Context(command, parent=about, info_name=name)
    click.echo(about.get_help())


@click.command("version")
@as_json
def version_command(as_json: bool) -> None:
    """Print the version."""
    if as_json:
        from cluster.cli.render import print_json

        print_json({"version": __version__})
        return
    click.echo(VERSION % {"version": __version__})

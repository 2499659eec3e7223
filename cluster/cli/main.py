"""The command line's entry point."""

import click

from cluster import __version__


@click.group()
@click.version_option(__version__)
def main() -> None:
    """Turn Linux machines into one secure computer for running commands."""

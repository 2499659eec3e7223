"""`cluster completion SHELL`."""

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash:  cluster completion bash > ~/.local/share/bash-completion/completions/cluster
    zsh:   cluster completion zsh > ~/.zfunc/_cluster
    fish:  cluster completion fish > ~/.config/fish/completions/cluster.fish
    """
    from click.shell_completion import get_completion_class

    from cluster.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None, "the choices above are those that click knows"
    click.echo(kind(cli, {}, "cluster", "_CLUSTER_COMPLETE").source())

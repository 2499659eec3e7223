"""`cluster config show`: the settings in force, and where each comes from."""

import re
from itertools import chain
from typing import Any

import click
from click.core import ParameterSource

from cluster.cli.daemons import keys_of
from cluster.cli.options import as_json
from cluster.client.config import CLIENT_KEYS, SECTIONS, config_path, state_root
from cluster.client.discovery import choose, found_credentials, local_scheduler
from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import format_number


@click.group()
def config() -> None:
    """Show what is configured, and where."""


@config.command()
@as_json
@click.pass_context
def show(ctx: click.Context, /, as_json: bool) -> None:
    """Print every setting, its value, and where the value comes from.

    First come flags, then CLUSTER_ variables, then the configuration file (TOML, with the sections [client],
    [scheduler], [worker] and [gateway]), then defaults.
    """
    from cluster.cli.render import print_json
    from cluster.cli.table import print_table

    daemons = (_daemon(ctx, section) for section in SECTIONS if section != "client")
    rows = [*_places(ctx), *_client(), *chain.from_iterable(daemons)]
    if as_json:
        print_json([{"key": key, "value": value, "source": source} for key, value, source in rows])
    else:
        shown = [(key, _said(value), source) for key, value, source in rows]
        print_table(("KEY", "VALUE", "SOURCE"), shown)


Row = tuple[str, Any, str]
_PASSWORD = re.compile(r"(?<=://)[^/?#@]*:[^/?#@]*(?=@)|(?<=[?&]password=)[^&#]*")  # of a URL, with its user


def _said(value: Any) -> str:
    """As one would write it into the file."""
    if value in (None, "", ()):
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return ", ".join(map(_said, value))
    return format_number(value) if isinstance(value, float) else str(value)


def _places(ctx: click.Context) -> list[Row]:
    """The rows of the state directory and of the configuration file, which need not exist."""
    root = ctx.find_root()
    path = config_path()
    return [
        ("home", str(state_root()), _source(root, "home", "CLUSTER_HOME")),
        ("config", str(path), _source(root, "config", "CLUSTER_CONFIG") + ("" if path.exists() else " (no such file)")),
    ]


def _client() -> list[Row]:
    """The rows of the client's three settings. Where nobody named a scheduler, this machine's is shown, with the
    credentials that lie below the state directory."""
    chosen = choose()
    named = bool(chosen["scheduler"].value or chosen["direct"].value)
    rows: list[Row] = []
    for key in CLIENT_KEYS:
        value, source = chosen[key].value, chosen[key].source or "default"
        if key == "scheduler" and not named and (local := local_scheduler(state_root())):
            value, source = local["address"], "this machine's scheduler"
        if key == "credentials" and not value and (found := found_credentials(state_root(), named=named)):
            value, source = str(found), "found below the home"
        rows.append((f"client.{key}", value or None, source))
    return rows


def _daemon(ctx: click.Context, name: str) -> list[Row]:
    """The rows of a daemon's options, as its command would read them without flags."""
    root = ctx.find_root()
    assert isinstance(root.command, click.Group)
    command = root.command.get_command(root, name)
    assert command is not None, "both daemons are commands"
    daemon = command.make_context(name, [], parent=root, resilient_parsing=True)
    path = str(config_path())
    rows: list[Row] = []
    for key, option in keys_of(command).items():
        name_of_value = str(option.name)
        source = daemon.get_parameter_source(name_of_value)
        variable = option.resolve_envvar_value(daemon)
        if source is ParameterSource.ENVIRONMENT or variable is not None:
            words = f"{daemon.auto_envvar_prefix}_{name_of_value.upper()}"
            _check(daemon, option, words, variable)
        else:
            words = path if source is ParameterSource.DEFAULT_MAP else "default"
        value = daemon.params.get(name_of_value)
        if key == "cpus" and value:
            value /= 1000
        rows.append((f"{name}.{key}", _without_password(value) if isinstance(value, str) else value, words))
    return rows


def _without_password(value: str) -> str:
    """What is shown is pasted where others read it."""
    return _PASSWORD.sub("***", value)


def _check(daemon: click.Context, option: click.Option, name: str, variable: str | None) -> None:
    """InvalidInput for the value of a variable that the daemon would refuse."""
    try:
        option.type.convert(variable, option, daemon)
    except click.UsageError as error:
        raise InvalidInput(f"{name}: {error.message}") from None


def _source(root: click.Context, key: str, variable: str) -> str:
    source = root.get_parameter_source(key)
    if source is ParameterSource.COMMANDLINE:
        return f"--{key}"
    return variable if source is ParameterSource.ENVIRONMENT else "default"

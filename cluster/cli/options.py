"""Options that several commands share, and the types of their values."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import parse_cpus, parse_duration, parse_size

F = TypeVar("F", bound=Callable[..., Any])


class Parsed(click.ParamType[Any]):
    """A value that one of the domain's parsers reads; its InvalidInput becomes wrong usage of this option."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Text, or a number from the configuration file. Defaults come parsed."""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return value
        try:
            return self._parse(str(value))
        except InvalidInput as error:
            self.fail(str(error), param, ctx)


DURATION = Parsed("duration", parse_duration)
CPUS = Parsed("cpus", parse_cpus)
SIZE = Parsed("size", parse_size)


def connection(command: F) -> F:
    """--scheduler, --at and --credentials: which cluster, and as whom. Collected in a dict `connection`."""
    for flag, metavar, line in (
        ("--credentials", "FILE", "Who you are: file with key, certificate and CA (CLUSTER_CREDENTIALS)."),
        ("--at", "HOST:PORT", "Talk to this one worker instead of a scheduler (CLUSTER_AT)."),
        ("--scheduler", "HOST:PORT", "The scheduler to talk to (CLUSTER_SCHEDULER; default: this machine's)."),
    ):
        # The client reads variables and the file itself, for it is used without a command line too.
        command = click.option(
            flag, metavar=metavar, help=line, expose_value=False, callback=_collect, allow_from_autoenv=False
        )(command)
    return command


def _collect(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Into one dict for the whole command line, so that `cluster job --at X list` is `cluster job list --at X`."""
    if value is not None:
        ctx.ensure_object(dict)[param.name] = value


def as_json(command: F) -> F:
    """--json."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON, errors too: times in ISO 8601, durations in seconds."
    )(command)


def quiet(command: F) -> F:
    """--quiet."""
    return click.option("--quiet", "-q", is_flag=True, help="Print ids alone.")(command)


def yes(command: F) -> F:
    """--yes."""
    return click.option("--yes", "-y", is_flag=True, help="Do not ask.")(command)


def keep_jobs(command: F) -> F:
    """--keep-jobs."""
    return click.option("--keep-jobs", is_flag=True, help="Let the jobs of users that are expelled go on.")(command)

"""Options that several commands share, and the types of their values."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.past_times import past_time
from cluster.domain.base.quantities import parse_count, parse_cpus, parse_duration, parse_size
from cluster.domain.job.expressions import WrongExpression
from cluster.domain.job.options import given

F = TypeVar("F", bound=Callable[..., Any])
POINTED_BEFORE, POINTED_WIDTH = 50, 70  # characters of a text that are shown before a place in it, and in all


class PointedParameter(click.BadParameter):
    """A value that is wrong at one place, which two lines below the message point at."""

    def __init__(self, error: WrongExpression, param: click.Parameter | None, ctx: click.Context | None) -> None:
        super().__init__(str(error), ctx, param)
        self.below = pointed(error)


def pointed(error: WrongExpression) -> tuple[str, ...]:
    """The text, or of a long one the part around the place; and a caret below that place."""
    first = max(0, error.column - POINTED_BEFORE)
    shown = error.text[first : first + POINTED_WIDTH]
    text = "".join(char if char.isprintable() else " " for char in shown)
    return f"  {text}", f"  {' ' * (error.column - 1 - first)}^"


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
        except WrongExpression as error:
            raise PointedParameter(error, param, ctx) from None
        except InvalidInput as error:
            self.fail(str(error), param, ctx)


def refuse_empty(command: click.Command) -> click.Command:
    """Has every option of the command, and of those below it that are loaded, refuse an empty value, as
    `--reason "$WHY"` has where WHY is not set. (An option's variable that is empty is as one that is not set.)"""
    for param in command.params:
        if isinstance(param, click.Option) and not param.is_flag:
            param.callback = _after_looking(param.callback)
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        refuse_empty(below)
    return command


def _after_looking(callback: Callable[..., Any] | None) -> Callable[..., Any]:
    def looked(ctx: click.Context, param: click.Option, value: Any) -> Any:
        is_read = isinstance(param.type, Parsed)  # which has refused it, and makes nothing of 0 where that means none
        is_empty = not is_read and ("" in value if param.multiple else value == "")
        if is_empty and ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE:
            try:
                given("")
            except InvalidInput as error:
                raise click.BadParameter(str(error), ctx, param) from None
        return callback(ctx, param, value) if callback else value

    return looked


def is_given(ctx: click.Context, name: str) -> bool:
    """Whether somebody has said what the option of that name is to be, by its flag or its variable."""
    return ctx.get_parameter_source(name) not in (None, ParameterSource.DEFAULT)


COUNT = Parsed("number", parse_count)
DURATION = Parsed("duration", parse_duration)
CPUS = Parsed("cpus", parse_cpus)
SIZE = Parsed("size", parse_size)
PAST = Parsed("time", lambda text: past_time(text, time.time(), None))


_SCHEDULER = ("--scheduler", "HOST:PORT", "The scheduler to talk to (CLUSTER_SCHEDULER; default: this machine's).")
_CREDENTIALS = ("--credentials", "FILE", "Who you are: file with key, certificate and CA (CLUSTER_CREDENTIALS).")
_DIRECT = ("--direct", "HOST:PORT", "Talk to this one worker instead of a scheduler (CLUSTER_DIRECT).")


def connection(command: F) -> F:
    """--scheduler, --direct and --credentials: which cluster, and as whom. Collected in a dict `connection`."""
    return _collected(command, _CREDENTIALS, _DIRECT, _SCHEDULER)


def _collected(command: F, *flags: tuple[str, str, str]) -> F:
    # The client reads variables and the file itself, for it is used without a command line too.
    for flag, metavar, line in flags:
        command = click.option(
            flag, metavar=metavar, help=line, expose_value=False, callback=_collect, allow_from_autoenv=False
        )(command)
    return command


def _collect(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Into one dict for the whole command line: `cluster job --direct X list` is `cluster job list --direct X`."""
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


def tag(command: F) -> F:
    """Of what shows output as it comes."""
    help = "Begin each line with its task, as in 5.17, and a tab. Lines come whole."
    return click.option("--tag", is_flag=True, help=help)(command)


def silent(command: F) -> F:
    """--quiet, of what has no ids to tell."""
    return click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")(command)


def yes(command: F) -> F:
    """--yes."""
    return click.option("--yes", "-y", is_flag=True, help="Do not ask.")(command)


def keep_jobs(command: F) -> F:
    """--keep-jobs."""
    return click.option("--keep-jobs", is_flag=True, help="Let the jobs of users that are expelled go on.")(command)

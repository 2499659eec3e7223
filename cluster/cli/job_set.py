"""`cluster job set`: what may be changed of jobs that were handed in."""

import asyncio
from typing import Any

import click

from cluster.cli.changed_jobs import tell_changed
from cluster.cli.job_inputs import TYPED
from cluster.cli.options import as_json, connection, quiet
from cluster.cli.submit import F, click_option
from cluster.cli.tab_completion import jobs_here
from cluster.client.types import Job
from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.changes import CHANGEABLE_OPTIONS, check_changes, named
from cluster.domain.job.kinds import SWITCH


def _changes(command: F) -> F:
    for option in reversed(CHANGEABLE_OPTIONS):
        command = click_option(option, is_change=True)(command)
    for option in TYPED:
        if option not in CHANGEABLE_OPTIONS:
            command = click.option(
                option.flag, is_flag=option.kind is SWITCH, hidden=True, expose_value=False, callback=_refused
            )(command)
    return command


def _refused(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value:
        what = f"{param.opts[0]} of a job stays as it was handed in"
        raise InvalidInput(f"{what}: cancel it, and hand it in anew (`cluster job set --help` lists what changes)")


@click.command("set")
@click.argument("selectors", nargs=-1, required=True, metavar="SELECTOR...", shell_complete=jobs_here)
@_changes
@click.option(
    "--default",
    "defaults",
    multiple=True,
    metavar="OPTION",
    help="Let it have its default, as in --default max-running.",
)
@as_json
@quiet
@connection
@click.pass_context
def set_command(
    ctx: click.Context,
    /,
    selectors: tuple[str, ...],
    defaults: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Change options of jobs that have not ended. What runs goes on as it was started.

    Retries, bounds and clocks are from now on for all of a job, --timeout, --grace and --quiet-timeout for what has not
    begun. What its tasks ask for (--cpus to --exclusive) changes only while no worker has any of them. Only admins
    raise a --priority.

    \b
    Examples:
      cluster job set 5 --max-running 20 --retries 3
      cluster job set nightly --timeout 2h --default max-fails
    """
    from cluster.cli.connection import client

    given = {each.field: options[each.name] for each in CHANGEABLE_OPTIONS if options[each.name] is not None}
    changes = {named(name).field: named(name).default for name in defaults} | given
    check_changes(changes)

    async def work() -> tuple[tuple[Job, ...], int]:
        async with client(ctx) as cluster:
            return await cluster.set_options(*selectors, **changes)

    jobs, count = asyncio.run(work())
    said = f"{', '.join(map(_said, changes.items()))} for {count} job{'' if count == 1 else 's'}"
    words = said if count else "nothing to change: all have it already, or have ended"
    tell_changed(jobs, ("changed_jobs", count), words, as_json=as_json, quiet=quiet)


def _said(change: tuple[str, Any]) -> str:
    """Its name, and what it is from now on."""
    option, value = named(change[0]), change[1]
    return f"{option.words} {option.kind.shown(value) or 'as by default'}"

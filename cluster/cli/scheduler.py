"""`cluster scheduler`: the scheduler daemon."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cluster.cli.daemons import DaemonCommand, loading, say_ready
from cluster.cli.http_door import full_listen, http_doors
from cluster.cli.keeping import KEEP, KEEP_AGE
from cluster.cli.logging import log_options, start_logging
from cluster.cli.options import DURATION, SIZE
from cluster.cli.processes import program
from cluster.cli.scheduler_backup import backup, check, restore
from cluster.cli.scheduler_migrate import migrate
from cluster.client.config import state_root
from cluster.domain.base.errors import InvalidInput
from cluster.domain.scheduler.retention import (
    KEEP_FILES,
    KEEP_JOBS,
    KEEP_OUTPUT,
    KEEP_USAGE,
    Limits,
    parse_keep,
    parse_keep_age,
)

if TYPE_CHECKING:
    from cluster.scheduler.process import ReadyScheduler


class SchedulerGroup(DaemonCommand, click.Group):
    """Both a daemon, when it stands alone, and a group."""


@click.group(cls=SchedulerGroup, invoke_without_command=True)
@click.option(
    "--listen", default="0.0.0.0:50000", show_default=True, metavar="HOST:PORT", help="Serve here; port 0: any free."
)
@click.option("--join-listen", default="", metavar="HOST:PORT", help="Let machines join here (default: the next port).")
@click.option(
    "--advertise",
    default="",
    metavar="HOST",
    help="What others call this machine (default: as before, at first worked out; auto: again).",
)
@click.option(
    "--directory", default="", metavar="DIR", help="Keys, certificates and data (default: scheduler, below the home)."
)
@click.option(
    "--lease", type=DURATION, default="15", show_default=True, help="Silence that makes a worker unreachable."
)
@click.option(
    "--notify-url",
    "notify_urls",
    multiple=True,
    metavar="URL",
    help="Jobs may send notices there; * at its end: to all that begins so. Repeatable.",
)
@click.option(
    "--notify-command",
    "notify_commands",
    multiple=True,
    metavar="NAME=COMMAND",
    help="Jobs may let this run here, by its name, when they end. Repeatable.",
)
@click.option(
    "--keep-jobs",
    type=KEEP,
    default=str(KEEP_JOBS),
    show_default=True,
    metavar="AGE,SIZE",
    help="Delete jobs so long after their ends, or beyond so much in the database (90d; 5GB; both; forever).",
)
@click.option(
    "--keep-output",
    type=KEEP,
    default=str(KEEP_OUTPUT),
    show_default=True,
    metavar="AGE,SIZE",
    help="Delete what jobs have written, alone, so long after their ends, or beyond so much.",
)
@click.option(
    "--keep-files",
    type=KEEP,
    default=str(KEEP_FILES),
    show_default=True,
    metavar="AGE,SIZE",
    help="The same of files: what was uploaded for jobs, and their results.",
)
@click.option(
    "--user-files",
    type=SIZE,
    metavar="SIZE",
    help="Refuse jobs with files of whose jobs have so much uploaded and left for keeps (50GB).",
)
@click.option(
    "--user-output",
    type=SIZE,
    metavar="SIZE",
    help="Keep so much of what the jobs of one user have written, alone what ended last (5GB).",
)
@click.option(
    "--keep-usage",
    type=KEEP_AGE,
    default=str(KEEP_USAGE),
    show_default=True,
    metavar="AGE",
    help="Keep for so long what `cluster usage` sums up, day by day (1095d; forever).",
)
@click.option(
    "--turn-over",
    is_flag=True,
    help="First write a large database of an older version anew, so that it gives room back.",
)
@click.option(
    "--store",
    default="",
    metavar="URL",
    help="Keep jobs in Redis: redis://USER:PASSWORD@HOST:PORT/DB, rediss:// or unix:// (default: in the directory).",
)
@click.option("--store-may-lose", is_flag=True, help="Also in a Redis that may lose what it has acknowledged.")
@click.option(
    "--standby",
    is_flag=True,
    help="Wait until no other scheduler on this Redis leads, then lead; with --shared.",
)
@click.option(
    "--shared", default="", metavar="DIR", help="CA, uploads and outputs are there, where other schedulers see them."
)
@click.option(
    "--takeover-after",
    type=DURATION,
    default="10",
    show_default=True,
    help="With --standby: silence after which another one takes over.",
)
@http_doors
@log_options
@click.option("--ready-fd", type=int, hidden=True, allow_from_autoenv=False)
@click.pass_context
def scheduler(ctx: click.Context, /, **options: Any) -> int:
    """Run the scheduler of a cluster, until Ctrl-C or SIGTERM.

    The first start makes the cluster: its CA, its certificates and, for the other machines, the line to paste there.
    Jobs that run go on while it is away, for three quarters of their --lost-after (60 s unless given).

    \b
    Examples:
      cluster scheduler
      cluster scheduler --listen 10.0.0.1:50000 --advertise head.example
      cluster scheduler --http :5000
    """
    return 0 if ctx.invoked_subcommand else _serve(limits=_limits(options), **options)


def _limits(options: dict[str, Any]) -> Limits:
    """Takes out of the options what says how much is kept."""
    jobs, output, files = (parse_keep(options.pop(f"keep_{kind}")) for kind in ("jobs", "output", "files"))
    usage = parse_keep_age(options.pop("keep_usage"))
    return Limits(jobs, output, files, options.pop("user_files"), usage, options.pop("user_output"))


def _serve(
    listen: str,
    join_listen: str,
    advertise: str,
    directory: str,
    lease: float,
    notify_urls: tuple[str, ...],
    notify_commands: tuple[str, ...],
    limits: Limits,
    turn_over: bool,
    store: str,
    store_may_lose: bool,
    standby: bool,
    shared: str,
    takeover_after: float,
    http: str,
    debug_http: str,
    http_plain: str | None,
    hosts: tuple[str, ...],
    log_format: str,
    log_level: str,
    ready_fd: int | None,
) -> int:
    with loading():
        from cluster.rpc.gateway_keeper import HttpOptions
        from cluster.scheduler.process import SchedulerOptions, serve

    def ready(status: "ReadyScheduler") -> None:
        if ready_fd is None:
            _announce(status)
        say_ready(ready_fd)

    start_logging(log_format, log_level)
    own = Path(directory).absolute() if directory else state_root() / "scheduler"
    if debug_http and not http:
        raise InvalidInput(f"--debug-http {debug_http} needs --http: it is the second door of what serves the first")
    debug = full_listen(debug_http, http_plain) if debug_http else ""
    door = (
        HttpOptions(full_listen(http, http_plain), tuple(program()), http_plain or "", debug, hosts) if http else None
    )
    where = own, listen, join_listen, advertise
    kept = SchedulerOptions(*where, lease, notify_urls, notify_commands, limits, door)
    chosen = replace(kept, turn_over=turn_over, store=store, store_may_lose=store_may_lose)
    common = Path(shared).absolute() if shared else None
    together = replace(chosen, standby=standby, shared=common, takeover_after=takeover_after)
    return asyncio.run(serve(together, ready))


for command in (backup, restore, check, migrate):
    scheduler.add_command(command)


def _announce(status: "ReadyScheduler") -> None:
    print(f"cluster {status.cluster_id} serves on {status.outside_address}", flush=True)
    if status.doubt:
        print(f"cluster: CAREFUL: {status.doubt}", file=sys.stderr, flush=True)
    if status.join_token:
        print("on each machine that is to work (for workers only, up to 10, within 15 minutes):", flush=True)
        print(f"  cluster worker --join {status.join_token}", flush=True)
    else:
        print("`cluster token create` makes a line that adds a worker", flush=True)

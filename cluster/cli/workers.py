"""`cluster worker`: the worker daemon; and its commands, some of them elsewhere."""

import asyncio
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cluster.cli.daemons import DaemonCommand, loading, say_ready
from cluster.cli.http_door import full_listen, http_door
from cluster.cli.logging import log_options, start_logging
from cluster.cli.options import CPUS, DURATION, SIZE, connection, silent, yes
from cluster.cli.processes import cache, program
from cluster.cli.secret_hiding import handed_over, start_again_without
from cluster.cli.tab_completion import workers_here
from cluster.cli.worker_drain import drain, resume
from cluster.cli.worker_list import list_workers, show
from cluster.client.alone import noted
from cluster.client.config import state_root
from cluster.client.discovery import ADMIN_FILE
from cluster.client.types import RemovedWorker
from cluster.domain.trust.tokens import VERSION, parse_join_token

if TYPE_CHECKING:
    from cluster.rpc.gateway_keeper import HttpOptions
    from cluster.worker.process import ReadyWorker

# Options that the worker knows by the same name.
_SAME = (
    *("name", "join", "scheduler", "listen", "or_next_port", "gpus", "reserve", "idle_exit", "stays_for", "standalone"),
    *("cache_limit", "stop_jobs", "execute_python", "execute_network", "execute_unconfined", "runner"),
)


class WorkerGroup(DaemonCommand, click.Group):
    """Both a daemon, when it stands alone, and a group."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Whoever forgot --join must not find the token's secret in an error, which goes into logs."""
        if args[0] == "join" or args[0].startswith(f"{VERSION}."):
            raise click.UsageError("a token is given with --join, as in: cluster worker --join TOKEN", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=WorkerGroup, invoke_without_command=True)
@click.option("--join", default="", metavar="TOKEN", help="Join the cluster of this token; needed once.")
@click.option(
    "--scheduler", default="", metavar="HOST:PORT", help="Its scheduler (default: as joined, or on this machine)."
)
@click.option(
    "--standalone", is_flag=True, help="Work without a scheduler: `cluster job --direct HOST:PORT` gives it jobs."
)
@http_door
@click.option("--name", default="", help="What people call this worker (default: the host's name).")
@click.option("--cpus", type=CPUS, help="CPUs to offer (default: all that there are).")
@click.option("--mem", type=SIZE, help="Memory to offer (default: what there is, less a tenth, at most 2GiB).")
@click.option("--gpus", metavar="N|ID,ID…", help="GPUs to offer, by their number or ids (default: as nvidia-smi says).")
@click.option(
    "--resource", multiple=True, metavar="NAME=N", help="Offer so much of what --resource of jobs may ask for."
)
@click.option("--label", multiple=True, metavar="NAME=VALUE", help="Say this of the worker, for --need of jobs.")
@click.option("--scripts", default="", metavar="DIR", help="The folder of the scripts that --script may name.")
@click.option(
    "--listen",
    default="0.0.0.0:30000",
    show_default=True,
    metavar="HOST:PORT",
    help="Its own API; none: without. Left out, it moves on to the next free port.",
)
@click.option("--or-next-port", is_flag=True, hidden=True, allow_from_autoenv=False)  # `cluster up`'s
@click.option(
    "--run-as", default="", metavar="USER", help="Whose rights jobs have (default: its own; of root: nobody)."
)
@click.option(
    "--reserve",
    type=SIZE,
    help="Disk to keep free; with less it takes nothing (default: 5 %, at most 1GiB).",
)
@click.option(
    "--cache",
    "cache_limit",
    type=SIZE,
    help="Disk for what jobs find and read, kept for the next (default: 10 %, at most 20GiB).",
)
@click.option(
    "--execute-python", default="", metavar="PATH", help="python3 of jobs that are shut in (default: its own)."
)
@click.option("--execute-network", is_flag=True, help="Jobs that are shut in (--sandbox, /execute) have its network.")
@click.option(
    "--execute-unconfined", is_flag=True, help="Run such jobs without shutting them in: for a worker that is, itself."
)
@click.option("--idle-exit", type=DURATION, help="Leave after so long with nothing to do (default: never).")
@click.option(
    "--for", "stays_for", type=DURATION, help="Take only what ends before so long is over, then leave (default: stay)."
)
@click.option("--stop-jobs", is_flag=True, help="Stop its jobs when it ends (default: they go on, and are adopted).")
@click.option("--directory", default="", metavar="DIR", help="Keys and data (default: worker, below the home).")
@click.option(
    "--runner",
    type=click.Choice(["local", "kubernetes", "ecs", "null"]),  # null: to measure
    default="local",
    show_default=True,
    help="What runs its jobs: this machine, or an engine that the next option names.",
)
@click.option("--runner-config", default="", metavar="FILE", help="How to reach it: TOML, as docs/NAME.md says.")
@log_options
@click.option("--join-fd", type=int, hidden=True, allow_from_autoenv=False)
@click.option("--ready-fd", type=int, hidden=True, allow_from_autoenv=False)
@click.pass_context
def worker(ctx: click.Context, /, **options: Any) -> int:
    """Make this machine a worker, until Ctrl-C or SIGTERM; or list the workers.

    On the scheduler's own machine it needs no token.

    \b
    Examples:
      cluster worker --join C1.head.example:50001.…
      cluster worker --cpus 4 --scripts /srv/scripts
      cluster worker --standalone --listen 127.0.0.1:30000
      cluster worker --standalone --http :5000
      cluster worker list
    """
    # Whoever named a port, by flag, variable or file, will look for the worker there.
    options["or_next_port"] |= ctx.get_parameter_source("listen") is ParameterSource.DEFAULT
    return 0 if ctx.invoked_subcommand else _serve(options)


def _serve(options: dict[str, Any]) -> int:
    if options["join"]:
        parse_join_token(options["join"])  # what is none is told before anything else
        try:
            start_again_without(options["join"])
        except OSError as error:
            print(f"cluster: jobs may read the join token in our command line: {error.strerror}", file=sys.stderr)
    if options["join_fd"] is not None:
        options["join"] = handed_over(options["join_fd"])
    with loading():
        from cluster.worker.process import ReadyWorker, WorkerOptions, serve

    root = state_root()

    directory = Path(options["directory"]).absolute() if options["directory"] else root / "worker"

    def ready(status: ReadyWorker) -> None:
        if options["standalone"]:
            note.enter_context(noted(root, status.address, directory / ADMIN_FILE))
        if options["ready_fd"] is None:
            _announce(status, directory, bool(options["http"]))
        say_ready(options["ready_fd"])

    start_logging(options["log_format"], options["log_level"])
    chosen = WorkerOptions(
        directory=directory,
        local_scheduler=root / "scheduler",
        millicpus=options["cpus"],
        memory=options["mem"],
        resources=options["resource"],
        labels=options["label"],
        scripts=Path(options["scripts"]).absolute() if options["scripts"] else None,
        run_as=options["run_as"] or None,
        runner_config=Path(options["runner_config"]).absolute() if options["runner_config"] else None,
        **{name: options[name] for name in _SAME},
        http=_door(options),
        program=tuple(program()),
        cache=cache(),
    )
    with ExitStack() as note:
        return asyncio.run(serve(chosen, ready))


def _announce(status: "ReadyWorker", directory: Path, has_http: bool) -> None:
    from cluster.worker.standalone import TOKEN_FILE

    where = f", its own API on {status.address}" if status.address else ""
    print(f"worker {status.name} ({status.id}) takes jobs{where}", flush=True)
    if has_http:
        print(f"who calls its HTTP door shows the token in {directory / TOKEN_FILE}", flush=True)


def _door(options: dict[str, Any]) -> "HttpOptions | None":
    """The gateway that a worker alone is to keep."""
    if not options["http"]:
        return None
    from cluster.rpc.gateway_keeper import HttpOptions

    listen = full_listen(options["http"], options["http_plain"])
    return HttpOptions(listen, tuple(program()), options["http_plain"] or "", hosts=options["hosts"])


for command in (list_workers, show, drain, resume):
    worker.add_command(command)


@worker.command("remove")
@click.argument("workers", metavar="WORKER...", nargs=-1, required=True, shell_complete=workers_here)
@click.option("--revoke", is_flag=True, help="Expel it: every certificate of it is refused, its session is cut.")
@yes
@silent
@connection
@click.pass_context
def remove(ctx: click.Context, /, workers: tuple[str, ...], revoke: bool, yes: bool, quiet: bool) -> None:
    """Take workers off the list, by their ids or names: machines that are gone, or that are to be expelled (--revoke).

    What one runs is given up as for any worker that is unreachable, when it has certainly stopped; until then it is
    listed as removed. One that is not expelled is listed again when it comes back.
    """
    from cluster.cli.confirmation import confirm
    from cluster.cli.connection import client
    from cluster.domain.base.errors import NotFound

    async def work() -> None:
        async with client(ctx) as cluster:
            if len(workers) > 1:  # all of them, or none
                known = {each for worker in await cluster.workers() for each in (worker.id, worker.name)}
                if unknown := [worker for worker in workers if worker not in known]:
                    raise NotFound(f"there is no worker {unknown[0]!r}; none was removed")
            for worker in workers:
                _tell_removed(await cluster.remove_worker(worker, revoke=revoke), revoke, quiet)

    if revoke and not yes:
        them = f"Worker {workers[0]} is" if len(workers) == 1 else f"{len(workers)} workers are"
        confirm(f"{them} expelled for good. Remove?")
    asyncio.run(work())


def _tell_removed(removed: RemovedWorker, revoke: bool, quiet: bool) -> None:
    name = f"{removed.name} ({removed.id})" if removed.name else removed.id
    held = f"; {removed.held} tasks that it holds are given up when they have certainly stopped" if removed.held else ""
    if not quiet:
        print(f"worker {name} {'removed and revoked' if revoke else 'removed'}{held}")
    for token in removed.tokens:
        hint = f"it joined by token {token}, which is still good: `cluster token revoke {token}` shuts that"
        print(f"cluster: {hint}", file=sys.stderr)

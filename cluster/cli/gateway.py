"""`cluster gateway`: the HTTP door."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from cluster.cli.daemons import DaemonCommand, loading, say_ready
from cluster.cli.http_door import full_listen, http_debug, http_hosts, http_plain
from cluster.cli.logging import log_options, start_logging
from cluster.cli.secret_hiding import handed_over, start_again_without
from cluster.client.config import state_root
from cluster.domain.trust.tokens import parse_join_token

JOIN_VARIABLE = "CLUSTER_GATEWAY_JOIN"


@click.command(cls=DaemonCommand)
@click.option("--listen", default="0.0.0.0:5000", show_default=True, metavar="HOST:PORT", help="Serve here.")
@click.option(
    "--scheduler", default="", metavar="HOST:PORT", help="Its scheduler (default: as joined, or on this machine)."
)
@click.option("--join", default="", metavar="TOKEN", help="Join the cluster of this token; needed once elsewhere.")
@http_debug
@http_hosts("--host")
@http_plain
@click.option("--directory", default="", metavar="DIR", help="Key and certificate (default: gateway, below the home).")
@log_options
@click.option("--join-fd", type=int, hidden=True, allow_from_autoenv=False)
@click.option(
    "--lone-worker", default="", hidden=True, allow_from_autoenv=False
)  # its directory: `worker --standalone`'s
@click.option("--parent-fd", type=int, hidden=True, allow_from_autoenv=False)
@click.option("--ready-fd", type=int, hidden=True, allow_from_autoenv=False)
def gateway(**options: Any) -> int:
    """Run the HTTP door of a cluster, until Ctrl-C or SIGTERM.

    On the scheduler's own machine it needs no token. `cluster scheduler --http :5000` runs one, too.

    \b
    Examples:
      cluster gateway
      cluster gateway --listen 0.0.0.0:443 --host api.example --join C1.head.example:50001.…
    """
    if options["join"]:
        parse_join_token(options["join"])  # what is none is told before anything else
        try:
            start_again_without(options["join"], JOIN_VARIABLE)
        except OSError as error:
            print(f"cluster: others may read the join token in our command line: {error.strerror}", file=sys.stderr)
    if options["join_fd"] is not None:
        options["join"] = handed_over(options["join_fd"])
    with loading():
        from cluster.gateway.process import GatewayOptions, ReadyGateway, serve  # starlette and uvicorn: 100 ms

    root = state_root()

    def ready(status: ReadyGateway) -> None:
        if options["ready_fd"] is None:
            print(f"HTTP on {status.url}", flush=True)
            if status.debug_url:
                print(f"HTTP for debugging on {status.debug_url}", flush=True)
        say_ready(options["ready_fd"])

    start_logging(options["log_format"], options["log_level"])
    directory = Path(options["directory"]).absolute() if options["directory"] else root / "gateway"
    chosen = GatewayOptions(
        directory=directory,
        listen=full_listen(options["listen"], options["http_plain"]),
        scheduler=options["scheduler"],
        join=options["join"],
        local_scheduler=root / "scheduler" if options["parent_fd"] is None else None,
        debug_listen=full_listen(options["debug_http"], options["http_plain"]) if options["debug_http"] else "",
        hosts=options["hosts"],
        is_plain=bool(options["http_plain"]),
        lone_worker=Path(options["lone_worker"]) if options["lone_worker"] else None,
        parent=options["parent_fd"],
    )
    return asyncio.run(serve(chosen, ready))

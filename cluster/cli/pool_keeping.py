"""`cluster pools`: keeps pools of workers filled."""

import asyncio
import sys
from pathlib import Path

import click

from cluster.cli.daemons import DaemonCommand, loading, say_ready
from cluster.cli.logging import log_options, start_logging
from cluster.cli.secret_hiding import handed_over, start_again_without
from cluster.client.config import state_root
from cluster.domain.base.errors import InvalidInput
from cluster.domain.trust.tokens import parse_join_token

JOIN_VARIABLE = "CLUSTER_POOLS_JOIN"


@click.command(cls=DaemonCommand)
@click.option("--config", default="", metavar="FILE", help="The pools: pools.toml.")
@click.option("--join", default="", metavar="TOKEN", help="Keep those of this token's cluster; needed once.")
@click.option("--scheduler", default="", metavar="HOST:PORT", help="Its scheduler (default: as joined).")
@click.option("--directory", default="", metavar="DIR", help="Key and notes (default: pools, below the home).")
@log_options
@click.option("--join-fd", type=int, hidden=True, allow_from_autoenv=False)
@click.option("--ready-fd", type=int, hidden=True, allow_from_autoenv=False)
def pools(
    config: str,
    join: str,
    scheduler: str,
    directory: str,
    log_format: str,
    log_level: str,
    join_fd: int | None,
    ready_fd: int | None,
) -> int:
    """Keep pools of workers filled by what waits, until Ctrl-C or SIGTERM. Machines stay then, and are found again.

    \b
    Examples:
      cluster pools --config pools.toml --join C1.head.example:50001.…
      cluster pools --config pools.toml
    """
    if not config:
        raise InvalidInput("nothing says which pools: name their file with --config FILE")
    if join:
        parse_join_token(join)  # what is none is told before anything else
        try:
            start_again_without(join, JOIN_VARIABLE)
        except OSError as error:
            print(f"cluster: others may read the join token in our command line: {error.strerror}", file=sys.stderr)
    with loading():
        from cluster.pools.process import KeeperOptions, serve

    start_logging(log_format, log_level)

    def ready(count: int) -> None:
        if ready_fd is None:
            print(f"keeping {count} pool{'' if count == 1 else 's'}", flush=True)
        say_ready(ready_fd)

    place = Path(directory).absolute() if directory else state_root() / "pools"
    options = KeeperOptions(
        Path(config).absolute(), place, scheduler, join if join_fd is None else handed_over(join_fd)
    )
    return asyncio.run(serve(options, ready))

"""`cluster scheduler migrate`: on the scheduler's own machine, while it does not run."""

from pathlib import Path

import click

from cluster.cli.options import as_json
from cluster.client.config import state_root


@click.command()
@click.option(
    "--from", "source", default="sqlite", show_default=True, metavar="STORE", help="sqlite, or a URL of Redis."
)
@click.option("--to", "target", default="sqlite", show_default=True, metavar="STORE", help="sqlite, or a URL of Redis.")
@click.option("--store-may-lose", is_flag=True, help="Also to a Redis that may lose what it has acknowledged.")
@click.option("--directory", default="", metavar="DIR", help="The scheduler's (default: scheduler, below the home).")
@as_json
def migrate(source: str, target: str, store_may_lose: bool, directory: str, as_json: bool) -> None:
    """Bring a scheduler's jobs from its database to Redis, or back: all, or nothing.

    Stop the scheduler first. Outputs, files and keys stay in its directory.

    \b
    Examples:
      cluster scheduler migrate --from sqlite --to redis://redis.example:6379/0
      cluster scheduler migrate --from redis://redis.example:6379/0 --to sqlite
    """
    from cluster.cli.render import print_json
    from cluster.scheduler.store_migration import move

    own = Path(directory).absolute() if directory else state_root() / "scheduler"
    moved = move(own, source, target, may_lose=store_may_lose)
    if as_json:
        print_json(moved._asdict())
        return
    counts = f"{moved.jobs} jobs, {moved.rows} rows"
    print(f"brought cluster {moved.cluster_id} from {moved.source} to {moved.target}: {counts}")
    print(f"what was there before is still in {moved.left}; nobody uses it any more")

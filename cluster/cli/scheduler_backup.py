"""`cluster scheduler backup`, `restore` and `check`: on the scheduler's own machine, as who owns its directory."""

import sys
import time
from pathlib import Path

import click

from cluster.cli.options import as_json
from cluster.client.config import state_root
from cluster.domain.base.quantities import format_size
from cluster.domain.base.wall_time import iso

BROKEN = 74  # exit code: EX_IOERR
_DIRECTORY = click.option(
    "--directory", default="", metavar="DIR", help="The scheduler's (default: scheduler, below the home)."
)


def _own(directory: str) -> Path:
    return Path(directory).absolute() if directory else state_root() / "scheduler"


@click.command()
@click.argument("file", metavar="FILE")
@_DIRECTORY
@as_json
def backup(file: str, directory: str, as_json: bool) -> None:
    """Write all that the scheduler keeps into one new file, while it runs.

    The cluster's keys are in it: whoever has it can do anything. It is readable by its owner alone.
    """
    from cluster.cli.render import print_json
    from cluster.scheduler.backup import back_up

    made = back_up(_own(directory), Path(file).absolute())
    if as_json:
        print_json(made._asdict())
    else:
        print(f"backup of cluster {made.cluster_id}: {made.files} files, {format_size(made.size)}, in {file}")


@click.command()
@click.argument("file", metavar="FILE")
@_DIRECTORY
@as_json
def restore(file: str, directory: str, as_json: bool) -> None:
    """Make a scheduler of a backup, in a new directory. It is the same cluster, as of then.

    What happened since has happened: so jobs that had not ended are paused, and new ones get numbers far above. Start
    it only when the scheduler of before will never run again.
    """
    from cluster.cli.render import print_json
    from cluster.scheduler import backup as backups

    own = _own(directory)
    done = backups.restore(Path(file).absolute(), own, time.time())
    if as_json:
        print_json({**done._asdict(), "made_at": iso(done.made_at)})
        return
    print("cluster: who was expelled since then is let in again: expel them once more", file=sys.stderr)
    print(f"restored cluster {done.cluster_id} as of {iso(done.made_at)} in {own}")
    print(f"jobs that had not ended, and are paused: {done.paused}; the next job is {done.next_job}")
    print(f"tokens that let nobody join any more: {done.tokens}")


@click.command()
@_DIRECTORY
@as_json
def check(directory: str, as_json: bool) -> int:
    """Look for damage in what the scheduler keeps, also while it runs. Exit code 74 where there is any."""
    from cluster.cli.render import print_json
    from cluster.scheduler import backup as backups

    wrong = backups.check(_own(directory))
    if as_json:
        print_json({"sound": not wrong, "wrong": wrong})
    else:
        for line in wrong or ["all is sound"]:
            print(line)
    return BROKEN if wrong else 0

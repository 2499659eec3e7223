#!/usr/bin/env python3
"""Makes a cluster's CA, and certificates for machines that cannot join by token, without any network.

    python3 certs/gen.py OUT --worker box1 --worker box2

OUT/scheduler/          ca.pem, scheduler.pem, admin.pem: everything that `cluster scheduler` makes at its first start
OUT/worker-box1/        worker.pem: what a worker has after joining

Carry each directory to its machine by a way that you trust (they hold keys), and start there

    cluster scheduler --directory scheduler
    cluster worker --directory worker-box1 --name box1 --scheduler HOST:PORT

Run it again with the same OUT to add workers; nothing that is there is replaced. A running scheduler's own directory
does as well: `--scheduler-directory DIR`. From its first contact on a worker renews its certificate by itself, so
`--days` (7, unless given) is the time to get it started. Needs Python 3.11 and `cryptography`.
"""

import argparse
import random
import sys
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cluster.domain.base.errors import ClusterError, Conflict, InvalidInput
from cluster.domain.trust.identity import IdentityKind, check_name
from cluster.domain.trust.renewal import EARLIEST, LATEST
from cluster.pki.authority import open_authority, refresh_credentials
from cluster.pki.certificates import DAY
from cluster.pki.files import private_directory, save_credentials

WORKER_FILE = "worker.pem"


def main() -> int:
    """Does what the command line asks for; returns the exit code."""
    try:
        options = _command_line()
        for path in generate(options.out, options.scheduler_directory, options.worker, options.days):
            print(path)
    except ClusterError as error:
        print(f"gen.py: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def generate(out: Path, scheduler_directory: Path | None, workers: list[str], days: float) -> list[Path]:
    """Makes what is missing and returns the directories to carry to their machines."""
    if not 0 < days <= 3650:
        raise InvalidInput(f"a certificate cannot be good for {days:g} days: expected more than 0, at most 3650")
    directories = [out / f"worker-{check_name(name)}" for name in workers]
    if len(set(directories)) < len(directories):
        raise InvalidInput("two workers cannot have the same name: give each --worker once")
    for directory in directories:
        if (directory / WORKER_FILE).exists():
            raise Conflict(f"{directory / WORKER_FILE} exists; remove it, if that worker is to become another one")
    now = time.time()
    private_directory(out)
    scheduler = scheduler_directory or out / "scheduler"
    authority = open_authority(scheduler, now)
    refresh_credentials(authority, scheduler, now, random.uniform(EARLIEST, LATEST))  # noqa: S311 - no secret
    for directory in directories:
        identity = authority.identity(IdentityKind.WORKER, str(uuid.uuid4()))
        save_credentials(private_directory(directory) / WORKER_FILE, authority.issue(identity, now, days * DAY))
    return [scheduler, *directories]


def _command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="gen.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="the directory to write to; made if missing")
    parser.add_argument("--worker", metavar="NAME", action="append", default=[], help="a worker; may be repeated")
    parser.add_argument("--days", metavar="N", type=float, default=7, help="how long workers' certificates are good")
    parser.add_argument(
        "--scheduler-directory", metavar="DIR", type=Path, help="use the CA there instead of OUT/scheduler"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

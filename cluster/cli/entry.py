"""Where the command line begins: the quick commands, and the whole of it for everything else."""

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from cluster.cli import process_environment
from cluster.cli.exit_codes import INTERRUPTED
from cluster.cli.quick.head_start import HeadStart
from cluster.client.job_fields import new_job_id


def main() -> NoReturn:
    """Runs the command line of this process and exits. Never shows a traceback unless CLUSTER_DEBUG is set."""
    process_environment.make_good()
    head_start = HeadStart(new_job_id())
    try:
        code = quickly(sys.argv[1:], head_start)
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # the prompt that follows begins a line
        code = INTERRUPTED
    if code is not None:
        # All is said and done: taking the interpreter apart would cost some milliseconds.
        os._exit(code)
    from cluster.cli.main import main as whole

    gc.enable()
    whole(head_start)


def quickly(arguments: Sequence[str], head_start: HeadStart) -> int | None:
    """The exit code of a command that is done; None where the whole command line is to do it, or to go on from where
    `head_start` is."""
    try:
        match arguments:
            case ["job"] | ["job", "list", *_]:
                from cluster.cli.quick.jobs import list_jobs

                list_jobs(arguments[2:])
            case ["job", "submit", *_]:
                from cluster.cli.quick.jobs import submit

                submit(arguments[2:], head_start)
            case ["run", *_]:
                from cluster.cli.quick.run import run

                return run(arguments[1:], head_start)
            case _:
                return None
    except Exception:  # Elsewhere, and what the whole command line finds again, and has words for
        return None
    return 0

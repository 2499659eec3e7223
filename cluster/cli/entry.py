"""The start of the command line: quick commands first, the whole command line for everything else."""

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from cluster.cli import process_environment
from cluster.cli.interruption import leave_at_ctrl_c
from cluster.cli.quick.head_start import HeadStart
from cluster.client.job_fields import new_job_id

COLLECTED = 100_000  # new objects that come before somebody looks for garbage among them: some 10 MB


def main() -> NoReturn:
    """Runs the command line of this process and exits. Never shows a traceback unless CLUSTER_DEBUG is set."""
    gc.disable()  # what is imported stays: to look through it for garbage takes some of a start
    leave_at_ctrl_c()
    process_environment.make_good()
    head_start = HeadStart(new_job_id())
    code = quickly(sys.argv[1:], head_start)
    if code is not None:
        # Everything is written. An orderly end of the interpreter would take some milliseconds more.
        os._exit(code)
    # Python by itself looks after each 700: a tenth of the start of a command, which hardly makes any.
    gc.set_threshold(COLLECTED)
    gc.enable()
    from cluster.cli.main import main as whole

    whole(head_start)


def quickly(arguments: Sequence[str], head_start: HeadStart) -> int | None:
    """Runs a quick command and returns its exit code. None: the whole command line is to run the command, and to go on
    from `head_start` where that has begun it."""
    try:
        match arguments:
            case ["job"] | ["job", "list", *_]:
                from cluster.cli.quick.jobs import list_jobs

                list_jobs(arguments[2:])
            case ["job", "history", *_]:
                from cluster.cli.quick.history import history

                history(arguments[2:])
            case ["job", "submit", *_]:
                from cluster.cli.quick.jobs import submit

                submit(arguments[2:], head_start)
            case ["run", *_]:
                from cluster.cli.quick.run import run

                return run(arguments[1:], head_start)
            case _:
                return None
    except Exception:  # Elsewhere; or any error: the whole command line meets it again, and has words for it
        return None
    return 0

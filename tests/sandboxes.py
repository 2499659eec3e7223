"""Whether code can be shut in on this machine, and how a worker is started that shuts it in."""

import os
import shutil
from functools import cache

import pytest

from cluster.worker.sandbox_probe import find_sandbox
from cluster.worker.templates import NOBODY, run_as


class _Options:
    execute_python = ""
    execute_network = False
    execute_unconfined = False


@cache
def missing() -> str:
    """What this machine lacks for that; empty: nothing."""
    lacking = [tool for tool in ("bwrap", "prlimit") if shutil.which(tool) is None]
    if lacking:
        return f"shutting code in needs {' and '.join(lacking)} (apt-get install bubblewrap util-linux)"
    if find_sandbox(_Options, run_as(None)) is None:
        return "bubblewrap does not work here: this machine allows no namespaces of users"
    return ""


def worker_options() -> tuple[str, ...]:
    """Of a worker that runs code: shut in, where that can be done here."""
    user = ("--run-as", NOBODY) if os.geteuid() == 0 else ()
    return (*user, *(("--execute-unconfined",) if missing() else ()))


needs_sandbox = pytest.mark.skipif(bool(missing()), reason=missing())

"""Inside a job: the socket of its worker, by which the job may call its cluster, and the token that proves which job it
is. Each task has both in its environment, so that it needs neither configuration nor a home directory.
"""

import os
from typing import NamedTuple

from cluster.domain.job.task_variables import OF_JOB, SOCKET, TOKEN


class InsideJob(NamedTuple):
    socket: str
    token: str
    job: str = ""  # its number


def inside_job() -> InsideJob | None:
    """None where we are in no job, or in one that was given no way to call."""
    socket, token = os.environ.get(SOCKET, ""), os.environ.get(TOKEN, "")
    return InsideJob(socket, token, os.environ.get(OF_JOB[0], "")) if socket and token else None

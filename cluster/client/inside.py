"""Inside a job: the socket of its worker by which it may call the cluster that runs it, and the token that shows whose
it is. Both are in the environment of each task, so that nothing is to be configured, and no home is needed."""

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

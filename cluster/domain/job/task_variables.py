"""The variables by which a task learns who it is, and how it calls its cluster. docs/jobs.md has the table of them.

Beside these a task of a row has one for each column (`rows`).
"""

from cluster.domain.base.quantities import format_cpus
from cluster.domain.job.numbering import Numbering

# The same for all tasks of a job, from its template; those that the slot adds, which differ; and its own mark.
SOCKET, TOKEN = "CLUSTER_SOCKET", "CLUSTER_TOKEN"
OF_JOB = (
    *("CLUSTER_JOB", "CLUSTER_JOB_ID", "CLUSTER_JOB_NAME", "CLUSTER_CPUS"),
    *("CLUSTER_TASK_COUNT", "CLUSTER_TASK_MIN", "CLUSTER_TASK_MAX"),
)
OF_ATTEMPTS = ("CLUSTER_ATTEMPT", "CLUSTER_TASK", TOKEN, "CLUSTER_LINE", "CLUSTER_LINE_FILE")
MARK = "CLUSTER_LAUNCHER"

OWN_VARIABLES = frozenset((*OF_JOB, SOCKET, *OF_ATTEMPTS, MARK))


def of_job(number: int, job_id: str, name: str, millicpus: int, tasks: Numbering) -> dict[str, str]:
    """OF_JOB, with their values."""
    ends = [(segment.first, segment.last) for segment in tasks]
    least, most = min(first for first, _ in ends), max(last for _, last in ends)
    values = (str(number), job_id, name, format_cpus(millicpus), str(tasks.count), str(least), str(most))
    return dict(zip(OF_JOB, values, strict=True))

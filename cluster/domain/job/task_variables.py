"""The variables by which a task learns who it is, and how it calls its cluster. docs/jobs.md has the table of them."""

# The same for all tasks of a job, from its template; those that the slot adds, which differ; and its own mark.
SOCKET, TOKEN = "CLUSTER_SOCKET", "CLUSTER_TOKEN"
OF_JOB = ("CLUSTER_JOB", "CLUSTER_JOB_ID", SOCKET)
OF_ATTEMPTS = ("CLUSTER_ATTEMPT", "CLUSTER_TASK", TOKEN, "CLUSTER_LINE", "CLUSTER_LINE_FILE")
MARK = "CLUSTER_LAUNCHER"

OWN_VARIABLES = frozenset((*OF_JOB, *OF_ATTEMPTS, MARK))

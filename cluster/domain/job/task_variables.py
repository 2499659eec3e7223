"""The variables by which a task learns who it is. docs/jobs.md has the table of them."""

# The same for all tasks of a job, from its template; those that the slot adds, which differ; and its own mark.
OF_JOB = ("CLUSTER_JOB", "CLUSTER_JOB_ID")
OF_ATTEMPTS = ("CLUSTER_ATTEMPT", "CLUSTER_TASK", "CLUSTER_LINE", "CLUSTER_LINE_FILE")
MARK = "CLUSTER_LAUNCHER"

OWN_VARIABLES = frozenset((*OF_JOB, *OF_ATTEMPTS, MARK))

"""How much of files a user may have kept: what was uploaded for its jobs, and their results."""

from cluster.domain.base.errors import Exhausted
from cluster.domain.base.quantities import format_size


def check_files(user: str, kept: int, quota: int) -> None:
    """Before a job is accepted that brings files, or will leave some. `kept`: bytes of all that the user's jobs have,
    that one included. Exhausted beyond the quota.

    What runs may go beyond it with its results, which nobody throws away; then this refuses the next job."""
    if kept > quota:
        raise Exhausted(
            f"files of {user}'s jobs would take {format_size(kept)}, and a user's may take {format_size(quota)} "
            "(--user-files of the scheduler): delete jobs whose uploads and results are not needed any more "
            "(`cluster job delete`), or ask an admin"
        )

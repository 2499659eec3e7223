"""Where attempts of another user run: our own directory is closed to them, and often everything above it. Theirs
alone is each attempt's own directory below this one."""

import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from cluster.domain.base.errors import ClusterError, unusable
from cluster.worker.membership import Membership
from cluster.worker.templates import RunAs

TEMPORARY = Path("/var/tmp")  # noqa: S108 (what is made there is checked to be ours)
MOST_TRIES = 100


def work_directory(directory: Path, membership: Membership, user: RunAs) -> Path:
    """Where attempts have their directories."""
    if user.uid is None:
        return directory / "work"
    work = work_of_others(membership.state.id, membership.state.work)
    membership.amend(work=str(work))
    return work


def work_of_others(worker_id: str, before: str) -> Path:
    """A directory below TEMPORARY that nobody else has made: the one used `before` (empty: none), else one with the
    worker's id in its name, which everybody may guess and put something in its place, else one that nobody can guess.

    ClusterError when none can be made."""
    for path in _candidates(worker_id, before):
        try:
            path.mkdir(mode=0o711, exist_ok=True)
            if _is_ours(path):
                path.chmod(0o711)  # whatever the umask was
                return path
        except FileExistsError:
            continue  # something else than a directory
        except OSError as error:
            raise unusable(f"no directory for jobs can be made in {TEMPORARY}", error) from None
    raise ClusterError(f"no directory for jobs can be made in {TEMPORARY}: somebody else makes each of them first")


def _candidates(worker_id: str, before: str) -> Iterator[Path]:
    if before:
        yield Path(before)
    yield TEMPORARY / f"cluster-{worker_id}"
    for _ in range(MOST_TRIES):
        yield TEMPORARY / f"cluster-{worker_id}-{secrets.token_hex(8)}"


def _is_ours(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022

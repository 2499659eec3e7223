"""Keys of jobs: the same key of the same owner means the same job, for as long as that is kept.

A job's UUID is made of its key. So whoever says the key again names the job that is there, as with a UUID, and the
store finds it by the index that it has. No submitter may choose such a UUID itself, or one could take another's key.
"""

import hashlib

from cluster.domain.base.errors import Conflict, InvalidInput
from cluster.domain.job.kinds import JOBS
from cluster.domain.job.spec import OPTIONS, JobSpec

_MADE_OF = 8  # the version of UUIDs whose bits have a meaning of our own (RFC 9562, 5.8)


def uuid_of(*words: str) -> str:
    """The UUID that is made of these, none of which has a NUL."""
    digest = hashlib.sha256("\0".join(words).encode(errors="surrogatepass")).digest()
    value = int.from_bytes(digest[:16]) & ~(0xF << 76) & ~(0x3 << 62) | _MADE_OF << 76 | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def uuid_of_key(owner: str, key: str) -> str:
    """The UUID of the job that has this key of this owner's."""
    return uuid_of("key", owner, key)


def id_in_force(job_id: str, owner: str, spec: JobSpec) -> str:
    """The UUID of a job that is handed in with that one. InvalidInput for one that only a key can have."""
    if spec.key:
        return uuid_of_key(owner, spec.key)
    if job_id[14:15] == str(_MADE_OF):
        raise InvalidInput(
            f"job id {job_id} is a UUID of version 8, as keys have: make one of version 7, or give a key"
        )
    return job_id


def refuse_another(number: int, theirs: JobSpec, ours: JobSpec) -> None:
    """Conflict where the key of our job has one that is another. What they wait for is not compared, as a name may mean
    another job by now; nor is what a script's file is called."""
    for option in OPTIONS if ours.key else ():
        is_compared = option.kind is not JOBS and option.field != "script_name"
        if is_compared and getattr(theirs, option.field) != getattr(ours, option.field):
            what = option.flag or f"the {option.words}"
            raise Conflict(f"--key {ours.key!r} is that of job {number}, where {what} is another: use another key")

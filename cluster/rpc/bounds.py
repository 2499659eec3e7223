"""How large a request may be, in bytes and in fields, by its method: the one table. What is not in it gets DEFAULT.

Fields are counted before anything is parsed, because a message may be small on the wire and large in memory: two bytes
make an empty argument, which costs a hundred here.
"""

from typing import NamedTuple

from cluster.domain.job.given_files import MAX_BYTES
from cluster.domain.job.script import MAX_SCRIPT
from cluster.domain.job.task_options import MAX_LINES_BYTES

KIB, MIB = 1024, 1024 * 1024


class Bound(NamedTuple):
    size: int  # bytes of one message
    fields: int  # in one message, those of messages within it included


DEFAULT = Bound(64 * KIB, 1000)
_SPEC = Bound(4 * MIB, 120_000)  # a command of as many arguments and variables as spec.validate lets pass, and more
_SELECTORS = Bound(2 * MIB, 25_000)

BOUNDS = {
    "/cluster.v1.Jobs/Submit": Bound(MAX_LINES_BYTES + _SPEC.size, _SPEC.fields),
    "/cluster.v1.Jobs/SubmitAndWait": Bound(MAX_LINES_BYTES + _SPEC.size, _SPEC.fields),
    "/cluster.v1.Jobs/SubmitMany": Bound(MAX_LINES_BYTES + _SPEC.size, 500_000),
    "/cluster.v1.Jobs/List": _SELECTORS,
    "/cluster.v1.Jobs/Wait": _SELECTORS,
    "/cluster.v1.Jobs/Cancel": _SELECTORS,
    "/cluster.v1.Jobs/Delete": _SELECTORS,
    "/cluster.v1.Jobs/Pin": _SELECTORS,
    "/cluster.v1.Jobs/Unpin": _SELECTORS,
    "/cluster.v1.Jobs/Get": _SELECTORS,
    "/cluster.v1.Jobs/ReadOutput": _SELECTORS,
    "/cluster.v1.Jobs/Tree": _SELECTORS,
    "/cluster.v1.Jobs/ListResults": _SELECTORS,
    "/cluster.v1.Jobs/ReadResults": Bound(2 * MIB, 25_000),
    "/cluster.v1.Scheduler/KeepResults": Bound(4 * MIB, 10_000),
    "/cluster.v1.Jobs/GetState": _SELECTORS,
    "/cluster.v1.Jobs/ListWorkers": _SPEC,  # of a job that they are to be able to run
    "/cluster.v1.Jobs/SetState": Bound(128 * KIB, 1000),
    "/cluster.v1.Files/FindMissing": Bound(MIB, 20_100),
    # Pieces of contents, of which each has four fields.
    "/cluster.v1.Files/PutContents": Bound(2 * MIB, 25_000),
    "/cluster.v1.Files/GetContents": Bound(MIB, 20_100),
    # What gateways send is smaller by far (cluster.client.passing_on).
    "/cluster.v1.Gateways/PassOn": Bound(MIB, 10_000),
    # A hello lists all that a worker holds, at worst each task apart (placement.MOST_HELD).
    "/cluster.v1.Scheduler/Session": Bound(8 * MIB, 150_000),
    "/cluster.v1.Scheduler/PushOutput": Bound(2 * MIB, 100),
    # So few that it needs no permit: the call within may need one.
    "/cluster.v1.Scheduler/Vouch": Bound(2 * MIB, 100),
    "/cluster.v1.Worker/StartJob": _SPEC,
    "/cluster.v1.Worker/StopJob": _SELECTORS,
    "/cluster.v1.Worker/GetJobs": _SELECTORS,
}
MOST_OF_A_JOB = 2 * MIB - KIB  # bytes of a request that a job makes: the rest is what the worker says of it
LARGEST = max(bound.size for bound in BOUNDS.values())  # what gRPC takes in at all


# Bytes of one text: more than any word of a command may have. What may be longer is named.
LONGEST_TEXT = 256 * KIB
LONGER = {
    "cluster.v1.JobSpec.lines": MAX_LINES_BYTES,
    "cluster.v1.JobSpec.script_text": 2 * MAX_SCRIPT,  # a script that is too long is refused by the spec's own check
    "cluster.v1.JobSpec.files": 4 * MAX_BYTES,  # as base64; also refused by the spec's own check
    "cluster.v1.PushOutputRequest.data": 2 * MIB,
    "cluster.v1.ContentPiece.data": MIB,
    "cluster.v1.VouchRequest.request": 2 * MIB,
    "cluster.v1.OkEnds.packed": MIB,
}


def bound_of(method: str) -> Bound:
    """The bound of one message that calls the method (`/package.Service/Method`)."""
    return BOUNDS.get(method, DEFAULT)

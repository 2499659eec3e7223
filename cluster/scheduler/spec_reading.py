"""Specs as clients send them. Who hands in many jobs often says the same of each: what was read lately is not read
again, nor is what was found good checked again."""

from functools import lru_cache

from cluster.domain.job.spec import JobSpec
from cluster.rpc.specs import spec_from_proto
from cluster.v1 import job_pb2

MOST_KNOWN = 256  # specs
LONGEST = 1024  # bytes of a message; what is longer is read each time, so that little is kept in memory


def read_spec(message: job_pb2.JobSpec) -> JobSpec:
    """The spec of the message: for equal short messages the same object. Callable from any thread."""
    data = message.SerializeToString(deterministic=True)
    return _known(data) if len(data) <= LONGEST else spec_from_proto(message)


@lru_cache(MOST_KNOWN)
def _known(data: bytes) -> JobSpec:
    return spec_from_proto(job_pb2.JobSpec.FromString(data))

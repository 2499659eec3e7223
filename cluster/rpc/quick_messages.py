"""The messages of job.proto and jobs.proto, for commands that must start fast.

The modules that protoc generates import protobuf's Python half, which takes 20 ms, only to hand their descriptors to
its C half and get classes back. This module does that alone. When the generated modules are imported later in the same
process, they hold the same classes.
"""

from typing import Any

from cluster.v1.serialized import FILES


def message_class(name: str) -> Any:
    """The class of a message of package cluster.v1."""
    return _classes[name]


def _by_the_c_half() -> dict[str, Any]:
    from google._upb import _message
    from google.protobuf.message import Message

    found = {}
    for file in FILES:
        for name, kind in _message.default_pool.AddSerializedFile(file).message_types_by_name.items():
            found[name] = _message.MessageMeta(name, (Message,), {"DESCRIPTOR": kind, "__module__": __name__})
    return found


def _by_the_modules() -> dict[str, Any]:
    from cluster.v1 import job_pb2, jobs_pb2

    return vars(job_pb2) | vars(jobs_pb2)


try:
    _classes = _by_the_c_half()
except (ImportError, AttributeError, TypeError, SystemError):  # another version of protobuf than the pinned one
    _classes = _by_the_modules()

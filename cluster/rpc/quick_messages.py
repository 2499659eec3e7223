"""The messages of job.proto and jobs.proto, for a command that starts fast.

The modules that protoc writes load all of protobuf's Python half, 20 ms, to put a description of their messages into
its C half and get classes back. This does just that. Whoever loads the modules too, in the same process, gets the same
classes there.
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
except (ImportError, AttributeError, TypeError, SystemError):  # another protobuf than the one that is pinned
    _classes = _by_the_modules()

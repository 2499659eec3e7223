"""Converts the last words of failed attempts to messages and back. Apart from `convert`, because clients need it."""

from typing import TYPE_CHECKING

from cluster.domain.job.raised_exception import RaisedException
from cluster.v1 import job_pb2

if TYPE_CHECKING:  # importing it compiles the expressions that read tracebacks
    from cluster.domain.job.last_words import LastWords


def add_last_words(task: job_pb2.Task, words: "LastWords") -> None:
    task.stderr_tail = words.stderr_tail
    if words.exception:
        task.exception.CopyFrom(exception_to_proto(words.exception))


def exception_to_proto(exception: RaisedException) -> job_pb2.RaisedException:
    cause, first = exception.cause, exception.first_in_group
    return job_pb2.RaisedException(
        type=exception.type,
        message=exception.message,
        file=exception.file,
        line=exception.line,
        function=exception.function,
        following=exception.following,
        cause=exception_to_proto(cause) if cause else None,
        first_in_group=exception_to_proto(first) if first else None,
    )


def exception_from_proto(message: job_pb2.RaisedException) -> RaisedException:
    return RaisedException(
        type=message.type,
        message=message.message,
        file=message.file,
        line=message.line,
        function=message.function,
        following=tuple(message.following),
        cause=exception_from_proto(message.cause) if message.HasField("cause") else None,
        first_in_group=exception_from_proto(message.first_in_group) if message.HasField("first_in_group") else None,
    )

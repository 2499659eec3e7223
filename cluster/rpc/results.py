"""Results as messages, and back."""

from cluster.domain.job.results import KeptResults, ResultsTotal
from cluster.v1 import job_pb2, jobs_pb2


def results_to_proto(kept: KeptResults) -> job_pb2.AttemptResults:
    return job_pb2.AttemptResults(
        job=kept.job,
        index=kept.index,
        attempt=kept.attempt,
        tree=bytes.fromhex(kept.tree),
        files=kept.files,
        bytes=kept.size,
        notes=kept.notes,
    )


def results_from_proto(message: job_pb2.AttemptResults) -> KeptResults:
    return KeptResults(
        job=message.job,
        index=message.index,
        attempt=message.attempt,
        tree=message.tree.hex(),
        files=message.files,
        size=message.bytes,
        notes=tuple(message.notes),
    )


def results_total_to_proto(total: ResultsTotal) -> jobs_pb2.ResultsTotal:
    counts = {"attempts": total.attempts, "files": total.files, "missing": total.missing}
    return jobs_pb2.ResultsTotal(bytes=total.size, deleted=total.deleted, **counts)


def results_total_from_proto(message: jobs_pb2.ResultsTotal) -> ResultsTotal:
    return ResultsTotal(message.attempts, message.files, message.bytes, message.missing, message.deleted)

"""What was used, and how numbers lie, as messages."""

from cluster.domain.job.spread import Spread
from cluster.domain.job.usage import MICRO, Usage
from cluster.v1 import job_pb2, jobs_pb2


def usage_to_proto(used: Usage) -> job_pb2.UsageSum:
    return job_pb2.UsageSum(
        tasks=used.tasks,
        attempts=used.attempts,
        failed=used.failed,
        run_seconds=used.run_micros / MICRO,
        cpu_seconds=used.cpu_micros / MICRO,
        wait_seconds=used.wait_micros / MICRO,
        peak_memory_bytes=used.peak_memory,
        output_bytes=used.output_bytes,
    )


def spread_to_proto(spread: Spread) -> jobs_pb2.Spread:
    return jobs_pb2.Spread(**spread._asdict())

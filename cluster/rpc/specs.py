"""A job's spec to its message and back. Apart from `convert`, because clients need this and nothing else of it, and
they start often: what `convert` loads would cost them 30 ms.
"""

from cluster.domain.job import DEFAULT_GRACE, DEFAULT_LOST_AFTER, DEFAULT_MAX_OUTPUT, ArraySegment, JobSpec
from cluster.v1 import job_pb2

DEFAULT_MILLICPUS = 1000


def spec_to_proto(spec: JobSpec, *, with_lines: bool = True) -> job_pb2.JobSpec:
    """`with_lines` False leaves the lines out: they can be many megabytes, and lists do not need them."""
    return job_pb2.JobSpec(
        name=spec.name,
        argv=spec.argv,
        script=spec.script,
        script_args=spec.script_args,
        env=[job_pb2.EnvVar(name=name, value=value) for name, value in spec.env],
        cwd=spec.cwd,
        millicpus=spec.millicpus,
        array=[job_pb2.ArraySegment(first=s.first, last=s.last, step=s.step) for s in spec.array],
        lines=spec.lines if with_lines else b"",
        timeout=spec.timeout,
        grace=spec.grace,
        worker=spec.worker,
        lost_after=spec.lost_after,
        retries=spec.retries,
        merge_output=spec.merge_output,
        max_output=spec.max_output,
    )


def spec_from_proto(message: job_pb2.JobSpec) -> JobSpec:
    """Zero where zero can never be right (cpus, step, lost_after, max_output) means that the caller left it to us."""
    return JobSpec(
        argv=tuple(message.argv),
        name=message.name,
        script=message.script,
        script_args=tuple(message.script_args),
        env=tuple((e.name, e.value) for e in message.env),
        cwd=message.cwd,
        millicpus=message.millicpus or DEFAULT_MILLICPUS,
        array=tuple(ArraySegment(s.first, s.last, s.step or 1) for s in message.array),
        lines=message.lines,
        timeout=message.timeout,
        grace=message.grace if message.HasField("grace") else DEFAULT_GRACE,
        worker=message.worker,
        lost_after=message.lost_after or DEFAULT_LOST_AFTER,
        retries=message.retries,
        merge_output=message.merge_output,
        max_output=message.max_output or DEFAULT_MAX_OUTPUT,
    )

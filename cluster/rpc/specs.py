"""A job's spec to its message and back. Apart from `convert`, because clients need this and nothing else of it, and
they start often: what `convert` loads would cost them 30 ms.
"""

from dataclasses import replace

from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.spec import DEFAULT_GRACE, DEFAULT_LOST_AFTER, DEFAULT_MAX_OUTPUT, JobSpec
from cluster.v1 import job_pb2

DEFAULT_MILLICPUS = 1000


def spec_to_proto(spec: JobSpec, *, with_lines: bool = True, with_env: bool = True) -> job_pb2.JobSpec:
    """Lines and environment can be megabytes, and lists do not need them: False leaves them out."""
    if not with_env and spec.env:
        spec = replace(spec, env=())
    message = job_pb2.JobSpec(
        name=spec.name,
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
    try:
        message.MergeFrom(_texts(spec))
    except UnicodeEncodeError:
        message.raw.CopyFrom(_raw(spec))
    return message


def _texts(spec: JobSpec) -> job_pb2.JobSpec:
    return job_pb2.JobSpec(
        argv=spec.argv,
        script=spec.script,
        script_args=spec.script_args,
        env=[job_pb2.EnvVar(name=name, value=value) for name, value in spec.env],
        cwd=spec.cwd,
    )


def _raw(spec: JobSpec) -> job_pb2.RawTexts:
    return job_pb2.RawTexts(
        argv=map(to_bytes, spec.argv),
        script=to_bytes(spec.script),
        script_args=map(to_bytes, spec.script_args),
        env=[to_bytes(f"{name}={value}") for name, value in spec.env],
        cwd=to_bytes(spec.cwd),
    )


def spec_from_proto(message: job_pb2.JobSpec) -> JobSpec:
    """Zero where zero can never be right (cpus, step, lost_after, max_output) means that the caller left it to us."""
    raw = message.raw if message.HasField("raw") else None
    return JobSpec(
        argv=tuple(map(to_text, raw.argv)) if raw else tuple(message.argv),
        name=message.name,
        script=to_text(raw.script) if raw else message.script,
        script_args=tuple(map(to_text, raw.script_args)) if raw else tuple(message.script_args),
        env=tuple(map(_variable, raw.env)) if raw else tuple((e.name, e.value) for e in message.env),
        cwd=to_text(raw.cwd) if raw else message.cwd,
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


def to_text(data: bytes) -> str:
    """What is not UTF-8 as lone surrogates, as in os.fsdecode: a process is given the same bytes again."""
    return data.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """The reverse of `to_text`."""
    return text.encode("utf-8", "surrogateescape")


def _variable(entry: bytes) -> tuple[str, str]:
    name, _, value = to_text(entry).partition("=")
    return name, value

"""A job's spec and a worker's offer to their messages and back. Apart from `convert`, because clients need this and
nothing else of it, and they start often: what `convert` loads would cost them 30 ms.
"""

from collections.abc import Callable
from typing import Any

from cluster.domain.job.changes import BY_FIELD, Changes, named
from cluster.domain.job.kinds import NO_LIMIT
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.spec import OPTIONS, JobSpec
from cluster.domain.job.spec_making import spec_of
from cluster.domain.session.elsewhere import KnownElsewhere
from cluster.domain.session.offer import Offer
from cluster.v1 import job_pb2

# Fields of the message that hold what the spec's field of that name does; of the others each has lines of its own here.
_TEXTS = frozenset(field.name for field in job_pb2.RawTexts.DESCRIPTOR.fields)
_PLAIN = [option for option in OPTIONS if option.field not in _TEXTS and option.field != "array"]
_FIELDS = {option.field: isinstance(option.default, tuple) for option in _PLAIN}  # whether it is repeated
_WITH_PRESENCE = frozenset(field.name for field in job_pb2.JobSpec.DESCRIPTOR.fields if field.has_presence)
# Said although they have their default: another program would read something else where they are not.
_ALWAYS_SAID = [option.field for option in _PLAIN if option.default or option.field in _WITH_PRESENCE]


def spec_to_proto(spec: JobSpec, *, with_lines: bool = True, with_env: bool = True) -> job_pb2.JobSpec:
    """Lines, environment and scripts can be megabytes, and lists do not need them: False leaves them out, `with_env`
    the last two."""
    if not with_env:
        spec = spec.for_lists()
    said = dict.fromkeys((*_ALWAYS_SAID, *(option.field for option in spec.given if option.field in _FIELDS)))
    values: dict[str, Any] = {name: getattr(spec, name) for name in said}
    if not with_lines:
        values.pop("lines", None)
    segments = [job_pb2.ArraySegment(first=s.first, last=s.last, step=s.step) for s in spec.array]
    try:
        return job_pb2.JobSpec(array=segments, **values, **_texts(spec))
    except UnicodeEncodeError:
        return job_pb2.JobSpec(array=segments, **values, raw=_raw(spec))


def _texts(spec: JobSpec) -> dict[str, Any]:
    """Those fields of its texts that are not empty."""
    texts: dict[str, Any] = {
        "argv": spec.argv,
        "script": spec.script,
        "script_args": spec.script_args,
        "cwd": spec.cwd,
        "env": spec.env and [job_pb2.EnvVar(name=name, value=value) for name, value in spec.env],
        "then": spec.then and [job_pb2.Command(words=words) for words in spec.then],
    }
    return {name: value for name, value in texts.items() if value}


def _raw(spec: JobSpec) -> job_pb2.RawTexts:
    return job_pb2.RawTexts(
        argv=map(to_bytes, spec.argv),
        script=to_bytes(spec.script),
        script_args=map(to_bytes, spec.script_args),
        env=[to_bytes(f"{name}={value}") for name, value in spec.env],
        cwd=to_bytes(spec.cwd),
        then=[job_pb2.RawCommand(words=map(to_bytes, words)) for words in spec.then],
    )


def spec_from_proto(message: job_pb2.JobSpec) -> JobSpec:
    """Fields that the caller did not set get their defaults, as do those that are zero where zero is never right (cpus,
    step, lost_after, max_output)."""
    said: dict[str, Any] = {}
    for field, value in message.ListFields():
        name = field.name
        if name in _FIELDS:
            said[name] = tuple(value) if _FIELDS[name] else value
        elif name in _READ:
            said[name] = _READ[name](value)
    if message.HasField("raw"):
        said |= _from_raw(message.raw)
    return spec_of(said)


# How fields are read that are not in the spec as they are in the message.
_READ: dict[str, Callable[[Any], Any]] = {
    "argv": tuple,
    "script": str,
    "script_args": tuple,
    "env": lambda variables: tuple((each.name, each.value) for each in variables),
    "cwd": str,
    "then": lambda commands: tuple(tuple(each.words) for each in commands),
    "array": lambda segments: tuple(ArraySegment(s.first, s.last, s.step or 1) for s in segments),
}


def _from_raw(raw: job_pb2.RawTexts) -> dict[str, Any]:
    return {
        "argv": tuple(map(to_text, raw.argv)),
        "script": to_text(raw.script),
        "script_args": tuple(map(to_text, raw.script_args)),
        "env": tuple(map(_variable, raw.env)),
        "cwd": to_text(raw.cwd),
        "then": tuple(tuple(map(to_text, each.words)) for each in raw.then),
    }


def changes_to_proto(changes: Changes) -> job_pb2.JobChanges:
    """A list that is empty is its default again; so is what the message has another word for."""
    said = {field: value for field, value in changes.items() if value not in ((), "", NO_LIMIT)}
    return job_pb2.JobChanges(**said, defaults=[BY_FIELD[field].name for field in changes if field not in said])


def changes_from_proto(message: job_pb2.JobChanges) -> Changes:
    """InvalidInput for the name of no option that can be changed."""
    changes = {named(name).field: named(name).default for name in message.defaults}
    for field, value in message.ListFields():
        if field.name != "defaults":
            changes[field.name] = tuple(value) if field.is_repeated else value
    if changes.get("max_running") == 0:
        changes["max_running"] = NO_LIMIT
    return changes


def offer_to_proto(offer: Offer) -> job_pb2.Offer:
    return job_pb2.Offer(
        sums=dict(offer.sums),
        gpus=offer.gpus,
        labels=dict(offer.labels),
        limits_memory=offer.limits_memory,
        sandbox=offer.sandbox,
        external_id=offer.elsewhere.external_id,
        metadata=dict(offer.elsewhere.metadata),
        reference=offer.elsewhere.reference,
    )


def offer_from_proto(message: job_pb2.Offer) -> Offer:
    sums, labels = sorted(message.sums.items()), sorted(message.labels.items())
    elsewhere = KnownElsewhere(message.external_id, tuple(sorted(message.metadata.items())), message.reference)
    return Offer(tuple(sums), tuple(message.gpus), tuple(labels), message.limits_memory, message.sandbox, elsewhere)


def to_text(data: bytes) -> str:
    """Decodes UTF-8; other bytes become lone surrogates, as in os.fsdecode, so that a process gets the same bytes."""
    return data.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """The reverse of `to_text`."""
    return text.encode("utf-8", "surrogateescape")


def _variable(entry: bytes) -> tuple[str, str]:
    name, _, value = to_text(entry).partition("=")
    return name, value

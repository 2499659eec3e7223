"""Specs made of some of their fields, at a tenth of what their class takes for that: it derives everything anew, and
each of its many fields is put in around the guard of a frozen object.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

from cluster.domain.job.spec import JobSpec

_ABOUT_TASKS = ("array", "lines")  # of these the spec derives how many tasks it has, and what they are called
_DEFAULTS = JobSpec(())


class _Draft:
    """A spec that is being made, and can be written to. It lies in memory as a spec does, so it can become one."""

    __slots__ = JobSpec.__slots__


def _copying() -> Callable[[_Draft, JobSpec], None]:
    """A function that copies field by field, without a loop: as dataclasses have their own made."""
    lines = [f"    draft.{name} = spec.{name}" for name in JobSpec.__slots__]
    made: dict[str, Any] = {}
    exec("\n".join(["def copy(draft, spec):", *lines]), made)  # noqa: S102  # of names in this program alone
    return cast(Callable[[_Draft, JobSpec], None], made["copy"])


_copy = _copying()


def with_fields(spec: JobSpec, fields: Mapping[str, Any]) -> JobSpec:
    """The spec with other values in these fields, which say nothing about its tasks (_ABOUT_TASKS)."""
    draft = _Draft()
    _copy(draft, spec)
    for name, value in {"_given": None, **fields}.items():
        setattr(draft, name, value)
    draft.__class__ = JobSpec  # type: ignore[assignment]
    return cast(JobSpec, draft)


def spec_of(fields: Mapping[str, Any]) -> JobSpec:
    """The spec that has these values, and its defaults elsewhere."""
    return JobSpec(**{"argv": (), **fields}) if any(map(fields.get, _ABOUT_TASKS)) else with_fields(_DEFAULTS, fields)

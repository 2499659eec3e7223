"""Specs made of some of their fields, at a third of what their class takes: it derives everything anew, and puts
in each of its many fields around the guard of a frozen object. Here the slots themselves are written to, once, before
anybody else has the spec.
"""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from cluster.domain.job.spec import JobSpec

_ABOUT_TASKS = ("array", "lines")  # of these the spec derives how many tasks it has, and what they are called
_DEFAULTS = JobSpec(())
_PUT = {name: JobSpec.__dict__[name].__set__ for name in JobSpec.__slots__}  # writes one slot of a spec
_all_of = attrgetter(*_PUT)


def with_fields(spec: JobSpec, fields: Mapping[str, Any]) -> JobSpec:
    """The spec with other values in these fields, which say nothing about its tasks (_ABOUT_TASKS)."""
    made = object.__new__(JobSpec)
    for put, value in zip(_PUT.values(), _all_of(spec), strict=True):
        put(made, value)
    for name, value in {"_given": None, **fields}.items():
        _PUT[name](made, value)
    return made


def spec_of(fields: Mapping[str, Any]) -> JobSpec:
    """The spec that has these values, and its defaults elsewhere."""
    return JobSpec(**{"argv": (), **fields}) if any(map(fields.get, _ABOUT_TASKS)) else with_fields(_DEFAULTS, fields)

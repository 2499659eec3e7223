"""Specs made of some of their fields, at a tenth of what their class takes: it looks at each of its many fields, and
derives everything anew.
"""

from collections.abc import Mapping
from typing import Any

from cluster.domain.job.spec import DEFAULTS, JobSpec

_ABOUT_TASKS = ("array", "lines")  # of these the spec derives how many tasks it has, and what they are called
_USUAL = JobSpec(())


def with_fields(spec: JobSpec, fields: Mapping[str, Any]) -> JobSpec:
    """The spec with other values in these fields, which say nothing about its tasks (_ABOUT_TASKS)."""
    made = object.__new__(JobSpec)
    kept = made.__dict__
    kept.update(spec.__dict__)
    for name, value in fields.items():
        if value != DEFAULTS[name]:
            kept[name] = value
        else:
            kept.pop(name, None)
    return made


def spec_of(fields: Mapping[str, Any]) -> JobSpec:
    """The spec that has these values, and its defaults elsewhere."""
    return JobSpec(**{"argv": (), **fields}) if any(map(fields.get, _ABOUT_TASKS)) else with_fields(_USUAL, fields)

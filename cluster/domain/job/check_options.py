"""The options of a job by which its output is judged, once its program has succeeded (`launcher/output_check.py`)."""

import re
from typing import Any

from cluster.domain.job.kinds import TEXT
from cluster.domain.job.options import Scope, option

JSON, REGEX = "json", "regex:"
MAX_PATTERN = 4096  # characters
_OF_LAUNCHER: dict[str, Any] = {"default": "", "scope": Scope.LAUNCHER}


def _wrong_check(check: str) -> str:
    if check in ("", JSON):
        return ""
    if not check.startswith(REGEX):
        return "use regex:PATTERN, as in regex:^done$, or json; --check-with runs a command of yours"
    pattern = check.removeprefix(REGEX)
    if not pattern:
        return "there is no pattern after regex:"
    if len(pattern) > MAX_PATTERN:
        return f"its pattern has {len(pattern)} characters, and the most are {MAX_PATTERN}"
    try:
        re.compile(pattern.encode(errors="surrogateescape"), re.MULTILINE)
    except re.error as error:
        where = "" if error.pos is None else f", at character {error.pos + 1} of it"
        return f"no pattern: {error.msg}{where}"
    except (RecursionError, OverflowError) as error:
        return f"no pattern: {error}"
    return ""


CHECK_OUTPUT = option(
    TEXT,
    "Fail a task (format_error) whose stdout is not so: regex:PATTERN is found in it, or json.",
    metavar="regex:PATTERN|json",
    check=_wrong_check,
    **_OF_LAUNCHER,
)
CHECK_WITH = option(
    TEXT, "Fail a task (format_error) for whose stdout this shell command fails.", metavar="COMMAND", **_OF_LAUNCHER
)

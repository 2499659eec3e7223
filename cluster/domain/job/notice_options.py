"""The options of a job that let somebody be told when it ends (`cluster.scheduler.notices`)."""

import re
from typing import Any

from cluster.domain.job.kinds import CHOICE, TEXT
from cluster.domain.job.options import Scope, option
from cluster.domain.job.states import TaskState

WHEN = END, FAIL = "end", "fail"
COMMAND = "command:"  # before the name of one, where targets of notices are texts
MAX_URL = 2000  # characters


# Scheme, host, port, path, query.
_URL = re.compile(r"(https?)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(/[!-~]*?)?(\?[!-~]*)?")


def wrong_url(url: str) -> str:
    """What is wrong with a URL to which notices go."""
    found = _URL.fullmatch(url)
    if len(url) > MAX_URL or not found or "#" in url or "\\" in url:
        return f"use http://HOST/… or https://HOST/…, of at most {MAX_URL} ASCII characters, without user and fragment"
    if found[3] and not 0 < int(found[3]) < 65536:
        return "use a port of 1 to 65535"
    if found[2].startswith("[") and not _is_ipv6(found[2][1:-1]):
        return f"{found[2]} is no IPv6 address"
    # Some servers take what follows a ; for a parameter of the step before it.
    steps = (found[4] or "").lower().replace("%2e", ".").split("/")
    if any(step.partition(";")[0] in (".", "..") for step in steps):
        return "use one without . and .. in its path"
    return ""


def _is_ipv6(text: str) -> bool:
    from ipaddress import IPv6Address  # 5 ms, for such addresses only

    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _wrong_name(name: str) -> str:
    return "" if name.replace("-", "").replace("_", "").isalnum() else "use a name of letters, digits, - and _"


def _wrong_when(when: str) -> str:
    return "" if when in WHEN else f"use {' or '.join(WHEN)}"


_ALONE: dict[str, Any] = {"scope": Scope.SCHEDULER, "alone": "needs a scheduler: a worker alone tells nobody"}
NOTIFY = option(
    TEXT,
    "When it ends, POST that to URL, which the operator allowed.",
    default="",
    metavar="URL",
    check=wrong_url,
    **_ALONE,
)
NOTIFY_CMD = option(
    TEXT,
    "When it ends, run a command where the scheduler runs: one that the operator named so.",
    default="",
    metavar="NAME",
    check=_wrong_name,
    **_ALONE,
)
NOTIFY_ON = option(
    CHOICE,
    "Tell of every end (default), or only where it failed or was cancelled.",
    default=END,
    metavar="end|fail",
    check=_wrong_when,
    **_ALONE,
)


def targets_of(spec: Any, outcome: TaskState) -> tuple[str, ...]:
    """Who is to be told that a job has ended so: URLs, and names of commands behind COMMAND."""
    if not (spec.notify or spec.notify_cmd) or (spec.notify_on == FAIL and outcome is TaskState.SUCCEEDED):
        return ()
    command = f"{COMMAND}{spec.notify_cmd}" if spec.notify_cmd else ""
    return tuple(target for target in (spec.notify, command) if target)

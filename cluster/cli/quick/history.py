"""`cluster job history`, quick."""

import time
from collections.abc import Sequence
from typing import Any

from cluster.cli.history_table import print_history
from cluster.cli.quick.jobs import shown
from cluster.cli.quick.nearby import Nearby
from cluster.cli.quick.options import JSON, QUIET, of_list, whole_number
from cluster.cli.render import USUAL_LIMIT
from cluster.client.local import Elsewhere, ask
from cluster.domain.base.quantities import parse_duration
from cluster.domain.job.states import TaskState
from cluster.rpc.quick_messages import message_class

MOST_AT_ONCE = 1000  # jobs that one call may ask for


def _ago(text: str) -> float:
    return time.time() - parse_duration(text)


def _text(text: str) -> str:
    if not text:
        raise Elsewhere("an empty value")
    return text


_WHICH = {
    "--since": ("since", _ago),
    "--name": ("name", _text),
    "--user": ("user", _text),
    "--page": ("after", _text),
}


def history(words: Sequence[str]) -> None:
    """As cluster.cli.history.history."""
    own = {**QUIET, **JSON, **_WHICH, "--failed": ("failed", None), "--limit": ("limit", whole_number)}
    options, others = of_list(words, own)
    if others:
        raise Elsewhere(others[0])
    limit = options.pop("limit", USUAL_LIMIT)
    forms = {"as_json": options.pop("as_json", False), "quiet": options.pop("quiet", False)}
    if options.pop("failed", False):
        options["states"] = [TaskState.FAILED.value]
    jobs, following = _ended(Nearby(), message_class("HistoryRequest")(**options), limit)
    print_history([shown(message) for message in jobs], following, **forms)


def _ended(nearby: Nearby, request: Any, limit: int) -> tuple[list[Any], str]:
    found: list[Any] = []
    while True:
        request.limit = min(limit - len(found), MOST_AT_ONCE) if limit else 0
        answer = ask(nearby.socket, "History", request, nearby.token)
        found += answer.jobs
        if not answer.next or (limit and len(found) >= limit):
            return found, answer.next
        request.after = answer.next

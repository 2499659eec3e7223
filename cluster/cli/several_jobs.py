"""What is said where a name means several jobs, and most often the newest alone is wanted."""

from dataclasses import replace

from cluster.cli.remarks import remark
from cluster.domain.job.selectors import NEWEST, SelectorKind, likely


def newest_alone(text: str) -> str:
    """The selector for the newest job where the text means all of a name; empty: it means no name."""
    selector = likely(text)
    named = selector.kind is SelectorKind.NAME and not selector.newest_of
    return str(replace(selector, value=f"{selector.value}{NEWEST}")) if named else ""


class SeveralJobs:
    """Says once that what a selector means is several jobs, when it is heard of the second."""

    def __init__(self, selector: str) -> None:
        self._selector, self._newest = selector, newest_alone(selector)
        self._first = 0

    def heard(self, job: int) -> None:
        self._first = self._first or job
        if self._newest and job != self._first:
            remark(f"{self._selector} means several jobs: the newest alone is {self._newest}")
            self._newest = ""

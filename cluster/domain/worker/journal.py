"""What the launcher says of attempts, with their keys read: to the launcher a key is a text like any other, and
whoever hears it needs to know the job. It is read here and nowhere else in the worker.
"""

from collections.abc import Iterable
from typing import NamedTuple

from cluster.domain.base.ids import AttemptKey
from cluster.domain.launcher.messages import Ended, Started


class JournalEntry(NamedTuple):
    """One line of the launcher's journal."""

    key: AttemptKey
    what: Started | Ended


def entries_of(reports: Iterable[Started | Ended]) -> list[JournalEntry]:
    return [JournalEntry(AttemptKey.parse(report.key), report) for report in reports]


def keys_of(texts: Iterable[str]) -> list[AttemptKey]:
    return [AttemptKey.parse(text) for text in texts]

"""The client's verbs about what has been: history, statistics, usage; and their answers as values."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from cluster.client.arguments import selector_text
from cluster.client.backend import Backend, WantedHistory
from cluster.client.job_fields import used_of
from cluster.client.types import HistoryPage, JobStats, UsageReport, UsageRow
from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.history import MOST_JOBS
from cluster.domain.job.spread import Spread
from cluster.domain.job.states import TaskState

KINDS = ("user", "name", "worker")


class PastVerbs:
    """Methods of AsyncClient."""

    @abstractmethod
    def _backend(self) -> Backend: ...

    async def history(
        self,
        *,
        states: Sequence[TaskState] = (),
        since: float = 0.0,
        until: float = 0.0,
        user: str = "",
        name: str = "",
        limit: int = 0,
        page: str = "",
    ) -> HistoryPage:
        """Jobs that have ended, the one that ended last first: those that ended as one of the states, `since` then and
        before `until`, of that user and of that name; at most `limit`. Each may be left out. `page`: `next` of an
        answer, to go on where it ended."""
        found: list[Any] = []
        while True:
            left = limit - len(found) if limit else 0
            wanted = WantedHistory(states, since, until, user, name, min(left, MOST_JOBS), page)
            jobs, page = await self._backend().history(wanted)
            found += jobs
            if not page or (limit and len(found) >= limit):
                return HistoryPage(tuple(found), page)

    async def stats(self, selector: str | int) -> JobStats:
        """What the last attempts of one job, or of the newest jobs of a name, took: at most 10,000 attempts of 500
        jobs; and what the next such job should ask for."""
        return await self._backend().stats(selector_text(selector))

    async def usage(self, *, by: str = "user", since: float = 0.0, limit: int = 100) -> UsageReport:
        """What was used by jobs from the day on in which `since` is (in UTC; 0: from the first), by `user`, `name` (of
        jobs) or `worker`: the `limit` with most CPU time (at most 1000), and the sum of all."""
        if by not in KINDS:
            raise InvalidInput(f"usage by {by!r}: it is summed up by {', '.join(KINDS)}")
        return await self._backend().usage(by, since, limit)


def stats_of(message: Any) -> JobStats:
    """Of a StatsResponse. The fields are called alike."""
    values: dict[str, Any] = {field.name: getattr(message, field.name) for field in fields(JobStats)}
    values |= {name: _spread_of(values[name]) for name in ("run_seconds", "cpus", "peak_memory_bytes")}
    values["failures"] = tuple((each.reason, each.attempts) for each in message.failures)
    return JobStats(**values)


def _spread_of(message: Any) -> Spread:
    return Spread(message.median, message.p95, message.most, message.of)


def usage_of(message: Any) -> UsageReport:
    """Of a UsageResponse."""
    rows = tuple(UsageRow(row.key, row.worker_name, used_of(row.used)) for row in message.rows)
    return UsageReport(rows, used_of(message.total), message.more, message.since)

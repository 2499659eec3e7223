"""What a follower of jobs needs to go on after a break: which jobs it follows, and whether a call counts as
answered."""

import asyncio
import time

from cluster.client.backend import Backend
from cluster.client.position import Position
from cluster.client.retrying import RetryPatience
from cluster.domain.job.selectors import SelectorKind, parse_selector

STOOD = 1.0  # seconds: a call that kept its connection for longer counts as answered


class FollowedJobs:
    """The jobs that a follower's selector meant at first, whatever is submitted later. Its user sets `broken` after a
    break."""

    def __init__(self, text: str) -> None:
        self.selectors = [text]  # of the jobs that are to be followed, one after another
        self.broken = False
        self._parsed = parse_selector(text)
        self._newest: int | None = None  # number of the newest of these jobs, if they are several

    async def settle(self, backend: Backend, position: Position | None) -> None:
        """Finds the jobs at the first call, and after a break those of them that are left. Call it before each try."""
        if self._newest is None and self._parsed.kind in (SelectorKind.LAST, SelectorKind.NAME, SelectorKind.ALL):
            jobs = await backend.list((str(self._parsed),), (), 2)
            if len(jobs) == 1:
                self._parsed = self._parsed.of(jobs[0].number, jobs[0].spec.name)
                self.selectors = [str(self._parsed)]
            elif jobs:
                self._newest = jobs[0].number
        elif self._newest is not None and self.broken:
            jobs = await backend.list((str(self._parsed),), (), 0)
            first = position.job if position else 0
            those = sorted((job for job in jobs if first <= job.number <= self._newest), key=lambda job: job.number)
            self.selectors = [str(self._parsed.of(job.number, job.spec.name)) for job in those]
            self.broken = False


class CallAge:
    """How long a call has had its connection. After a break, a call of STOOD seconds counts as an answer."""

    def __init__(self, patience: RetryPatience) -> None:
        self._patience = patience
        self._since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Note that the call has its connection."""
        self._since = time.monotonic()
        self.end()
        if self._patience.is_absent:  # a quiet task may write nothing for hours
            self._timer = asyncio.get_running_loop().call_later(STOOD, self._patience.renew)

    def end(self) -> None:
        """Note that the call is over."""
        if self._timer:
            self._timer.cancel()

    def is_long(self) -> bool:
        """Whether the call kept its connection for longer than a failing scheduler takes to refuse one."""
        return self._since is not None and time.monotonic() - self._since > STOOD

"""What a follower says on stderr while its cluster does not answer."""

import asyncio

from cluster.cli.remarks import remark
from cluster.client import takeover
from cluster.client.retrying import FOLLOW_PATIENCE
from cluster.domain.base.errors import Unreachable

SAID_AFTER = 3.0  # seconds of an absence: a scheduler that is only started again is back sooner


def say_that_nobody_leads(error: Unreachable) -> None:
    remark(f"{error}; waiting up to {takeover.PATIENCE:g} s for another scheduler to take over")


class AbsenceLines:
    """One line when an absence lasts, and one when it is over (a cluster.client.retrying.AbsenceListener)."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._said = False

    def began(self, error: Unreachable) -> None:
        self._timer = asyncio.get_running_loop().call_later(SAID_AFTER, self._say, error)

    def ended(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._said:
            remark("the cluster answers again")
        self._said = False

    def _say(self, error: Unreachable) -> None:
        self._said = True
        remark(f"{error}; trying again for {FOLLOW_PATIENCE - SAID_AFTER:g} s more")

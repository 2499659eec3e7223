"""Holds the lead of a scheduler whose store is Redis, or waits for it; `domain/scheduler/leadership.py` decides."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from cluster.domain.base.errors import ClusterError, Conflict, Unreachable
from cluster.domain.scheduler.leadership import Contender, LeadWish, Roster, Sign, Tenure
from cluster.store.interface import StoreTroubled, TakenOver
from cluster.store.redis.connecting import place_of
from cluster.store.redis.lead import LeadAnswer, LeadTable

logger = logging.getLogger(__name__)

LEAST_LEASE, MOST_LEASE, USUAL_LEASE = 2.0, 20.0, 10.0  # seconds; jobs live for 45 s without a scheduler


class LeadUnsure(Unreachable):
    """For a moment, or for good."""

    def __init__(self) -> None:
        super().__init__(
            "this scheduler could not tell the store for too long that it is there, and another may lead by now"
        )


class SchedulerView(NamedTuple):
    """One of the schedulers of this cluster."""

    address: str
    leads: bool
    silent: float  # seconds for which nothing was heard of it; 0: it is there


class Leadership(Protocol):
    """What a scheduler that serves wants to know of it."""

    @property
    def holds(self) -> bool:
        """Whether nobody else can have taken over."""
        ...

    def schedulers(self) -> Sequence[SchedulerView]:
        """All of the cluster, by their addresses; none: there is one."""
        ...


class Alone:
    """Of a scheduler whose store nobody else can have."""

    @property
    def holds(self) -> bool:
        return True

    def schedulers(self) -> Sequence[SchedulerView]:
        return ()


ALONE = Alone()


def boot_clock() -> float:
    """Seconds; it goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Leading:
    """One process's part in it. Make it inside the event loop."""

    def __init__(self, url: str, address: str, lease: float, *, lasting: bool, shared: str = "") -> None:
        """`lasting`: it takes the lead from whoever has it, and nobody takes it by lease. `shared`: as of `Sign`."""
        self._place = place_of(url)
        self._table, self._shared = LeadTable(url, address, shared), shared
        self._heard: Sign | None = None  # of the one that leads, the last
        self._looked_at = time.time()
        self._lasting = lasting
        self._node = Contender(secrets.token_hex(8), 0.0 if lasting else lease)
        self._beat = lease if lasting else 0.0
        self.roster = Roster(lease)
        self.changed: Callable[[], None] = lambda: None  # called when there are other schedulers than before
        self.stands_by: Callable[[], None] = lambda: None  # called again and again while somebody else leads
        self.over = asyncio.Event()  # another has taken over, while `keep` ran
        self._told, self._told_of_clocks = "", False

    @property
    def tenure(self) -> Tenure:
        return self._node.tenure

    @property
    def address(self) -> str:
        """Of the scheduler that leads, as far as is known."""
        return self._node.seen.address

    @property
    def holds(self) -> bool:
        return not self._node.is_over and (self._lasting or self._node.leads(boot_clock()))

    def schedulers(self) -> Sequence[SchedulerView]:
        now = boot_clock()
        return [
            SchedulerView(each, each == self.address, self.roster.silence(each, now)) for each in self.roster.addresses
        ]

    async def take(self) -> None:
        """Returns when we lead. ClusterError where the store cannot be asked at all by one that takes it at once, and
        where one that waits could not do the leader's work: then it is off the list."""
        if self._lasting:
            await self._ask(LeadWish.SEIZE)
            return
        try:
            await self._wait()
        except ClusterError:
            await self.leave()
            raise

    async def _wait(self) -> None:
        while True:
            if self._node.is_over:  # taken from us before we began
                self._node = Contender(secrets.token_hex(8), self._node.lease)
            answered = await self._try(self._node.wish(boot_clock()))
            if self.holds:
                return
            if not self.tenure.term:
                self._tell_who_leads()
            if not answered or self._node.wish(boot_clock()) is LeadWish.LOOK:
                await asyncio.sleep(self._node.pause(answered=answered))

    async def keep(self) -> None:
        """Goes on until another has taken over, or it is cancelled. Who does not reach the store for long, while others
        may, gives up, too: whoever is connected here is to go there. Sets `over`, also where it fails itself: who does
        not keep the lead is not to serve."""
        try:
            await self._keep()
        except Exception:
            logger.critical("the lead cannot be kept any more, by a fault of ours: this scheduler ends", exc_info=True)
        self.over.set()

    async def _keep(self) -> None:
        while not self._node.is_over:
            answered = await self._try(LeadWish.KEEP)
            if not answered and self._node.gives_up(self.roster, boot_clock()):
                logger.critical("the store %s does not answer here, and others stand by: it gives up", self._place)
                return
            await asyncio.sleep(self._beat / 4 if self._lasting else self._node.pause(answered=answered))
        logger.critical("%s", TakenOver(self._place))

    async def leave(self, *, stays: bool = False) -> None:
        """Lets the next one take over at once, if the store hears it. Who `stays` on the list is to be looked for where
        it was, as it comes back: workers that forgot it would have nowhere to go if the next one ended soon."""
        try:
            await self._ask(LeadWish.LEAVE, stays=stays)
        except ClusterError as error:
            logger.warning("who stands by takes over only when the lease is out: %s", error)
        finally:
            self._table.close()

    async def _try(self, wish: LeadWish) -> bool:
        try:
            await self._ask(wish)
        except StoreTroubled as error:
            self._say(f"the lead can be neither kept nor taken: {error}; trying again")
            return False
        return True

    async def _ask(self, wish: LeadWish, *, stays: bool = False) -> None:
        sent = boot_clock()
        ask = partial(self._table.ask, stays=stays) if stays else self._table.ask
        answer: LeadAnswer = await asyncio.to_thread(ask, wish, self._node, self.roster.forgotten(sent))
        self._node.answered(wish, sent, boot_clock(), answer.lead, done=answer.done)
        before = self.roster.addresses
        self.roster.take_in(answer.words, boot_clock())
        if self.roster.addresses != before:
            self.changed()
        if not self.tenure.term:
            self._compare(Sign.parse(answer.words.get(self.address, "")))

    def _compare(self, sign: Sign | None) -> None:
        """What the one that leads has said, with what is so here: Conflict for what would keep us from its work."""
        looked_at, self._looked_at = self._looked_at, time.time()
        if sign is None or sign == self._heard:
            return
        is_new, self._heard = self._heard is not None, sign
        if sign.shared and self._shared and sign.shared != self._shared:
            raise Conflict(
                f"the scheduler at {self.address}, which leads, has another directory at --shared than this one: mount "
                "the same one on both, or name it"
            )
        if is_new and (apart := sign.is_apart(looked_at, self._looked_at)):
            side = "behind" if apart > 0 else "ahead of"
            self._say_of_clocks(f"the clock here is {abs(apart):.0f} s {side} that of the scheduler at {self.address}")

    def _say_of_clocks(self, text: str) -> None:
        """Once: it drifts by the second."""
        if not self._told_of_clocks:
            self._told_of_clocks = True
            logger.warning("%s, which leads: set both (NTP), or jobs' times jump when this one takes over", text)

    def _tell_who_leads(self) -> None:
        lead = self._node.seen
        if lead.lasts:
            self._say(
                f"the scheduler at {lead.address} leads, and was started without --standby: nobody takes over from it; "
                "start it again with --standby"
            )
        elif lead.holder:
            self.stands_by()
            self._say(f"standing by: the scheduler at {lead.address} leads")

    def _say(self, text: str) -> None:
        if text != self._told:
            self._told = text
            logger.info("%s", text)

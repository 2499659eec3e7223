"""Who leads, as it lies in Redis: each wish is one script (see scripts.py)."""

import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any, NamedTuple

from cluster.domain.base.errors import Conflict
from cluster.domain.scheduler.leadership import Contender, Lead, LeadWish, Sign
from cluster.store.redis import scripts
from cluster.store.redis.connecting import connect, place_of, troubled

QUIET = 6.0  # seconds: each scheduler says something more often, with whatever lease
_LOOK = 0.25  # seconds


class LeadAnswer(NamedTuple):
    lead: Lead
    done: bool
    words: dict[str, str]  # of each scheduler, by its address, what it has said last


class LeadTable:
    def __init__(self, url: str, address: str, shared: str = "") -> None:
        """`address`: host:port by which others reach this scheduler once it serves; empty: nobody is to look for it
        there. `shared`: as of `Sign`."""
        self._place, self._client = place_of(url), connect(url)
        self._address, self._shared = address, shared
        self._said = 0

    def ask(self, wish: LeadWish, node: Contender, forgotten: Sequence[str] = (), *, stays: bool = False) -> LeadAnswer:
        """`stays`: who leaves the lead stays on the list. Blocks. StoreTroubled where nobody answers; then it may have
        been done, or be done yet."""
        self._said += 1
        is_listed = self._address and (stays or wish is not LeadWish.LEAVE)
        word = str(Sign(node.me, self._said, time.time(), self._shared)) if is_listed else ""
        expected = node.term if wish in (LeadWish.KEEP, LeadWish.LEAVE) else node.seen.term
        words = wish.value, node.me, str(expected), str(node.seen.beat), f"{node.lease:g}", self._address, word
        with troubled(self._place):
            said: Any = self._client.eval(scripts.ASK, 2, scripts.LEAD, scripts.SCHEDULERS, *words, *forgotten)
        done, term, beat, holder, lease, address, listed = said
        texts = [text.decode() for text in listed]
        lead = Lead(int(term), int(beat), holder.decode(), float(lease), address.decode())
        return LeadAnswer(lead, bool(done), dict(zip(texts[::2], texts[1::2], strict=True)))

    def close(self) -> None:
        self._client.close()


def expect_nobody(url: str) -> None:
    """Conflict where a scheduler leads or stands by on that store. Where one did and has not said goodbye it takes a
    few seconds to know. One that is stopped just now is not found."""
    place, nobody = place_of(url), Contender("", 0.0)
    with closing(LeadTable(url, "")) as table:
        before = table.ask(LeadWish.LEAVE, nobody)
        until = time.monotonic() + QUIET
        while (before.lead.holder or before.words) and time.monotonic() < until:
            time.sleep(_LOOK)
            now = table.ask(LeadWish.LEAVE, nobody)
            leader = now.lead.address if now.lead.holder and now.lead != before.lead else None
            others = (address for address, word in now.words.items() if word != before.words.get(address))
            who = f"{leader or 'somewhere'} leads" if leader is not None else ""
            who = who or next((f"{address} stands by" for address in others if address != now.lead.address), "")
            if who:
                raise Conflict(f"the scheduler at {who} on the store {place}: stop it, and all there, and try again")

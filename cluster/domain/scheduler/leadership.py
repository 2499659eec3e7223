"""Which of several schedulers on one store leads. The lead is a lease that lies in the store, of one holder; its term
counts how often it was taken.

Nobody compares clocks. A leader counts its lease from when it sent what last kept the lead, and stands back when three
quarters are out; whoever stands by counts from when it saw the lead change last, and takes it after the whole. So two
that lead at once had clocks that run a third faster or slower than each other. And were it so all the same: an epoch
can be begun only in the present term, and only the last epoch can write.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

SURE = 0.75  # of the lease: for how long a leader is sure of it
KEEPS = 0.15  # of the lease, between two words of the leader
LOOKS = 0.1  # of the lease, between two looks of one that stands by
LONGEST = 0.5  # seconds between two looks, and so what a takeover takes beyond the lease
AGAIN = 0.1  # of the lease: after the store has not answered
SILENT = 1.0  # leases without a word after which a scheduler on the list is taken to be away
CLOCKS_APART = 5.0  # seconds between two machines' clocks that are worth a word
FORGOTTEN = 86_400.0  # seconds without a word after which it leaves the list


class LeadWish(Enum):
    """What a scheduler asks of the store."""

    LOOK = "look"
    TAKE = "take"  # unless it has changed since it was seen last
    SEIZE = "seize"  # in any case
    KEEP = "keep"  # if it is still ours
    LEAVE = "leave"  # the same


@dataclass(frozen=True, slots=True)
class Lead:
    """As it lies in the store."""

    term: int = 0
    beat: int = 0  # counts what the holder has said in this term
    holder: str = ""  # id of a process; empty: nobody's
    lease: float = 0.0  # seconds; 0: until it is seized
    address: str = ""  # of the holder

    @property
    def lasts(self) -> bool:
        """Whether nobody may take it, however long its holder is silent."""
        return bool(self.holder) and not self.lease


class Tenure(NamedTuple):
    """Who leads, in which term. Both count: a store that has lost the last of what it said gives a term twice."""

    term: int  # 0: nobody is asked who leads
    holder: str


@dataclass(frozen=True, slots=True)
class Sign:
    """What a scheduler says of itself to the others, again and again."""

    holder: str  # id of its process
    count: int  # of such words
    clock: float = 0.0  # Unix seconds as it said this, by its own clock
    shared: str = ""  # id of the directory that it shares with the others

    def __str__(self) -> str:
        return f"{self.holder}:{self.count}:{self.clock:.3f}:{self.shared}"

    @classmethod
    def parse(cls, text: str) -> "Sign | None":
        """None for that of another version."""
        match text.split(":"):
            case [holder, count, clock, shared]:
                try:
                    return cls(holder, int(count), float(clock), shared)
                except ValueError:
                    return None
        return None

    def is_apart(self, earliest: float, latest: float) -> float:
        """Seconds by which its clock is ahead of ours (negative: behind) if it said this between these two moments of
        ours, which are Unix seconds; 0: it may be right."""
        if self.clock > latest + CLOCKS_APART:
            return self.clock - latest
        return min(0.0, self.clock - earliest) if self.clock < earliest - CLOCKS_APART else 0.0


@dataclass
class Contender:
    """One scheduler. All times are of its own clock, which must not stand still while its machine sleeps."""

    me: str  # id of this process
    lease: float
    term: int = 0  # in which we lead, or led; 0: we have not
    is_over: bool = False  # another has taken over: never again in this process
    seen: Lead = field(default_factory=Lead)
    _since: float | None = None  # when we saw it first as it is
    _kept: float = float("-inf")  # when what kept the lead last was sent

    @property
    def tenure(self) -> Tenure:
        return Tenure(self.term, self.me)

    def wish(self, now: float) -> LeadWish:
        """What to ask next."""
        if self.term:
            return LeadWish.KEEP
        return LeadWish.TAKE if self._may_take(now) else LeadWish.LOOK

    def _may_take(self, now: float) -> bool:
        if self._since is None or self.seen.lasts:
            return False
        return not self.seen.holder or now - self._since >= self.seen.lease

    def answered(self, wish: LeadWish, sent: float, now: float, lead: Lead, *, done: bool) -> None:
        """The store's answer to what was sent then: the lead as it is after that, and whether the wish was done."""
        if self._since is None or lead != self.seen:
            self.seen, self._since = lead, now
        if self.term:
            if wish is LeadWish.KEEP and done:
                self._kept = max(self._kept, sent)
            elif (lead.holder, lead.term) != (self.me, self.term):
                self.is_over = True
        elif lead.holder == self.me:  # also where the answer that said so was lost: then it is to be kept first
            self.term = lead.term
            if done:
                self._kept = sent

    def leads(self, now: float) -> bool:
        """Whether nobody else can have taken over."""
        return bool(self.term) and not self.is_over and now - self._kept <= SURE * self.lease

    def unsure_for(self, now: float) -> float:
        """Seconds since when somebody else may have taken over."""
        return max(0.0, now - self._kept - SURE * self.lease)

    def gives_up(self, roster: "Roster", now: float) -> bool:
        """Whether it has not reached the store for so long that another leads by now, if one is there: whoever is
        connected here is to go to that one. Not where nobody takes the lead by lease."""
        others = (each for each in roster.addresses if each != self.seen.address)
        return 0 < self.lease < self.unsure_for(now) and any(map(roster.was_there, others))

    def pause(self, *, answered: bool) -> float:
        """Seconds until the next wish."""
        if not answered:
            return AGAIN * self.lease
        if self.term:
            return KEEPS * self.lease
        lease = self.seen.lease or self.lease
        return min(LONGEST, LOOKS * lease)


@dataclass
class Roster:
    """The schedulers of the cluster by their addresses, and when each was heard last, by our clock."""

    lease: float
    heard: dict[str, float] = field(default_factory=dict)
    _looked: float = 0.0  # when all of it was heard last
    _words: dict[str, str] = field(default_factory=dict)

    def take_in(self, words: Mapping[str, str], now: float) -> None:
        """What each has said last. Who says something else than before is there."""
        for address, word in words.items():
            if self._words.get(address) != word:
                self.heard[address] = now
        self._words, self._looked = dict(words), now
        self.heard = {address: at for address, at in self.heard.items() if address in words}

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(sorted(self._words))

    def silence(self, address: str, now: float) -> float:
        """Seconds for which it is away; 0: it is there."""
        silent = now - self.heard.get(address, now)
        return silent if silent > SILENT * self.lease else 0.0

    def was_there(self, address: str) -> bool:
        """Whether it was there when anything was heard last: who hears nothing any more knows no more of others."""
        return not self.silence(address, self._looked)

    def forgotten(self, now: float) -> list[str]:
        """Those that are to leave the list."""
        return sorted(address for address, at in self.heard.items() if now - at > FORGOTTEN)

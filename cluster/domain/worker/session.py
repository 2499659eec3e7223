"""The worker's session with the scheduler: when to dial, when a word is late, and how old the lease is.

The life of a session; `launcher` means that the launcher is connected:

    launcher, backoff over          SessionReady            Welcome
    ----------------------> DIALLING -----------> GREETING ----------> OPEN ---------> CLOSING (by us)
             ^                  |                    |                  |                 |
             '------------------'--------------- SessionEnded ----------'-----------------'

A lease is as old as the *question*: it counts from when the heartbeat (or hello) was sent that the scheduler has
answered, and not from the answer. So attempts die here before the scheduler gives them up there.

Times are seconds of the boot clock.
"""

from enum import Enum

from cluster.domain.base.stalls import LISTENING, overslept
from cluster.domain.session.leashes import HEARTBEATS

# Seconds between two tries to connect. As long as anything runs, the next one comes soon, so that an absence of the
# scheduler costs nothing (see domain.session.leashes). With nothing to lose it may take longer.
BACKOFF_FIRST, BACKOFF_MOST, BACKOFF_IDLE = 0.2, 1.0, 5.0
WELCOME_WITHIN = 10.0  # seconds after the hello; whoever says nothing for so long is tried anew
_MOST_FAILURES = 16  # that are counted: by then the backoff has long been at its most


class SessionState(Enum):
    NONE = "none"
    DIALLING = "dialling"
    GREETING = "greeting"
    OPEN = "open"
    CLOSING = "closing"


class SchedulerSession:
    """One session after another, each with a number. `heartbeat`: the number of the last one that was sent."""

    def __init__(self) -> None:
        self.number = 0
        self.state = SessionState.NONE
        self.heartbeat = 0
        self.confirmed_at: float | None = None  # when the last word was sent that a scheduler has confirmed
        self._lease = 0.0
        self._failures = 0
        self._dial_at: float | None = 0.0
        self._heartbeat_at = 0.0
        self._asked: dict[int, float] = {}  # heartbeat -> when it was sent; 0 is the hello
        self._heard_at = 0.0
        self._listens_until = 0.0

    # -- what happens

    def woke(self, deadline: float | None, now: float) -> None:
        """A turn begins. If it was due long ago, this process has stood still: then what the scheduler has said
        meanwhile is heard before the scheduler counts as silent."""
        if overslept(deadline, now):
            self._listens_until = now + LISTENING

    def dial_at(self, at: float) -> None:
        """The next try comes then, and not when the backoff is over."""
        self._dial_at = at

    def dialled(self) -> None:
        self.number += 1
        self.state = SessionState.DIALLING

    def greeted(self, now: float) -> None:
        """The hello is sent."""
        self.state = SessionState.GREETING
        self._asked = {0: now}

    def welcomed(self, lease: float, now: float) -> None:
        self.state, self._lease, self._failures = SessionState.OPEN, lease, 0
        self.heartbeat, self._heartbeat_at = 0, now + lease / HEARTBEATS

    def beat(self, now: float) -> int:
        """A heartbeat is sent; answers its number."""
        self.heartbeat += 1
        self._heartbeat_at = now + self._lease / HEARTBEATS
        self._asked[self.heartbeat] = now
        return self.heartbeat

    def confirmed(self, heartbeat: int, now: float) -> float | None:
        """The scheduler has answered that heartbeat (0: the hello). Answers when it was sent, from which on the lease
        counts; None for one that was answered before."""
        asked = self._asked.get(heartbeat)
        if asked is None:
            return None
        self._asked = {number: at for number, at in self._asked.items() if number > heartbeat}
        self._heard_at, self.confirmed_at = now, asked
        return asked

    def closed(self) -> None:
        """We have ended it: nothing more is read or sent in it. The driver says when it is over (`ended`)."""
        self.state = SessionState.CLOSING

    def ended(self, now: float, jitter: float, idle: bool) -> None:
        """`jitter`: a random number from 0 to 1. `idle`: nothing is held here that an absence could cost."""
        self.state = SessionState.NONE
        longest = min(BACKOFF_IDLE if idle else BACKOFF_MOST, BACKOFF_FIRST * 2**self._failures)
        self._failures = min(self._failures + 1, _MOST_FAILURES)
        # Half fixed, half by chance: a thousand workers that lost one scheduler do not come back at one moment.
        self._dial_at = now + longest * (1 + jitter) / 2

    @property
    def hears(self) -> bool:
        """Whether what the scheduler says in it is read."""
        return self.state in (SessionState.GREETING, SessionState.OPEN)

    # -- what is due

    def next_deadline(self, may_dial: bool) -> float | None:
        """The time at which this session alone has something due, or None."""
        if self.state is SessionState.NONE:
            return self._dial_at if may_dial else None
        if self.state is SessionState.GREETING:
            return self.silence_ends(self._asked[0] + WELCOME_WITHIN)
        if self.state is SessionState.OPEN:
            return min(self._heartbeat_at, self.silence_ends(self._heard_at + self._lease))
        return None

    def may_dial(self, now: float) -> bool:
        return self.state is SessionState.NONE and self._dial_at is not None and now >= self._dial_at

    def wants_heartbeat(self, now: float) -> bool:
        return self.state is SessionState.OPEN and now >= self._heartbeat_at

    def why_silent(self, now: float) -> str:
        """Why the scheduler is to be tried anew, in words; empty: it is not late with anything."""
        if self.state is SessionState.GREETING and now >= self.silence_ends(self._asked[0] + WELCOME_WITHIN):
            return f"the scheduler has not answered for {WELCOME_WITHIN:g} s"
        if self.state is SessionState.OPEN and now >= self.silence_ends(self._heard_at + self._lease):
            return f"the scheduler has not answered a heartbeat for {self._lease:g} s"
        return ""

    def silence_ends(self, at: float) -> float:
        """The time at which a peer counts as silent that should have spoken by `at`: not before there was time to hear
        it."""
        return max(at, self._listens_until)

    def is_answered(self, heartbeat: int) -> bool:
        return heartbeat not in self._asked

"""Fair share: of two users whose jobs wait at the same priority, the one goes first who has had less lately.

What counts is cpus times seconds, as they are held, started or not. It fades: after HALF_LIFE half of it is forgotten.
What a user holds now counts as if it went on for AHEAD, so that two who begin at the same moment get the same. All of
that is divided by the user's weight.

Nothing is done as time passes: between two events what a user holds is the same, so the rest is a formula.
"""

from math import exp, log
from typing import NamedTuple

HALF_LIFE = 86_400.0  # seconds
AHEAD = 3_600.0  # seconds
USUAL_WEIGHT = 1.0
LEAST_WEIGHT, MOST_WEIGHT = 0.001, 1000.0
SAVED_AFTER = 60.0  # seconds after a change in which others are saved with it
_RATE = log(2) / HALF_LIFE


class ShareRecord(NamedTuple):
    """Persisted some time after it has changed: so a crash forgets a minute of it at most."""

    owner: str  # a user's id
    weight: float = USUAL_WEIGHT
    used: float = 0.0  # cpu seconds, faded until `at`
    held: int = 0  # millicpus, from then on
    at: float = 0.0  # Unix seconds


class _Share:
    __slots__ = ("at", "held", "used", "weight")

    def __init__(self, now: float) -> None:
        self.weight, self.used, self.held, self.at = USUAL_WEIGHT, 0.0, 0, now

    def settle(self, now: float) -> None:
        """What was held until now counts as used."""
        if now > self.at:
            self.used = used_after(self.used, self.held, now - self.at)
            self.at = now


class Shares:
    __slots__ = ("_changed", "_shares")

    def __init__(self) -> None:
        self._shares: dict[str, _Share] = {}
        self._changed: set[str] = set()  # owners, since this was saved

    def hold(self, owner: str, millicpus: int, now: float) -> None:
        """The owner's tasks hold so much more from now on (less, if negative), on the monotonic clock."""
        share = self._share(owner, now)
        share.settle(now)
        share.held += millicpus
        self._changed.add(owner)

    def weigh(self, owner: str, weight: float, now: float) -> None:
        """From now on the owner's share has that weight."""
        self._share(owner, now).weight = weight
        self._changed.add(owner)

    def rank(self, owner: str, now: float) -> float:
        """The lowest goes first."""
        share = self._shares.get(owner)
        if share is None:
            return 0.0
        return (used_after(share.used, share.held, now - share.at) + share.held * AHEAD / 1000) / share.weight

    @property
    def is_changed(self) -> bool:
        """Whether anything is to be saved."""
        return bool(self._changed)

    def changed(self, now: float, wall: float) -> list[ShareRecord]:
        """What has changed since this was asked last, in the order of the owners. `now` and `wall` are one moment."""
        owners, self._changed = sorted(self._changed), set()
        return [self.record(owner, now, wall) for owner in owners]

    def records(self, now: float, wall: float) -> list[ShareRecord]:
        """Everybody's, the next to go first."""
        return [self.record(owner, now, wall) for owner in sorted(self._shares, key=lambda o: (self.rank(o, now), o))]

    def record(self, owner: str, now: float, wall: float) -> ShareRecord:
        share = self._share(owner, now)
        return ShareRecord(owner, share.weight, used_after(share.used, share.held, now - share.at), share.held, wall)

    def restore(self, record: ShareRecord, now: float, wall: float) -> None:
        """As it was saved, and what was held has been held since. What is held now is still to be said."""
        share = self._share(record.owner, now)
        share.weight = record.weight
        share.used = used_after(record.used, record.held, max(0.0, wall - record.at))

    def _share(self, owner: str, now: float) -> _Share:
        share = self._shares.get(owner)
        if share is None:
            share = self._shares[owner] = _Share(now)
        return share


def used_after(used: float, held: int, seconds: float) -> float:
    """What has faded of `used` cpu seconds after so long, with what was held all the while, which fades as well."""
    if seconds <= 0 or not (used or held):
        return used
    left = exp(-_RATE * seconds)
    return used * left + held / 1000 * (1 - left) / _RATE

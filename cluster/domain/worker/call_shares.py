"""How much of one thing the jobs of a worker may have at a time: of calls to the cluster, or of the bytes of these.

An attempt may have so much. Jobs of one user together may have as much as they leave for all others: so whoever has
nothing finds room, however many attempts somebody else has.
"""

from collections import Counter
from collections.abc import Hashable
from typing import TypeVar

from cluster.domain.base.errors import Exhausted
from cluster.domain.base.ids import AttemptKey

T = TypeVar("T", bound=Hashable)


class CallShares:
    """`what` there is, in words: so much of one attempt, and so much of all."""

    def __init__(self, what: str, of_one: int, of_all: int) -> None:
        self._what, self._of_one, self._of_all = what, of_one, of_all
        self._attempts: Counter[AttemptKey] = Counter()
        self._owners: Counter[str] = Counter()

    def take(self, attempt: AttemptKey, owner: str, amount: int) -> None:
        """Exhausted where that is too much, which says whose jobs have how much. `owner`: of its job."""
        if (count := self._attempts[attempt]) + amount > self._of_one:
            has = f"job {attempt.job} has {count} {self._what} under way, and each attempt may have {self._of_one}"
            raise Exhausted(f"{has}: wait until one of them has ended")
        total, theirs = self._owners.total() + amount, self._owners[owner] + amount
        if theirs > self._of_all - total:
            self._refuse(owner)
        self._attempts[attempt] += amount
        self._owners[owner] += amount

    def give_back(self, attempt: AttemptKey, owner: str, amount: int) -> None:
        _less(self._attempts, attempt, amount)
        _less(self._owners, owner, amount)

    def _refuse(self, owner: str) -> None:
        who, count = self._owners.most_common(1)[0] if self._owners else (owner, 0)
        if who == owner:
            has = f"jobs of {owner} have {count} {self._what} under way on this worker, and the rest is for others"
            raise Exhausted(f"{has}: wait until some of them have ended")
        total = self._owners.total()
        raise Exhausted(
            f"the jobs of this worker have {total} {self._what} under way, those of {who} {count}: try again later"
        )


def _less(counts: Counter[T], key: T, amount: int) -> None:
    counts[key] -= amount
    if not counts[key]:
        del counts[key]

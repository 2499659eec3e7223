"""What this machine has for attempts, and which slot holds how much of it.

A slot holds what its attempt needs for as long as anything of that attempt may run, so whoever comes next in the slot,
of the same template, has it in turn. Named units (gpus) are given out here and nowhere else. All attempts of a machine
start below one launcher, and a successor starts nothing before all that its predecessor left is dead: so no unit is
ever held by two attempts, whoever restarts.
"""

from collections import Counter
from typing import NamedTuple

from cluster.domain.job.amounts import GPUS, Amounts
from cluster.domain.session.offer import NOTHING, Offer, more_than_there_is

GPU_VARIABLE = "CUDA_VISIBLE_DEVICES"  # where programs look for the gpus that they may use
NO_UNITS: tuple[str, ...] = ()


class Needs(NamedTuple):
    """What an attempt needs: so many millicpus, so much of other resources, and perhaps to be `alone`."""

    millicpus: int
    amounts: Amounts = ()
    alone: bool = False


class Holding(NamedTuple):
    """What one slot holds."""

    needs: Needs
    gpus: tuple[str, ...]


class Allocation:
    """`capacity` in millicpus; `offer` is what there is beside these. Both may change while something is held."""

    def __init__(self, capacity: int, offer: Offer = NOTHING) -> None:
        self.capacity, self.offer = capacity, offer
        self._held: dict[int, Holding] = {}  # by slot
        self.used = 0  # millicpus
        self._alone = 0  # holders that are to be
        self._taken: Counter[str] = Counter()  # of each resource beside them
        self._gpus_held: set[str] = set()

    def why_never(self, needs: Needs) -> str:
        """Why so much is more than there is at all, in words; empty: it is not."""
        why = more_than_there_is(needs.millicpus, needs.amounts, self.capacity, self.offer)
        return f"it {why}" if why else ""

    def fits(self, needs: Needs) -> bool:
        """Whether so much is free now, and nothing is to be alone that anything would be beside."""
        if self.used + needs.millicpus > self.capacity or self._alone or (needs.alone and self._held):
            return False
        return all(
            self._taken[name] + amount <= self.offer.amounts.get(name, 0) if name != GPUS else amount <= self._gpus_left
            for name, amount in needs.amounts
        )

    @property
    def _gpus_left(self) -> int:
        return sum(unit not in self._gpus_held for unit in self.offer.gpus)

    def take(self, slot: int, needs: Needs) -> None:
        """The slot holds so much from now on. It fits."""
        count = dict(needs.amounts).get(GPUS, 0) if needs.amounts else 0
        units = self._first_free(count) if count else NO_UNITS
        self._held[slot] = Holding(needs, units)
        self.used += needs.millicpus
        self._alone += needs.alone
        self._count(needs.amounts, 1)
        self._gpus_held.update(units)

    def _first_free(self, count: int) -> tuple[str, ...]:
        return tuple([unit for unit in self.offer.gpus if unit not in self._gpus_held][:count])

    def give_back(self, slot: int) -> None:
        """The slot holds nothing any more."""
        held = self._held.pop(slot)
        self.used -= held.needs.millicpus
        self._alone -= held.needs.alone
        self._count(held.needs.amounts, -1)
        self._gpus_held.difference_update(held.gpus)

    def _count(self, amounts: Amounts, sign: int) -> None:
        for name, amount in amounts:
            self._taken[name] += sign * amount

    def gpus_of(self, slot: int) -> tuple[str, ...]:
        """The units that the slot holds."""
        return self._held[slot].gpus

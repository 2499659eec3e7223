"""What an operator says of a pool, whoever provides its machines."""

from dataclasses import dataclass

from cluster.domain.base.errors import InvalidInput
from cluster.domain.pools.shape import Shape

MOST_OF_A_POOL = 10_000  # machines
MOST_CHARACTERS = 24  # of a pool's name: with what tells its machines apart it is a host's name
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")

POOL_LABEL, MACHINE_LABEL = "pool", "pool-machine"  # that each worker of a pool has


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Times in seconds. `cost`: pools of lower cost are filled first."""

    name: str
    shape: Shape
    minimum: int = 0
    maximum: int = 0
    wait: float = 1.0  # a task waits so long before anything is started for it
    idle: float = 300.0  # a worker has nothing to do for so long before it leaves
    start_within: float = 300.0  # a machine whose worker is not there by then is broken
    lost_after: float = 60.0  # the same of one whose worker was there, and is offline
    missing_after: float = 10.0  # what the provider does not tell any more for so long is gone
    cost: float = 1.0
    back_off: float = 5.0  # after the first failure; twice as long after each further one
    most_back_off: float = 600.0


def check_pool_name(name: str) -> str:
    """InvalidInput for what cannot be a pool's name: it is part of the names of hosts, Pods and labels."""
    if not name or len(name) > MOST_CHARACTERS or not _LETTERS.issuperset(name) or "-" in (name[0], name[-1]):
        raise InvalidInput(
            f"{name[:80]!r} is no name of a pool: use at most {MOST_CHARACTERS} lower-case letters, digits and hyphens"
        )
    return name

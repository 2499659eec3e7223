"""No request of any role makes others wait, or takes much memory, whatever is in it.

All of them take some minutes: `pytest -m extra_hostile`. A few are in every run.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from cluster.domain.trust.identity import Role
from cluster.rpc.roles import allowed
from tests.hostile.attacks import JOIN, Attack, attacks, legal, methods
from tests.hostile.grounds import Found, Grounds, grounds

# Seconds that others may have to wait, more than for a scheduler that nobody attacks. This is by the clock, on a
# machine that may have others to serve: what holds a loop for 0.1 s of the processor is found by test_held_loops.
LONGEST = 0.3
MOST_GROWTH = 200_000_000  # bytes
TRIES = 3  # of one that seems to have stalled others: what is the attack's doing happens each time

PEOPLE = {"admin": Role.ADMIN, "worker": Role.WORKER, "user": Role.USER, "viewer": Role.VIEWER}


def who_may(method: str) -> str:
    """The first who may call it. Joining takes no certificate; what only a job may call, a user tries."""
    may = (name for name, role in PEOPLE.items() if allowed(method, role))
    return "nobody" if method == JOIN else next(may, "user")


def who_may_not(method: str) -> str | None:
    """Nobody may join with a certificate, but without one anybody may try."""
    return None if method == JOIN else next((name for name, role in PEOPLE.items() if not allowed(method, role)), None)


async def survive(ground: Grounds, cases: Iterable[tuple[Attack, str]]) -> list[Found]:
    """Makes each attack in the role given. Fails at the end, with all that did harm."""
    found: list[Found] = []
    harm: list[str] = []
    for attack, role in cases:
        for _ in range(TRIES):
            result = await ground.attack(attack, role)
            if result.stall < LONGEST and result.grown < MOST_GROWTH:
                break
        found.append(result)
        if result.stall >= LONGEST or result.grown >= MOST_GROWTH or result.answer.startswith("Internal:"):
            harm.append(f"{role}, {attack}: {result.stall:.3f} s, {result.grown / 1e6:.0f} MB, {result.answer[:120]}")
            print(harm[-1], flush=True)
        for name in ("scheduler", "w1"):
            assert ground.attacked.is_alive(name), (
                f"{role}, {attack}: {name} has ended: {ground.attacked.log(name)[-3000:]}"
            )
    waits = sorted(f.wait * 1000 for f in found)
    middle, most, more = waits[len(waits) // 2], waits[-1], max(f.stall for f in found) * 1000
    print(
        f"{len(found)} attacks: others waited {middle:.0f} ms in the middle, {most:.0f} ms at most, {more:.0f} ms more "
        f"than the machine alone makes of it; memory grew {max(f.grown for f in found) / 1e6:.0f} MB at most"
    )
    assert not harm, "\n".join(harm)
    return found


def at_grounds(directory: Path, cases: Iterable[tuple[Attack, str]]) -> list[Found]:
    async def body() -> list[Found]:
        async with grounds(directory) as ground:
            return await survive(ground, cases)

    return asyncio.run(body())


def test_attacks_are_made_of_every_method_and_every_kind() -> None:
    made = Counter(attack.method for method in methods() for attack in attacks(method))
    assert made.total() >= 200
    assert set(made) == set(methods())


@pytest.mark.slow
def test_a_few_of_all_attacks_make_nobody_wait(tmp_path: Path) -> None:
    some = (
        (attack, who_may(method))
        for method in ("/cluster.v1.Jobs/Submit", "/cluster.v1.Scheduler/Session", "/cluster.v1.Worker/StartJob")
        for attack in attacks(method)
        if attack.name in ("noise", "unknown fields", "many empty messages")
        or attack.name.startswith(("a crowd in spec.argv", "a huge text in spec.worker", "a packed", "line ends"))
        or attack.name == "as many as are let in in hello.running"
    )
    forbidden = next(a for a in attacks("/cluster.v1.Jobs/Submit") if a.name == "a crowd in spec.env")
    at_grounds(tmp_path, itertools.chain(some, [(forbidden, "viewer")], ((attack, "user") for attack in legal())))


@pytest.mark.extra_hostile
@pytest.mark.parametrize("service", ["Jobs", "Scheduler", "Tokens", "Users", "Workers", "Worker"])
def test_no_attack_makes_anybody_wait(tmp_path: Path, service: str) -> None:
    at_grounds(tmp_path, _on(service))


def _on(service: str) -> Iterator[tuple[Attack, str]]:
    """Each attack as somebody who may call, and one in seven as somebody who may not. One at a time: many are large."""
    for method in methods():
        if f".{service}/" in method:
            for number, attack in enumerate(attacks(method)):
                yield attack, who_may(method)
                if number % 7 == 0 and (other := who_may_not(method)):
                    yield attack, other


@pytest.mark.extra_hostile
def test_what_is_within_all_bounds_makes_nobody_wait(tmp_path: Path) -> None:
    at_grounds(tmp_path, ((attack, "user") for attack in itertools.chain(legal(), legal())))

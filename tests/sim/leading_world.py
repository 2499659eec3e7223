"""Lives of schedulers that contend for the lead: machines that sleep, networks that part and answer late, clocks that
differ, processes that are killed. What the store does by its scripts it does here by itself."""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from cluster.domain.scheduler.leadership import LONGEST, Contender, Lead, LeadWish, Tenure

LEASE = 10.0
TIMEOUT = 4.0  # seconds after which an answer is not waited for any more
DRIFT = 0.05  # by which a clock is too fast or too slow at most
LOADING = 1.0  # seconds from taking the lead to the first commit, with its requests
LIFE = 300.0


class Wrong(AssertionError):
    """What must never be."""


@dataclass
class SharedStore:
    lead: Lead = field(default_factory=Lead)
    epoch: int = 0
    epoch_term: int = 0  # in which it was begun
    holder: str = ""  # who has begun it

    def ask(self, wish: LeadWish, node: Contender, seen: Lead, address: str) -> tuple[Lead, bool]:
        is_ours = (self.lead.term, self.lead.holder) == (node.term, node.me)
        is_as_seen = (self.lead.term, self.lead.beat) == (seen.term, seen.beat)
        done = {LeadWish.TAKE: is_as_seen, LeadWish.SEIZE: True, LeadWish.KEEP: is_ours, LeadWish.LEAVE: is_ours}.get(
            wish, False
        )
        if done and wish in (LeadWish.TAKE, LeadWish.SEIZE):
            self.lead = Lead(self.lead.term + 1, 1, node.me, node.lease, address)
        elif done:
            holder = node.me if wish is LeadWish.KEEP else ""
            self.lead = replace(self.lead, beat=self.lead.beat + 1, holder=holder)
        return self.lead, done

    def claim(self, tenure: Tenure) -> int:
        """The new epoch, or 0."""
        if (self.lead.term, self.lead.holder) != tenure:
            return 0
        self.epoch, self.epoch_term, self.holder = self.epoch + 1, tenure.term, tenure.holder
        return self.epoch

    def commit(self, epoch: int, holder: str) -> bool:
        return (epoch, holder) == (self.epoch, self.holder)


@dataclass
class Machine:
    """One scheduler after another, with one clock."""

    name: str
    rate: float
    offset: float
    node: Contender
    life: int = 0  # of its process
    epoch: int = 0
    asleep_until: float = 0.0
    parted_until: float = 0.0
    dead: bool = False

    def clock(self, now: float) -> float:
        return self.offset + self.rate * now


class World:
    def __init__(self, seed: int, count: int = 0, calm: float = LIFE * 0.75) -> None:
        """`count` schedulers (0: two or three); all is well from `calm` on."""
        self.dice = random.Random(seed)
        self.seed, self.now = seed, 0.0
        self.store = SharedStore()
        self._order = itertools.count()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self.calm = calm
        self.slow = self.dice.choice((0.05, 0.5, 3.0))  # seconds that a message takes at most
        self.written = 0
        self.luck = random.Random(f"{seed} loses")  # others than `dice`, which are thrown as often in each life
        self.loses = count == 0 and self.luck.random() < 0.3
        self._past: deque[tuple[float, SharedStore]] = deque(maxlen=500)
        if self.loses:
            self.after(self.luck.uniform(20, calm), self._lose)
        self.machines = [self._machine(number) for number in range(count or self.dice.choice((2, 2, 3)))]

    def _machine(self, number: int) -> Machine:
        rate, offset = 1 + self.dice.uniform(-DRIFT, DRIFT), self.dice.uniform(-1e6, 1e6)
        machine = Machine(f"box{number}", rate, offset, Contender(f"box{number}/0", LEASE))
        self.after(self.dice.uniform(0, 5), lambda: self._step(machine, 0))
        self._trouble(machine)
        return machine

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + seconds, next(self._order), act))

    def play(self) -> None:
        while self._queue and self._queue[0][0] < LIFE:
            self.now, _, act = heapq.heappop(self._queue)
            act()
            self._expect_one_that_leads()
        if not any(self._speaks(machine) for machine in self.machines):
            raise Wrong(f"seed {self.seed}: nobody leads at the end, although all is well for {LIFE - self.calm:g} s")

    # ── what happens ──────────────────────────────────────────────────────────────────────────────────────────────

    def _trouble(self, machine: Machine) -> None:
        def strike() -> None:
            if self.now < self.calm:
                self._strike(machine)
                self.after(self.dice.expovariate(1 / 25), strike)

        self.after(self.dice.expovariate(1 / 25), strike)

    def _strike(self, machine: Machine) -> None:
        until = min(self.now + self.dice.choice((1.0, LEASE * 0.9, LEASE * 1.3, LEASE * 3)), self.calm)
        match self.dice.choice(("sleeps", "parted", "killed", "leaves")):
            case "sleeps":
                machine.asleep_until = until
            case "parted":
                machine.parted_until = until
            case "killed":
                self._restart(machine, until)
            case "leaves" if machine.node.term and not self._is_away(machine):
                self.store.ask(LeadWish.LEAVE, machine.node, machine.node.seen, machine.name)
                self._restart(machine, until)

    def _remember(self) -> None:
        if self.loses:
            self._past.append((self.now, replace(self.store)))

    def _lose(self) -> None:
        """The store is what it was a moment ago: a replica was promoted that had not heard the last."""
        then = self.now - self.luck.uniform(0.1, 8.0)
        before = [past for at, past in self._past if at <= then]
        if before:
            self.store = before[-1]
        if self.now < self.calm:
            self.after(self.luck.uniform(5, 60), self._lose)

    def _restart(self, machine: Machine, at: float) -> None:
        machine.life += 1
        machine.dead, life = True, machine.life

        def born() -> None:
            if machine.life == life:
                machine.dead, machine.epoch = False, 0
                machine.node = Contender(f"{machine.name}/{life}", LEASE)
                self._step(machine, life)

        self.after(at - self.now + 0.01, born)

    def _is_away(self, machine: Machine) -> bool:
        return machine.dead or self.now < max(machine.asleep_until, machine.parted_until)

    def _when_awake(self, machine: Machine, life: int, act: Callable[[], None]) -> None:
        """Does it now, or as soon as the machine wakes; not where its process has been killed by then."""
        if machine.life != life or machine.dead:
            return
        if self.now < machine.asleep_until:
            self.after(machine.asleep_until - self.now, lambda: self._when_awake(machine, life, act))
        else:
            act()

    # ── one scheduler ─────────────────────────────────────────────────────────────────────────────────────────────

    def _step(self, machine: Machine, life: int) -> None:
        self._when_awake(machine, life, lambda: self._ask(machine, life))

    def _ask(self, machine: Machine, life: int) -> None:
        node = machine.node
        if node.is_over:
            self._restart(machine, self.now + 1.0)
            return
        wish, seen, sent = node.wish(machine.clock(self.now)), node.seen, machine.clock(self.now)
        asked = replace(node)  # as it is now: what it sends does not change under way
        is_answered = [False]

        def hear(lead: Lead, *, done: bool) -> None:
            if is_answered[0] or machine.node is not node:
                return
            is_answered[0] = True
            node.answered(wish, sent, machine.clock(self.now), lead, done=done)
            if done and wish is LeadWish.TAKE:
                self._send(machine, life, lambda: self._claim(machine, life, node.tenure))
            self.after(node.pause(answered=True) / machine.rate, lambda: self._step(machine, life))

        def arrive() -> None:
            self._remember()
            lead, done = self.store.ask(wish, asked, seen, machine.name)
            self._send(machine, life, lambda: self._when_awake(machine, life, lambda: hear(lead, done=done)))

        def give_up() -> None:
            if not is_answered[0]:
                is_answered[0] = True
                self.after(node.pause(answered=False) / machine.rate, lambda: self._step(machine, life))

        self._send(machine, life, arrive)
        self.after(TIMEOUT, lambda: self._when_awake(machine, life, give_up))

    def _send(self, machine: Machine, life: int, act: Callable[[], None]) -> None:
        """It arrives late, or never while the machine is parted from the store."""
        if not (self.now < machine.parted_until or (self.now < self.calm and self.dice.random() < 0.02)):
            self.after(self.dice.uniform(0.001, self.slow if self.now < self.calm else 0.05), act)

    def _claim(self, machine: Machine, life: int, tenure: Tenure) -> None:
        self._remember()
        epoch = self.store.claim(tenure)
        if epoch and self.store.lead.holder != tenure.holder:
            raise Wrong(f"seed {self.seed}: {tenure.holder} begins an epoch while {self.store.lead.holder} leads")
        if epoch and machine.life == life:
            machine.epoch = epoch
            self.after(0.1, lambda: self._write(machine, life, epoch, tenure.holder))

    def _write(self, machine: Machine, life: int, epoch: int, holder: str) -> None:
        def arrive() -> None:
            if self.store.commit(epoch, holder):
                self.written += 1
                if (epoch, holder) != (self.store.epoch, self.store.holder):
                    began = f"epoch {self.store.epoch} of {self.store.holder}"
                    raise Wrong(f"seed {self.seed}: {holder} writes in {began}, as if it were epoch {epoch} of its own")
            else:
                machine.node.is_over |= machine.life == life

        self._when_awake(machine, life, lambda: self._send(machine, life, arrive))
        if machine.life == life:
            self.after(0.5, lambda: self._write(machine, life, epoch, holder))

    # ── what must be ──────────────────────────────────────────────────────────────────────────────────────────────

    def _speaks(self, machine: Machine) -> bool:
        return not machine.dead and self.now >= machine.asleep_until and machine.node.leads(machine.clock(self.now))

    def _expect_one_that_leads(self) -> None:
        """A store that loses what it said gives the lead twice for a moment; there it is only writing that counts."""
        if self.loses:
            return
        leading = [machine.name for machine in self.machines if self._speaks(machine)]
        if len(leading) > 1:
            raise Wrong(f"seed {self.seed}: at {self.now:.3f} s {' and '.join(leading)} lead")
        if self.store.epoch_term > self.store.lead.term:
            raise Wrong(f"seed {self.seed}: an epoch of term {self.store.epoch_term} in {self.store.lead.term}")


def play(seed: int) -> None:
    World(seed).play()


def takeover(seed: int) -> float:
    """Seconds from when the leader was killed until the other leads, where the store answers at once."""
    world = World(seed, 2, calm=0.0)
    killed: list[float] = []

    def kill() -> None:
        for machine in world.machines:
            if world._speaks(machine):
                killed.append(world.now)
                world._restart(machine, LIFE)

    world.after(30.0 + world.dice.uniform(0, 10), kill)
    for now in _moments(world):
        if killed and any(world._speaks(machine) for machine in world.machines):
            return now - killed[0]
    raise Wrong(f"seed {seed}: nobody has taken over")


def _moments(world: World) -> Iterator[float]:
    while world._queue and world._queue[0][0] < LIFE:
        world.now, _, act = heapq.heappop(world._queue)
        act()
        yield world.now


MOST = LEASE * (1 + DRIFT) + LONGEST + 1.0  # seconds of a takeover, without the loading

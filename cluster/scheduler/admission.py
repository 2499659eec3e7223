"""Who belongs to the cluster: the members, kept on disk before anybody is told."""

import uuid
from collections.abc import Callable, Sequence
from functools import partial

from cluster.domain.trust.enrolments import Enrolment, EnrolmentForgotten
from cluster.domain.trust.expulsion import Expelled, Record
from cluster.domain.trust.identity import IdentityKind, Peer
from cluster.domain.trust.members import Members
from cluster.domain.trust.tokens import TokenRecord
from cluster.pki import issuer
from cluster.pki.authority import Authority
from cluster.pki.certificates import LEAF_LIFE
from cluster.scheduler.driver import Driver
from cluster.store.interface import Store


class Admission:
    """Made before the driver runs, from what the store holds."""

    def __init__(self, store: Store, changed: Callable[[], None]) -> None:
        """`changed` is called after somebody has lost a right."""
        self._changed = changed
        self.members = Members(store.users(), store.tokens(), store.enrolments())

    async def begin(self, driver: Driver) -> None:
        """Makes the first user known, on the first start. The driver must run."""
        self._driver = driver
        await self._save(self.members.begin(self._now()))

    async def join(
        self,
        authority: Authority,
        secret: str,
        csr: bytes,
        kind: str,
        previous: bytes = b"",
        hosts: Sequence[str] = (),
    ) -> issuer.Issued:
        """A certificate for the bearer of a token, who wants to be of that kind. `previous`: the one (PEM) it had;
        `hosts`: of a gateway, by which names and addresses it is reached."""
        return await issuer.join(authority, secret, csr, partial(self._admit, kind), self._now(), previous, hosts)

    async def _admit(self, kind: str, secret_hash: str, before: Peer | None) -> Enrolment:
        """Spends one use of a token, on disk before it returns; none if its bearer cannot become what it says."""
        self._driver.expect_writable()
        fresh = str(uuid.uuid4()), issuer.new_enrolment_id()
        enrolment, records = self.members.admit(secret_hash, kind, before, *fresh, self._now())
        await self._save([*records, *self._let_go()])
        return enrolment

    async def add(self, token: TokenRecord) -> None:
        """Conflict when it would make of a user somebody else."""
        self._driver.expect_writable()
        await self._save(self.members.add(token))

    async def enrol_admin(self) -> int:
        """A new enrolment of the first user; answers its id."""
        enrolment_id = issuer.new_enrolment_id()
        await self._save(self.members.enrol_admin(enrolment_id, self._now()))
        return enrolment_id

    async def expel(self, decide: Callable[[Members, float], Expelled]) -> Expelled:
        """What `decide` says of the members and the time, now: calls under way are cut, then it is kept."""
        expelled = decide(self.members, self._now())
        self._changed()
        await self._save([*expelled.records, *self._let_go()])
        return expelled

    def _let_go(self) -> list[EnrolmentForgotten]:
        """With what is written anyhow: at a start nothing may have to be, for the disk may be full."""
        return self.members.let_go(self._now() - LEAF_LIFE[IdentityKind.WORKER])

    def _now(self) -> float:
        return self._driver.clock().wall

    async def _save(self, records: Sequence[Record | EnrolmentForgotten]) -> None:
        if records:
            await self._driver.save(*records)

"""Enrolments: each is one joining of a worker or user, with all certificates that come of it.

The certificate that a joiner gets, and each that renews it, carries the enrolment's id in its serial number. So a
certificate says by itself which joining it comes from: expelling that joining refuses all of them, and a later one of
the same name is not touched.
"""

from dataclasses import dataclass
from typing import NamedTuple

from cluster.domain.trust.identity import IdentityKind

ID_BITS = 63  # of an id, which is random; SQLite and serial numbers (RFC 5280, 4.1.2.2) take no more without a sign
_NOISE_BITS = 64  # of a serial number, below the id: no two certificates of an enrolment have the same one

# Of every certificate that no joining has made: issued by hand (certs/gen.py), or before enrolments were kept.
BY_HAND = 0


class Maker(NamedTuple):
    """Who made a token: the joining of a user (Enrolment has the same key), or the scheduler itself."""

    kind: IdentityKind
    name: str
    enrolment: int = BY_HAND

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"

    @classmethod
    def parse(cls, text: str, enrolment: int) -> "Maker | None":
        """What `str` and the enrolment were made of; None of an empty text."""
        kind, _, name = text.partition("/")
        return cls(IdentityKind(kind), name, enrolment) if text else None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Persisted. Times are Unix seconds."""

    kind: IdentityKind  # worker or user
    name: str  # as in the identity: of a worker its UUID
    id: int
    token: str  # id of the token that it was made by; empty: by none that was made for people
    joined: float
    revoked: float | None = None

    @property
    def as_maker(self) -> Maker:
        """The enrolment as the maker of tokens."""
        return Maker(self.kind, self.name, self.id)


@dataclass(frozen=True, slots=True)
class EnrolmentForgotten:
    """The enrolment is deleted: nothing can come of it any more."""

    kind: IdentityKind
    name: str
    id: int


def serial_number(enrolment: int, noise: int) -> int:
    """The serial number of a certificate of that enrolment. `noise` is random: 64 bits, by hand 95 bits or more."""
    if enrolment == BY_HAND:
        return 1 << (ID_BITS + _NOISE_BITS) | noise
    return enrolment << _NOISE_BITS | noise % (1 << _NOISE_BITS)


def enrolment_of(serial: int) -> int:
    """The enrolment that a certificate with this serial number belongs to."""
    return BY_HAND if serial >> (ID_BITS + _NOISE_BITS) else serial >> _NOISE_BITS

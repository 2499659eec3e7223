"""The people of a cluster, and in what right each acts."""

from dataclasses import dataclass

from cluster.domain.identity import Role


@dataclass(frozen=True, slots=True)
class UserRecord:
    """Persisted. The identity `user/NAME` in a certificate says who calls; this says what they may do.

    Times are Unix seconds; a user who was revoked stays known, so that its certificates stay refused."""

    name: str
    role: Role
    created: float
    revoked: float | None = None

"""The people of a cluster, and in what right each acts."""

from dataclasses import dataclass

from cluster.domain.trust.identity import Role

_AGAIN = "~"  # no name has it


def name_of(user_id: str) -> str:
    """The name that the user of that id has, or had."""
    return user_id.partition(_AGAIN)[0]


@dataclass(frozen=True, slots=True)
class UserRecord:
    """Persisted. The identity `user/NAME` in a certificate says who calls; this says what they may do.

    Times are Unix seconds; a user who was revoked stays known, so that its certificates stay refused."""

    name: str
    role: Role
    created: float
    revoked: float | None = None
    holder: int = 1  # of the name: who gets it after its holder was revoked is somebody else, the next

    @property
    def id(self) -> str:
        """Nobody else ever has it: the name, and from the second holder of that on a number (`ada~2`)."""
        return self.name if self.holder == 1 else f"{self.name}{_AGAIN}{self.holder}"

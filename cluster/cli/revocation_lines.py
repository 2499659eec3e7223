"""What `user revoke` and `token revoke` say."""

from cluster.client.types import RevocationResult
from cluster.domain.trust.identity import ADMIN_NAME, IdentityKind


def print_revoked(what: str, revoked: RevocationResult) -> None:
    """`what` was revoked, as in `user ada`. Names also what an admin has to judge: who came in by the expelled."""
    stopped = f", tasks asked to stop: {revoked.cancelled}" if revoked.cancelled else ""
    print(f"{what} revoked{stopped}")
    for member in revoked.expelled:
        if (shown := f"{member.kind} {member.name or member.id}") != what:
            print(f"{shown} expelled")
        if member.kind == IdentityKind.USER and member.name == ADMIN_NAME:
            print(f"user {member.name} stays by a new certificate, beside the scheduler's keys; every other is refused")
    for member in revoked.kept:
        by = f"token {member.token}" if member.token else "the scheduler's own machine"
        print(f"user {member.name} stays, who has joined by {by} too; what this one gave is refused")
    for token in revoked.tokens:
        print(f"token {token} revoked with whoever made it")
    for member in revoked.joined:
        print(f"{member.kind} {member.name or member.id} has joined by their token {member.token}, and stays")
    if more := revoked.joined_total - len(revoked.joined):
        print(f"and {more} more have joined by their tokens")
    if revoked.joined_total:
        print("the same with --and-joined expels those as well")

"""Who has shown to a gateway what that passes on: the bearer of a token, or the holder of a certificate."""

from collections.abc import Callable
from functools import lru_cache

from cluster.domain.base.errors import NotAuthenticated
from cluster.domain.trust.identity import IdentityKind, Peer
from cluster.domain.trust.members import Members
from cluster.pki.authority import Authority
from cluster.pki.issuer import hash_secret
from cluster.rpc.on_behalf import Proof


class WhoShows:
    """`now` is the wall clock (Unix seconds)."""

    def __init__(self, authority: Authority, members: Members, now: Callable[[], float]) -> None:
        self._cluster_id = authority.cluster_id
        self._members = members
        self._now = now
        # gRPC has not verified this certificate, so it is verified here, which takes 200 µs; 4096 of them take 10 MB.
        self._recognised = lru_cache(maxsize=4096)(authority.recognise)

    def __call__(self, shown: Proof) -> Peer:
        """NotAuthenticated when it says nothing (any more). Its dates and its revocation the gate looks at."""
        if shown.token:
            return self._members.bearer(hash_secret(shown.token), self._cluster_id, self._now())
        peer = self._recognised(shown.certificate)
        if peer is None or peer.identity.kind is not IdentityKind.USER:
            raise NotAuthenticated("the certificate that was shown to the gateway is no user's of this cluster")
        return peer

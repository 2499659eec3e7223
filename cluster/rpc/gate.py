"""The gate before every call: who calls, is that still true, and may they?

gRPC verifies a certificate once, when a connection opens, and the connection outlives it. So each call asks again:
TLS 1.3, identity, validity now, not revoked, and the role table. (A call by
cluster.rpc.local brings no TLS: its context names the holder of the certificate that counts. One by
cluster.rpc.vouching names the attempt for which a worker vouches. A gateway's call brings what its caller has shown,
cluster.rpc.on_behalf and cluster.rpc.passed_calls.) Calls under way, such as streams that run for days, are checked
again when the first of their certificates ends and at each `recheck`; those that no longer pass are cut.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from cluster.domain.base.errors import ClusterError, NotAuthenticated, NotPermitted, Revoked, Untrusted
from cluster.domain.trust.identity import Caller, Identity, IdentityKind, Peer, Role, Standing, Vouched
from cluster.rpc.errors import Context
from cluster.rpc.local import LocalContext
from cluster.rpc.on_behalf import Proof, nobody, proof_in
from cluster.rpc.passed_calls import PassedContext
from cluster.rpc.roles import allowed, allowed_by_gateway, refusal
from cluster.rpc.vouching import VouchedContext

# The timer counts monotonic seconds and certificates end by the wall clock, which may be set forward meanwhile.
_LONGEST_NAP = 3600.0

_caller: ContextVar[Caller] = ContextVar("caller")


def current_caller() -> Caller:
    """Who makes the call that is being handled. LookupError outside of a handler behind a gate: our bug."""
    return _caller.get()


def current_peer() -> Peer:
    """What whoever makes the present call has shown. LookupError as from `current_caller`."""
    return _present.get().peer


@dataclass(eq=False, slots=True)
class _GatedCall:
    """A call under way. `error` is set when we cancel its task, to tell that from a client that cancels."""

    task: "asyncio.Task[object]"
    peer: Peer
    method: str
    error: ClusterError | None = None


_present: ContextVar[_GatedCall] = ContextVar("present")  # tasks that a handler starts inherit it


class Gate:
    """Lets calls in or raises NotAuthenticated or NotPermitted, and cuts those that lose their right.

    `parse` reads a client certificate (PEM) and raises NotAuthenticated for a bad one. `standing_of` returns
    the role of an identity, None when it has none any more. `revoked` says whether a certificate or its holder was
    revoked. `now` is the wall clock (Unix seconds). `who_shows` returns who has shown to a gateway what that passes on,
    or raises NotAuthenticated. They run at every call, so they must be quick and must not block.
    """

    def __init__(
        self,
        parse: Callable[[bytes], Peer],
        standing_of: Callable[[Identity], Standing | None],
        revoked: Callable[[Peer], bool],
        now: Callable[[], float],
        who_shows: Callable[[Proof], Peer] = nobody,
    ) -> None:
        self._who_shows = who_shows
        self._parse = parse
        self._standing_of = standing_of
        self._revoked = revoked
        self._now = now
        self._calls: set[_GatedCall] = set()
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def passing(
        self, context: Context | LocalContext | VouchedContext | PassedContext, method: str, *, streams: bool
    ) -> AsyncIterator[None]:
        """Handle the call in the body of this; `current_caller` is set there.

        Raises what the gate decides, before the body or, when the call is cut, out of it. `streams` says that the
        answer is a stream; its headers are sent here.
        """
        peer = self._peer_of(context)
        caller = self._check(peer, method)
        if streams:
            # gRPC sends headers along with the first message, and again with the status of a handler that was cut
            # while that message was on its way; then nothing arrives at all. So they go first, by themselves.
            await context.send_initial_metadata(())
            caller = self._check(peer, method)  # something may have been revoked meanwhile
        task = asyncio.current_task()
        assert task is not None, "gRPC runs each call in a task of its own"
        call = _GatedCall(task, peer, method)
        token, present = _caller.set(caller), _present.set(call)
        self._calls.add(call)
        self._wake_at(_end_of(peer))
        try:
            yield
        except asyncio.CancelledError:
            if call.error is None:
                raise
            task.uncancel()
            raise call.error from None
        finally:
            self._calls.discard(call)
            _caller.reset(token)
            _present.reset(present)

    def recheck(self) -> None:
        """Cut the calls under way that would not be let in now. Call it after a role or a revocation has changed.

        The present call, if there is one, is spared: a user who revokes itself gets its answer."""
        present = _present.get(None)
        for call in list(self._calls):
            if call is present:
                continue
            try:
                self._check(call.peer, call.method)
            except ClusterError as error:
                if call.error is None:
                    call.error = error
                    call.task.cancel()

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _peer_of(self, context: Context | LocalContext | VouchedContext | PassedContext) -> Peer:
        if isinstance(context, LocalContext | VouchedContext):
            return context.peer_here
        if isinstance(context, PassedContext):
            return self._brought_by(context.gateway_here, context.shown_here)
        properties = context.auth_context()
        if list(properties.get("ssl_tls_version", ())) != [b"TLSv1.3"]:
            raise NotAuthenticated("only TLS 1.3 is accepted here")
        certificates = list(properties.get("x509_pem_cert", ()))
        if len(certificates) != 1:
            raise NotAuthenticated("the connection shows no client certificate")
        peer = self._parse(certificates[0])
        shown = proof_in(context) if peer.identity.kind is IdentityKind.GATEWAY else None
        return peer if shown is None else self._brought_by(peer, shown)

    def _brought_by(self, gateway: Peer, shown: Proof) -> Peer:
        self._check_gateway(gateway)  # before anything that it brings is believed
        return replace(self._who_shows(shown), gateway=gateway)

    def _check(self, peer: Peer, method: str) -> Caller:
        if peer.vouched is not None:
            return self._check_job(peer, peer.vouched, method)
        if peer.gateway is not None:
            self._check_gateway(peer.gateway)
            if not allowed_by_gateway(method):
                raise NotPermitted(f"no gateway calls {method.rpartition('/')[2]} for somebody")
        role, user_id = self._check_still_good(peer)
        if not allowed(method, role):
            raise NotPermitted(f"{peer.identity} {refusal(method, role)}")
        return Caller(peer.identity, role, peer.enrolment, user_id)

    def _check_gateway(self, gateway: Peer) -> None:
        """Untrusted when a gateway may pass on calls no more: what its callers have shown is not what is wrong."""
        try:
            self._check_still_good(gateway)
        except NotAuthenticated as error:
            raise Untrusted(f"the gateway is let in no more: {error}") from None

    def _check_still_good(self, peer: Peer) -> Standing:
        """In what right it acts, if what it has shown counts now."""
        now = self._now()
        if now < peer.not_before:
            raise NotAuthenticated(f"the {peer.proof} of {peer.identity} is not valid yet; compare the clocks")
        if now > peer.not_after:
            raise NotAuthenticated(f"the {peer.proof} of {peer.identity} has expired; renew it, or join again")
        if self._revoked(peer):
            raise Revoked(
                f"the {peer.proof} of {peer.identity} was revoked, or is not known here; join again by a new token"
            )
        standing = self._standing_of(peer.identity)
        if standing is None:
            raise NotAuthenticated(f"{peer.identity} is not, or no longer, known to this cluster")
        return standing

    def _check_job(self, peer: Peer, vouched: Vouched, method: str) -> Caller:
        """A job has the rights of jobs as long as its owner is a user of this cluster."""
        standing = self._standing_of(peer.identity)
        if self._revoked(peer) or standing is None or standing.user_id != vouched.owner:
            owner = peer.identity.name
            raise Revoked(f"{owner}, who owns job {vouched.attempt.job}, was revoked, and its jobs with it")
        if not allowed(method, Role.ATTEMPT):
            raise NotPermitted(f"job {vouched.attempt.job} {refusal(method, Role.ATTEMPT)}")
        return Caller(peer.identity, Role.ATTEMPT, user_id=vouched.owner, vouched=vouched)

    def _wake_at(self, not_after: float) -> None:
        """Make `_expired` run right after this moment (Unix seconds), or earlier."""
        loop = asyncio.get_running_loop()
        when = loop.time() + min(max(0.0, not_after + 1 - self._now()), _LONGEST_NAP)
        if self._timer is None or when < self._timer.when():
            self.close()
            self._timer = loop.call_at(when, self._expired)

    def _expired(self) -> None:
        self._timer = None
        self.recheck()
        remaining = [_end_of(call.peer) for call in self._calls if call.error is None]
        if remaining:
            self._wake_at(min(remaining))


def _end_of(peer: Peer) -> float:
    """When the first of what it has shown ends (Unix seconds)."""
    return peer.not_after if peer.gateway is None else min(peer.not_after, peer.gateway.not_after)

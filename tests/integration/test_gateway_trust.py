"""Who is let in over HTTP, in whose right, and what a gateway itself may do: nothing but pass calls on."""

import asyncio
import base64
import time
import uuid
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from starlette.responses import Response

from cluster.client.calls_for_others import CallsForOthers, Method, method
from cluster.domain.base.errors import ClusterError, Exhausted, NotAuthenticated, NotPermitted, Unreachable, Untrusted
from cluster.domain.trust.identity import IdentityKind, Role
from cluster.domain.trust.tokens import BEARER_PREFIX
from cluster.gateway import event_streams
from cluster.gateway.app import App
from cluster.gateway.handled_routes import Exchange, HandledRoute
from cluster.gateway.routes import PEOPLE, ROUTES, Route, check
from cluster.pki.authority import create_authority
from cluster.rpc.on_behalf import Proof
from cluster.rpc.roles import ROLES
from cluster.v1 import scheduler_pb2
from tests.integration.gateways import HOST, Gateway, in_gateway


def test_each_route_lets_in_whom_the_table_of_roles_lets_in(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        tokens = {role: await gateway.new_token(role, f"a-{role}") for role in PEOPLE}
        for route in ROUTES:
            for role, token in tokens.items():
                path = route.path
                for parameter in route.at:
                    path = path.replace(f"{{{parameter}}}", "nobody")
                answer = await gateway.showing(token).ask(route.verb, path, {} if route.body else None)
                refused = role not in ROLES[route.method.path]
                assert (answer.status == 403) == refused, (route, role, answer)
                assert answer.status not in (401, 500), (route, role, answer)
        for role, token in tokens.items():
            me = (await gateway.showing(token).ask("GET", "/v1/whoami")).json
            assert me == {"name": f"a-{role}", "role": role, "id": f"a-{role}", "schedulers": []}

    in_gateway(tmp_path, body)


async def _answer(exchange: Exchange) -> Response:
    return Response()


def test_a_route_that_nobody_may_call_keeps_the_gateway_from_starting() -> None:
    for call in ("Jobs.SetState", "Jobs.Nothing"):
        with pytest.raises(ClusterError):
            App(None, [], [Route("GET", "/v1/x", call, "")])  # type: ignore[arg-type]
        with pytest.raises(ClusterError):
            App(None, [], [HandledRoute("GET", "/x", ("Jobs.Get", call), "", _answer)])  # type: ignore[arg-type]
    with pytest.raises(ClusterError, match="two routes"):
        check([ROUTES[0], ROUTES[0]])


def test_jobs_belong_to_whose_token_is_shown_and_others_do_not_see_them(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        bob = gateway.showing(await gateway.new_token("user", "bob"))
        viewer = gateway.showing(await gateway.new_token("viewer", "eve"))
        made = await gateway.ask("POST", "/v1/jobs", {"argv": ["true"]})
        assert (made.status, made.json["owner"], made.headers["location"]) == (201, "ada", "/v1/jobs/1")
        assert (await bob.ask("GET", "/v1/jobs/1")).status == 404
        assert (await bob.ask("POST", "/v1/jobs/1/cancel")).status == 404
        assert (await bob.ask("GET", "/v1/jobs")).json["jobs"] == []
        assert (await viewer.ask("GET", "/v1/jobs/1")).json["job"]["owner"] == "ada"
        cancelled = (await gateway.ask("POST", "/v1/jobs/1/cancel", {"reason": "enough"})).json["jobs"][0]
        assert (cancelled["cancelled_by"], cancelled["cancel_reason"]) == ("ada", "enough")

    in_gateway(tmp_path, body)


def test_what_may_be_shown_and_what_is_refused(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        def basic(text: str) -> str:
            return f"Basic {base64.b64encode(text.encode()).decode()}"

        for fine in (f"Bearer {gateway.token}", f"bearer  {gateway.token}", basic(f"x:{gateway.token}")):
            assert (await gateway.ask("GET", "/v1/jobs", authorization=fine)).status == 200, fine
        edited = f"{BEARER_PREFIX}{'a' * 43}"
        wrong = ["Bearer", "Bearer x", f"Bearer {edited}", basic("x:"), basic(gateway.token), "Basic %%%", "Digest a"]
        wrong += [f"Bearer {gateway.token}x", "Bearer C1.head:1.pin.secret", f"Bearer {BEARER_PREFIX}{'a' * 5000}", ""]
        for header in wrong:
            answer = await gateway.ask("GET", "/v1/jobs", authorization=header)
            assert answer.status == 401, header
            assert answer.headers["www-authenticate"].startswith("Bearer "), header
            assert gateway.token not in answer.body.decode()
        nothing = await gateway.showing().ask("GET", "/v1/jobs")
        assert (nothing.status, nothing.json["type"]) == (401, "/v1/docs#unauthenticated")

    in_gateway(tmp_path, body)


def test_a_certificate_is_shown_instead_of_a_token(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        cluster = gateway.cluster
        admin = gateway.showing(certificate=cluster.credentials(IdentityKind.USER, "admin").certificate_pem)
        assert (await admin.ask("GET", "/v1/users")).status == 200
        another = create_authority(tmp_path / "another.pem", cluster.authority.cluster_id, time.time())
        forged = another.issue(another.identity(IdentityKind.USER, "admin"), time.time())
        worker = cluster.credentials(IdentityKind.WORKER, str(uuid.uuid4()))
        old = cluster.authority.issue(cluster.authority.identity(IdentityKind.USER, "admin"), time.time() - 9000, 10)
        nobody = cluster.credentials(IdentityKind.USER, "nobody")
        for shown in (forged, worker, old, nobody):
            answer = await gateway.showing(certificate=shown.certificate_pem).ask("GET", "/v1/jobs")
            assert answer.status == 401, (shown, answer)

    in_gateway(tmp_path, body)


def test_a_revoked_token_is_refused_at_once_and_its_streams_are_cut(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        began = asyncio.Event()

        def seen(content: bytes) -> bool:
            began.set()
            return False

        follower = asyncio.create_task(gateway.ask("GET", "/v1/events", accept="text/event-stream", stop=seen))
        await began.wait()
        async with gateway.admin() as admin:
            (token,) = [token for token in await admin.tokens() if token.http]
            await admin.revoke_token(token.id, False, False)
        cut = await follower
        assert cut.is_whole  # an event has told why there is no more
        assert b"event: problem" in cut.body
        assert b"was revoked" in cut.body
        refused = await gateway.ask("GET", "/v1/jobs")
        assert refused.status == 401
        assert f"token {token.id} was revoked" in refused.json["detail"]

    in_gateway(tmp_path, body)


def test_bytes_that_break_off_have_no_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Else who reads them would take half of an output for the whole."""

    async def body(gateway: Gateway) -> None:
        await gateway.ask("POST", "/v1/jobs", {"argv": ["true"]})
        began = asyncio.Event()
        reading = asyncio.create_task(gateway.ask("GET", "/v1/jobs/1/logs?follow=true", began=began))
        await began.wait()
        async with gateway.admin() as admin:
            (token,) = [token for token in await admin.tokens() if token.http]
            await admin.revoke_token(token.id, False, False)
        broken = await reading
        assert (broken.status, broken.body, broken.is_whole) == (200, b"", False)
        assert "broken off: the token" in caplog.text

    caplog.set_level("INFO")
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(event_streams, "FIRST", 0.01)
    in_gateway(tmp_path, body)
    monkeypatch.undo()


def test_one_caller_leaves_room_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(gateway: Gateway) -> None:
        monkeypatch.setattr("cluster.gateway.app.MOST_OF_ONE", 1)
        bob = gateway.showing(await gateway.new_token("user", "bob"))
        began, enough = asyncio.Event(), asyncio.Event()

        def seen(content: bytes) -> bool:
            began.set()
            return enough.is_set()

        follower = asyncio.create_task(gateway.ask("GET", "/v1/events", accept="text/event-stream", stop=seen))
        await began.wait()
        refused = await gateway.ask("GET", "/v1/jobs")
        assert (refused.status, refused.json["type"]) == (429, "/v1/docs#exhausted")
        enough.set()
        assert (await bob.ask("POST", "/v1/jobs", {"argv": ["true"]})).status == 201
        follower.cancel()
        await asyncio.wait([follower])
        assert (await gateway.ask("GET", "/v1/jobs")).status == 200
        assert not gateway.app._of_callers

    in_gateway(tmp_path, body)


def test_no_log_shows_a_token(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body(gateway: Gateway) -> None:
        for target in (f"/v1/jobs/{gateway.token}", f"/v1/jobs?limit={gateway.token}", f"/{gateway.token}/x"):
            assert (await gateway.ask("GET", target)).status in (400, 404)
        assert "GET /v1/jobs/H1.…: 404" in caplog.text
        assert gateway.token not in caplog.text

    caplog.set_level("DEBUG")
    in_gateway(tmp_path, body)


def test_a_gateway_may_do_nothing_for_itself_and_gets_nobody_a_certificate(tmp_path: Path) -> None:
    """Whoever breaks into one has what passes through it, while that counts, and no more."""

    async def body(gateway: Gateway) -> None:
        calls, shown = gateway.calls, Proof(gateway.token)
        renewing = Method(
            "/cluster.v1.Scheduler/Renew", scheduler_pb2.RenewRequest, scheduler_pb2.RenewResponse, streams=False
        )
        admin = gateway.cluster.credentials(IdentityKind.USER, "admin")
        for each in (shown, Proof(certificate=admin.certificate_pem)):
            with pytest.raises(NotPermitted, match="no gateway calls Renew for somebody"):
                await calls.one(renewing, scheduler_pb2.RenewRequest(csr=b"x"), each)
        listing, following = method("/cluster.v1.Jobs/List"), method("/cluster.v1.Jobs/Tree")

        class Nothing(Proof):
            def metadata(self) -> tuple[tuple[str, str | bytes], ...]:
                return ()

        class Both(Proof):
            def metadata(self) -> tuple[tuple[str, str | bytes], ...]:
                return (*shown.metadata(), *shown.metadata())

        for wrong in (Proof(), Proof(gateway.token, admin.certificate_pem)):
            with pytest.raises(NotAuthenticated, match="one token or one certificate"):
                await calls.one(listing, listing.request(), wrong)
        with pytest.raises(NotAuthenticated, match="not known here"):
            await calls.one(listing, listing.request(), Proof("x" * 60_000))
        # What streams, and what is large, comes by itself.
        with pytest.raises(NotPermitted, match="role gateway"):
            await anext(calls.several(following, following.request(), Nothing()))
        with pytest.raises(NotAuthenticated, match="one token or one certificate"):
            await anext(calls.several(following, following.request(), Both()))
        with pytest.raises(Exhausted):  # gRPC bounds what a call may bring
            await anext(calls.several(following, following.request(), Proof("x" * 60_000)))

    in_gateway(tmp_path, body)


def test_the_connection_of_an_earlier_certificate_is_closed_after_its_last_call(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        cluster, shown = gateway.cluster, Proof(gateway.token)
        listing, following = method("/cluster.v1.Jobs/List"), method("/cluster.v1.Events/Follow")
        credentials = cluster.credentials(IdentityKind.GATEWAY, gateway.gateway_id)
        calls = CallsForOthers(cluster.service.address, credentials)
        first = calls._present.channel
        try:
            answers = calls.several(following, following.request(follow=True), shown)
            await anext(answers)
            calls.use(credentials)
            await calls.one(listing, listing.request(), shown)
            assert first.get_state() is grpc.ChannelConnectivity.READY, "somebody still follows by it"
            second = calls._present.channel
            await answers.aclose()
            calls.use(credentials)
            await calls.one(listing, listing.request(), shown)
            assert not calls._former
            await asyncio.gather(*calls._closing)  # which goes on beside the calls
            for channel in (first, second):
                assert channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN
        finally:
            await calls.close()

    in_gateway(tmp_path, body)


def test_only_a_gateway_acts_for_others(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        admin = Proof(await gateway.new_token("admin", "root"))
        for kind, name in ((IdentityKind.USER, "ada"), (IdentityKind.WORKER, str(uuid.uuid4()))):
            calls = CallsForOthers(gateway.cluster.service.address, gateway.cluster.credentials(kind, name))
            with pytest.raises(NotPermitted, match=f"{kind}/{name} has the role"):
                await told(calls, "/cluster.v1.Users/ListUsers", admin)
            await calls.close()

    in_gateway(tmp_path, body)


async def told(calls: CallsForOthers, path: str, shown: Proof) -> None:
    """Makes an empty call of that method. gRPC may tell of the stream's end only that it was cut: whoever asks again
    hears why."""
    called = method(path)
    while True:
        with suppress(Unreachable):
            await calls.one(called, called.request(), shown)
            return


def test_a_gateway_that_is_let_in_no_more_says_so_and_blames_nobody_else(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        cluster = gateway.cluster
        identity = cluster.authority.identity(IdentityKind.GATEWAY, gateway.gateway_id)
        unknown = cluster.authority.issue(identity, time.time(), enrolment=77)  # of a joining that there never was
        calls = CallsForOthers(cluster.service.address, unknown)
        for token in (gateway.token, f"{BEARER_PREFIX}unknown"):  # it does not learn which there are
            with pytest.raises(Untrusted, match="the gateway is let in no more"):
                await told(calls, "/cluster.v1.Jobs/List", Proof(token))
        answer = await Gateway(App(calls, [HOST]), cluster, calls, "", gateway.token).ask("GET", "/v1/jobs")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        await calls.close()

    in_gateway(tmp_path, body)


def test_roles_of_people_never_let_a_gateway_in_as_itself() -> None:
    assert {path for path, roles in ROLES.items() if Role.GATEWAY in roles} == {
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/List",
        "/grpc.health.v1.Health/Watch",
        "/cluster.v1.Scheduler/Renew",
        "/cluster.v1.Gateways/PassOn",  # what is in it, is judged each by itself
    }

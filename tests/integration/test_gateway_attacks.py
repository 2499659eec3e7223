"""What callers forge: methods, ranges, the headers of proxies, and paths that look like others."""

import re
from pathlib import Path

import pytest

from cluster.gateway import event_streams
from tests.integration.gateways import Gateway, in_gateway
from tests.integration.schedulers import Cluster, in_cluster, until
from tests.integration.test_gateway_http import plain
from tests.integration.test_gateway_process import answer, bearer, get, serving

# Of which some proxies and frameworks believe who calls, whom it means, or what it wants.
FORGED = (
    "X-Forwarded-For: 127.0.0.1",
    "X-Forwarded-Host: 127.0.0.1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Port: 443",
    "X-Forwarded-Prefix: /v1",
    "X-Real-IP: 127.0.0.1",
    "Forwarded: for=127.0.0.1;host=127.0.0.1;proto=https;by=127.0.0.1",
    "X-Original-URL: /healthz",
    "X-Rewrite-URL: /healthz",
    "X-HTTP-Method-Override: DELETE",
    "X-Method-Override: DELETE",
    "X-Remote-User: admin",
    "Remote-User: admin",
    "X-Client-Cert: -----BEGIN CERTIFICATE-----",
    "X-Forwarded-Client-Cert: Subject=admin",
    "SSL_CLIENT_VERIFY: SUCCESS",
    "Cluster-Proof: admin",
    "Via: 1.1 proxy",
    "Max-Forwards: 0",
)

# Paths that a reader who decodes twice, or tidies up, would take for one that there is. None is.
NOT_PATHS = (
    *("/v1%2Fjobs", "/v1%2fjobs", "//v1/jobs", "/v1//jobs", "/v1/jobs/", "/./v1/jobs", "/v1/./jobs", "/x/../v1/jobs"),
    *("/v1/jobs/..", "/%2e%2e/v1/jobs", "/v1/jobs%00", "/v1/jobs%2500", "/v1/jobs;x=1", "/v1/jobs%3Flimit=1"),
    *("/v1\\jobs", "/V1/jobs", "/v1/jobs%20", "/v1/jobs%0a", "/%76%31%2Fjobs", "/v1/jobs/%c0%af", "/v1/jobs/%ff"),
    *("/execute/", "/execute%2F", "/scheduler/jobs%2Fnew", "/healthz%00", "/healthz/..%2fv1/jobs"),
)
# Texts that stand for a job, and are none: never another path below that job, and never a file.
NOT_JOBS = (
    "1%2Fcancel",
    "1%2fwhy",
    "%00",
    "1%00",
    "..",
    "..%2F..%2Fetc%2Fpasswd",
    "%2e%2e",
    "1%0d%0aX:%20y",
    "%",
    "%zz",
    "1;x",
)


def test_ranges_are_not_taken_and_leave_the_answer_whole(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        whole = await gateway.ask("GET", "/v1/whoami")
        for asked in ("bytes=0-0", "bytes=0-,0-,0-,0-", "bytes=-1", "bytes=9999999-", f"bytes={'0-0,' * 3000}0-0", "x"):
            some = await gateway.ask("GET", "/v1/whoami", range=asked, if_range=whole.headers["etag"])
            assert (some.status, some.body) == (200, whole.body), asked[:30]
            assert not {"content-range", "accept-ranges"} & some.headers.keys()

    in_gateway(tmp_path, body)


def test_head_is_get_without_its_body_and_other_methods_are_what_there_is_not(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        for path, status in ("/v1/jobs", 200), ("/v1/jobs/7", 404), ("/healthz", 200), ("/nothing", 404):
            got, head = await gateway.ask("GET", path), await gateway.ask("HEAD", path)
            assert (got.status, head.status) == (status, status)
            assert {**got.headers, "date": ""} == {**head.headers, "date": ""}, path
        for verb in ("OPTIONS", "TRACE", "PROPFIND", "DELETE", "get"):
            answer = await gateway.ask(verb, "/v1/jobs", origin=None, access_control_request_method="POST")
            assert (answer.status, answer.headers["allow"]) == (405, "GET, POST, HEAD")
            assert not any(name.startswith("access-control") for name in answer.headers)
            assert gateway.token.encode() not in answer.body, "TRACE tells nobody what it was sent"
        assert (await gateway.ask("HEAD", "/v1/workers/7/drain")).status == 405, "it would do something"

    in_gateway(tmp_path, body)


def passing(cluster: Cluster) -> set[object]:
    """The calls of gateways that pass on others."""
    return {call for call in cluster.service._gate._calls if call.method.endswith("/PassOn")}


def test_head_of_what_is_followed_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(cluster: Cluster) -> None:
        async with serving(plain(cluster, tmp_path)) as url:
            shown = f"Authorization: Bearer {await bearer(cluster)}"
            submit = get("/v1/jobs", shown, "Content-Type: application/json", "Content-Length: 18")
            await answer(url, submit.replace("GET", "POST", 1) + '{"argv": ["true"]}')
            events = "Accept: text/event-stream"
            for path, how in (
                ("/v1/events", events),
                ("/v1/jobs/1/wait", events),
                ("/v1/jobs/1/logs?follow=true", "X: y"),
            ):
                follow = get(path, shown, how).replace("GET", "HEAD", 1).replace("close", "keep-alive")
                said = await answer(url, follow + get("/healthz"))
                assert re.findall(rb"HTTP/1.1 (\d+) ", said) == [b"200", b"200"], path
                assert b"stream of events" not in said, "no body"
            await until(lambda: not cluster.service._gate._calls - passing(cluster))

    monkeypatch.setattr(event_streams, "FIRST", 0.01)
    in_cluster(tmp_path / "scheduler", body)


def test_what_a_proxy_would_say_counts_for_nothing(tmp_path: Path) -> None:
    """Also where a proxy is before it: that is said to nobody but the log's readers, by their own proxy."""

    async def body(cluster: Cluster) -> None:
        async with serving(plain(cluster, tmp_path)) as url:
            shown = f"Authorization: Bearer {await bearer(cluster)}"
            for forged in (*((one,) for one in FORGED), FORGED):
                refused = await answer(url, get("/v1/whoami", *forged))
                assert refused.startswith(b"HTTP/1.1 401 "), forged
                me = await answer(url, get("/v1/whoami", shown, *forged))
                assert b'"name": "ada", "role": "user"' in me, forged
                assert b"HTTP/1.1 421 " in await answer(
                    url, get("/v1/whoami", shown, *forged).replace("Host: 127.0.0.1", "Host: evil.example")
                ), forged
            foreign = get("/v1/whoami", shown, "Origin: https://evil.example", "X-Forwarded-Host: evil.example")
            assert (await answer(url, foreign)).startswith(b"HTTP/1.1 403 ")

    in_cluster(tmp_path / "scheduler", body)


def test_no_path_is_taken_for_another(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        async with serving(plain(cluster, tmp_path)) as url:
            shown = f"Authorization: Bearer {await bearer(cluster)}"
            submit = get("/v1/jobs", shown, "Content-Type: application/json", "Content-Length: 18")
            assert b" 201 " in await answer(url, submit.replace("GET", "POST", 1) + '{"argv": ["true"]}')
            for path in NOT_PATHS:
                assert (await answer(url, get(path, shown))).startswith(b"HTTP/1.1 404 "), path
            for text in NOT_JOBS:
                for path in (f"/v1/jobs/{text}", f"/v1/jobs/{text}/logs", f"/scheduler/jobs/{text}/status"):
                    said = await answer(url, get(path, shown))
                    assert said[9:12] in (b"400", b"404"), (path, said)
                    assert b"\r\nX: y" not in said
                stop = get(f"/v1/jobs/{text}/cancel", shown, "Content-Length: 0").replace("GET", "POST", 1)
                assert (await answer(url, stop))[9:12] in (b"400", b"404"), text
            assert b'"TASK_STATE_READY"' in await answer(url, get("/v1/jobs/1", shown)), "nobody has cancelled it"

    in_cluster(tmp_path / "scheduler", body)

"""The page's files, and the page of one person alone."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from cluster.domain.trust.tokens import BEARER_PREFIX
from cluster.gateway.app import App
from cluster.gateway.own_page import OwnCalls
from cluster.gateway.page_files import FILES
from tests.integration.gateways import Gateway, in_gateway

pytestmark = pytest.mark.slow

MOST = 150_000  # bytes of the first view, compressed


def test_the_files_of_the_page_are_for_everybody_small_and_allow_nothing_from_elsewhere(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        size = 0
        for path in FILES:
            answer = await gateway.ask("GET", path, accept_encoding="gzip", authorization=None)
            assert answer.status == 200
            assert answer.headers["content-encoding"] == "gzip"
            size += len(answer.body)
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'" in policy
            assert "unsafe" not in policy
            assert "http" not in policy
            plain = await gateway.ask("GET", path, authorization=None)
            assert plain.body == gzip.decompress(answer.body)
            again = await gateway.ask("GET", path, if_none_match=answer.headers["etag"], authorization=None)
            assert (again.status, again.body) == (304, b"")
        assert size < MOST

    in_gateway(tmp_path, body)


def test_a_link_from_elsewhere_leads_to_the_page_and_to_nothing_else(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        link: dict[str, Any] = {
            "sec_fetch_site": "cross-site",
            "sec_fetch_mode": "navigate",
            "sec_fetch_dest": "document",
        }
        for verb, path, said, status in (
            ("GET", "/ui", link, 200),
            ("GET", "/ui", {**link, "sec_fetch_dest": "iframe"}, 403),
            ("GET", "/ui", {**link, "sec_fetch_mode": "no-cors"}, 403),
            ("GET", "/v1/jobs", link, 403),
            ("GET", "/ui/app.js", link, 403),
            ("POST", "/ui", link, 403),
        ):
            assert (await gateway.ask(verb, path, **said)).status == status, (verb, path, said)

    in_gateway(tmp_path, body)


def test_the_page_of_one_person_answers_nobody_who_does_not_know_its_secret(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        right, wrong = f"{BEARER_PREFIX}right", f"{BEARER_PREFIX}wrong"
        asked: list[str] = []

        class Calls:
            async def one(self, method, request, shown, reads):  # type: ignore[no-untyped-def]
                asked.append(method.path)
                return method.response()

        gateway.app = App(OwnCalls(Calls(), right), ())  # type: ignore[arg-type]
        own: Any = {"host": "127.0.0.1:5500"}
        for shown in (f"Bearer {wrong}", "Bearer H1.", None):
            answer = await gateway.ask("GET", "/v1/jobs", authorization=shown, **own)
            assert answer.status == 401
        elsewhere = await gateway.ask("GET", "/v1/jobs", authorization=f"Bearer {right}", host="evil.example")
        assert elsewhere.status == 421
        assert not asked
        assert (await gateway.ask("GET", "/v1/jobs", authorization=f"Bearer {right}", **own)).status == 200
        assert asked == ["/cluster.v1.Jobs/List"]

    in_gateway(tmp_path, body)

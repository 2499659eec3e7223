"""Files that are sent over HTTP: contents, whole or the rest of one, and the trees that name them."""

import hashlib
from pathlib import Path
from typing import Any

from cluster.gateway import bodies
from tests.integration.gateways import Answer, Gateway, in_gateway

SMALL, LARGE = b"one\ntwo\n", bytes(range(256)) * 4000


def name_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def put(gateway: Gateway, data: bytes, part: bytes | None = None, name: str = "", **headers: Any) -> Answer:
    """Sends the content, or that part of it."""
    part = data if part is None else part
    said: dict[str, Any] = {"content_length": str(len(part)), **headers}
    return await gateway.ask("PUT", f"/v1/contents/{name or name_of(data)}", part, **said)


def entry(path: str, data: bytes, **more: Any) -> dict[str, Any]:
    return {"path": path, "sha256": name_of(data), "size": len(data), **more}


def test_a_tree_is_named_and_its_files_are_sent_and_gone_on_with(tmp_path: Path) -> None:
    files = [
        entry("src/large", LARGE, mode="755"),
        {"path": "link", "kind": "link", "target": "src/large"},
        entry("small", SMALL),
        entry("empty\udcff", b""),
        entry("same", SMALL),
        {"path": "out", "kind": "directory", "mode": None},
    ]

    async def body(gateway: Gateway) -> None:
        made = (await gateway.ask("POST", "/v1/trees", {"files": files})).json
        assert {each["path"] for each in made["missing"]} == {"empty\udcff", "same", "src/large"}
        job = {"argv": ["true"], "upload": made["sha256"], "stdin": name_of(SMALL)}
        assert (await gateway.ask("POST", "/v1/jobs", job)).status == 409
        assert (await put(gateway, SMALL)).json == {"sha256": name_of(SMALL), "size": len(SMALL)}
        assert (await put(gateway, b"")).status == 200
        # Sending breaks off, and goes on from there.
        cut = LARGE[:700_000]
        broken = await put(gateway, LARGE, cut, content_length=str(len(LARGE)))
        assert (broken.status, "broke off" in broken.json["detail"]) == (503, True)
        where = f"/v1/contents/{name_of(LARGE)}"
        begun = (await gateway.ask("GET", where)).json
        assert begun == {"sha256": name_of(LARGE), "here": False, "begun": len(cut)}
        [left] = (await gateway.ask("POST", "/v1/trees", {"files": files})).json["missing"]
        assert left == {"path": "src/large", "sha256": name_of(LARGE), "size": len(LARGE), "begun": len(cut)}
        rest = f"bytes {len(cut)}-{len(LARGE) - 1}/{len(LARGE)}"
        assert (await put(gateway, LARGE, LARGE[len(cut) :], content_range=rest)).status == 200
        assert (await gateway.ask("GET", where)).json["here"]
        assert (await put(gateway, LARGE)).status == 200  # again
        assert (await gateway.ask("POST", "/v1/trees", {"files": files})).json["missing"] == []
        assert (await gateway.ask("POST", "/v1/jobs", job)).status == 201
        # Nobody else has sent it.
        other = gateway.showing(await gateway.new_token(user="bob"))
        assert (await other.ask("GET", where)).json == {"sha256": name_of(LARGE), "here": False, "begun": 0}
        assert (await other.ask("POST", "/v1/jobs", job)).status == 409
        viewer = gateway.showing(await gateway.new_token("viewer", "eve"))
        assert (await put(viewer, SMALL)).status == 403

    in_gateway(tmp_path, body)


def test_what_is_no_content_and_no_tree_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(bodies, "PATIENCE", 0.2)

    async def body(gateway: Gateway) -> None:
        large = name_of(LARGE)
        for status, kind, answer in (
            (400, "invalid", await put(gateway, SMALL, name="x")),
            (400, "invalid", await put(gateway, SMALL, name=name_of(SMALL).upper())),
            (400, "invalid", await put(gateway, SMALL, name=large)),  # other bytes
            (400, "invalid", await put(gateway, LARGE, bytes(len(LARGE)))),
            (411, "length-required", await gateway.ask("PUT", f"/v1/contents/{large}", LARGE)),
            (400, "malformed", await put(gateway, LARGE, b"x", content_range="bytes 1-/3")),
            (416, "range", await put(gateway, LARGE, b"x", content_range="bytes 0-0/3")),
            (416, "range", await put(gateway, LARGE, b"x", content_range="bytes 1-2/3")),
            (408, "too-slow", await gateway.ask("PUT", f"/v1/contents/{large}", ..., content_length="9")),
            (415, "wrong-type", await gateway.ask("POST", "/v1/trees", b"{}", content_type="text/plain")),
            (405, "wrong-method", await gateway.ask("DELETE", f"/v1/contents/{large}")),
        ):
            assert (answer.status, answer.json["type"]) == (status, f"/v1/docs#{kind}"), answer
        good = entry("a", SMALL)
        for wrong, said in (
            ({}, '{"files": [...]}'),
            ({"files": {}}, '{"files": [...]}'),
            ({"files": ["a"]}, "/files/0: an object"),
            ({"files": [{**good, "digest": "x"}]}, "/files/0/digest: there is no such member"),
            ({"files": [good, {**good, "sha256": "x"}]}, "/files/1/sha256: a file has one"),
            ({"files": [{"path": "a", "sha256": name_of(SMALL)}]}, "/files/0/size: a file has one"),
            ({"files": [{**good, "size": True}]}, "/files/0/size: a file has one"),
            ({"files": [{**good, "size": -1}]}, "a size of -1 bytes"),
            ({"files": [{**good, "mode": "rw"}]}, "/files/0/mode: 'rw' is no mode"),
            ({"files": [{**good, "kind": "socket"}]}, "'socket' is not one of file, directory, link"),
            ({"files": [{**good, "kind": "directory"}]}, "a directory has neither size nor sha256"),
            ({"files": [{**good, "path": 5}]}, "/files/0/path: this is no text"),
            ({"files": [{**good, "path": "\ud800"}]}, "/files/0/path: half of a surrogate pair"),
            ({"files": [good, good]}, "/files/1/path: a comes twice"),
            ({"files": [{**good, "path": "../a"}]}, "no name is"),
            ({"files": [{**good, "path": "/etc/passwd"}]}, "absolute"),
            ({"files": [good, {**good, "path": "a/b"}]}, "a is no directory"),
            ({"files": [{"path": "l", "kind": "link", "target": "../.."}]}, "leaves the tree"),
            ({"files": [{"path": "l", "kind": "link"}]}, "a link whose target has 0 bytes"),
            ({"files": [{**good, "path": f"{n}/{'d/' * 2000}f"} for n in range(100)]}, "more than 32.0 MiB of names"),
        ):
            answer = await gateway.ask("POST", "/v1/trees", wrong)
            assert answer.status == 400, wrong
            assert said in answer.json["detail"], (wrong, answer.json)
        # A size that is not the content's is found out when a job is to find it.
        made = (await gateway.ask("POST", "/v1/trees", {"files": [{**good, "size": 3}]})).json
        await put(gateway, SMALL)
        refused = await gateway.ask("POST", "/v1/jobs", {"argv": ["true"], "upload": made["sha256"]})
        assert refused.status == 400, refused

    in_gateway(tmp_path, body)

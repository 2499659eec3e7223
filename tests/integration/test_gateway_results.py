"""Results over HTTP: lists of files, and their bytes, whole or in part."""

from hashlib import sha256
from pathlib import Path

from cluster.domain.files.tree import Entry, EntryKind, encode
from cluster.domain.job.results import KeptResults
from cluster.domain.session.messages import Assign
from cluster.domain.trust.identity import IdentityKind
from cluster.rpc.errors import calling
from cluster.rpc.results import results_to_proto
from cluster.v1 import files_pb2, files_pb2_grpc, scheduler_pb2
from tests.integration.gateways import Gateway, in_gateway
from tests.integration.schedulers import W1
from tests.integration.test_gateway_requests import problem

DATA = bytes(range(256)) * 400


async def left(gateway: Gateway, *entries: tuple[bytes, bytes]) -> None:
    """A job that has left these files, paths and contents."""
    submitted = await gateway.ask("POST", "/v1/jobs", {"argv": ["true"], "out": ["*"]})
    assert submitted.status == 201
    worker = gateway.cluster.worker()
    await worker.connect()
    await worker.finish(await worker.hear(Assign))
    files: list[Entry] = [Entry(b"d", EntryKind.DIRECTORY, 0o755)]
    files += [Entry(p, EntryKind.FILE, 0o644, len(data), sha256(data).digest()) for p, data in entries]
    tree = b"".join(encode(files))
    contents = files_pb2_grpc.FilesStub(gateway.cluster.channel(IdentityKind.WORKER, W1))
    for data in (tree, *(data for _, data in entries)):
        piece = files_pb2.ContentPiece(digest=sha256(data).digest(), size=len(data), data=data)
        with calling("the scheduler"):
            await contents.PutContents(iter([files_pb2.PutContentsRequest(pieces=[piece])]))
    kept = KeptResults(1, 0, 1, sha256(tree).hexdigest(), len(entries), sum(len(d) for _, d in entries), ("a note",))
    with calling("the scheduler"):
        answer = await worker.stub.KeepResults(
            scheduler_pb2.KeepResultsRequest(results=[results_to_proto(kept), results_to_proto(KeptResults(7, 0, 1))])
        )
    assert list(answer.refused) == [1], "an attempt that nobody knows"


def test_files_are_listed_and_read_whole_or_in_part(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        await left(gateway, (b"d/data", DATA), (b"d/empty", b""), (b"odd\xff", b"odd"))
        listed = await gateway.ask("GET", "/v1/jobs/1/files")
        [task] = listed.json["tasks"]
        assert (task["task"], task["attempt"], task["state"], task["notes"]) == (0, 1, "kept", ["a note"])
        assert [(f["path"], f["kind"], f["size"]) for f in task["files"]] == [
            ("d", "directory", None),
            ("d/data", "file", len(DATA)),
            ("d/empty", "file", 0),
            ("odd\udcff", "file", 3),
        ]
        whole = await gateway.ask("GET", "/v1/jobs/1/files/d%2Fdata")
        assert (whole.status, whole.body == DATA, whole.headers["accept-ranges"]) == (200, True, "bytes")
        assert whole.headers["etag"] == f'"{sha256(DATA).hexdigest()}"'
        for asked, first, stop in (
            ("bytes=10-19", 10, 20),
            ("bytes=102000-", 102_000, len(DATA)),
            ("bytes=-5", len(DATA) - 5, len(DATA)),
            ("bytes=0-999999999", 0, len(DATA)),
        ):
            part = await gateway.ask("GET", "/v1/jobs/1/files/d%2Fdata", range=asked)
            assert part.body == DATA[first:stop]
            if part.status == 206:
                assert part.headers["content-range"] == f"bytes {first}-{stop - 1}/{len(DATA)}"
            else:
                assert (part.status, stop - first) == (200, len(DATA))
        beyond = await gateway.ask("GET", "/v1/jobs/1/files/d%2Fdata", range="bytes=200000-")
        problem(beyond, 416, "range")
        assert beyond.headers["content-range"] == f"bytes */{len(DATA)}"
        for ignored in ("bytes=0-1,3-4", "bytes=-", "lines=1-2"):
            assert (await gateway.ask("GET", "/v1/jobs/1/files/d%2Fdata", range=ignored)).body == DATA
        other = await gateway.ask("GET", "/v1/jobs/1/files/d%2Fdata", range="bytes=0-0", if_range='"other"')
        assert (other.status, other.body) == (200, DATA)
        known = await gateway.ask("GET", "/v1/jobs/1/files/d%2Fdata", if_none_match=whole.headers["etag"])
        assert (known.status, known.body) == (304, b"")
        head = await gateway.ask("HEAD", "/v1/jobs/1/files/d%2Fdata")
        assert (head.status, head.headers["content-length"], head.body) == (200, str(len(DATA)), b"")
        assert (await gateway.ask("GET", "/v1/jobs/1/files/d%2Fempty")).body == b""
        problem(await gateway.ask("GET", "/v1/jobs/1/files/absent"), 404, "not-found")
        assert (
            "only files have bytes" in problem(await gateway.ask("GET", "/v1/jobs/1/files/d"), 400, "invalid")["detail"]
        )
        problem(await gateway.ask("GET", "/v1/jobs/9/files"), 404, "not-found")

    in_gateway(tmp_path, body)


def test_of_a_job_that_keeps_none_that_is_said(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        await gateway.ask("POST", "/v1/jobs", {"argv": ["true"]})
        said = problem(await gateway.ask("GET", "/v1/jobs/1/files"), 404, "not-found")["detail"]
        assert "job 1 was submitted without" in said

    in_gateway(tmp_path, body)

"""What workers and attempts are called elsewhere."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.ids import AttemptKey
from cluster.domain.session.elsewhere import KnownElsewhere
from cluster.domain.session.offer import Offer, check_offer
from cluster.domain.worker.engine_orders import NAME_PATTERN, container_name
from cluster.store.packing import pack_offer, unpack_offer
from cluster.worker.elsewhere import found_elsewhere

ARN = "arn:aws:ecs:eu-west-1:1:task/workers/5"


class MetadataOfEcs(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"TaskARN": ARN, "Cluster": "workers", "AvailabilityZone": "eu-west-1a"}).encode()
        self.send_response(200 if self.path == "/v4/1/task" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_machine_says_what_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # S3.9
    for name in ("ECS_CONTAINER_METADATA_URI_V4", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    host = socket.gethostname()
    assert found_elsewhere(tmp_path) == KnownElsewhere(host, (("kind", "local"),))
    for file, text in (("sys_vendor", "Amazon EC2"), ("board_asset_tag", "i-0abcdef12"), ("product_name", "m7i.large")):
        (tmp_path / file).write_text(f"{text}\n")
    assert found_elsewhere(tmp_path) == KnownElsewhere("i-0abcdef12", (("instance-type", "m7i.large"), ("kind", "ec2")))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert found_elsewhere(tmp_path).external_id.endswith(f"/{host}")
    with HTTPServer(("127.0.0.1", 0), MetadataOfEcs) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", f"http://127.0.0.1:{server.server_port}/v4/1")
        told = found_elsewhere(tmp_path)
        server.shutdown()
    facts = (("ecs-cluster", "workers"), ("kind", "ecs"), ("zone", "eu-west-1a"))
    assert told == KnownElsewhere(ARN, facts)
    monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", "file:///etc")
    assert found_elsewhere(tmp_path).external_id.endswith(f"/{host}"), "it asks nobody else"


def test_an_attempt_is_called_as_its_container_is() -> None:
    key, owner = AttemptKey(12, 3, 2), "4f0c61b2a9de"
    name = KnownElsewhere(reference=NAME_PATTERN.replace("{owner}", owner)).reference_of(key)
    assert name == container_name(f"{owner}0123", key) == "cluster-4f0c61b2a9de-12-3-2"
    assert KnownElsewhere("i-1").reference_of(key) == ""


def test_what_is_kept_of_an_offer_says_it_too() -> None:
    offer = Offer(labels=(("zone", "a"),), elsewhere=KnownElsewhere("i-1", (("kind", "ec2"),), "jobs/{job}"))
    assert unpack_offer(pack_offer(offer)) == offer
    assert unpack_offer('[{}, [], {"zone": "a"}, false, ""]') == Offer(labels=(("zone", "a"),)), "of a version before"


@pytest.mark.parametrize(
    "elsewhere",
    [
        KnownElsewhere("x" * 513),
        KnownElsewhere("a\nb"),
        KnownElsewhere(reference="\x1b[2J"),
        KnownElsewhere(metadata=(("kind", "x" * 256),)),
        KnownElsewhere(metadata=tuple((str(number), "") for number in range(33))),
    ],
)
def test_what_no_worker_can_be_called_is_refused(elsewhere: KnownElsewhere) -> None:
    with pytest.raises(InvalidInput, match="elsewhere"):
        check_offer(Offer(elsewhere=elsewhere))

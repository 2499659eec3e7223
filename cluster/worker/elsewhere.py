"""What this machine is called elsewhere, as it can tell without asking anybody far away."""

import json
import os
import re
import socket
import urllib.request
from pathlib import Path

from cluster.domain.session.elsewhere import LONGEST_FACT, LONGEST_ID, KnownElsewhere

_FROM_ECS = "ECS_CONTAINER_METADATA_URI_V4"  # set in every container of ECS; an address of its own machine
_FROM_KUBERNETES = "KUBERNETES_SERVICE_HOST"  # set in every Pod
_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_BOARD = Path("/sys/class/dmi/id")
_INSTANCE = re.compile(r"i-[0-9a-f]{8,17}")
PATIENCE = 2.0  # seconds
MOST_TOLD = 1 << 20  # bytes


def found_elsewhere(board: Path = _BOARD) -> KnownElsewhere:
    """As a task of ECS, a Pod of Kubernetes, an instance of EC2, or a machine with a name. `board`: where the kernel
    tells what the firmware says. Takes up to some seconds."""
    if address := os.environ.get(_FROM_ECS):
        try:
            return _task_of_ecs(address)
        except (OSError, ValueError, AttributeError):
            pass  # it does not say
    if os.environ.get(_FROM_KUBERNETES):
        namespace = _first_line(_NAMESPACE) or "default"
        return _of("kubernetes-pod", f"{namespace}/{socket.gethostname()}", {"namespace": namespace})
    instance = _first_line(board / "board_asset_tag")
    if _first_line(board / "sys_vendor") == "Amazon EC2" and _INSTANCE.fullmatch(instance):
        return _of("ec2", instance, {"instance-type": _first_line(board / "product_name")})
    return _of("local", socket.gethostname(), {})


def _task_of_ecs(address: str) -> KnownElsewhere:
    if not address.startswith("http://"):
        raise ValueError(address)
    with urllib.request.urlopen(f"{address}/task", timeout=PATIENCE) as answer:  # noqa: S310 (checked above)
        told = json.loads(answer.read(MOST_TOLD))
    keys = {"ecs-cluster": "Cluster", "family": "Family", "zone": "AvailabilityZone", "launch-type": "LaunchType"}
    return _of("ecs", str(told["TaskARN"]), {name: str(told.get(key, "")) for name, key in keys.items()})


def _of(kind: str, external_id: str, facts: dict[str, str]) -> KnownElsewhere:
    told = {name: value[:LONGEST_FACT] for name, value in facts.items() if value and value.isprintable()}
    told["kind"] = kind
    return KnownElsewhere(external_id[:LONGEST_ID] if external_id.isprintable() else "", tuple(sorted(told.items())))


def _first_line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip().partition("\n")[0]
    except OSError:
        return ""

"""A real API server of Kubernetes, with RBAC, quotas and its audit log, beside etcd, for the tests of one module.
Nodes it has none: `tests.engines.kubelet` plays one."""

import json
import shutil
import socket
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cluster.engines.kubernetes_api import ApiRefused, ApiSilent, KubernetesApi
from cluster.worker.runners.kubernetes import KubernetesEngine, KubernetesSettings
from tests.engines.kubelet import Kubelet
from tools.kube import HOW, api_server

USERS = {"admin": "system:masters", "worker": "", "pools": "", "nobody": ""}
NAMESPACE = "jobs"
_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata", "verbs": ["create"], "resources": [{"group": "", "resources": ["pods"]}]}],
}


@dataclass
class Kube:
    """`directory`: its own, below which a kubeconfig is for each user."""

    directory: Path
    port: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    admin: KubernetesApi = field(init=False)
    kubelet: Kubelet = field(init=False)

    def kubeconfig(self, user: str, port: int | None = None, token: str = "") -> Path:
        """As kubectl would have it (JSON is YAML)."""
        server = f"https://127.0.0.1:{port or self.port}"
        ca = str(self.directory / "certs" / "apiserver.crt")
        name = f"{user}-{port or self.port}{token}"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": ca}}],
            "users": [{"name": "u", "user": {"token": token or f"token-of-{user}"}}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "here",
        }
        path = self.directory / f"kubeconfig-{name}"
        path.write_text(json.dumps(config))
        return path

    def api(self, user: str) -> KubernetesApi:
        return KubernetesApi(str(self.kubeconfig(user)), "", "this test")

    def settings(self, user: str = "worker", **others: Any) -> KubernetesSettings:
        own = {"namespace": NAMESPACE, "kubeconfig": str(self.kubeconfig(user))}
        return KubernetesSettings(**{**own, **({} if "template" in others else {"image": "shell:1"}), **others})

    def engine(self, user: str = "worker", **others: Any) -> KubernetesEngine:
        engine = KubernetesEngine(self.settings(user, **others), self.directory)
        engine.check()
        return engine

    def made(self) -> list[str]:
        """The name of each Pod, as often as one of that name was made, by the server's audit log."""
        entries = map(json.loads, (self.directory / "audit.log").read_text().splitlines())
        return [
            entry["objectRef"]["name"]
            for entry in entries
            if entry["responseStatus"]["code"] == 201
            and "subresource" not in entry["objectRef"]
            and "dryRun" not in entry["requestURI"]
        ]

    def answers(self) -> Counter[int]:
        """How often each code was the answer to who wanted to make a Pod, by the same log."""
        entries = map(json.loads, (self.directory / "audit.log").read_text().splitlines())
        return Counter(entry["responseStatus"]["code"] for entry in entries if "dryRun" not in entry["requestURI"])

    def pods(self, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.admin.call("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
        return found

    def namespace(self, name: str) -> None:
        """As a cluster with its controllers would have it, with a service account of its own."""
        self.admin.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        self.admin.call("POST", f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})

    def apply(self, manifest: dict[str, Any]) -> None:
        """Makes what a manifest says."""
        group = "/api/v1" if manifest["apiVersion"] == "v1" else f"/apis/{manifest['apiVersion']}"
        place = f"/namespaces/{manifest['metadata'].get('namespace', NAMESPACE)}"
        self.admin.call("POST", f"{group}{place}/{manifest['kind'].lower()}s", manifest)

    def quota(self, namespace: str, **hard: str) -> None:
        """A quota, counted as its controller would at first."""
        path = f"/api/v1/namespaces/{namespace}/resourcequotas"
        spec = {"hard": {name.replace("_", "."): value for name, value in hard.items()}}
        made = self.admin.call("POST", path, {"metadata": {"name": "limit"}, "spec": spec})
        made["status"] = {"hard": spec["hard"], "used": dict.fromkeys(spec["hard"], "0")}
        self.admin.call("PUT", f"{path}/limit/status", made)


@contextmanager
def serving() -> Iterator[Kube]:
    program = api_server()
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="kube-") as place:
        port, etcd_port, peer_port = _free_ports(3)
        kube = Kube(Path(place), port)
        try:
            _start(kube, program, etcd_port, peer_port)
            _until(kube, (kube.directory / "certs" / "apiserver.crt").exists)
            kube.admin = kube.api("admin")
            _until(kube, lambda: _is_ready(kube))
            kube.namespace(NAMESPACE)
            kube.kubelet = Kubelet(kube.admin, kube.directory)
            kube.kubelet.start()
            yield kube
        finally:
            with suppress(AttributeError):
                kube.kubelet.stop()
            for process in reversed(kube.processes):
                process.kill()  # what they hold is of no use to anybody
                process.wait()


def _start(kube: Kube, program: Path, etcd_port: int, peer_port: int) -> None:
    place = kube.directory
    tokens = [f"token-of-{user},{user},{user}{f',{group}' if group else ''}" for user, group in USERS.items()]
    (place / "tokens.csv").write_text("\n".join(tokens) + "\n")
    (place / "audit.json").write_text(json.dumps(_AUDIT))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, plain = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    (place / "sa.key").write_bytes(key.private_bytes(pem, plain, serialization.NoEncryption()))
    store, peer = (f"http://127.0.0.1:{each}" for each in (etcd_port, peer_port))
    etcd = ["etcd", f"--data-dir={place}/etcd", f"--listen-client-urls={store}", f"--advertise-client-urls={store}"]
    etcd += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}"]
    server = [
        str(program),
        f"--etcd-servers={store}",
        "--bind-address=127.0.0.1",
        f"--secure-port={kube.port}",
        f"--cert-dir={place}/certs",
        f"--token-auth-file={place}/tokens.csv",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={place}/sa.key",
        f"--service-account-signing-key-file={place}/sa.key",
        f"--audit-policy-file={place}/audit.json",
        f"--audit-log-path={place}/audit.log",
        "--kubelet-preferred-address-types=InternalIP",
        "--endpoint-reconciler-type=none",
    ]
    for name, command in (("etcd", etcd), ("apiserver", server)):
        with (place / f"{name}.log").open("wb") as log:
            kube.processes.append(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=place)
            )


def _until(kube: Kube, happened: Callable[[], bool]) -> None:
    while not happened():
        for process in kube.processes:
            assert process.poll() is None, "".join(log.read_text()[-2000:] for log in kube.directory.glob("*.log"))
        sleep(0.05)


def _is_ready(kube: Kube) -> bool:
    try:
        kube.admin.open("GET", "/readyz").close()
    except (ApiRefused, ApiSilent):
        return False
    return True


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@pytest.fixture(scope="module")
def kube() -> Iterator[Kube]:
    if api_server() is None or shutil.which("etcd") is None:
        pytest.skip(f"there is no API server of Kubernetes here: {HOW}")
    with serving() as there:
        yield there

"""`cluster pools` starts workers as Pods: a real API server of Kubernetes, and a kubelet of ours that runs them."""

import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tests.acceptance.keeper_kills import LONGEST, MOST, kill_while_a_pool_grows_and_shrinks
from tests.acceptance.test_pools_kept import bounded
from tests.engines.kube import Kube
from tests.engines.kube import kube as bare  # noqa: F401 (a fixture)
from tools.environments import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.extra_kube]

PAGE = (REPOSITORY / "docs" / "pools.md").read_text()
NAMESPACE = "workers"
QUICK = "wait = 0\nidle = 0.5\nmissing_after = 1\nlost_after = 20\nstart_within = 60\n"


def of_page(name: str) -> str:
    """A file that the page shows."""
    return PAGE.partition(f" {name} on head\n")[2].partition("\n```")[0]


@pytest.fixture(scope="module")
def kube(bare: Kube) -> Kube:  # noqa: F811
    """Who keeps pools may there what the page says, and no more."""
    bare.namespace(NAMESPACE)
    for manifest in yaml.safe_load_all(of_page("pools-role.yaml")):
        bare.apply(manifest)
    return bare


@pytest.fixture
def daemons(command: Command, kube: Kube) -> Iterator[Daemons]:
    with Daemons(command) as running, bounded():
        running.start_scheduler()
        yield running
        running.stop("pools")
        for pod in kube.pods(NAMESPACE):
            kube.admin.call("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}")
        while kube.pods(NAMESPACE):
            time.sleep(0.1)


def pools_file(
    cluster: Command,
    kube: Kube,
    most: int,
    user: str = "pools",
    image: str = "shell:1",
    namespace: str = NAMESPACE,
    back_off: float = 5,
) -> Path:
    """The one of the page, in which everything goes more quickly, and its program is ours."""
    text = of_page("kube-pools.toml")
    home = cluster.home / "pods"
    home.mkdir(exist_ok=True)
    for key, value in {
        "max": str(most),
        "cpus": f"1\nback_off = {back_off}\n{QUICK}",
        "mem": '"128MiB"',
        "namespace": f'"{namespace}"\nkubeconfig = "{kube.kubeconfig(user)}"',
        "program": json.dumps(program(home)),
        "worker": '["--listen=none", "--run-as=root"]',
    }.items():
        assert len(re.findall(f"^{key} = ", text, flags=re.MULTILINE)) == 1, key
        text = re.sub(f"^{key} = .*", f"{key} = {value}".replace("\\", r"\\"), text, flags=re.MULTILINE)
    pod = yaml.safe_load(of_page("worker-pod.yaml"))
    (main,) = pod["spec"]["containers"]
    main["image"] = image
    main["env"].append({"name": "PYTHONPATH", "value": str(REPOSITORY)})
    (cluster.home / "worker-pod.yaml").write_text(json.dumps(pod))
    config = cluster.home / "pools.toml"
    config.write_text(text)
    return config


def program(home: Path) -> list[str]:
    """With a disk of its own for each container."""
    script = f'export HOME=$(mktemp -d {home}/XXXXXX); exec {sys.executable} -m cluster "$@" --directory "$HOME/worker"'
    return ["sh", "-c", script, "cluster"]


@contextmanager
def counted(kube: Kube) -> Iterator[list[int]]:
    """How many Pods there are, each time that this changes."""
    there: set[str] = set()
    counts, over = [0], threading.Event()

    def changed(kind: str, pod: dict[str, Any]) -> None:
        name = pod["metadata"]["name"]
        there.discard(name) if kind == "DELETED" else there.add(name)
        counts.append(len(there))

    def look() -> str:
        answer = kube.admin.call("GET", f"/api/v1/namespaces/{NAMESPACE}/pods")
        there.update(pod["metadata"]["name"] for pod in answer["items"])
        return str(answer["metadata"]["resourceVersion"])

    path = f"/api/v1/namespaces/{NAMESPACE}/pods"
    threading.Thread(target=kube.admin.follow, args=(path, "", look, changed, over), daemon=True).start()
    try:
        yield counts
    finally:
        over.set()


def test_a_worker_is_a_pod_outlives_its_keeper_and_goes(daemons: Daemons, kube: Kube, tmp_path: Path) -> None:
    # S4.2
    cluster = daemons.command
    config = pools_file(cluster, kube, 2)
    daemons.start_pools(config)
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    cluster.ok("job", "submit", "--", "sh", "-c", f"echo began; read go < {gate}")
    with daemons.client() as client:
        assert next(client.logs("1", follow=True)).data == b"began\n"
        (pod,) = kube.pods(NAMESPACE)
        (worker,) = client.workers()
        assert worker.name == pod["metadata"]["name"]
        assert pod["metadata"]["labels"]["team"] == "research"
        assert pod["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "1", "memory": str(128 << 20)}
        secret = kube.admin.call("GET", f"/api/v1/namespaces/{NAMESPACE}/secrets/{worker.name}")
        assert secret["metadata"]["ownerReferences"][0]["uid"] == pod["metadata"]["uid"]
        assert "C1" not in json.dumps(pod), "its token is in the Secret alone"
        daemons.kill("pools")
        daemons.start_pools(config)
        gate.write_text("go\n")
        assert cluster.ok("job", "wait", "1").text == "job 1 succeeded\n"
        removed = (event.worker for event in client.events(since=0, follow=True) if event.kind == "worker.removed")
        assert next(removed) == worker.name
    assert kube.pods(NAMESPACE) == []


def test_a_pod_that_somebody_deletes_is_replaced(daemons: Daemons, kube: Kube) -> None:
    daemons.start_pools(pools_file(daemons.command, kube, 1))
    with daemons.client() as client:
        daemons.command.ok("pool", "scale", "pods", "1")
        joined = (event.worker for event in client.events(since=0, follow=True) if event.kind == "worker.joined")
        first = next(joined)
        kube.admin.call("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/{first}")
        assert next(joined) != first


def test_what_kubernetes_refuses_is_told_in_one_line(daemons: Daemons, kube: Kube) -> None:
    cluster = daemons.command
    token = cluster.ok("token", "create", "-q", "--role", "pools", "--user", "keeper").text.strip()

    def said(*join: str, **others: Any) -> str:
        done = cluster("pools", "--config", str(pools_file(cluster, kube, 1, **others)), *join)
        assert done.code == 1, done
        assert len(done.err.splitlines()) == 1, done
        return done.err.partition("pool pods: ")[2].strip()

    assert said("--join", token, user="nobody") == (
        "Kubernetes: no permission in namespace 'workers' (if there is one) to create pods, get pods, list pods, "
        "watch pods, delete pods, create secrets"
    )
    assert said(user="admin", namespace="nowhere") == (
        "Kubernetes takes no Pod in namespace 'nowhere': namespaces \"nowhere\" not found"
    )
    assert said(image=" ").startswith(
        "Kubernetes takes no Pod in namespace 'workers': Pod \"pods-check-0\" is invalid:"
    )
    assert kube.pods(NAMESPACE) == [], "nothing was made by any of these"


def trouble(daemons: Daemons, words: str) -> str:
    with daemons.client() as client:
        while True:
            (pool,) = client.pools()
            if words in pool.pool.trouble:
                return pool.pool.trouble
            time.sleep(0.1)


def test_what_will_not_work_there_is_told_and_taken_back(daemons: Daemons, kube: Kube) -> None:
    """An image that is not there, a quota that is reached."""
    cluster = daemons.command
    cluster.ok("job", "submit", "--", "true")
    daemons.start_pools(pools_file(cluster, kube, 1, image="missing:1", back_off=600))
    assert "its image cannot be pulled: ImagePullBackOff: Back-off pulling image" in trouble(daemons, "pulled")
    while json.loads((cluster.home / "pools" / "machines.json").read_text()):
        time.sleep(0.1)
    assert kube.pods(NAMESPACE) == []
    daemons.stop("pools")
    kube.namespace("small")
    kube.quota("small", pods="0")
    daemons.start_pools(pools_file(cluster, kube, 2, user="admin", namespace="small", back_off=600))
    assert "Kubernetes does not take its Pod: " in (told := trouble(daemons, "quota"))
    assert "exceeded quota: limit" in told
    assert kube.pods("small") == []


def test_thirty_kills_of_the_keeper_orphan_nothing_and_exceed_nothing(daemons: Daemons, kube: Kube) -> None:
    """From nothing to ten and back, twice; killed at random moments while Pods come, work and go."""
    signal.alarm(LONGEST)
    config = pools_file(daemons.command, kube, MOST)
    before = len(kube.made())
    with counted(kube) as there:
        kill_while_a_pool_grows_and_shrinks(daemons, config, lambda: bool(kube.pods(NAMESPACE)))
    made = kube.made()[before:]
    print(f"{len(made)} Pods made, {max(there)} at once at most")
    assert len(set(made)) == len(made)
    assert MOST // 2 < max(there) <= MOST
    assert not [pid for pid in Path("/proc").glob("[0-9]*") if f"{daemons.command.home}/pods" in command_line(pid)]


def command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except (OSError, ValueError):
        return ""

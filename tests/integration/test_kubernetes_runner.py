"""Attempts as Pods: a real API server of Kubernetes takes them, and a kubelet of ours plays its node."""

import asyncio
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from cluster.domain.base.errors import ClusterError
from cluster.domain.job import endings
from cluster.domain.launcher.messages import Started
from cluster.domain.launcher.sightings import Sighting
from cluster.domain.worker.engine_orders import ContainerOrder
from cluster.domain.worker.kubernetes_pods import FINALIZER
from cluster.engines.kubernetes_api import ApiRefused
from cluster.worker.runners import engine_containers
from cluster.worker.runners.engine import EngineFull
from tests.engines.engine_agent import EngineAgent, run
from tests.engines.kube import NAMESPACE, Kube
from tests.engines.kube import kube as bare  # noqa: F401 (a fixture)
from tests.engines.kubelet import MERGE

pytestmark = [pytest.mark.slow, pytest.mark.extra_kube]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "kubernetes.md"
OWNER = "f" * 12


def of_page(name: str) -> str:
    """A file that the page shows."""
    return PAGE.read_text().partition(f" {name} on box1\n")[2].partition("\n```")[0]


@pytest.fixture(scope="module")
def kube(bare: Kube) -> Kube:  # noqa: F811
    """The worker may there what the page says, and no more."""
    for manifest in yaml.safe_load_all(of_page("role.yaml")):
        bare.apply(manifest)
    (bare.directory / "pod.yaml").write_text(of_page("pod.yaml"))
    return bare


@pytest.fixture(autouse=True)
def _nothing_is_left(kube: Kube) -> None:
    """Of a test that failed, or has told nobody that ends are known."""
    for pod in kube.pods():
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}"
        with suppress(ApiRefused):
            kube.admin.call("DELETE", path, {"gracePeriodSeconds": 0})
            kube.admin.call("PATCH", path, {"metadata": {"finalizers": None}}, MERGE)


async def until_gone(kube: Kube) -> None:
    while await asyncio.to_thread(kube.pods):  # noqa: ASYNC110 (nobody tells of it here)
        await asyncio.sleep(0.05)


def acked(agent: EngineAgent) -> None:
    agent.runner.ack(agent.reports[-1].seq)


def test_a_pod_that_comes_after_its_order_was_given_up_is_deleted(
    kube: Kube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, sent = kube.engine(), list[ContainerOrder]()
    make = engine.make

    def on_its_way(order: ContainerOrder) -> Sighting:
        sent.append(order)
        raise EngineFull("it does not answer")

    async def case(agent: EngineAgent) -> None:
        agent.start(agent.template("exec sleep 1000"), "11.0#1")
        while not sent:  # noqa: ASYNC110 (nobody tells of it)
            await asyncio.sleep(0.01)
        agent.runner.recall(["11.0#1"])
        assert (await agent.end_of("11.0#1")).reason == endings.RETURNED
        await agent.runner.close()  # as a crash
        await agent.begin()
        await asyncio.to_thread(make, sent[0])
        await until_gone(kube)

    monkeypatch.setattr(engine, "make", on_its_way)
    monkeypatch.setattr(engine_containers, "PAUSE", 0.05)
    run(engine, tmp_path, case)


def pod_of(kube: Kube, key: str) -> dict[str, object]:
    job, index, attempt = key.replace("#", ".").split(".")
    [pod] = [each for each in kube.pods() if each["metadata"]["name"].endswith(f"-{job}-{index}-{attempt}")]
    return pod


def test_codes_output_and_variables_are_the_commands_own(kube: Kube, tmp_path: Path) -> None:
    # S3.5
    async def case(agent: EngineAgent) -> None:
        agent.start(agent.template("echo $WORD $CLUSTER_TASK '$(WORD)'; echo wrong >&2; exit 7"), "5.1#1")
        agent.start(agent.template("kill -9 $$"), "6.0#2")
        agent.start(agent.template("true", upload="ab" * 32), "7.0#1")
        agent.start(agent.template("pwd", cwd=str(tmp_path), fresh_cwd=False), "8.0#1")
        failed = await agent.end_of("5.1#1")
        assert (failed.reason, failed.code) == ("exit:7", 7)
        text = (tmp_path / "out" / "1.1.out").read_text()
        assert text == "said 1 $(WORD)\nwrong\n"
        assert (failed.out, failed.err) == (len(text), 0)
        killed = await agent.end_of("6.0#2")
        assert (killed.reason, killed.code, killed.signal) == ("signal:SIGKILL", None, "SIGKILL")
        refused = await agent.end_of("7.0#1")
        assert refused.reason == endings.LAUNCH_FAILED
        assert refused.text.endswith("runs a command of the image, and has nothing for: --upload")
        assert (await agent.end_of("8.0#1")).reason == endings.OK
        assert (tmp_path / "out" / "0.1.out").read_text() == f"{tmp_path}\n"
        assert len(kube.pods()) == 3, "they are kept until their ends are known elsewhere"
        acked(agent)
        await until_gone(kube)

    run(kube.engine(template="pod.yaml"), tmp_path, case)


def test_a_pod_is_the_template_with_what_the_attempt_asks_for(kube: Kube, tmp_path: Path) -> None:
    async def case(agent: EngineAgent) -> None:
        agent.start(agent.template("exec sleep 1000", amounts=(("mem", 1 << 26),), grace=2.5), "5.0#1")
        await agent.until(Started, "5.0#1")
        pod = pod_of(kube, "5.0#1")
        labels, [main] = pod["metadata"]["labels"], pod["spec"]["containers"]  # type: ignore[index]
        assert (labels["team"], labels["cluster-job"], labels["cluster-task"]) == ("research", "5", "0")
        sizes = {"cpu": "250m", "memory": str(1 << 26)}
        assert main["resources"] == {"requests": sizes, "limits": sizes}
        assert {"name": "DATA", "value": "/data"} in main["env"]
        assert pod["spec"]["terminationGracePeriodSeconds"] == 3  # type: ignore[index]
        agent.runner.stop(["5.0#1"])
        assert (await agent.end_of("5.0#1")).signal == "SIGTERM"
        acked(agent)
        await until_gone(kube)

    run(kube.engine(template="pod.yaml"), tmp_path, case)


def test_what_is_stopped_or_takes_too_long_ends_so(kube: Kube, tmp_path: Path) -> None:
    async def case(agent: EngineAgent) -> None:
        agent.start(agent.template("trap 'echo asked; exit 3' TERM; echo ready; sleep 1000 & wait"), "5.0#1")
        agent.start(agent.template("exec sleep 1000", timeout=0.2), "6.1#1")
        agent.start(agent.template("trap '' TERM; echo deaf; sleep 1000", grace=1.0), "7.2#1")
        await agent.until(Started, "5.0#1", "6.1#1", "7.2#1")
        for file in (tmp_path / "out" / "0.1.out", tmp_path / "out" / "2.1.out"):
            while not file.stat().st_size:  # noqa: ASYNC110 (nobody tells of a file)
                await asyncio.sleep(0.01)
        agent.runner.stop(["5.0#1"])
        agent.runner.stop(["7.2#1"])
        stopped = await agent.end_of("5.0#1")
        assert (stopped.reason, stopped.code, stopped.signal) == (endings.CANCELLED, 3, "SIGTERM")
        assert (tmp_path / "out" / "0.1.out").read_text() == "ready\nasked\n"
        late = await agent.end_of("6.1#1")
        assert (late.reason, late.signal) == (endings.TIMEOUT, "SIGTERM")
        deaf = await agent.end_of("7.2#1")
        assert (deaf.reason, deaf.signal) == (endings.CANCELLED, "SIGKILL")
        acked(agent)
        await until_gone(kube)

    run(kube.engine(), tmp_path, case)


def test_what_cannot_be_begun_is_told_and_does_not_run_later(kube: Kube, tmp_path: Path) -> None:
    async def case(agent: EngineAgent) -> None:
        agent.start(agent.template("true"), "5.0#1")
        end = await agent.end_of("5.0#1")
        assert end.reason == endings.LAUNCH_FAILED
        assert end.text.startswith('its image cannot be pulled: ImagePullBackOff: Back-off pulling image "missing:1"')
        acked(agent)
        await until_gone(kube)

    run(kube.engine(image="missing:1"), tmp_path, case)

    async def no_program(agent: EngineAgent) -> None:
        agent.start(replace(agent.template(""), argv=("no-such-program",)), "6.0#1")
        end = await agent.end_of("6.0#1")
        assert end.reason == endings.LAUNCH_FAILED
        assert 'exec: "no-such-program"' in end.text

    run(kube.engine(), tmp_path / "other", no_program)


def test_memory_evictions_and_pods_that_somebody_deletes_have_their_reasons(kube: Kube, tmp_path: Path) -> None:
    async def case(agent: EngineAgent) -> None:
        keys = ["5.0#1", "6.1#1", "7.2#1", "8.3#1"]
        oom = agent.template("kill -9 $$", amounts=(("mem", 1 << 24),))
        agent.start(
            oom.__class__(oom.argv, (("PLAY", "oom"),), oom.outputs, fresh_cwd=True, amounts=(("mem", 1 << 24),)),
            keys[0],
        )
        for key in keys[1:]:
            agent.start(agent.template("exec sleep 1000"), key)
        assert (await agent.end_of(keys[0])).reason == endings.OOM
        await agent.until(Started, *keys[1:])
        names = [pod_of(kube, key)["metadata"]["name"] for key in keys[1:]]  # type: ignore[index]
        path = f"/api/v1/namespaces/{NAMESPACE}/pods"
        await asyncio.to_thread(
            kube.admin.call,
            "POST",
            f"{path}/{names[0]}/eviction",
            {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": names[0], "namespace": NAMESPACE}},
        )
        kube.kubelet.status(names[1], phase="Failed", reason="Evicted", message="The node was low on resource: memory.")
        await asyncio.to_thread(kube.admin.call, "DELETE", f"{path}/{names[2]}", {"gracePeriodSeconds": 0})
        drained, evicted, forced = [await agent.end_of(key) for key in keys[1:]]
        assert drained.reason == endings.LOST
        assert drained.text.startswith("Kubernetes took it away: EvictionByEvictionAPI: ")
        assert evicted.text == "Kubernetes took it away: Evicted: The node was low on resource: memory."
        assert (forced.reason, forced.text) == (endings.LOST, "its Pod was deleted, and nobody says how it ended")

    run(kube.engine(), tmp_path, case)


def test_what_finds_no_node_waits_and_can_be_cancelled(
    kube: Kube, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def case(agent: EngineAgent) -> None:
        agent.start(agent.template("true"), "5.0#1")
        while "0/1 nodes are available" not in caplog.text:  # noqa: ASYNC110 (nobody tells of a line)
            await asyncio.sleep(0.01)
        agent.runner.stop(["5.0#1"])
        end = await agent.end_of("5.0#1")
        assert end.reason == endings.RETURNED
        acked(agent)
        await until_gone(kube)

    caplog.set_level("INFO")
    run(kube.engine(image="nowhere:1"), tmp_path, case)


def test_who_comes_after_a_crash_goes_on_with_what_runs_and_starts_nothing_twice(kube: Kube, tmp_path: Path) -> None:
    async def case(agent: EngineAgent) -> None:
        go = tmp_path / "go"
        keys = [f"18.{index}#1" for index in range(4)]
        agent.start(agent.template(f"echo a; until test -e {go}; do sleep 0.05; done; echo b; exit 4"), *keys)
        await agent.until(Started, *keys)
        await agent.runner.close()  # as a crash: nothing is told, and nothing stopped
        agent.reports.clear()
        name = pod_of(kube, keys[3])["metadata"]["name"]  # type: ignore[index]
        go.touch()
        await asyncio.to_thread(
            kube.admin.call, "DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/{name}", {"gracePeriodSeconds": 30}
        )
        again = await agent.begin()
        assert sorted(again.hello.running) == keys
        agent.start(agent.template("echo never"), *keys)  # said twice
        for index, key in enumerate(keys):
            end = await agent.end_of(key)
            assert (end.reason, index == 3) in {("exit:4", False), ("exit:4", True), ("signal:SIGTERM", True)}
            if index < 3:  # the log of what was deleted is gone
                assert (tmp_path / "out" / f"{index}.1.out").read_text() == "a\nb\n"
        made = [name for name in kube.made() if "-18-" in name]
        assert len(made) == len(set(made)) == len(keys)
        acked(agent)
        await until_gone(kube)

    run(kube.engine(), tmp_path, case)


def test_what_was_ordered_without_an_answer_is_found_again(
    kube: Kube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, lost = kube.engine(), threading.Event()
    make = engine.make

    def without_answer(order: ContainerOrder) -> Sighting:
        seen = make(order)
        if lost.is_set():
            return seen
        lost.set()
        raise EngineFull("it does not answer")

    async def case(agent: EngineAgent) -> None:
        agent.start(agent.template("exit 5"), "19.0#1")
        assert (await agent.end_of("19.0#1")).reason == "exit:5"
        assert len([name for name in kube.made() if "-19-" in name]) == 1

    monkeypatch.setattr(engine, "make", without_answer)
    monkeypatch.setattr(engine_containers, "PAUSE", 0.05)
    run(engine, tmp_path, case)


def test_a_pod_of_somebody_else_by_that_name_is_left_alone(kube: Kube) -> None:
    name = f"cluster-{OWNER}-1-0-1"
    kube.admin.call(
        "POST",
        f"/api/v1/namespaces/{NAMESPACE}/pods",
        {
            "metadata": {"name": name},
            "spec": {"containers": [{"name": "a", "image": "nowhere:1"}]},
        },
    )
    with pytest.raises(Exception, match="which no worker has made"):
        kube.engine().make(ContainerOrder(name, ("true",), (), 100))
    kube.admin.call("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/{name}")


def test_a_quota_that_is_reached_is_waited_for_and_one_that_never_lets_it_pass_is_told(
    kube: Kube, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kube.namespace("small")
    for manifest in yaml.safe_load_all(of_page("role.yaml")):
        manifest["metadata"]["namespace"] = "small"
        kube.apply(manifest)
    kube.quota("small", pods="1")
    limit = {"type": "Container", "max": {"cpu": "1"}, "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}}
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "l", "namespace": "small"},
            "spec": {"limits": [limit]},
        }
    )

    async def case(agent: EngineAgent) -> None:
        agent.start(agent.template("exec sleep 1000"), "5.0#1")
        await agent.until(Started, "5.0#1")
        agent.start(agent.template("true"), "6.0#1")
        agent.start(agent.template("true", cpus=4000), "7.0#1")
        huge = await agent.end_of("7.0#1")
        assert huge.reason == endings.LAUNCH_FAILED
        assert "maximum cpu usage per Container is 1, but limit is 4" in huge.text
        while "exceeded quota: limit, requested: pods=1, used: pods=1" not in caplog.text:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        # No controller counts anew here what is freed.
        quota = "/api/v1/namespaces/small/resourcequotas/limit"
        agent.runner.stop(["5.0#1"])
        await agent.end_of("5.0#1")
        told = await asyncio.to_thread(kube.admin.call, "GET", quota)
        told["status"]["used"]["pods"] = "0"
        await asyncio.to_thread(kube.admin.call, "PUT", f"{quota}/status", told)
        assert (await agent.end_of("6.0#1")).reason == endings.OK

    monkeypatch.setattr(engine_containers, "PAUSE", 0.05)
    run(kube.engine(namespace="small"), tmp_path, case)


def test_pods_of_an_agent_that_died_before_it_forgot_them_go(kube: Kube, tmp_path: Path) -> None:
    async def case(agent: EngineAgent) -> None:
        agent.start(agent.template("exit 3"), "20.0#1")
        await agent.end_of("20.0#1")
        name = pod_of(kube, "20.0#1")["metadata"]["name"]  # type: ignore[index]
        await agent.runner.close()
        await agent.begin()  # its end is known here
        await until_gone(kube)
        assert (await agent.end_of("20.0#1")).reason == "exit:3"
        assert name in kube.made()

    run(kube.engine(), tmp_path, case)


def test_a_finalizer_of_another_stays(kube: Kube) -> None:
    engine, name = kube.engine(), f"cluster-{OWNER}-2-0-1"
    engine.make(ContainerOrder(name, ("true",), (), 100))
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}"
    finalizers = {"metadata": {"finalizers": [FINALIZER, "example.org/audit"]}}
    kube.admin.call("PATCH", path, finalizers, MERGE)
    engine.forget(name, "")
    assert kube.admin.call("GET", path)["metadata"]["finalizers"] == ["example.org/audit"]


@pytest.mark.parametrize(
    ("user", "change", "words"),
    [
        (
            "nobody",
            {},
            "Kubernetes: no permission in namespace 'jobs' (if there is one) to create pods, get pods, list pods, ",
        ),
        (
            "worker",
            {"namespace": "none"},
            "Kubernetes: no permission in namespace 'none' (if there is one) to create pods",
        ),
        ("admin", {"namespace": "none"}, "Kubernetes takes no Pod in namespace 'none': namespaces \"none\" not found"),
        ("worker", {"context": "other"}, "Kubernetes: the kubeconfig ("),
        ("worker", {"kubeconfig": "/nowhere"}, "Kubernetes: the kubeconfig ('/nowhere') cannot be used: "),
        (
            "worker",
            {"container": "side", "template": "pod.yaml"},
            "--runner-config: [kubernetes]: the template has no container 'side'; it has: main",
        ),
        ("worker", {"image": ""}, "--runner-config: [kubernetes] needs an image or a template: one of them"),
        (
            "worker",
            {"image": " "},
            "Kubernetes takes no Pod in namespace 'jobs': Pod \"cluster-check-0-0-0\" is invalid: ",
        ),
        ("worker", {"template": "none.yaml"}, "--runner-config: [kubernetes]: template "),
    ],
)
def test_what_cannot_be_used_is_one_line(kube: Kube, user: str, change: dict[str, str], words: str) -> None:
    with pytest.raises(ClusterError) as raised:
        kube.engine(user, **change)
    assert str(raised.value).startswith(words)
    assert "\n" not in str(raised.value)


def test_wrong_credentials_and_addresses_are_one_line(kube: Kube) -> None:
    wrong = str(kube.kubeconfig("worker", token="wrong"))
    with pytest.raises(ClusterError, match=r"does not accept these credentials$"):
        kube.engine(kubeconfig=wrong)
    with pytest.raises(ClusterError, match=r"^Kubernetes does not answer: https://127.0.0.1:1: .*refused"):
        kube.engine(kubeconfig=str(kube.kubeconfig("worker", port=1)))
    kube.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "reads"},
            "rules": [
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get", "list", "watch", "delete"]}
            ],
        }
    )
    kube.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "reads"},
            "subjects": [{"kind": "User", "name": "pools"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reads"},
        }
    )
    with pytest.raises(ClusterError, match=r"\(if there is one\) to patch pods, get pods/log$"):
        kube.engine("pools")

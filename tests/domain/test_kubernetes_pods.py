"""What Kubernetes says of Pods and its answers, and what it is asked for, as tables; where in a log one has stopped."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.launcher.sightings import Sight
from cluster.domain.worker.engine_orders import ContainerOrder
from cluster.domain.worker.kubernetes_answers import may_be_taken_later, version_of
from cluster.domain.worker.kubernetes_logs import LogReader
from cluster.domain.worker.kubernetes_pods import REFUSED, grace_of, literal, pod_of, sighting_of, stuck

NAME = "cluster-0123456789ab-5-2-1"
_BEGAN = "2026-01-02T00:00:00Z"
_DISRUPTED = {
    "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "m"}]
}
_DELETED: dict[str, Any] = {"deletionTimestamp": _BEGAN, "deletionGracePeriodSeconds": 0}


def ended(code: int, reason: str = "Error", **more: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "startedAt": _BEGAN, **more}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def pod(
    phase: str, state: dict[str, Any] | None, status: dict[str, Any] | None = None, node: str = "n1", **metadata: Any
) -> dict[str, Any]:
    own = [{"name": "side", "state": {}}, {"name": "main", "state": state}] if state is not None else []
    spec = {"nodeName": node} if node else {}
    given = {"phase": phase, "containerStatuses": own, **(status or {})}
    return {"metadata": {"name": NAME, "namespace": "jobs", **metadata}, "spec": spec, "status": given}


@pytest.mark.parametrize(
    ("told", "sight", "words"),
    [
        (pod("Pending", None, node=""), Sight.PENDING, ""),
        (pod("Pending", waiting("ContainerCreating")), Sight.PENDING, "ContainerCreating"),
        (pod("Running", {"running": {"startedAt": _BEGAN}}), Sight.RUNNING, ""),
        (pod("Succeeded", ended(0, "Completed")), Sight.ENDED, ""),
        (pod("Running", ended(3)), Sight.ENDED, ""),  # another container goes on
        (pod("Failed", ended(137, "OOMKilled")), Sight.ENDED, "OOMKilled"),
        (
            pod("Failed", ended(128, "StartError", message="exec: no")),
            Sight.UNMADE,
            "it could not be started: StartError",
        ),
        (pod("Failed", ended(143), _DISRUPTED), Sight.LOST, "Kubernetes took it away: PreemptionByScheduler: m"),
        (pod("Succeeded", ended(0, "Completed"), _DISRUPTED), Sight.ENDED, ""),  # in time
        (
            pod("Failed", None, {"reason": "Evicted", "message": "low"}),
            Sight.LOST,
            "Kubernetes took it away: Evicted: low",
        ),
        (pod("Failed", ended(137, "ContainerStatusUnknown")), Sight.LOST, "its Pod was deleted"),
        (
            pod("Failed", None, {"reason": "OutOfcpu", "message": "m"}),
            Sight.UNMADE,
            "its node did not take it: OutOfcpu: m",
        ),
        (pod("Pending", None, node="", **_DELETED), Sight.UNMADE, "its Pod was deleted before it began"),
        (pod("Running", {"running": {"startedAt": _BEGAN}}, **_DELETED), Sight.LOST, "its Pod was deleted, and nobody"),
        (pod("Failed", waiting("ImagePullBackOff"), annotations={REFUSED: "no image"}), Sight.UNMADE, "no image"),
        (
            pod("Failed", waiting("PodInitializing"), {"initContainerStatuses": [{"name": "i", "state": ended(2)}]}),
            Sight.UNMADE,
            "its init container i ended with code 2",
        ),
    ],
)
def test_what_kubernetes_says_of_a_pod_has_one_meaning(told: dict[str, Any], sight: Sight, words: str) -> None:
    seen = sighting_of(told, "main")
    assert (seen.name, seen.sight, seen.reference) == (NAME, sight, f"jobs/{NAME}")
    assert seen.text.startswith(words)
    assert bool(words) or not seen.text
    assert seen.oom == (words == "OOMKilled")
    assert seen.returned == (sight is Sight.UNMADE and ("did not take" in words or "before it began" in words))


def test_a_pod_that_is_gone_is_lost_unless_its_end_was_told() -> None:
    assert sighting_of(pod("Running", {"running": {"startedAt": _BEGAN}}), "main", gone=True).sight is Sight.LOST
    assert sighting_of(pod("Failed", ended(7)), "main", gone=True).code == 7


def test_only_what_will_never_begin_is_given_up() -> None:
    assert stuck(pod("Pending", waiting("ImagePullBackOff", "no\n such")), "main").endswith("ImagePullBackOff: no such")
    assert stuck(pod("Pending", waiting("CreateContainerConfigError")), "main").startswith("it could not be started")
    harmless: dict[str, Any]
    for harmless in (waiting("ErrImagePull"), waiting("ContainerCreating"), {"running": {}}):
        assert not stuck(pod("Pending", harmless), "main")
    assert not stuck(pod("Pending", waiting("ImagePullBackOff"), deletionTimestamp=_BEGAN), "main"), "it is on its way"


@pytest.mark.parametrize(
    ("code", "text", "later"),
    [
        (403, 'pods "x" is forbidden: exceeded quota: limit, requested: pods=1, used: pods=1, limited: pods=1', True),
        (403, "unable to create new content in namespace jobs because it is being terminated", True),
        (
            403,
            'pods is forbidden: User "worker" cannot create resource "pods" in API group "" in the namespace "jobs"',
            True,
        ),
        (403, 'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true', False),
        (403, 'pods "x" is forbidden: maximum cpu usage per Container is 1, but limit is 4', False),
        (422, 'Pod "x" is invalid: spec.containers[0].image: Required value', False),
        (429, "too many requests", True),
        (500, "etcdserver: request is too large", False),
        (503, "apiserver is shutting down", True),
        (401, "Unauthorized", True),
    ],
)
def test_a_refusal_is_for_now_or_for_good(code: int, text: str, later: bool) -> None:
    assert may_be_taken_later(code, text) == later


def test_versions_of_those_who_sell_it_are_versions() -> None:
    assert version_of("1", "27+") == (1, 27)


def test_a_pod_is_the_template_with_what_the_attempt_has_of_its_own() -> None:
    template: dict[str, Any] = {
        "metadata": {"labels": {"team": "a"}, "namespace": "other", "finalizers": ["their/own"]},
        "spec": {
            "restartPolicy": "Always",
            "containers": [
                {"name": "side", "image": "s"},
                {"name": "main", "image": "m", "args": ["x"], "env": [{"name": "A", "value": "b"}, {"name": "W"}],
                 "resources": {"limits": {"memory": "1Gi", "disk": "1"}}},
            ],
        },
    }  # fmt: skip
    order = ContainerOrder(NAME, ("echo", "$(A) $$"), (("W", "$1"),), 250, 1 << 20, 2, "/w", grace=0.2)
    made = pod_of(order, template, "main", "nvidia.com/gpu", limit_cpu=False)
    assert "namespace" not in made["metadata"]
    assert made["metadata"]["finalizers"] == ["their/own", "cluster.internal/end-is-kept"]
    assert made["metadata"]["labels"]["cluster-job"] == "5"
    assert (made["spec"]["restartPolicy"], made["spec"]["terminationGracePeriodSeconds"]) == ("Never", 1)
    side, main = made["spec"]["containers"]
    assert side == {"name": "side", "image": "s"}
    assert (main["command"], main["args"], main["workingDir"]) == (["echo", "$$(A) $$$$"], [], "/w")
    assert main["env"] == [{"name": "A", "value": "b"}, {"name": "W", "value": "$$1"}]
    assert main["resources"] == {
        "requests": {"cpu": "250m", "memory": "1048576", "nvidia.com/gpu": "2"},
        "limits": {"memory": "1048576", "disk": "1", "nvidia.com/gpu": "2"},
    }
    assert template["spec"]["restartPolicy"] == "Always", "the template stays as it is"


def test_a_grace_is_never_none() -> None:
    assert list(map(grace_of, (0.0, 1.0, 2.5))) == [1, 1, 3]
    assert literal("$$ $(A)") == "$$$$ $$(A)"


_LINES = st.lists(st.tuples(st.sampled_from([0, 0, 1, 300_000_000, 10**9]), st.binary(max_size=12)), max_size=12)


def _log(lines: list[tuple[int, bytes]]) -> tuple[list[tuple[str, bytes]], bytes]:
    """As the API tells it, a line and its second each; and what was written."""
    time, told, plain = 0, [], b""
    for pause, text in lines:
        time += pause
        line = text.replace(b"\n", b"") + b"\n"
        second = f"2026-01-02T00:00:{time // 10**9:02}"
        told.append((f"{second}Z", f"{second}.{time % 10**9:09}Z ".encode() + line))
        plain += line
    return told, plain


@given(_LINES, st.lists(st.integers(0, 400), max_size=3), st.integers(1, 50), st.sampled_from([1, 9, 1000]))
def test_a_log_that_is_read_in_parts_comes_whole_and_once(
    lines: list[tuple[int, bytes]], stops: list[int], part: int, most: int
) -> None:
    told, plain = _log(lines)
    whole = sum(len(line) for _, line in told)
    position, got = "", b""
    for stop in [*sorted(min(each, whole) for each in stops), whole]:
        is_more = True
        while is_more:
            reader = LogReader(position, most)
            since, before = reader.since, 0
            for second, line in told:
                before += len(line) if second < since else 0
            answer = b"".join(line for _, line in told)[before : max(before, stop)]
            for at in range(0, len(answer), part):
                if not reader.feed(answer[at : at + part]):
                    break
            got += reader.take()
            position, is_more = reader.position, reader.full
    assert got == plain

"""Machines of pools as Pods: what is asked for, and what is read from what Kubernetes says."""

from typing import Any

import pytest

from cluster.domain.pools.kubernetes_machines import join_secret, machine_pod, told_pod, with_sizes
from cluster.domain.pools.told import MachineState, ToldMachine
from cluster.domain.worker.kubernetes_pods import stuck

TEMPLATE = {
    "metadata": {"generateName": "x-", "namespace": "y", "labels": {"team": "research"}},
    "spec": {
        "containers": [
            {"name": "beside", "image": "a:1"},
            {"name": "worker", "image": "b:1", "resources": {"requests": {"cpu": "7"}}, "env": [{"name": "A"}]},
        ]
    },
}
NAME = "gpu-a-1"


def test_a_pod_is_the_template_with_a_worker_in_it() -> None:
    pod = machine_pod(TEMPLATE, "worker", NAME, {"cluster-pool": "gpu"}, ["cluster", "worker", "--label=a=$(B)"])
    with_sizes(pod, "worker", 1500, {"mem": 1 << 30, "gpus": 2}, "nvidia.com/gpu")
    assert pod["metadata"] == {"name": NAME, "labels": {"team": "research", "cluster-pool": "gpu"}}
    assert pod["spec"]["restartPolicy"] == "Never"
    beside, worker = pod["spec"]["containers"]
    assert beside == TEMPLATE["spec"]["containers"][0]  # type: ignore[index]
    assert (worker["command"], worker["args"]) == (["cluster", "worker", "--label=a=$$(B)"], [])
    assert worker["env"][1]["valueFrom"] == {"secretKeyRef": {"name": NAME, "key": "join"}}
    sizes = {"memory": str(1 << 30), "nvidia.com/gpu": "2"}
    assert worker["resources"] == {"requests": {"cpu": "7", **sizes}, "limits": sizes}, "the template's own go first"
    by_image = machine_pod(TEMPLATE, "worker", NAME, {}, ["worker", "--name=x"])["spec"]["containers"][1]
    assert by_image["args"] == ["worker", "--name=x"]
    assert "command" not in by_image


def test_its_token_is_in_a_secret_that_goes_with_it() -> None:
    secret = join_secret({"metadata": {"name": NAME, "uid": "u", "labels": {}}}, "token")
    assert secret["stringData"] == {"join": "token"}
    assert secret["metadata"]["ownerReferences"] == [{"apiVersion": "v1", "kind": "Pod", "name": NAME, "uid": "u"}]


def waiting(reason: str, message: str) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"phase": "Pending", "containerStatuses": [{"name": "worker", "state": state}]}


@pytest.mark.parametrize(
    ("status", "state", "why"),
    [
        ({}, MachineState.STARTING, ""),
        ({"phase": "Running"}, MachineState.RUNNING, ""),
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no\nroom"}
                ]
            },
            MachineState.STARTING,
            "Unschedulable: no room",
        ),
        (
            waiting("CreateContainerConfigError", f'secret "{NAME}" not found'),
            MachineState.STARTING,
            f'it could not be started: CreateContainerConfigError: secret "{NAME}" not found',
        ),
        (
            waiting("ImagePullBackOff", "not found"),
            MachineState.BROKEN,
            "its image cannot be pulled: ImagePullBackOff: not found",
        ),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "low on memory"},
            MachineState.BROKEN,
            "its Pod has ended: Evicted: low on memory",
        ),
        (
            {
                "phase": "Failed",
                "containerStatuses": [{"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}],
            },
            MachineState.BROKEN,
            "its Pod has ended: code 137, OOMKilled",
        ),
        ({"phase": "Succeeded"}, MachineState.BROKEN, "its Pod has ended: Succeeded"),
    ],
)
def test_what_a_pod_says(status: dict[str, Any], state: MachineState, why: str) -> None:
    pod = {"metadata": {"name": NAME, "uid": "u"}, "spec": {}, "status": status}
    assert told_pod(pod, stuck(pod, "worker")) == ToldMachine(NAME, "u", state, why)

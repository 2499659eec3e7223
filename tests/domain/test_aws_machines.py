"""What Amazon says of a pool's machines, as tables, and what an instance is told at its boot."""

import shlex
import subprocess
from datetime import UTC, datetime
from typing import Any

import pytest

from cluster.domain.pools.aws_machines import boot_script, request_token, told_instance, told_task
from cluster.domain.pools.told import MachineState

_THEN = datetime(2026, 1, 2, tzinfo=UTC)
SINCE = _THEN.timestamp()
STARTING, RUNNING, BROKEN = MachineState.STARTING, MachineState.RUNNING, MachineState.BROKEN
STOPPED = {"lastStatus": "STOPPED", "desiredStatus": "STOPPED", "stoppedAt": _THEN}


@pytest.mark.parametrize(
    ("said", "state", "why"),
    [
        ({"lastStatus": "PROVISIONING"}, STARTING, ""),
        ({"lastStatus": "RUNNING"}, RUNNING, ""),
        ({"lastStatus": "STOPPING", "desiredStatus": "STOPPED", "stopCode": "UserInitiated"}, RUNNING, ""),
        (
            {"lastStatus": "STOPPING", "desiredStatus": "STOPPED", "stopCode": "SpotInterruption"},
            BROKEN,
            "its task was stopped: ECS says no more",
        ),
        ({**STOPPED, "stopCode": "UserInitiated"}, None, ""),
        (
            {**STOPPED, "stopCode": "TaskFailedToStart", "stoppedReason": "Cannot\nPull"},
            BROKEN,
            "its task was stopped: Cannot Pull",
        ),
        (
            {
                **STOPPED,
                "stopCode": "EssentialContainerExited",
                "stoppedReason": "Essential container in task exited",
                "containers": [{"name": "main", "exitCode": 1}],
            },
            BROKEN,
            "its task was stopped: Essential container in task exited; main left with code 1",
        ),
        ({**STOPPED, "stoppedAt": datetime(2026, 1, 1, tzinfo=UTC)}, None, ""),
        ({"lastStatus": "RUNNING", "tags": []}, None, ""),
    ],
)
def test_what_ecs_says_of_a_machine(said: dict[str, Any], state: MachineState | None, why: str) -> None:
    task = {"taskArn": "arn", "tags": [{"key": "cluster-machine", "value": "gpu-a-1"}], **said}
    told = told_task(task, SINCE)
    assert (told and (told.name, told.id, told.state, told.why)) == (state and ("gpu-a-1", "arn", state, why))


@pytest.mark.parametrize(
    ("name", "reason", "state", "why"),
    [
        ("pending", None, STARTING, ""),
        ("running", {"Code": "", "Message": ""}, RUNNING, ""),
        ("shutting-down", {"Code": "Client.UserInitiatedShutdown"}, RUNNING, ""),
        (
            "shutting-down",
            {"Code": "Server.SpotInstanceTermination", "Message": "Server.SpotInstanceTermination: taken back"},
            BROKEN,
            "its instance is shutting-down: Server.SpotInstanceTermination: taken back",
        ),
        ("stopped", {}, BROKEN, "its instance is stopped: EC2 does not say why"),
        ("terminated", {"Code": "Client.UserInitiatedShutdown"}, None, ""),
        (
            "terminated",
            {"Code": "Client.VolumeLimitExceeded", "Message": "Volume limit exceeded"},
            BROKEN,
            "its instance is terminated: Volume limit exceeded",
        ),
    ],
)
def test_what_ec2_says_of_a_machine(name: str, reason: Any, state: MachineState | None, why: str) -> None:
    tags = [{"Key": "cluster-machine", "Value": "gpu-a-1"}]
    said = {"InstanceId": "i-1", "State": {"Name": name}, "StateReason": reason, "Tags": tags, "LaunchTime": _THEN}
    told = told_instance(said, SINCE)
    assert (told and (told.name, told.id, told.state, told.why)) == (state and ("gpu-a-1", "i-1", state, why))
    assert told_instance({**said, "State": {"Name": "terminated"}}, SINCE + 1) is None, "an earlier keeper's"


def test_a_request_is_known_again_by_a_token_that_is_short_enough() -> None:
    token = request_token("0123456789abcdef", "x" * 24 + "-12345678-10000")
    assert len(token) <= 64
    assert token != request_token("1123456789abcdef", "x" * 24 + "-12345678-10000")


def test_no_word_of_a_boot_script_is_anything_else() -> None:
    words = ["cluster", "worker", "--label=place=it's $HOME; `false`"]
    script = boot_script(words, "tok'en", "echo 'prepared'\n")
    subprocess.run(["sh", "-n", "-c", script], check=True)
    assert shlex.join(words) in script
    assert "CLUSTER_WORKER_JOIN='tok'\"'\"'en' setsid" in script

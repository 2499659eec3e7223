"""The providers `ecs` and `ec2` of pools: moto's server answers as AWS does, and the machines are processes here."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import botocore.client
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from cluster.domain.base.errors import ClusterError, InvalidInput
from cluster.domain.pools.told import MachineState, ToldMachine
from cluster.pools.providers import ec2, ecs
from cluster.pools.providers.interface import NewMachine, PoolTable, Provider, ProviderError
from tests.engines.aws import REGION, Aws, aws  # noqa: F401 (a fixture)
from tests.patience import PATIENCE

T = TypeVar("T")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="machines are namespaces, which root makes"),
]
BOTH = pytest.mark.parametrize("kind", ["ecs", "ec2"])
# Instead of a worker: tells what it was given where nobody else reads, and stays.
STAYS = ["sh", "-c", 'umask 077; echo "$CLUSTER_WORKER_JOIN $*" > "$(dirname "$0")/$2"; exec sleep 1000']


def opened(aws: Aws, kind: str, place: Path, **others: Any) -> Provider:  # noqa: F811
    """Of a pool that is called as its directory."""
    options: dict[str, Any] = {"region": REGION, "endpoint": aws.endpoint, "program": [*STAYS, f"{place}/x"]}
    options |= {"subnets": [aws.subnet], "security_groups": [aws.group]}
    own: dict[str, Any] = {"cluster": "jobs", "task_definition": "shell"}
    if kind == "ec2":
        own = {"image": "ami-12c6146b", "instance_type": "t3.small"}
    name = f"{kind}-{place.name[-12:]}".replace("_", "-")
    table = PoolTable(name, kind, "0123456789abcdef", "pools.toml: pool p", {**options, **own, **others})
    return {"ecs": ecs.open_provider, "ec2": ec2.open_provider}[kind](table)


def until(look: Callable[[], T], holds: Callable[[T], bool]) -> T:
    """What is seen as soon as that holds."""
    end = time.monotonic() + PATIENCE
    while not holds(seen := look()):
        assert time.monotonic() < end, seen
        time.sleep(0.05)
    return seen


def told(provider: Provider, holds: Callable[[Sequence[ToldMachine]], bool]) -> Sequence[ToldMachine]:
    return until(lambda: asyncio.run(provider.list()), holds)


@BOTH
def test_machines_are_made_once_found_again_and_removed(aws: Aws, kind: str, tmp_path: Path) -> None:  # noqa: F811
    # S3.9
    provider = opened(aws, kind, tmp_path)
    asyncio.run(provider.check())
    machines = [NewMachine(f"p-{tmp_path.name[-8:]}-{number}", f"secret{number}") for number in (1, 2)]
    assert asyncio.run(provider.start(machines)) == {}
    assert asyncio.run(provider.start(machines)) == {}, "sent again, as after an answer that was lost"
    other = opened(aws, kind, tmp_path)  # as a keeper that was started anew
    there = told(other, lambda told: all(each.state is MachineState.RUNNING for each in told))
    assert sorted(each.name for each in there) == [each.name for each in machines]
    for machine in machines:
        given = tmp_path / f"--name={machine.name}"
        join, words = until(lambda: given.read_text() if given.exists() else "", bool).split(" ", 1)  # noqa: B023
        assert join == machine.join
        assert words.startswith(f"worker --name={machine.name} --label=pool=")
        assert machine.join not in words
    asyncio.run(other.stop([there[0], ToldMachine(there[1].name, "")]))  # by its id, and one that was never told
    assert told(other, lambda told: not told) == []
    asyncio.run(other.stop(there))  # what is gone already is no error


@BOTH
def test_what_ends_by_itself_is_broken_and_says_why(aws: Aws, kind: str, tmp_path: Path) -> None:  # noqa: F811
    if kind == "ecs":
        provider = opened(aws, kind, tmp_path, task_definition="missing")
        said = "CannotPullContainerError"
    else:
        (tmp_path / "prepare.sh").write_text("exit 3\n")
        provider = opened(aws, kind, tmp_path, prepare=str(tmp_path / "prepare.sh"))
        said = "Instance initiated shutdown"
    asyncio.run(provider.check())
    asyncio.run(provider.start([NewMachine("p-broken-1", "secret")]))
    (broken,) = told(provider, lambda told: bool(told) and told[0].state is MachineState.BROKEN)
    assert said in broken.why
    asyncio.run(provider.stop([broken]))
    assert asyncio.run(provider.list()) == []


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("ecs", {"cluster": "none"}, "pools.toml: pool p: [pool.ecs]: ECS has no cluster 'none' that is active in eu"),
        ("ecs", {"task_definition": "none"}, "ECS refuses DescribeTaskDefinition: Unable to describe task definition."),
        ("ecs", {"container": "x"}, "pools.toml: pool p: [pool.ecs]: task definition 'shell' has no container 'x'; it"),
        ("ecs", {"endpoint": "http://127.0.0.1:1"}, "ECS does not answer: Could not connect to the endpoint URL"),
        ("ec2", {"endpoint": "http://127.0.0.1:1"}, "EC2 does not answer: Could not connect to the endpoint URL"),
        ("ec2", {"endpoint": "nonsense"}, "EC2 cannot be reached: Invalid endpoint: nonsense"),
        ("ec2", {"region": "no where"}, "EC2 cannot be reached: Provided region_name 'no where' doesn't match"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    aws: Aws,  # noqa: F811
    kind: str,
    change: dict[str, str],
    words: str,
    tmp_path: Path,
) -> None:
    with pytest.raises(ClusterError) as raised:
        asyncio.run(opened(aws, kind, tmp_path, **change).check())
    assert str(raised.value).startswith(words)
    assert "\n" not in str(raised.value)


def test_a_subnet_that_is_not_there_is_why_none_was_made(aws: Aws, tmp_path: Path) -> None:  # noqa: F811
    provider = opened(aws, "ec2", tmp_path, subnets=["subnet-0"])
    refused = asyncio.run(provider.start([NewMachine("p-a-1", "secret")]))
    assert refused == {"p-a-1": "EC2 refuses RunInstances: The subnet ID 'subnet-0' does not exist"}
    assert asyncio.run(provider.list()) == []


@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        ("ecs", "AccessDeniedException", "no permission: ecs:{} on cluster jobs: it says so"),
        ("ec2", "UnauthorizedOperation", "no permission: ec2:{} on image ami-12c6146b: it says so"),
        ("ecs", "UnrecognizedClientException", "ECS does not take the credentials ({}): it says so"),
        ("ec2", "VcpuLimitExceeded", "EC2 refuses {}: it says so"),
        ("ec2", "InvalidAMIID.NotFound", "EC2 refuses {}: it says so"),
    ],
)
def test_what_aws_refuses_is_told_with_action_and_resource(
    aws: Aws,  # noqa: F811
    kind: str,
    code: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """moto lets everybody do everything: it is said in AWS's stead, with the codes that it has for that."""

    def refuse(self: object, name: str, arguments: object) -> None:
        answer = {"Error": {"Code": code, "Message": "it says\nso"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
        raise ClientError(answer, name)

    provider = opened(aws, kind, tmp_path)
    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", refuse)
    with pytest.raises(ClusterError) as raised:
        asyncio.run(provider.check())
    assert isinstance(raised.value, InvalidInput if code.startswith("Invalid") else ProviderError)
    assert str(raised.value).endswith(said.format("DescribeClusters" if kind == "ecs" else "RunInstances"))
    refused = asyncio.run(provider.start([NewMachine("p-a-1", "secret")]))
    assert refused == {"p-a-1": said.format("RunTask" if kind == "ecs" else "RunInstances")}


@BOTH
def test_whether_a_machine_was_made_is_open_where_aws_does_not_say(
    aws: Aws,  # noqa: F811
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def late(self: object, name: str, arguments: object) -> None:
        raise ReadTimeoutError(endpoint_url=aws.endpoint)

    provider = opened(aws, kind, tmp_path)
    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", late)
    assert asyncio.run(provider.start([NewMachine("p-a-1", "secret")])) == {}
    with pytest.raises(ProviderError, match="does not answer: Read timeout"):
        asyncio.run(provider.list())


def test_without_credentials_it_says_so(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ProviderError, match=r"^ECS was not asked: Unable to locate credentials$"):
        asyncio.run(opened(aws, "ecs", tmp_path).check())

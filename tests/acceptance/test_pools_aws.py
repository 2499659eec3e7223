"""`cluster pools` with machines of Amazon's: moto's server answers, its tasks and instances are real workers here."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tests.acceptance.keeper_kills import LONGEST, MOST, kill_while_a_pool_grows_and_shrinks
from tests.acceptance.test_pools_kept import bounded
from tests.engines.aws import REGION, Aws, aws  # noqa: F401 (a fixture)
from tools.environments import REPOSITORY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.extra_pools,
    pytest.mark.skipif(os.geteuid() != 0, reason="machines are namespaces, which root makes"),
]
# A worker in a home and a namespace of its own: all of it ends with its machine.
WORKER = """#!/bin/sh
place={home}/machines/${{2#--name=}}
mkdir -p "$place"
export HOME="$place" CLUSTER_HOME="$place" PYTHONPATH={repository}
exec unshare --pid --fork --kill-child --mount-proc {python} -m cluster "$@" > "$place/log" 2>&1
"""
POOLS = """
[[pool]]
name = "cloud"
provider = "{kind}"
max = {most}
cpus = 1
wait = 0
idle = 0.5
missing_after = 1
lost_after = 20
[pool.{kind}]
region = "{region}"
endpoint = "{endpoint}"
subnets = ["{subnet}"]
program = ["sh", "{home}/worker.sh"]
worker = ["--run-as=root", "--listen=127.0.0.1:0"]
"""
OWN = {
    "ecs": 'cluster = "jobs"\ntask_definition = "shell"\n',
    "ec2": 'image = "ami-12c6146b"\ninstance_type = "t3.small"\n',
}


@pytest.fixture
def daemons(command: Command) -> Iterator[Daemons]:
    with Daemons(command) as running, bounded():
        running.start_scheduler()
        yield running


@pytest.mark.parametrize("kind", ["ecs", "ec2"])
def test_thirty_kills_of_the_keeper_orphan_nothing_and_exceed_nothing(
    daemons: Daemons,
    aws: Aws,  # noqa: F811
    kind: str,
) -> None:
    # S3.9
    home = daemons.command.home
    program = WORKER.format(home=home, repository=REPOSITORY, python=sys.executable)
    (home / "worker.sh").write_text(program)
    values = {"kind": kind, "most": MOST, "region": REGION, "endpoint": aws.endpoint, "subnet": aws.subnet}
    config = home / "pools.toml"
    config.write_text(POOLS.format(home=home, **values) + OWN[kind])
    before = len(aws.made())
    signal.alarm(LONGEST)
    kill_while_a_pool_grows_and_shrinks(daemons, config, lambda: bool(there(aws, kind)))
    made, most = aws.made()[before:], aws.most()
    names = [path.name for path in (home / "machines").iterdir()]
    assert max(count for what, count in most.items() if (what == "instances") == (kind == "ec2")) <= MOST
    assert len(names) <= len(made)  # what was removed before it came to anything has no place
    if kind == "ec2":
        assert len(set(made)) == len(made)  # by their client tokens: none was made twice
    assert not [pid for pid in Path("/proc").glob("[0-9]*") if str(home / "worker.sh") in command_line(pid)]
    daemons.start_pools(config)
    daemons.stop("pools")
    assert json.loads((home / "pools" / "machines.json").read_text()) == {}
    print(f"{kind}: {len(made)} machines made, {most} at once at most")


def there(aws: Aws, kind: str) -> list[str]:  # noqa: F811
    """What AWS itself says that runs or comes."""
    if kind == "ecs":
        return [str(arn) for arn in aws.ecs.list_tasks(cluster="jobs", desiredStatus="RUNNING")["taskArns"]]
    states = {"Name": "instance-state-name", "Values": ["pending", "running"]}
    found = aws.ec2.describe_instances(Filters=[states])["Reservations"]
    return [str(instance["InstanceId"]) for each in found for instance in each["Instances"]]


def command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""

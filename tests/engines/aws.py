"""A cluster of ECS to be used by tests of one module: moto's server, whose containers are processes of this machine."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.worker.runners.ecs import EcsEngine, EcsSettings
from tests.patience import PATIENCE
from tools.environments import environment

REGION = "eu-west-1"
_KEYS = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_EC2_METADATA_DISABLED": "true"}


@dataclass
class Aws:
    """`definition`: of a task, as is `missing`, whose image cannot be pulled."""

    process: subprocess.Popen[str]
    endpoint: str
    subnet: str
    group: str
    ecs: Any
    ec2: Any

    def settings(self, **others: Any) -> EcsSettings:
        own = {"region": REGION, "endpoint": self.endpoint, "poll": 0.05}
        net = {"subnets": [self.subnet], "security_groups": [self.group]}
        return EcsSettings(**{"cluster": "jobs", "task_definition": "shell", **own, **net, **others})

    def engine(self, **others: Any) -> EcsEngine:
        engine = EcsEngine(self.settings(**others))
        engine.check()
        return engine

    def made(self) -> list[str]:
        """What started each task (a container's name, or a pool) and the client token of each instance, as often as it
        was made."""
        return self._said("made")

    def most(self) -> dict[str, int]:
        """How many tasks that were started by the same, or `instances`, there were at once, at most."""
        return {what: int(most) for what, most in (each.split("=") for each in self._said("most"))}

    def _said(self, what: str) -> list[str]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()


@contextmanager
def serving() -> Iterator[Aws]:
    import boto3
    from botocore.config import Config

    program = Path(__file__).with_name("aws_server.py")
    command = [str(environment("checks")), str(program)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdin
        assert process.stdout
        endpoint = f"http://127.0.0.1:{int(process.stdout.readline())}"
        patient = Config(read_timeout=PATIENCE)
        ec2, ecs, logs = (
            boto3.client(name, region_name=REGION, endpoint_url=endpoint, config=patient)
            for name in ("ec2", "ecs", "logs")
        )
        subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
        ecs.create_cluster(clusterName="jobs")
        logs.create_log_group(logGroupName="jobs")
        for family, image in (("shell", "busybox"), ("missing", "missing:1")):
            options = {"awslogs-group": "jobs", "awslogs-stream-prefix": family}
            log = {"logDriver": "awslogs", "options": options}
            container = {"name": "main", "image": image, "memory": 64, "logConfiguration": log}
            ecs.register_task_definition(family=family, networkMode="awsvpc", containerDefinitions=[container])
        try:
            yield Aws(process, endpoint, subnet, group, ecs, ec2)
        finally:
            process.stdin.close()


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    before = {name: os.environ.get(name) for name in _KEYS}
    os.environ.update(_KEYS)
    try:
        with serving() as there:
            yield there
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})

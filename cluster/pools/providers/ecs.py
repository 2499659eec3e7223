"""The provider `ecs`: each machine is a task of ECS, whose container runs a worker.

The operator's task definition says image, size, roles and logs; a machine has its own command and join token. It is
found again by what started it (`startedBy`) and the tag with its name; a request for it that is sent twice makes one
task, by its client token.
"""

import time
from dataclasses import dataclass
from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.pools.aws_machines import pool_mark, request_token, tags_of, told_task
from cluster.domain.pools.told import ToldMachine
from cluster.engines.aws_api import AwsRefused, AwsService
from cluster.pools.providers.aws import CLOCKS_DIFFER, AwsPlace, AwsProvider, optional, read_place
from cluster.pools.providers.interface import NewMachine, PoolTable
from cluster.pools.providers.options import TableReader

MOST_ASKED = 100  # tasks that one DescribeTasks names


@dataclass(frozen=True, slots=True)
class EcsPoolOptions:
    """`container`: empty: the first of the task definition. Of `launch_type` and `capacity_provider` one is empty."""

    place: AwsPlace
    cluster: str
    task_definition: str
    container: str
    launch_type: str
    capacity_provider: str
    public_ip: bool


def open_provider(table: PoolTable) -> AwsProvider:
    read = TableReader.of(table)
    place = read_place(read, [])
    capacity_provider = optional(read, "capacity_provider")
    launch_type = read.text("launch_type", "EC2" if capacity_provider else "FARGATE")
    if launch_type not in ("FARGATE", "EC2", "EXTERNAL"):
        raise read.wrong("launch_type", launch_type, "one of: FARGATE, EC2, EXTERNAL")
    cluster, definition, container = read.text("cluster"), read.text("task_definition"), optional(read, "container")
    public_ip = read.switch("public_ip")
    read.done()
    launch_type = "" if capacity_provider else launch_type
    options = EcsPoolOptions(place, cluster, definition, container, launch_type, capacity_provider, public_ip)
    return AwsProvider(EcsMachines(table, options))


class EcsMachines:
    def __init__(self, table: PoolTable, options: EcsPoolOptions) -> None:
        self._table, self._options = table, options
        self._container = options.container
        place, needed_by = options.place, f"{table.where}: provider ecs"
        self._ecs = AwsService("ecs", place.region, place.endpoint, f"cluster {options.cluster}", needed_by)
        self._since = time.time() - CLOCKS_DIFFER
        self._over: set[str] = set()  # ARNs of tasks that have ended and are told no more

    def check(self) -> None:
        options, where = self._options, f"{self._table.where}: [pool.ecs]"
        found = self._ecs.call("describe_clusters", clusters=[options.cluster])["clusters"]
        if not any(each["status"] == "ACTIVE" for each in found):
            raise InvalidInput(f"{where}: ECS has no cluster {options.cluster!r} that is active in {self._ecs.region}")
        definition = self._ecs.call("describe_task_definition", taskDefinition=options.task_definition)
        names = [each["name"] for each in definition["taskDefinition"]["containerDefinitions"]]
        self._container = options.container or names[0]
        if self._container not in names:
            raise InvalidInput(
                f"{where}: task definition {options.task_definition!r} has no container {self._container!r}; it has: "
                f"{', '.join(names)}"
            )

    def make(self, machine: NewMachine) -> str:
        answer = self._ecs.call("run_task", **self._request(machine))
        failures = [f"{each.get('reason', '')} {each.get('detail', '')}".strip() for each in answer.get("failures", ())]
        return f"ECS could not start it: {failures[0]}" if failures else ""

    def _request(self, machine: NewMachine) -> dict[str, Any]:
        options, place, cluster = self._options, self._options.place, self._table.cluster
        tags = tags_of(cluster, self._table.name, machine.name, place.tags)
        own = {
            "name": self._container,
            "command": place.words(self._table, machine.name),
            "environment": [{"name": "CLUSTER_WORKER_JOIN", "value": machine.join}],
        }
        asked: dict[str, Any] = {
            "cluster": options.cluster,
            "taskDefinition": options.task_definition,
            "count": 1,
            "startedBy": pool_mark(cluster, self._table.name),
            "clientToken": request_token(cluster, machine.name),
            "overrides": {"containerOverrides": [own]},
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        if options.capacity_provider:
            asked["capacityProviderStrategy"] = [{"capacityProvider": options.capacity_provider, "weight": 1}]
        else:
            asked["launchType"] = options.launch_type
        if place.subnets:
            net = {"subnets": list(place.subnets), "securityGroups": list(place.security_groups)}
            public = "ENABLED" if options.public_ip else "DISABLED"
            asked["networkConfiguration"] = {"awsvpcConfiguration": {**net, "assignPublicIp": public}}
        return asked

    def told(self) -> list[ToldMachine]:
        arns: dict[str, None] = {}
        mark = pool_mark(self._table.cluster, self._table.name)
        for status in ("RUNNING", "STOPPED"):  # wanted so: what stops meanwhile is in the second
            asked = {"cluster": self._options.cluster, "startedBy": mark, "desiredStatus": status}
            arns |= dict.fromkeys(self._ecs.pages("list_tasks", "taskArns", **asked))
        self._over &= set(arns)
        left = [arn for arn in arns if arn not in self._over]
        told: list[ToldMachine] = []
        for at in range(0, len(left), MOST_ASKED):
            some = left[at : at + MOST_ASKED]
            answer = self._ecs.call("describe_tasks", cluster=self._options.cluster, tasks=some, include=["TAGS"])
            for task in answer["tasks"]:
                machine = told_task(task, self._since)
                if machine is not None:
                    told.append(machine)
                elif task.get("lastStatus") == "STOPPED":
                    self._over.add(task["taskArn"])
        return told

    def remove(self, id_: str) -> None:
        try:
            reason = f"pool {self._table.name} lets it go"
            task = self._ecs.call("stop_task", cluster=self._options.cluster, task=id_, reason=reason)["task"]
        except AwsRefused as error:
            if "not found" not in error.said:
                raise
            self._over.add(id_)
        else:
            if task.get("lastStatus") == "STOPPED":
                self._over.add(id_)

"""Runs each attempt as a task of ECS, by AWS's own client (`boto3`, the extra `ecs`).

The operator has made a cluster there and a task definition, whose image, roles and log group hold for all; an attempt
overrides the command, the environment and the size. ECS forgets a task an hour after its end, and cannot be watched:
it is asked about many at once. (`clientToken` and `startedBy` are both the container's name; what is there already is
looked for by the second, since not everything that speaks as ECS does keeps to the first.)
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

from cluster.domain.base.errors import ClusterError, InvalidInput
from cluster.domain.launcher.sightings import Sight, Sighting
from cluster.domain.worker.ecs_tasks import GIVEN_UP, LONGEST_OVERRIDES, no_room, overrides_of, sighting_of, token_of
from cluster.domain.worker.engine_orders import NAME_PATTERN, ContainerOrder
from cluster.engines.aws_api import boto3, botocore_exceptions, code_of, line_of, refusal, said_by
from cluster.worker.runners.engine import EngineDeclined, EngineFull, EngineRefused, OutputPart, Tell, Wanted

logger = logging.getLogger(__name__)

MOST_ASKED = 100  # tasks that one DescribeTasks names
MISSING_FOR = 300.0  # seconds: what ECS does not know for less than that may have just begun
_GONE = "ECS does not know it any more: its end was more than an hour ago, or its cluster was made anew"


@dataclass(frozen=True, slots=True)
class EcsSettings:
    """The table `[ecs]` of `--runner-config`. `container`: empty: the first of the task definition. `endpoint`: of
    something that speaks as AWS does. `poll`: seconds between two questions about what runs."""

    cluster: str
    task_definition: str
    region: str = ""
    container: str = ""
    launch_type: str = "FARGATE"
    capacity_provider: str = ""
    subnets: Sequence[str] = ()
    security_groups: Sequence[str] = ()
    public_ip: bool = False
    endpoint: str = ""
    poll: float = 3.0


class EcsEngine:
    """Its calls may come from several threads: clients of boto3 are made for that."""

    name = "ecs"

    def __init__(self, settings: EcsSettings) -> None:
        self._settings = settings
        self._container = settings.container
        self._missing: dict[str, float] = {}  # since when ECS does not know it, by reference
        self._logs: tuple[str, str] | None = None  # group, and what begins the name of each stream
        self.external_id = settings.cluster
        self.reference = f"{settings.cluster}/{NAME_PATTERN}"
        self.metadata = {"engine": "ecs", "ecs-cluster": settings.cluster, "ecs-region": settings.region}
        boto = boto3("--runner ecs")
        try:
            session = boto.Session(region_name=settings.region or None)
            self._ecs = session.client("ecs", endpoint_url=settings.endpoint or None)
            self._log_client = session.client("logs", endpoint_url=settings.endpoint or None)
        except (boto.exceptions.Boto3Error, botocore_exceptions().BotoCoreError, ValueError) as error:
            raise InvalidInput(f"ECS cannot be reached: {line_of(error)}") from None

    def check(self) -> None:
        settings = self._settings
        try:
            found = self._ecs.describe_clusters(clusters=[settings.cluster])["clusters"]
            self.external_id = next((each["clusterArn"] for each in found if each["status"] == "ACTIVE"), "")
            if not self.external_id:
                raise InvalidInput(f"ECS has no cluster {settings.cluster!r} that is active in {self._region}")
            definition = self._ecs.describe_task_definition(taskDefinition=settings.task_definition)["taskDefinition"]
        except botocore_exceptions().ClientError as error:
            raise ClusterError(self._denied(error)) from None
        except botocore_exceptions().BotoCoreError as error:
            raise ClusterError(f"ECS does not answer: {line_of(error)}") from None
        names = [each["name"] for each in definition["containerDefinitions"]]
        self._container = settings.container or names[0]
        if self._container not in names:
            raise InvalidInput(
                f"task definition {settings.task_definition!r} has no container {self._container!r}; it has: "
                f"{', '.join(names)}"
            )
        own = definition["containerDefinitions"][names.index(self._container)]
        log = own.get("logConfiguration", {})
        options = log.get("options", {})
        if log.get("logDriver") == "awslogs" and options.get("awslogs-stream-prefix"):
            self._logs = options["awslogs-group"], f"{options['awslogs-stream-prefix']}/{self._container}/"
        else:
            logger.warning("the container's log driver is not awslogs with a stream prefix: jobs have no output here")

    @property
    def _region(self) -> str:
        return str(self._ecs.meta.region_name)

    # -- one container

    def make(self, order: ContainerOrder) -> Sighting:
        tasks = self._tasks(order.name)
        if (there := self._last(order.name, tasks)) is not None and not there.returned:
            return there
        if order.cwd:
            raise EngineRefused("ECS cannot choose the directory that a command runs in: leave out --cwd")
        asked = self._request(order, tasks)
        try:
            answer = self._ecs.run_task(**asked)
        except botocore_exceptions().ClientError as error:
            raise _failed(error, self._denied(error)) from None
        except botocore_exceptions().BotoCoreError as error:
            raise EngineFull(f"it does not answer: {line_of(error)}") from None
        for failure in answer.get("failures", ()):
            why = f"{failure.get('reason', '')} {failure.get('detail', '')}".strip()
            raise EngineDeclined(why) if no_room(why) else EngineRefused(f"ECS could not start it: {why}")
        return sighting_of(order.name, answer["tasks"][0], self._container)

    def _request(self, order: ContainerOrder, before: Sequence[Any]) -> dict[str, Any]:
        """`before`: tasks of that name of which none ran for its attempt. ECS gives the same task for the same token,
        even long after that has ended."""
        settings = self._settings
        fargate = "FARGATE" in (settings.launch_type, settings.capacity_provider.removesuffix("_SPOT"))
        overrides = overrides_of(order, self._container, fargate)
        if overrides is None:
            raise EngineRefused("Fargate has no machine with so many cpus and so much memory")
        if (long := len(json.dumps(overrides))) > LONGEST_OVERRIDES:
            raise EngineRefused(f"command and environment are {long} characters as JSON; ECS takes {LONGEST_OVERRIDES}")
        asked: dict[str, Any] = {
            "cluster": settings.cluster,
            "taskDefinition": settings.task_definition,
            "startedBy": order.name,
            "clientToken": token_of(order.name, [task["taskArn"] for task in before]),
            "overrides": overrides,
            "tags": [{"key": "cluster-attempt", "value": order.name}],
        }
        if settings.capacity_provider:
            asked["capacityProviderStrategy"] = [{"capacityProvider": settings.capacity_provider, "weight": 1}]
        else:
            asked["launchType"] = settings.launch_type
        if settings.subnets:
            asked["networkConfiguration"] = {
                "awsvpcConfiguration": {
                    "subnets": list(settings.subnets),
                    "securityGroups": list(settings.security_groups),
                    "assignPublicIp": "ENABLED" if settings.public_ip else "DISABLED",
                }
            }
        return asked

    def find(self, name: str) -> Sighting | None:
        return self._last(name, self._tasks(name))

    def _last(self, name: str, tasks: Sequence[Any]) -> Sighting | None:
        """Of these tasks the one that runs, or ran; else one of those that could not be begun."""
        there = [task for task in tasks if task.get("stoppedReason") != GIVEN_UP]
        if any(task["lastStatus"] != "STOPPED" for task in tasks if task not in there):
            raise EngineFull(f"the former task of {name} was given up, and has not ended yet")
        seen = [sighting_of(name, task, self._container) for task in there]
        return next((each for each in seen if not each.returned), seen[0] if seen else None)

    def _tasks(self, name: str) -> Sequence[Any]:
        """All of that name that ECS has not forgotten."""
        try:
            return self._told_tasks(name)
        except EngineRefused as refusal:  # this says nothing of the container
            raise EngineFull(str(refusal)) from None

    def _told_tasks(self, name: str) -> Sequence[Any]:
        cluster, found = self._settings.cluster, list[str]()
        for status in ("RUNNING", "STOPPED"):
            found += self._call("list_tasks", cluster=cluster, startedBy=name, desiredStatus=status)["taskArns"]
        if not found:
            return ()
        tasks = self._call("describe_tasks", cluster=cluster, tasks=found[:MOST_ASKED])["tasks"]
        return list(tasks)

    def stop(self, name: str, reference: str, grace: float) -> None:
        """The grace is the task definition's `stopTimeout`: ECS lets nobody choose another."""
        self._end(name, reference, "stopped by its worker")

    def discard(self, name: str, reference: str) -> None:
        """Its reason says that it was given up: so nobody, now or after a crash, takes its end for another's."""
        self._end(name, reference, GIVEN_UP)

    def _end(self, name: str, reference: str, reason: str) -> None:
        try:
            self._call("stop_task", cluster=self._settings.cluster, task=reference, reason=reason)
        except EngineRefused as gone:  # it has ended, and was forgotten
            logger.info("%s: %s", name, gone)

    def output(self, name: str, reference: str, position: str) -> OutputPart:
        if self._logs is None:
            return OutputPart(b"", "", False)
        group, prefix = self._logs
        asked = {"logGroupName": group, "logStreamName": prefix + reference.rpartition("/")[2], "startFromHead": True}
        if position:
            asked["nextToken"] = position
        try:
            answer = self._log_client.get_log_events(**asked)
        except self._log_client.exceptions.ResourceNotFoundException:  # nothing was written yet
            return OutputPart(b"", "", False)
        except (botocore_exceptions().ClientError, botocore_exceptions().BotoCoreError) as error:
            raise EngineFull(line_of(error)) from None
        data = b"".join(event["message"].encode(errors="surrogateescape") + b"\n" for event in answer["events"])
        after = answer["nextForwardToken"]
        return OutputPart(data, after, bool(data) and after != position)

    def forget(self, name: str, reference: str) -> None:
        """ECS forgets by itself."""

    # -- all

    def watch(self, owner: str, wanted: Wanted, tell: Tell, over: Event) -> None:
        while not over.wait(self._settings.poll):
            asked = {reference: name for name, reference in wanted().items() if reference}
            arns = list(asked)
            self._missing = {arn: since for arn, since in self._missing.items() if arn in asked}
            try:
                for at in range(0, len(arns), MOST_ASKED):
                    self._look(asked, arns[at : at + MOST_ASKED], tell)
            except (EngineFull, EngineRefused) as error:
                logger.warning("ECS does not say what became of its tasks: %s; trying again", error)

    def _look(self, asked: Mapping[str, str], arns: Sequence[str], tell: Tell) -> None:
        answer = self._call("describe_tasks", cluster=self._settings.cluster, tasks=arns)
        for task in answer["tasks"]:
            self._missing.pop(task["taskArn"], None)
            tell(sighting_of(asked[task["taskArn"]], task, self._container))
        for failure in answer.get("failures", ()):
            if failure.get("reason") == "MISSING" and (name := asked.get(failure.get("arn", ""))):
                now = time.monotonic()
                if now - self._missing.setdefault(failure["arn"], now) >= MISSING_FOR:
                    tell(Sighting(name, Sight.LOST, failure["arn"], text=_GONE))

    def _call(self, method: str, **arguments: object) -> Any:
        """Raises EngineFull while it does not answer or answers no more, EngineRefused for what is wrong."""
        try:
            return getattr(self._ecs, method)(**arguments)
        except botocore_exceptions().ClientError as error:
            raise _failed(error, self._denied(error)) from None
        except botocore_exceptions().BotoCoreError as error:
            raise EngineFull(f"it does not answer: {line_of(error)}") from None

    def _denied(self, error: Any) -> str:
        return refusal("ecs", error, f"cluster {self._settings.cluster}")


def _failed(error: Any, text: str) -> Exception:
    """What is a fault of ours, or of the request, never gets better; anything else may."""
    refused = code_of(error) in ("ClientException", "InvalidParameterException", "PlatformUnknownException")
    return EngineRefused(text) if refused and not no_room(said_by(error)) else EngineFull(text)

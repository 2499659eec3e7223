"""The provider `ec2`: each machine is an instance of EC2, which starts a worker when it boots.

It is found again by its tags; a request for it that is sent twice makes one instance, by its client token. What it is
told at its boot (its user data) has the join token.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.pools.aws_machines import POOL_TAG, boot_script, pool_mark, request_token, tags_of, told_instance
from cluster.domain.pools.told import ToldMachine
from cluster.engines.aws_api import AwsRefused, AwsService
from cluster.pools.providers.aws import CLOCKS_DIFFER, AwsPlace, AwsProvider, optional, read_place
from cluster.pools.providers.interface import NewMachine, PoolTable
from cluster.pools.providers.options import TableReader

LONGEST_BOOT = 16_384  # bytes of user data
_CHECKED = NewMachine("check", "-")
_GONE = ("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed")


@dataclass(frozen=True, slots=True)
class Ec2Options:
    """`template`: name of a launch template, or its id. `prepare`: a script that an instance runs before its worker."""

    place: AwsPlace
    template: str
    image: str
    instance_type: str
    instance_profile: str
    prepare: str
    is_spot: bool


def open_provider(table: PoolTable) -> AwsProvider:
    read = TableReader.of(table)
    place = read_place(read, ["cluster"])
    if not place.program:
        raise read.wrong("program", [], 'the words by which cluster is run there, as in ["cluster"]')
    template = optional(read, "launch_template")
    image = optional(read, "image") if template else read.text("image")
    instance_type = optional(read, "instance_type") if template else read.text("instance_type")
    profile, prepare = optional(read, "instance_profile"), optional(read, "prepare")
    try:
        script = Path(prepare).read_text() if prepare else ""
    except (OSError, UnicodeDecodeError):
        raise read.wrong("prepare", prepare, "a file with a shell script") from None
    options = Ec2Options(place, template, image, instance_type, profile, script, read.switch("spot"))
    read.done()
    boot = boot_script(place.words(table, "x" * 40), "x" * 400, script)
    if len(boot.encode()) > LONGEST_BOOT:
        raise read.wrong("prepare", prepare, f"shorter: EC2 takes {LONGEST_BOOT} bytes for all that an instance does")
    return AwsProvider(Ec2Machines(table, options))


class Ec2Machines:
    def __init__(self, table: PoolTable, options: Ec2Options) -> None:
        self._table, self._options = table, options
        place, needed_by = options.place, f"{table.where}: provider ec2"
        resource = f"image {options.image}" if options.image else f"launch template {options.template}"
        self._ec2 = AwsService("ec2", place.region, place.endpoint, resource, needed_by)
        self._since = time.time() - CLOCKS_DIFFER
        self._over: set[str] = set()  # ids of instances that have ended and are told no more

    def check(self) -> None:
        """EC2 says of a dry run whether it would do it."""
        try:
            self._ec2.call("run_instances", DryRun=True, **self._request(_CHECKED, 0))
        except AwsRefused as error:
            if error.code.startswith("Invalid"):  # such an image, subnet, group
                raise InvalidInput(f"{self._table.where}: [pool.ec2]: {error}") from None
            if error.code != "DryRunOperation":
                raise

    def make(self, machine: NewMachine) -> str:
        number = int(machine.name.rpartition("-")[2])
        self._ec2.call("run_instances", **self._request(machine, number))
        return ""

    def _request(self, machine: NewMachine, number: int) -> dict[str, Any]:
        """The same for the same machine, whenever it is asked for. `number`: of it, by which subnets take turns."""
        options, place, table = self._options, self._options.place, self._table
        tags = tags_of(table.cluster, table.name, machine.name, {"Name": machine.name, **place.tags})
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        asked: dict[str, Any] = {
            "MinCount": 1,
            "MaxCount": 1,
            "ClientToken": request_token(table.cluster, machine.name),
            "UserData": boot_script(place.words(table, machine.name), machine.join, options.prepare),
            "InstanceInitiatedShutdownBehavior": "terminate",
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
            "TagSpecifications": [{"ResourceType": kind, "Tags": listed} for kind in ("instance", "volume")],
        }
        if options.template:
            by = "LaunchTemplateId" if options.template.startswith("lt-") else "LaunchTemplateName"
            asked["LaunchTemplate"] = {by: options.template}
        if options.image:
            asked["ImageId"] = options.image
        if options.instance_type:
            asked["InstanceType"] = options.instance_type
        if place.subnets:
            asked["SubnetId"] = place.subnets[number % len(place.subnets)]
        if place.security_groups:
            asked["SecurityGroupIds"] = list(place.security_groups)
        if options.instance_profile:
            by = "Arn" if options.instance_profile.startswith("arn:") else "Name"
            asked["IamInstanceProfile"] = {by: options.instance_profile}
        if options.is_spot:
            asked["InstanceMarketOptions"] = {"MarketType": "spot"}
        return asked

    def told(self) -> list[ToldMachine]:
        mark = pool_mark(self._table.cluster, self._table.name)
        found = self._ec2.pages(
            "describe_instances", "Reservations", Filters=[{"Name": f"tag:{POOL_TAG}", "Values": [mark]}]
        )
        instances = [instance for reservation in found for instance in reservation["Instances"]]
        self._over &= {instance["InstanceId"] for instance in instances}
        told = (told_instance(each, self._since) for each in instances if each["InstanceId"] not in self._over)
        return [machine for machine in told if machine is not None]

    def remove(self, id_: str) -> None:
        try:
            answer = self._ec2.call("terminate_instances", InstanceIds=[id_])
        except AwsRefused as error:
            if error.code not in _GONE:
                raise
            self._over.add(id_)
        else:
            if any(each["PreviousState"]["Name"] == "terminated" for each in answer["TerminatingInstances"]):
                self._over.add(id_)

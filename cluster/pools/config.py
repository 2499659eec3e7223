"""pools.toml: what each pool is to have, and who provides its machines. Read and checked as a whole, nothing done."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import format_cpus, parse_cpus, parse_size
from cluster.domain.job.amounts import CPUS, GPUS, MEMORY, check_resource_name
from cluster.domain.job.expressions import parse
from cluster.domain.pools.settings import MACHINE_LABEL, MOST_OF_A_POOL, POOL_LABEL, PoolSettings, check_pool_name
from cluster.domain.pools.shape import Shape
from cluster.domain.session.offer import parse_labels
from cluster.pools.providers.interface import PoolTable, Provider
from cluster.pools.providers.options import TableReader

PROVIDERS = {  # and the module whose `open_provider` makes it
    "command": "cluster.pools.providers.command",
    "ecs": "cluster.pools.providers.ecs",
    "ec2": "cluster.pools.providers.ec2",
    "ssh": "cluster.pools.providers.ssh",
    "kubernetes": "cluster.pools.providers.kubernetes",
    "slurm": "cluster.pools.providers.slurm",
}
_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(PoolSettings)}


@dataclass(frozen=True, slots=True)
class KeptPool:
    """One table of pools.toml."""

    settings: PoolSettings
    provider_name: str
    provider: Provider


def read_pools(path: Path, cluster: str) -> list[KeptPool]:
    """`cluster`: its id. InvalidInput names file, pool, key and value of what is wrong."""
    try:
        document = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise InvalidInput(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    for key in document:
        if key != "pool":
            raise InvalidInput(f"{path}: unknown key {key!r}; it may have [[pool]] alone, once for each pool")
    tables = document.get("pool", [])
    if not isinstance(tables, list) or not tables or not all(isinstance(each, dict) for each in tables):
        raise InvalidInput(f"{path} has no pool: it must have [[pool]], once for each pool")
    pools: list[KeptPool] = []
    for number, table in enumerate(tables, start=1):
        pool = _pool(table, path, number, cluster)
        if any(pool.settings.name == each.settings.name for each in pools):
            raise InvalidInput(f"{path}: name is {pool.settings.name!r} in two pools: each has a name of its own")
        pools.append(pool)
    return pools


def _pool(values: Mapping[str, Any], path: Path, number: int, cluster: str) -> KeptPool:
    name = TableReader(values, f"{path}: pool {number}").text("name")
    try:
        check_pool_name(name)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: pool {number}: name: {error}") from None
    where = f"{path}: pool {name}"
    read = TableReader(values, where)
    read.text("name")
    provider = read.text("provider")
    if provider not in PROVIDERS:
        raise read.wrong("provider", provider, f"one of: {', '.join(PROVIDERS)}")
    shape, options = _shape(read, name)
    settings = _settings(read, name, shape)
    beside = options, settings.start_within, path.absolute().parent, shape.millicpus, shape.amounts
    table = PoolTable(name, provider, cluster, where, read.table(provider), *beside)
    read.done()
    open_provider: Callable[[PoolTable], Provider] = import_module(PROVIDERS[provider]).open_provider
    return KeptPool(settings, provider, open_provider(table))


def _settings(read: TableReader, name: str, shape: Shape) -> PoolSettings:
    most = read.count("max", most=MOST_OF_A_POOL)
    return PoolSettings(
        name,
        shape,
        minimum=read.count("min", 0, most=most),
        maximum=most,
        wait=read.seconds("wait", _DEFAULTS["wait"]),
        idle=read.seconds("idle", _DEFAULTS["idle"]),
        start_within=read.seconds("start_within", _DEFAULTS["start_within"]),
        lost_after=read.seconds("lost_after", _DEFAULTS["lost_after"]),
        missing_after=read.seconds("missing_after", _DEFAULTS["missing_after"]),
        cost=read.number("cost", _DEFAULTS["cost"]),
        back_off=read.seconds("back_off", _DEFAULTS["back_off"]),
        most_back_off=read.seconds("most_back_off", _DEFAULTS["most_back_off"]),
    )


def _shape(read: TableReader, name: str) -> tuple[Shape, Sequence[str]]:
    """What a worker of it will offer, and the options of `cluster worker` that say so."""
    cpus = read.parsed("cpus", parse_cpus, None)
    if cpus is None:
        read.number("cpus")  # says that it is missing
    options = [f"--cpus={format_cpus(cpus)}"]
    amounts: dict[str, int] = {}
    if memory := read.parsed("mem", parse_size, 0):
        amounts[MEMORY] = memory
        options.append(f"--mem={memory}")
    if gpus := read.count("gpus", 0, most=1024):
        amounts[GPUS] = gpus
    for resource, amount in read.table("resources").items():
        if type(amount) is not int or amount < 1:
            raise read.wrong(f"resources.{resource}", amount, "a whole number from 1 on")
        try:
            amounts[check_resource_name(resource)] = amount
        except InvalidInput as error:
            raise read.wrong(f"resources.{resource}", amount, f"left out: {error}") from None
        options.append(f"--resource={resource}={amount}")
    labels = read.pairs("labels")
    for label, value in labels.items():
        if label in (POOL_LABEL, MACHINE_LABEL):
            raise read.wrong(f"labels.{label}", value, "left out: each worker of a pool has that label by itself")
        try:
            parse_labels((f"{label}={value}",))
        except InvalidInput as error:
            raise read.wrong(f"labels.{label}", value, f"a label: {error}") from None
        options.append(f"--label={label}={value}")
    facts = {MEMORY: 0.0, GPUS: 0.0, **amounts, **labels, POOL_LABEL: name, CPUS: cpus / 1000, "name": ""}
    return Shape(cpus, amounts, lambda need: parse(need).holds(facts)), options

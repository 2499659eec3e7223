"""The options that say where the tasks of a job may run: what each needs beside cpus, and which workers are wanted."""

from typing import Any

from cluster.domain.job.amounts import MOST_GPUS, wrong_amounts, wrong_memory
from cluster.domain.job.expressions import wrong_expression
from cluster.domain.job.kinds import COUNT, EXPRESSION, RESOURCES, SIZE, SWITCH
from cluster.domain.job.options import Scope, option

_EVERYWHERE = Scope.SCHEDULER | Scope.WORKER
_CHOICE: dict[str, Any] = {
    "scope": Scope.SCHEDULER,
    "alone": "needs a scheduler: a worker alone has no other to choose from",
}

# Bytes; 0: it may take what there is, and no room is kept for it.
MEMORY = option(
    SIZE,
    "Memory for each task, as in 512M or 2G: so much is kept for it, and where its worker can limit that, it gets no "
    "more.",
    default=0,
    name="mem",
    check=wrong_memory,
    scope=_EVERYWHERE,
)
GPUS = option(
    COUNT,
    "GPUs for each task, its own alone (CUDA_VISIBLE_DEVICES).",
    default=0,
    bounds=(0, MOST_GPUS),
    scope=_EVERYWHERE,
)
# As NAME=N each.
RESOURCES_BESIDE = option(
    RESOURCES,
    "So much for each task of what workers were started with, as in licence=2.",
    default=(),
    name="resource",
    check=wrong_amounts,
    scope=_EVERYWHERE,
)
NEED = option(
    EXPRESSION,
    "Run only on workers of which that is true, as in 'zone == \"a\" and mem >= 64G'.",
    default="",
    check=wrong_expression,
    **_CHOICE,
)
PREFER = option(
    EXPRESSION,
    "Run on workers of which that is true while they have room, else on others.",
    default="",
    check=wrong_expression,
    **_CHOICE,
)
SPREAD = option(
    SWITCH, "Run each task where fewest of its job are (default: where most cpus are free).", default=False, **_CHOICE
)
PACK = option(SWITCH, "Fill one worker before the next.", default=False, **_CHOICE)
EXCLUSIVE = option(SWITCH, "Run each task alone on its worker.", default=False, scope=Scope.SCHEDULER | Scope.LAUNCHER)

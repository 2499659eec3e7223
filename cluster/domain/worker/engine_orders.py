"""What an engine is asked to run for an attempt, made of its template; and what it cannot be asked for."""

from dataclasses import dataclass

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.amounts import GPUS
from cluster.domain.job.rows import filled, texts_of, variable_of
from cluster.domain.launcher.template import Item, Template
from cluster.domain.session.elsewhere import OWNER, KnownElsewhere
from cluster.domain.worker.journal import keys_of

OWNER_LENGTH = 12  # hex digits that tell the containers of one worker from those of another
NAME_PATTERN = f"cluster-{OWNER}-{{job}}-{{index}}-{{attempt}}"  # of a container


@dataclass(frozen=True, slots=True)
class ContainerOrder:
    """One container. `name`: derived from the attempt, so that it is made once. `memory` in bytes, 0: nothing was
    asked for. `timeout`, `grace`: seconds, as in the template. `cwd`: empty: the image's own."""

    name: str
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    millicpus: int
    memory: int = 0
    gpus: int = 0
    cwd: str = ""
    timeout: float | None = None
    grace: float = 10.0


def container_name(owner: str, key: AttemptKey) -> str:
    """Letters, digits and hyphens, at most 63 of them: what every engine takes. Another attempt has another one."""
    return KnownElsewhere(reference=NAME_PATTERN.replace(OWNER, owner[:OWNER_LENGTH])).reference_of(key)


def name_parts(name: str) -> tuple[str, str, str, str]:
    """Of a container's name: its owner, and the attempt's job, index and attempt."""
    _, owner, job, index, attempt = name.split("-")
    return owner, job, index, attempt


def order_of(name: str, item: Item, template: Template) -> ContainerOrder:
    [key] = keys_of((item.key,))
    env = dict(template.env) | {"CLUSTER_ATTEMPT": str(key.attempt)}
    if item.number is not None:
        env["CLUSTER_TASK"] = str(item.number)
    argv = template.argv
    if item.line is not None:
        env["CLUSTER_LINE"] = item.line
        if template.rows:
            texts = texts_of(item.line)
            argv = tuple(filled(list(argv), texts, item.line))
            env |= {variable_of(column): text for column, text in texts.items()}
        else:
            argv = tuple(word.replace("{}", item.line) for word in argv)
    gpus = dict(template.amounts).get(GPUS, 0)
    cwd = "" if template.fresh_cwd else template.cwd
    return ContainerOrder(
        name,
        argv,
        tuple(env.items()),
        template.cpus,
        template.memory,
        gpus,
        cwd,
        template.timeout,
        template.grace,
    )


def not_there(template: Template, engine: str) -> str:
    """Why an engine cannot run such attempts, in words; empty: it can. A container has the files of its image alone."""
    asked = {
        "--upload": template.upload,
        "--stdin": template.stdin,
        "--out": template.keeps,
        "a script": template.script or template.files,
        "several commands": template.then,
        "a check of its output": template.check_output or template.check_with,
    }
    missing = [what for what, wish in asked.items() if wish]
    if not missing:
        return ""
    return f"a worker with --runner {engine} runs a command of the image, and has nothing for: {', '.join(missing)}"

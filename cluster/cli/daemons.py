"""What the daemon commands share: their section of the configuration file, how their modules are loaded, and saying
that they are ready."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from cluster.client.config import check_keys, config_path, read_config
from cluster.domain.base.errors import InvalidInput

# Options that are about one start only: the configuration file may not have them.
NOT_CONFIGURED = {"help", "join"}
COLLECTED = 700  # new objects that come before a daemon looks for garbage among them, as Python has it by itself


class DaemonCommand(click.Command):
    """A command whose options may also stand in the configuration file, in the section of its name."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        return super().make_context(info_name, args, parent, default_map=configured(self), **extra)


def keys_of(command: click.Command) -> dict[str, click.Option]:
    """The keys that the command's section may have: the options that its help shows, with _ for -."""
    options = [param for param in command.params if isinstance(param, click.Option) and not param.hidden]
    return {_key_of(option): option for option in options if option.name not in NOT_CONFIGURED}


def _key_of(option: click.Option) -> str:
    return next(flag for flag in option.opts if flag.startswith("--"))[2:].replace("-", "_")


def configured(command: click.Command) -> dict[str, Any]:
    """The values that the configuration file has for the command, by the names of its parameters. InvalidInput for a
    key or a type that it does not take."""
    path = config_path()
    section = str(command.name)
    values = read_config(path, required="CLUSTER_CONFIG" in os.environ).get(section, {})
    keys = keys_of(command)
    check_keys(path, section, values, dict.fromkeys(keys, ""))
    for key, value in values.items():
        option = keys[key]
        if option.multiple:
            values[key] = _several(path, section, key, value, option)
            continue
        if isinstance(value, bool) != option.is_flag or not isinstance(value, str | int | float):
            wanted = "true or false" if option.is_flag else f"{option.type.name}: {option.help}"
            raise InvalidInput(f"{path}: {key} in [{section}] is {value!r}; it must be {wanted}")
        if not isinstance(value, str) and not option.is_flag and option.type is click.STRING:
            raise InvalidInput(f"{path}: {key} in [{section}] is {value!r}; it must be text: {option.help}")
        try:
            option.type.convert(value, option, None)
        except click.UsageError as error:
            raise InvalidInput(f"{path}: {key} in [{section}]: {error.message}") from None
    return {str(keys[key].name): value for key, value in values.items()}


def _several(path: Path, section: str, key: str, value: Any, option: click.Option) -> list[str]:
    """The values of an option that may come several times: one text, or a list of them."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InvalidInput(
            f"{path}: {key} in [{section}] is {value!r}; it must be text, or a list of texts: {option.help}"
        )
    return texts


@contextmanager
def loading() -> Iterator[None]:
    """Around the imports of a daemon, which make no garbage: to look for some takes 20 ms of their 300. What is loaded
    stays, so nobody looks at it later, either."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(COLLECTED)
        gc.enable()


def say_ready(ready_fd: int | None) -> None:
    """Tells whoever started us in the background that we serve, through the pipe that it gave us."""
    if ready_fd is not None:
        os.write(ready_fd, b"ready\n")
        os.close(ready_fd)

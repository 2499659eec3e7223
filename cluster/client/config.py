"""Where state and configuration live on this machine, and what the configuration file says.

The file is TOML:

    [client]
    scheduler = "head.example:50000"
    [scheduler]
    listen = "0.0.0.0:50000"
    [worker]
    cpus = 4

[client] is read here; the keys of the daemons' sections are their commands' options, checked by the command line.
"""

import os
from pathlib import Path
from typing import Any

from cluster.client.paths import config_file, state_directory
from cluster.domain.base.errors import InvalidInput, unusable

SECTIONS = ("client", "scheduler", "worker", "gateway", "pools")
CLIENT_KEYS = {
    "scheduler": "host:port of the scheduler",
    "credentials": "file with key, certificate and CA of the user",
    "direct": "host:port of a single worker to talk to instead",
}

Sections = dict[str, dict[str, Any]]


def state_root(home: str | os.PathLike[str] | None = None) -> Path:
    """As `paths.state_directory`."""
    return Path(state_directory(home))


def config_path(home: str | os.PathLike[str] | None = None) -> Path:
    """As `paths.config_file`."""
    return Path(config_file(home))


def read_config(path: Path, required: bool = False) -> Sections:
    """The file's sections; none when it does not exist and is not `required`. InvalidInput names file and key."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if required:
            raise InvalidInput(f"the configuration file {path} does not exist") from None
        return {}
    except PermissionError as error:
        raise unusable(f"the configuration file {path} cannot be read", error) from None
    except OSError as error:
        raise InvalidInput(f"the configuration file {path} cannot be read: {error.strerror}") from None
    import tomllib  # 5 ms, where there is a file

    try:
        content = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is not TOML: {error}") from None
    for name, section in content.items():
        if name not in SECTIONS or not isinstance(section, dict):
            sections = ", ".join(f"[{s}]" for s in SECTIONS)
            raise InvalidInput(f"{path}: unknown key {name!r}; there are only the sections {sections}")
    check_keys(path, "client", content.get("client", {}), CLIENT_KEYS)
    for key, value in content.get("client", {}).items():
        if not isinstance(value, str):
            raise InvalidInput(f"{path}: {key} in [client] is {value!r}; it must be text: the {CLIENT_KEYS[key]}")
    return content


def check_keys(path: Path, section: str, given: dict[str, Any], allowed: dict[str, str]) -> None:
    """InvalidInput for the first key that the section does not have."""
    for key in given:
        if key not in allowed:
            from difflib import get_close_matches  # 3 ms, where a key is wrong

            close = get_close_matches(key.replace("-", "_"), allowed, 1)
            there = f"the nearest is {close[0]!r}" if close else f"it may have: {', '.join(sorted(allowed))}"
            raise InvalidInput(f"{path}: unknown key {key!r} in [{section}]; {there}")

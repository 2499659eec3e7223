"""The Pod that others are made of: an operator's template, or one container of an image."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cluster.domain.base.errors import InvalidInput
from cluster.domain.worker.kubernetes_pods import container_in


class PodTemplate(NamedTuple):
    """`container`: the name of the one that gets a command."""

    pod: Mapping[str, Any]
    container: str


def read_template(where: str, image: str, file: Path | None, container: str, needed_by: str) -> PodTemplate:
    """One of `image` and `file` (YAML). `container`: "": the first. `where`: the beginning of messages. `needed_by`:
    who needs the library of Kubernetes. InvalidInput."""
    if bool(image) == (file is not None):
        raise InvalidInput(f"{where} needs an image or a template: one of them")
    if file is None:
        name = container or "main"
        return PodTemplate({"spec": {"containers": [{"name": name, "image": image}]}}, name)
    pod = _read(where, file, needed_by)
    containers = (pod.get("spec") or {}).get("containers") if isinstance(pod, dict) else None
    if not isinstance(containers, list) or not all(isinstance(each, dict) and each.get("name") for each in containers):
        raise InvalidInput(f"{where}: template {str(file)!r} is no Pod: it has no spec.containers with names")
    if pod.get("kind", "Pod") != "Pod" or not containers:
        raise InvalidInput(f"{where}: template {str(file)!r} is no Pod but {pod.get('kind')!r}")
    try:
        return PodTemplate(pod, str(container_in(containers, container)["name"]))
    except KeyError:
        there = ", ".join(each["name"] for each in containers)
        raise InvalidInput(f"{where}: the template has no container {container!r}; it has: {there}") from None


def _read(where: str, file: Path, needed_by: str) -> Any:
    try:
        import yaml  # comes with the client of Kubernetes

        return yaml.safe_load(file.read_text())
    except ImportError:
        what = f"{needed_by} needs the package kubernetes: install cluster with its extra `kubernetes`"
        raise InvalidInput(what) from None
    except OSError as error:
        raise InvalidInput(f"{where}: template {str(file)!r}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise InvalidInput(f"{where}: template {str(file)!r} is no YAML: {said}") from None

"""The scheduler of this machine."""

import json
import os
from typing import Any

from cluster.cli.births import born
from cluster.client.inside import inside_job
from cluster.client.local import Elsewhere
from cluster.client.paths import EMBEDDED_FILE, means_another, means_this_machine, state_directory
from cluster.rpc.frames import SOCKET

FIRST_USER = "admin"  # as whom commands on this machine call (domain.trust.identity.ADMIN_NAME)


class Nearby:
    """This machine's scheduler and its socket; inside a job, the one by which that calls its cluster, with its token.
    Raises Elsewhere where another cluster may be meant, and where this one does not run."""

    def __init__(self) -> None:
        self.token, self.user = "", FIRST_USER
        if (inside := inside_job()) is not None and not (means_another() or "CLUSTER_HOME" in os.environ):
            self.socket, self.token, self.user = inside.socket, inside.token, ""
            self.is_embedded = False
            return
        root = state_directory()
        if inside is not None or not means_this_machine(root):
            raise Elsewhere("another cluster may be meant")
        self.socket = os.path.join(root, "scheduler", SOCKET)
        if not os.path.exists(self.socket):
            raise Elsewhere("it does not listen there")
        self.is_embedded = self._is_embedded(root)  # jobs run in the caller's directory

    def _is_embedded(self, root: str) -> bool:
        """Whether `cluster up` started it (as client.discovery.is_embedded has it). Elsewhere where its scheduler or
        its worker does not run: it is started again."""
        try:
            ours = _read(os.path.join(root, EMBEDDED_FILE))
            if ours["scheduler"]["pid"] != _read(os.path.join(root, "scheduler", "scheduler.json"))["pid"]:
                return False
            both = [ours.get("scheduler"), ours.get("worker")]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        for process in both:
            if not process or born(process.get("pid", 0)) != (process.get("started"), process.get("boot")):
                raise Elsewhere("one of its processes does not run")
        return True


def _read(path: str) -> Any:
    with open(path, "rb") as file:
        return json.load(file)

"""Network namespaces for the machines of a test: each has a network of its own, and a cable to one switch.

They last as long as whoever made them, and nobody else is on these networks.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache

NETWORK = "10.77.0"
TOOLS = {"unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2"}


@cache
def missing() -> str | None:
    """What this machine lacks for them, and how to get it."""
    if os.geteuid() != 0:
        return "making networks needs root"
    if lacking := sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None}):
        return f"making networks needs {', '.join(lacking)} (apt-get install {' '.join(lacking)})"
    tried = subprocess.run(["unshare", "--net", "ip", "link", "add", "x", "type", "bridge"], capture_output=True)
    return None if tried.returncode == 0 else f"no networks can be made here: {tried.stderr.decode().strip()}"


class Network:
    """That of one machine."""

    def __init__(self, number: int, holder: int) -> None:
        """`holder`: a process in it."""
        self.address = f"{NETWORK}.{number}"
        self.within = ["nsenter", f"--net=/proc/{holder}/ns/net", "--"]  # before a command that is to run in it

    def ip(self, *words: str) -> None:
        subprocess.run([*self.within, "ip", *words], check=True)


@contextmanager
def networks(count: int) -> Iterator[Sequence[Network]]:
    """So many, which reach each other. The switch is in the first."""
    with ExitStack() as stack:
        made = []
        for number in range(1, count + 1):
            pipe = subprocess.PIPE  # whose end ends it
            holder = stack.enter_context(subprocess.Popen(["unshare", "--net", "cat"], stdin=pipe, stdout=pipe))
            assert holder.stdin is not None
            assert holder.stdout is not None
            holder.stdin.write(b"\n")
            holder.stdin.flush()
            holder.stdout.readline()  # it is in a network of its own by now
            network = Network(number, holder.pid)
            network.ip("link", "set", "lo", "up")
            made.append(network)
            if number == 1:
                network.ip("link", "add", "switch", "type", "bridge")
                network.ip("addr", "add", f"{network.address}/24", "dev", "switch")
                network.ip("link", "set", "switch", "up")
                continue
            cable = ("link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0")
            made[0].ip(*cable, "netns", str(holder.pid))
            made[0].ip("link", "set", f"port{number}", "master", "switch", "up")
            network.ip("addr", "add", f"{network.address}/24", "dev", "eth0")
            network.ip("link", "set", "eth0", "up")
        yield made

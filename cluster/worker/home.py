"""Where this worker lives: the facts by which the scheduler tells it from a copy of its directory."""

import hashlib
import logging
import os
import shutil
import socket
from contextlib import suppress
from pathlib import Path

from cluster.domain.session.home import Home

logger = logging.getLogger(__name__)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MACHINE_ID = Path("/etc/machine-id")
_NETWORK_CARDS = Path("/sys/class/net")


def home_of(directory: Path) -> Home:
    """The home of a worker in this directory, which exists. What cannot be read is left out."""
    status = directory.stat()
    return Home(_machine(), _text(_BOOT_ID), f"{status.st_dev:x}-{status.st_ino:x}")


def forget_another_home(launcher: Path, before: Home, now: Home) -> None:
    """A copy, made in this boot, of the directory of a launcher that may live: its journal names processes of that
    one, which this one's launcher would take for remains and kill."""
    if before.boot == now.boot and now.is_elsewhere(before) and launcher.exists():
        logger.warning("%s is a copy: what the launcher there ran is not this worker's", launcher)
        shutil.rmtree(launcher)


def _machine() -> str:
    """A hash of what stays over a reboot: the machine's id, its name and its network cards. The id alone does not do:
    images are copied with it."""
    cards = sorted(_text(card / "address") for card in _cards())
    facts = "\n".join((_text(_MACHINE_ID), socket.gethostname(), *cards))
    return hashlib.sha256(b"cluster home\n" + os.fsencode(facts)).hexdigest()[:32]


def _cards() -> list[Path]:
    """Those that are hardware, or pass for it in a virtual machine."""
    with suppress(OSError):
        return [card for card in _NETWORK_CARDS.iterdir() if (card / "device").exists()]
    return []


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(errors="replace").strip()
    return ""

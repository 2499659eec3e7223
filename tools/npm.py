"""What npm installs from the lock files below `tools/`: by its hash, and without running anything that it brings."""

import shutil
import subprocess
from pathlib import Path

from tools.environments import BUILD, REPOSITORY, locked


def modules(name: str) -> Path | None:
    """The node_modules of `tools/NAME/package-lock.json`, installed below `.build/` when first needed; None where there
    is no npm. subprocess.CalledProcessError when that fails; npm has then said why on stderr."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    source, place = REPOSITORY / "tools" / name, BUILD / name
    stamp = place / "made-from"
    lock = (source / "package-lock.json").read_text()
    with locked(name):
        if not stamp.exists() or stamp.read_text() != lock:
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(source, place)
            options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
            subprocess.run([npm, "ci", *options], check=True, cwd=place, stdout=subprocess.DEVNULL)
            stamp.write_text(lock)
    return place / "node_modules"

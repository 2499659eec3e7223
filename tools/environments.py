"""Virtual environments below `.build/`, each holding exactly what one lock file names, made when first needed."""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
BUILD = REPOSITORY / ".build"


# Only what the lock's hashes allow, and only wheels: nothing that we install may run code while being installed.
# A lock may name an exception; that is then built by what is installed already, not by the newest setuptools around.
PIP_OPTIONS = ["--quiet", "--no-input", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
PIP_OPTIONS += ["--only-binary=:all:", "--no-build-isolation"]
# Locks that an environment needs installed before its own: requirements/build.lock has the setuptools for sslyze.
FIRST = {"checks": ["build"]}


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds the lock `.build/NAME.lock`, so that two runs of `build.py` at once do not make the same thing."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def lock_file(name: str) -> Path:
    """The lock file of that name: every distribution with its version and the hashes it may have."""
    return REPOSITORY / "requirements" / f"{name}.lock"


def environment(name: str) -> Path:
    """The Python of the environment that holds `requirements/NAME.lock`.

    It is made anew when the lock or the Python that runs `build.py` changed since it was made.
    Raises subprocess.CalledProcessError when that fails; pip has then said why on stderr.
    """
    place = BUILD / name
    python = place / "bin" / "python"
    stamp = place / "made-from"
    locks = [lock_file(lock) for lock in [*FIRST.get(name, []), name]]
    made_from = [sys.version.encode(), sys.base_prefix.encode(), *(lock.read_bytes() for lock in locks)]
    key = hashlib.sha256(b"\0".join(made_from)).hexdigest()
    with locked(name):
        if not stamp.exists() or stamp.read_text() != key:
            print(f"build: making the environment .build/{name}", file=sys.stderr, flush=True)
            shutil.rmtree(place, ignore_errors=True)
            pip = _new_environment(place)
            for lock in locks:
                # A fixed umask: shiv copies modes from here into the file, whose bytes may not depend on it.
                install = [*pip, "install", *PIP_OPTIONS, "-r", lock]
                subprocess.run(install, check=True, env=clean_environ(), umask=0o022)
            stamp.write_text(key)
    return python


def _new_environment(place: Path) -> list[str | Path]:
    """Makes an empty environment and returns the start of the command line of a pip that installs into it."""
    if importlib.util.find_spec("ensurepip") is not None:
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        return [str(place / "bin" / "python"), "-m", "pip"]
    # Some distributions split ensurepip off; their own pip can fill an environment from outside just as well.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    return [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python")]


def clean_environ() -> dict[str, str]:
    """Our environment without what would make a Python that we start look for modules elsewhere."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}

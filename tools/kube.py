"""A real API server of Kubernetes for tests, built from its modules: `python3 -m tools.kube` (Go, 5 minutes).

What it is built of stands in `tools/kube/go.sum`, by hash. It is kept below `.build/` until that changes.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.environments import BUILD, REPOSITORY, locked

SOURCE = REPOSITORY / "tools" / "kube"
HOW = "python3 -m tools.kube builds it (Go, 5 minutes); etcd is Debian's package etcd-server"
_FILES = ("go.mod", "go.sum", "main.go")


def api_server() -> Path | None:
    """The program, if it was built from what stands here now."""
    place = BUILD / "kube"
    stamp = place / "made-from"
    return place / "kube-apiserver" if stamp.exists() and stamp.read_text() == _key() else None


def build() -> Path:
    """The program, made if need be. subprocess.CalledProcessError when that fails; Go has then said why on stderr."""
    place = BUILD / "kube"
    with locked("kube"):
        if (program := api_server()) is not None:
            return program
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        for name in _FILES:
            shutil.copy(SOURCE / name, place / name)
        env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
        command = ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", "kube-apiserver", "."]
        subprocess.run(command, check=True, cwd=place, env=env)
        (place / "made-from").write_text(_key())
        return place / "kube-apiserver"


def _key() -> str:
    return hashlib.sha256(b"\0".join((SOURCE / name).read_bytes() for name in _FILES)).hexdigest()


if __name__ == "__main__":
    if shutil.which("go") is None:
        sys.exit("kube: there is no Go here, which builds it: go.dev/dl, 1.24 or later")
    print(build())

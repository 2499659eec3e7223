"""The lock files: every distribution with its version and the hashes of its files, for all Pythons and machines.

No index is named in them: whoever installs says where from, and the hashes say whether it is the right thing.
"""

import subprocess
import sys

from tools.environments import BUILD, REPOSITORY, clean_environ, lock_file

UV = "uv==0.13.8"  # the resolver; it makes the locks and is used for nothing else
OPTIONS = ["--universal", "--python-version=3.11", "--generate-hashes", "--upgrade", "--quiet"]
PLAIN = ["--no-header", "--no-annotate", "--no-emit-index-url", "--emit-build-options"]


def make() -> None:
    """Writes all locks anew, with the newest versions that fit each other."""
    place = BUILD / "lock"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    subprocess.run([place / "bin" / "python", "-m", "pip", "install", "--quiet", UV], check=True, env=clean_environ())
    _lock("run", "pyproject.toml")
    # What is tested must be what runs: the same versions in both.
    _lock("dev", "pyproject.toml", "--group=dev", f"--constraint={lock_file('run')}")
    _lock("build", "--group=build")
    _lock("node", "--group=node")
    _lock("checks", "--group=checks", "--no-binary=sslyze")  # published as source alone


def _lock(name: str, *sources: str) -> None:
    uv = BUILD / "lock" / "bin" / "uv"
    output = f"--output-file={lock_file(name)}"
    subprocess.run([uv, "pip", "compile", *sources, *OPTIONS, *PLAIN, output], check=True, cwd=REPOSITORY)

"""The page of the gateway: bundled from `page/` by esbuild, with what npm has of it by hash, below `.build/ui`."""

import hashlib
import json
import platform
import shutil
import subprocess
from pathlib import Path

from tools import npm
from tools.environments import BUILD, REPOSITORY, locked

SOURCE = REPOSITORY / "page" / "src"
PLACE = BUILD / "ui"  # cluster/gateway/page_files.py looks there when it runs from the source tree
STAMP = "made-from"  # beside them: by what they were made
MADE_OF = ("preact",)  # what the bundle holds of others, with their licences
ESBUILD = {"x86_64": "linux-x64", "aarch64": "linux-arm64"}
OPTIONS = ["--bundle", "--minify", "--target=es2022", "--jsx=automatic", "--jsx-import-source=preact"]
OPTIONS += ["--legal-comments=none", "--log-level=warning", "--charset=utf8"]


def make() -> Path:
    """The directory with the page: index.html, app.js, app.css, licences.txt. Made when its sources changed.
    subprocess.CalledProcessError when npm or esbuild fails, who have then said why on stderr."""
    modules = npm.modules("page")
    files = sorted(path for path in SOURCE.rglob("*") if path.is_file())
    parts = [str(path.relative_to(SOURCE)).encode() + b"\0" + path.read_bytes() for path in files]
    lock = (REPOSITORY / "tools" / "page" / "package-lock.json").read_bytes()
    key = hashlib.sha256(b"\0".join([lock, repr(OPTIONS).encode(), *parts])).hexdigest()
    stamp = PLACE / STAMP
    with locked("ui"):
        if not stamp.exists() or stamp.read_text() != key:
            shutil.rmtree(PLACE, ignore_errors=True)
            PLACE.mkdir(parents=True)
            esbuild = modules / "@esbuild" / ESBUILD[platform.machine()] / "bin" / "esbuild"
            command: list[str | Path] = [esbuild, "main.tsx", "app.css", f"--outdir={PLACE}", *OPTIONS]
            environ = {"NODE_PATH": str(modules.resolve()), "HOME": str(PLACE)}
            subprocess.run(command, check=True, cwd=SOURCE, env=environ)
            (PLACE / "main.js").rename(PLACE / "app.js")
            shutil.copyfile(SOURCE / "index.html", PLACE / "index.html")
            licences = [f"{name}\n\n{_licence(modules / name)}" for name in MADE_OF]
            (PLACE / "licences.txt").write_text("\n\n".join(licences))
            stamp.write_text(key)
    return PLACE


def made() -> list[Path]:
    """The names of the files of the page that stands in its directory."""
    return sorted(Path(path.name) for path in PLACE.iterdir() if path.name != STAMP)


def check_types() -> str:
    """What the compiler of TypeScript finds in the page's sources and their tests; empty: nothing."""
    modules, types = npm.modules("page"), npm.modules("types")
    names = ("preact",)
    found = {name: [str(modules / name)] for name in names} | {
        f"{name}/*": [str(modules / name / "*")] for name in names
    }
    options = {"paths": found, "typeRoots": [str(types / "@types")]}
    include = [str(SOURCE.with_name(name)) for name in ("src", "tests")]
    project = types.with_name("tsconfig.json")
    base = str(SOURCE.with_name("tsconfig.json"))
    with locked("types"):
        project.write_text(json.dumps({"extends": base, "compilerOptions": options, "include": include}))
        command = [npm.node(), types / "typescript" / "bin" / "tsc", "-p", project]
        done = subprocess.run(command, check=False, cwd=REPOSITORY, capture_output=True, text=True)
    return done.stdout if done.returncode else ""


def _licence(package: Path) -> str:
    return next(file for file in sorted(package.iterdir()) if file.name.upper().startswith("LICEN")).read_text()

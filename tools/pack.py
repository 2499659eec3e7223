"""Makes the one file. Runs inside the environment of requirements/build.lock, where shiv is: `build.py` starts it.

The file holds the wheels of all supported Pythons side by side: extension modules carry their ABI in their names, the
rest is the same for all. The same sources and locks give the same bytes: entries are sorted, times and modes fixed.
"""

import argparse
import hashlib
import io
import lzma
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from shiv import __version__ as shiv_version
from shiv.bootstrap.environment import Environment
from shiv.builder import create_archive

from tools import page
from tools.environments import BUILD, PIP_OPTIONS, REPOSITORY, clean_environ, lock_file, locked

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# The C library that the file needs at least: glibc 2.28 (RHEL 8, Debian 10, Ubuntu 20.04). Wheels for an older one run
# there too; the one for 2.17 has two names.
GLIBC = (2, 28)
MANYLINUX = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
# What an extra of pyproject.toml adds to the file: distributions as requirements/dev.lock has them, so what was tested.
EXTRAS = {"redis": ("redis", "async-timeout")}
# What starts the file. Nothing of ours is in site-packages, and what is may cost 20 ms and more (.pth files): so Python
# need not look there (-S), nor at variables and the user's own modules (-I).
INTERPRETER = "/usr/bin/env -S python3 -S -I"
_LEXERS = ("__init__.py", "_mapping.py")  # of pygments: those that know which others there are
TREE = "tree.zip"  # in the archive: what is unpacked at the first start (boot/unpack.py)
EPOCH = (1980, 1, 1, 0, 0, 0)  # the time of every entry: the earliest that a zip file can say
WELL, FAST = 6, 1  # presets of lzma: the second takes a third of the time, and modules become a tenth larger
DICTIONARY = 1 << 24  # bytes in which lzma looks back: a whole module, or nearly
# A filter that makes jumps alike, and modules 8 % smaller. Python has none for aarch64.
JUMPS = {"x86_64": [{"id": lzma.FILTER_X86}]}


def main() -> None:
    """Packs the file for one machine."""
    parser = argparse.ArgumentParser(prog="tools.pack", description="Makes the one file.")
    parser.add_argument("--machine", required=True, help="x86_64 or aarch64")
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--with", dest="extras", action="append", default=[], choices=sorted(EXTRAS))
    parser.add_argument("--fast", action="store_true", help="compress less: a larger file, in a third of the time")
    options = parser.parse_args()
    with TemporaryDirectory(dir=BUILD) as stage:
        pack(options.machine, Path(stage), options.output, FAST if options.fast else WELL, options.extras)


def pack(machine: str, stage: Path, output: Path, preset: int, extras: Sequence[str] = ()) -> None:
    """Puts the file for that machine together in the empty directory `stage` and moves it to `output`; with the
    packages of these extras.
    `preset`: of lzma, how well modules are compressed."""
    tree, licences = stage / "tree", stage / "licences"
    for wheels in _installed(machine, extras):
        _merge(wheels, tree, [file for file in _files(wheels) if file.suffix in (".py", ".so")])
        _merge(wheels, licences, [file for file in _files(wheels) if _is_licence(file)])
    _merge(REPOSITORY, licences, [Path("LICENSE")])
    _merge(REPOSITORY, tree, [Path("cluster", file) for file in _files(REPOSITORY / "cluster")])
    _merge(page.PLACE, tree / "cluster" / "gateway" / "page", page.made())
    modules = [file for file in _files(tree) if _is_for_one_python(file)]
    _compress([tree / file for file in modules], _filters(machine, preset))

    made, packed = stage / output.name, stage / "packed"
    built_at = "{}-{:02}-{:02} {:02}:{:02}:{:02}".format(*EPOCH)
    shiv = Environment(built_at=built_at, shiv_version=shiv_version, compile_pyc=False, reproducible=True)
    create_archive([tree], packed, INTERPRETER, "boot:main", shiv)
    assert shiv.build_id is not None, "create_archive names the build after what it packed"
    _nest(packed, licences, made)
    with zipfile.ZipFile(made, "a", zipfile.ZIP_DEFLATED) as archive:
        _add_boot(archive, _contents(machine, shiv.build_id, modules))
    output.parent.mkdir(parents=True, exist_ok=True)
    # Whoever runs the old file meanwhile keeps it whole; `stage` may lie on another file system, hence the two steps.
    fresh = output.with_name(f".{output.name}.{os.getpid()}")
    shutil.move(made, fresh)
    fresh.rename(output)


def _contents(machine: str, build_id: str, modules: list[Path]) -> dict[str, object]:
    """The values of `boot/contents.py`, which says what each is for."""
    suffixes = {file.name[file.name.index(".") :] for file in modules}
    assert len(suffixes) == len(PYTHONS), f"extension modules for each Python should end in one suffix: {suffixes}"
    pythons, glibc = f"{PYTHONS[0]} to {PYTHONS[-1]}", ".".join(map(str, GLIBC))
    made_for = f"CPython {pythons} on {machine} Linux with glibc {glibc} or newer"
    return {"ID": build_id, "MADE_FOR": made_for, "GLIBC": GLIBC, "SUFFIXES": tuple(sorted(suffixes))}


def _installed(machine: str, extras: Sequence[str]) -> list[Path]:
    """The wheels of requirements/run.lock for that machine, and of these extras, unpacked: a directory for each Python.

    pip evaluates environment markers for the Python that it runs under, not for the one asked for; our locks have
    no marker that would differ between them.
    """
    wanted = lock_file("run").read_text() + extra_lock(lock_file("dev").read_text(), extras)
    key = hashlib.sha256(wanted.encode() + repr((PYTHONS, MANYLINUX)).encode()).hexdigest()[:16]
    place = BUILD / f"wheels-{machine}-{key}"
    with locked("wheels"):
        if not place.exists():
            print(f"build: fetching the wheels for {machine}", file=sys.stderr, flush=True)
            partial_place = place.with_suffix(".partial")
            shutil.rmtree(partial_place, ignore_errors=True)
            partial_place.mkdir()
            lock = partial_place / "wanted.lock"
            lock.write_text(wanted)
            with ThreadPoolExecutor(len(PYTHONS)) as pool:
                list(pool.map(partial(_install, machine, lock, partial_place), PYTHONS))
            partial_place.rename(place)
    return [place / python for python in PYTHONS]


def extra_lock(lock: str, extras: Sequence[str]) -> str:
    """Of a lock's text the distributions of these extras, for every Python. KeyError where one is not in it."""
    entries = dict(re.findall(r"^([\w.-]+)(==.*\n(?: .*\n)*)", lock, re.MULTILINE))
    names = sorted({name for extra in extras for name in EXTRAS[extra]})
    return "".join(name + re.sub(r" ; [^\\]*", " ", entries[name], count=1) for name in names)


def _install(machine: str, lock: Path, place: Path, python: str) -> None:
    platforms = [f"--platform={manylinux}_{machine}" for manylinux in MANYLINUX]
    wanted = ["--implementation=cp", f"--python-version={python}", *platforms]
    target = ["--no-compile", f"--target={place / python}"]
    pip = [sys.executable, "-m", "pip", "install", *PIP_OPTIONS]
    subprocess.run([*pip, *wanted, *target, "-r", lock], check=True, env=clean_environ())


def _files(directory: Path) -> list[Path]:
    """All files below the directory, relative to it, in an order that does not depend on the file system."""
    found = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    return sorted(path for path in found if "__pycache__" not in path.parts and not _is_needless(path))


def _is_needless(file: Path) -> bool:
    """Whether nothing of ours loads it: types for checkers, and the grammars of 500 languages (a megabyte), by which
    rich could colour source code."""
    return file.suffix == ".pyi" or (file.parts[:2] == ("pygments", "lexers") and file.name not in _LEXERS)


def _is_licence(file: Path) -> bool:
    """Whether the file is a licence of something that we pass on; these travel along but are never unpacked."""
    return file.parts[0].endswith(".dist-info") and ("licenses" in file.parts or file.name.startswith("LICEN"))


def _is_for_one_python(file: Path) -> bool:
    return file.suffix == ".so" and ".cpython-" in file.name


def _merge(source: Path, target: Path, files: list[Path]) -> None:
    """Copies the files, with modes that depend on nothing. One that is there already must be the same."""
    for file in files:
        there = target / file
        content = (source / file).read_bytes()
        if there.exists():
            assert there.read_bytes() == content, f"{file} differs between Pythons: the tree cannot serve both"
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(content)
        there.chmod(0o644)


def _filters(machine: str, preset: int) -> list[dict[str, int]]:
    return [*JUMPS.get(machine, []), {"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": DICTIONARY}]


def _compress(files: list[Path], filters: list[dict[str, int]]) -> None:
    """Replaces each file by its .xz, which `boot/unpack.py` undoes. Takes 10 s a file, so results are kept."""

    def compress(file: Path) -> None:
        plain = file.read_bytes()
        kept = BUILD / "xz" / hashlib.sha256(repr(filters).encode() + plain).hexdigest()
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            fresh = kept.with_suffix(f".{os.getpid()}")
            fresh.write_bytes(lzma.compress(plain, filters=filters))
            fresh.rename(kept)
        packed = file.with_name(f"{file.name}.xz")
        packed.write_bytes(kept.read_bytes())
        packed.chmod(0o644)
        file.unlink()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compress, files))


def _nest(packed: Path, licences: Path, made: Path) -> None:
    """Writes shiv's archive anew, with the licences, and with all that is only unpacked in an archive within it: Python
    reads the list of entries at each start, and a thousand of them cost it 5 ms."""
    inner = io.BytesIO()
    with zipfile.ZipFile(packed) as source, made.open("wb") as target:
        target.write(f"#!{INTERPRETER}\n".encode())
        with zipfile.ZipFile(inner, "w") as tree, zipfile.ZipFile(target, "w") as archive:
            for entry in source.infolist():
                if entry.filename.startswith("site-packages/"):
                    _add(tree, entry.filename, source.read(entry))
                else:
                    _add(archive, entry.filename, source.read(entry))
            for file in _files(licences):
                _add(tree, f"licences/{file}", (licences / file).read_bytes())
            tree.close()
            _add(archive, TREE, inner.getvalue(), zipfile.ZIP_STORED)
    made.chmod(0o755)


def _add_boot(archive: zipfile.ZipFile, contents: dict[str, object]) -> None:
    boot = REPOSITORY / "tools" / "boot"
    for file in _files(boot):
        if file.name != "contents.py":
            _add(archive, f"boot/{file}", (boot / file).read_bytes())
    values = "".join(f"{name} = {value!r}\n" for name, value in contents.items())
    _add(archive, "boot/contents.py", values.encode())


def _add(archive: zipfile.ZipFile, name: str, content: bytes, how: int = zipfile.ZIP_DEFLATED) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = how
    entry.external_attr = 0o100644 << 16
    archive.writestr(entry, content)


if __name__ == "__main__":
    main()

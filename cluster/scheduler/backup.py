"""A backup of a scheduler: one file that holds all that another machine needs to be the same scheduler.

It is a tar archive: first `backup.json`, which says of which cluster and time it is; then what lay in the directory,
the database as of one moment; last `sums.json`, the SHA-256 of each. What breaks off has no sums, and what was changed
has others.

It is made beside a scheduler that runs: the database is copied by SQLite as of one moment, and other files appear whole
and change no more. What is deleted meanwhile may be missing in it. Keys are in it: it is for its owner alone (0600).
"""

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from cluster.domain.base.errors import ClusterError, Conflict, InvalidInput, NotFound, Unusable, unusable
from cluster.pki.authority import load_authority
from cluster.scheduler.store_choice import remembered_place
from cluster.store.contents.store import FILES, StoredContents
from cluster.store.interface import StoreFailed
from cluster.store.lasting import sync_directory
from cluster.store.sqlite.restoring import copy_database, damage, job_numbers, restore_database
from cluster.store.sqlite.store import stored_cluster_id

FORMAT = 1
HEAD, SUMS = "backup.json", "sums.json"
DATABASES = ("cluster.db", "contents.db")
# Beside these: what a scheduler is known by, and what it has promised to keep.
KEYS = ("ca.pem", "scheduler.pem", "admin.pem", "advertised", "notify-secret")
TREES = ("outputs", "contents")
_LEFT_OUT = {"new", ".new"}  # of these trees: what had not come in
_CHUNK = 1 << 20


class BackupMade(NamedTuple):
    cluster_id: str
    files: int
    size: int  # bytes of the backup


class Restored(NamedTuple):
    cluster_id: str
    made_at: float
    epoch: int
    next_job: int  # the number that the next job gets
    paused: int  # jobs that had not ended
    tokens: int  # that let nobody join any more


def back_up(directory: Path, target: Path) -> BackupMade:
    """Writes the backup of the scheduler in that directory. NotFound where there is none, Conflict where the file is
    there already, Unusable where it cannot be written: then nothing of it stays."""
    if place := remembered_place(directory):
        raise Conflict(
            f"the jobs of this scheduler are in {place}: back that up, with this directory, by its own means"
        )
    if not (directory / DATABASES[0]).exists():
        raise NotFound(f"there is no scheduler in {directory}: name its directory with --directory")
    if target.exists():
        raise Conflict(f"{target} is there already: a backup replaces nothing; give another name")
    partial = target.with_name(f".{target.name}.partial")
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=target.parent) as place:
            file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(file, "wb") as out:
                made = _write(directory, Path(place), out)
                out.flush()
                os.fsync(out.fileno())
                size = out.tell()
            os.rename(partial, target)
            sync_directory(target.parent)
    except FileExistsError:
        raise Conflict(f"{partial} is there already: another backup is under way, or broke off; remove it") from None
    except OSError as error:
        _remove(partial)
        raise unusable(f"the backup {target} cannot be written", error) from None
    except StoreFailed as error:
        _remove(partial)
        raise Unusable(f"the backup {target} cannot be written: {error}") from None
    except BaseException:
        _remove(partial)
        raise
    return made._replace(size=size)


def _write(directory: Path, place: Path, out: IO[bytes]) -> BackupMade:
    copies = {name: place / name for name in DATABASES if (directory / name).exists()}
    said: dict[str, Any] = {"format": FORMAT, "made_at": time.time()}
    for name, copy in copies.items():
        said |= copy_database(directory / name, copy)
    sums: dict[str, str] = {}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, HEAD, json.dumps(said).encode(), sums)
        for name, path in (*copies.items(), *_files(directory)):
            _add_file(archive, name, path, sums)
        _add(archive, SUMS, json.dumps(sums).encode(), {})
    return BackupMade(str(said["cluster_id"]), len(sums) - 1, 0)


def _files(directory: Path) -> Iterator[tuple[str, Path]]:
    yield from ((name, directory / name) for name in KEYS if (directory / name).exists())
    for tree in TREES:
        for folder, folders, names in os.walk(directory / tree):
            folders[:] = sorted(set(folders) - _LEFT_OUT)
            for name in sorted(names):
                path = Path(folder) / name
                yield str(path.relative_to(directory)), path


def _add(archive: tarfile.TarFile, name: str, data: bytes, sums: dict[str, str]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(data), 0o600, int(time.time())
    archive.addfile(entry, io.BytesIO(data))
    sums[name] = hashlib.sha256(data).hexdigest()


def _add_file(archive: tarfile.TarFile, name: str, path: Path, sums: dict[str, str]) -> None:
    try:
        file = path.open("rb")
    except FileNotFoundError:  # it was just deleted
        return
    with file:
        summed = _Summed(file)
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime = os.fstat(file.fileno()).st_size, 0o600, int(time.time())
        archive.addfile(entry, summed)
        sums[name] = summed.sum.hexdigest()


class _Summed:
    """A file of which the SHA-256 is known once it was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self.sum = hashlib.sha256()
        self._file = file

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.sum.update(data)
        return data


def restore(source: Path, directory: Path, now: float) -> Restored:
    """Makes the scheduler of the backup in that directory, which must be new or empty: all of it or nothing.
    InvalidInput for what is no whole backup, Conflict for a directory that holds anything. `now`: Unix seconds."""
    _expect_free(directory, source)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    except OSError as error:
        raise unusable(f"{directory} cannot be made", error) from None
    try:
        said = _unpack(source, place)
        _expect_one_cluster(source, place, str(said.get("cluster_id")))
        told = restore_database(place / DATABASES[0], float(said["made_at"]), now)
        for folder, _, _ in os.walk(place):
            sync_directory(Path(folder))
        with suppress(FileNotFoundError):
            directory.rmdir()
        place.rename(directory)
        sync_directory(directory.parent)
    except OSError as error:
        raise unusable(f"{directory} cannot be made", error) from None
    except StoreFailed as error:
        raise InvalidInput(f"{source} is damaged: {error}") from None
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return Restored(str(said["cluster_id"]), float(said["made_at"]), *told)


def _expect_free(directory: Path, source: Path) -> None:
    if not directory.exists() or not any(directory.iterdir()):
        return
    try:
        there = stored_cluster_id(directory / DATABASES[0])
    except ClusterError:
        there = None
    what = f"holds the scheduler of cluster {there}" if there else "is not empty"
    if there and (other := _cluster_of(source)) not in ("", there):
        what += f", and {source} is a backup of another cluster, {other}"
    raise Conflict(f"{directory} {what}: stop what uses it and move it away first (mv {directory} {directory}.old)")


def _cluster_of(source: Path) -> str:
    """Whose backup it is, by its head; empty: it says nothing."""
    try:
        with source.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            entry = archive.next()
            data = archive.extractfile(entry) if entry is not None and entry.name == HEAD else None
            return str(_head(source, data.read())["cluster_id"]) if data is not None else ""
    except (OSError, ValueError, KeyError, tarfile.TarError, InvalidInput):
        return ""


def _unpack(source: Path, place: Path) -> dict[str, Any]:
    """What its head says."""
    found: dict[str, str] = {}
    head: dict[str, Any] | None = None
    sums: dict[str, str] | None = None
    try:
        with source.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for entry in archive:
                data = archive.extractfile(entry)
                if data is None or not _is_ours(entry.name):
                    raise _wrong(source, f"it holds {entry.name!r}, which no backup does")
                if entry.name == SUMS:
                    sums = json.loads(data.read())
                elif entry.name == HEAD:
                    head = _head(source, said := data.read())
                    found[HEAD] = hashlib.sha256(said).hexdigest()
                else:
                    found[entry.name] = _keep(data, place / entry.name)
    except FileNotFoundError:
        raise NotFound(f"there is no backup {source}") from None
    except tarfile.ReadError as error:
        raise _wrong(source, f"it is no whole archive ({error})") from None
    except (ValueError, EOFError):
        raise _wrong(source, "what it says of itself cannot be read") from None
    if head is None or sums is None:
        raise _wrong(source, "it ends too early")
    if found != sums:
        odd = sorted(name for name in {*found, *sums} if found.get(name) != sums.get(name))
        raise _wrong(source, f"{odd[0]} is not as it was when the backup was made")
    return head


def _expect_one_cluster(source: Path, place: Path, said: str) -> None:
    """InvalidInput where its database, or its CA, is of another cluster than it says: somebody has mixed two."""
    found = {"database": stored_cluster_id(place / DATABASES[0])}
    if (authority := place / KEYS[0]).exists():
        found["CA"] = load_authority(authority).cluster_id
    for what, there in found.items():
        if there != said:
            raise _wrong(source, f"its {what} is of another cluster, {there}, and not of {said}")


def _head(source: Path, said: bytes) -> dict[str, Any]:
    head = json.loads(said)
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise _wrong(source, "its format is another one, perhaps of a newer version")
    return head


def _is_ours(name: str) -> bool:
    parts = name.split("/")
    plain = all(part not in ("", ".", "..") for part in parts)
    return plain and (name in (HEAD, SUMS, *DATABASES, *KEYS) or (parts[0] in TREES and len(parts) > 1))


def _wrong(source: Path, why: str) -> InvalidInput:
    return InvalidInput(f"{source} is no whole backup of a scheduler: {why}; nothing was restored")


def _keep(data: IO[bytes], path: Path) -> str:
    """Its SHA-256."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    summed = hashlib.sha256()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as out:
        while piece := data.read(_CHUNK):
            summed.update(piece)
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())
    return summed.hexdigest()


def check(directory: Path) -> list[str]:
    """What is wrong with the scheduler in that directory, a line for each; nothing: it is sound. NotFound where there
    is none."""
    database = directory / DATABASES[0]
    if not database.exists():
        raise NotFound(f"there is no scheduler in {directory}: name its directory with --directory")
    wrong = [f"{name} is missing: without it nobody is let in" for name in KEYS[:1] if not (directory / name).exists()]
    for name in KEYS[:3]:
        path = directory / name
        if path.exists() and path.stat().st_mode & 0o077:
            wrong.append(f"{path} may be read by others: chmod 600 {path}")
    for name in DATABASES:
        if (directory / name).exists():
            wrong += [f"{directory / name} is damaged: {line}" for line in damage(directory / name)]
    return wrong + ([*_missing_files(directory), *_missing_contents(directory)] if not wrong else [])


def _missing_files(directory: Path) -> list[str]:
    """Output files of jobs that are not there are removed by the scheduler itself; these are only told."""
    known = set(map(str, job_numbers(directory / DATABASES[0])))
    outputs = directory / "outputs"
    there = {name for name in os.listdir(outputs) if name.isdigit()} if outputs.exists() else set()
    stray = sorted(there - known, key=int)
    if not stray:
        return []
    some = ", ".join(stray[:5])
    return [f"{outputs} holds files of {len(stray)} jobs that are not there ({some}): run cluster prune"]


def _missing_contents(directory: Path) -> list[str]:
    """Files of uploads and results that jobs use, and that are not there."""
    contents = StoredContents(directory)
    try:
        lost = contents.lost()
    finally:
        contents.close()
    if not lost:
        return []
    what = "a file" if len(lost) == 1 else f"{len(lost)} files"
    some = ", ".join(digest.hex()[:16] for digest in lost[:5])
    return [f"{directory / FILES} lacks {what} of uploads or results ({some}): bring back from a backup"]


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()

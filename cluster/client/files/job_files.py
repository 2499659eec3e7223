"""The files that go with a job, as people name them, and what becomes of them: contents to send, and their digests."""

import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import IO, NamedTuple
from weakref import finalize

from cluster.client.files.digest_memory import cache_directory
from cluster.client.files.outgoing import PIECE, Bytes, Outgoing
from cluster.client.files.walking import state_of
from cluster.domain.base.errors import InvalidInput, Unusable, unusable
from cluster.domain.job.spec import JobSpec

ABSENT = "0" * 64  # in the place of a digest that is not known yet

Path = str | os.PathLike[str]
Stdin = bytes | Path | IO[bytes]  # what a job reads: bytes, the file of that path, or what a file has from here on
Looked = Callable[[int], object]  # is told how many more bytes were read


class JobFiles(NamedTuple):
    """What goes with one job."""

    upload: tuple[str, ...] = ()  # paths
    base: str = ""  # the directory that they are relative to; empty: the current one
    stdin: Stdin | None = None
    beside: tuple[str, ...] = ()  # paths, of what tasks find beside the file of their own that each has of the upload

    def __bool__(self) -> bool:
        return bool(self.upload) or self.stdin is not None

    def promised(self, spec: JobSpec) -> JobSpec:
        """The spec as it will be, so that it can be judged before anything is read."""
        return replace(
            spec,
            upload=ABSENT if self.upload else spec.upload,
            upload_beside=ABSENT if self.beside else spec.upload_beside,
            stdin=spec.stdin if self.stdin is None else ABSENT,
        )

    def added(self, spec: JobSpec, outgoing: Outgoing, looked: Looked) -> JobSpec:
        """The spec with the digests of these files, which are to be sent. Blocks. InvalidInput, Unusable."""
        base = self.base or os.getcwd()
        if self.upload:
            spec = replace(spec, upload=outgoing.add_tree(self.upload, base, looked))
        if self.beside:
            spec = replace(spec, upload_beside=outgoing.add_tree(self.beside, base, looked))
        if self.stdin is not None:
            spec = replace(spec, stdin=_add_stdin(self.stdin, base, outgoing, looked))
        return spec


def job_files(upload: Path | Sequence[Path] = (), stdin: Stdin | None = None) -> JobFiles:
    """From what is handy to write in Python."""
    paths = (upload,) if isinstance(upload, str | os.PathLike) else tuple(upload)
    return JobFiles(tuple(os.fspath(path) for path in paths), stdin=stdin)


def _add_stdin(stdin: Stdin, base: str, outgoing: Outgoing, looked: Looked) -> str:
    if isinstance(stdin, bytes):
        return outgoing.add(sha256(stdin).digest(), Bytes(stdin, "stdin"))
    if not isinstance(stdin, str | os.PathLike):
        return outgoing.add(*(_rest_of(stdin, looked) or _spooled(stdin, looked)))
    path = os.path.join(base, os.fspath(stdin))
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            return outgoing.add_file(os.fsencode(path), looked)
        with file:
            return outgoing.add(*_spooled(file, looked))
    except OSError as error:
        raise InvalidInput(f"--stdin {os.fspath(stdin)}: {error.strerror}") from None


def _rest_of(file: IO[bytes], looked: Looked) -> tuple[bytes, "Spool"] | None:
    """What a file of the file system has from where it stands, which is left where it lies; None: it is none. Blocks.
    InvalidInput where it changes meanwhile."""
    try:
        before = os.fstat(file.fileno())
        begin = file.tell()
    except OSError:  # of what is in memory, or a pipe
        return None
    if not stat.S_ISREG(before.st_mode):
        return None
    hashing, rest = sha256(), Spool(os.dup(file.fileno()), begin, max(0, before.st_size - begin))
    for piece in rest.read(0):
        hashing.update(piece)
        looked(len(piece))
    if state_of(os.fstat(file.fileno())) != state_of(before):
        raise InvalidInput("stdin has changed while it was read: try again when nobody writes to it")
    file.seek(before.st_size)
    return hashing.digest(), rest


def _spooled(file: IO[bytes], looked: Looked) -> tuple[bytes, "Spool"]:
    """What comes from a pipe is sent when all of it has come: before that nobody knows what it is called. It lies in a
    file without a name meanwhile, so that nothing is left of it. Blocks. Unusable where there is no room."""
    directory = cache_directory()
    hashing = sha256()
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory, buffering=0) as file_without_name:
            spool = Spool(os.dup(file_without_name.fileno()))
    except OSError as error:
        raise unusable(f"stdin cannot be kept in {directory} until it is sent", error) from None
    while piece := file.read(PIECE):
        hashing.update(piece)
        looked(len(piece))
        try:
            spool.write(piece)
        except OSError as error:
            what = f"stdin cannot be kept in {directory} until it is sent: {error.strerror} after {spool.size} bytes"
            raise Unusable(f"{what}; make room there, or set CLUSTER_CACHE to another directory") from None
    return hashing.digest(), spool


class Spool:
    """A content that is what an open file has."""

    name = "stdin"

    def __init__(self, file: int, begin: int = 0, size: int = 0) -> None:
        """`file`: a descriptor, which this closes when nobody needs it any more. It has so many bytes from there on."""
        self._file, self._begin = file, begin
        self.size = size
        finalize(self, os.close, file)

    def write(self, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self.size += len(piece)

    def read(self, offset: int) -> Iterator[bytes]:
        while piece := os.pread(self._file, min(PIECE, self.size - offset), self._begin + offset):
            offset += len(piece)
            yield piece

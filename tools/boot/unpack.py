"""The first start: unpacks what the running Python needs out of the archive.

The archive carries the extension modules of every Python that it is made for. Those that exist once per Python are
compressed with xz, because with the zip format's deflate the file would be a third larger; only the ones that fit are
unpacked. The rest is shiv's: a lock against a second first start, unpacking beside the final place, and one rename.
"""

import io
import lzma
import os
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from _bootstrap import extract_site_packages  # shiv's, beside this package in the archive

TREE = "tree.zip"  # in the archive, so that starts need not read the list of all that is in it


class _Tailored(zipfile.ZipFile):
    """The archive as the running Python needs it."""

    def infolist(self) -> list[zipfile.ZipInfo]:
        return [entry for entry in super().infolist() if _fits(entry.filename)]

    def extract(self, member: str | zipfile.ZipInfo, path: object = None, pwd: bytes | None = None) -> str:
        packed = super().extract(member, path, pwd)  # type: ignore[arg-type]
        if not packed.endswith(".xz"):
            return packed
        plain = packed.removesuffix(".xz")
        with open(packed, "rb") as source, open(plain, "wb") as target:
            target.write(lzma.decompress(source.read()))
        os.unlink(packed)
        return plain


def unpack(archive: str, place: str) -> None:
    """Unpacks into the directory `place`, which either exists whole afterwards or not at all."""
    with zipfile.ZipFile(archive) as outer:
        tree = io.BytesIO(outer.read(TREE))
    with _Tailored(tree) as tailored:
        extract_site_packages(tailored, Path(place))


def _fits(name: str) -> bool:
    """Whether the running Python can use the entry: anything but an extension module for another one."""
    file = name.rpartition("/")[2].removesuffix(".xz")
    suffix = file[file.find(".") :]
    return not file.endswith(".so") or suffix in EXTENSION_SUFFIXES

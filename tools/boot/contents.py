"""What the packed file holds. These are placeholders: `build.py` writes the real values when it packs."""

# SHA-256 of everything that is unpacked, in hex: two different files never share a tree.
ID = ""
# For people: the Pythons and the machine that the file was made for.
MADE_FOR = ""
# The version of the C library that its extension modules need at least.
GLIBC: tuple[int, int] = (0, 0)
# The file name suffix of extension modules for each of these Pythons.
SUFFIXES: tuple[str, ...] = ()

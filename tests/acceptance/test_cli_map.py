"""`cluster map`, and files that go there and come back: as if it had run here."""

import os
import shutil
import signal
import struct
import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tests.acceptance.networks import missing, networks
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow

# Of a converter the words, with {} for the file, and the ending of what it makes.
CONVERTERS = {
    "pngtopnm": ("pngtopnm {}", "pnm"),
    "convert": ("convert {} ppm:-", "ppm"),
    "gzip": ("gzip -n < {}", "gz"),
}


def png(path: Path, seed: int) -> None:
    """A small picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes((x * y * seed) % 256 for x in range(3 * 16)) for y in range(16))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def test_fifty_files_become_what_a_plain_loop_makes_of_them(cluster: Command, tmp_path: Path) -> None:
    words, ending = next(what for program, what in CONVERTERS.items() if shutil.which(program))
    (tmp_path / "in put").mkdir()
    for seed in range(50):
        png(tmp_path / "in put" / f"picture {seed:02}.png", seed)
    files = sorted((str(path.relative_to(tmp_path)) for path in (tmp_path / "in put").iterdir()), reverse=True)
    script = f"""{words.replace("{}", '"$1"')} > "$2.{ending}"; echo "$2 is $3" """
    mapped = cluster.ok(
        *("map", "-q", "--out", f"*.{ending}", "--to", "there", *files),
        *("--", "sh", "-c", script, "sh", "{}", "{stem}", "{ext}"),
        cwd=tmp_path,
    )
    assert mapped.text == "".join(f"{Path(file).stem} is png\n" for file in files), "in the order typed"
    (tmp_path / "here").mkdir()
    for file in files:
        words_here = ["sh", "-c", script, "sh", f"../{file}", Path(file).stem, "png"]
        subprocess.run(words_here, cwd=tmp_path / "here", check=True, stdout=subprocess.DEVNULL)
    here, there = ({p.name: p.read_bytes() for p in (tmp_path / d).iterdir()} for d in ("here", "there"))
    assert len(here) == 50
    assert there == here


class Elsewhere(Command):
    """The command line in another network."""

    within: Sequence[str] = ()

    def line(self, *arguments: str) -> list[str]:
        return [*self.within, *super().line(*arguments)]


@pytest.mark.extra_files
@pytest.mark.skipif(bool(missing()), reason=str(missing()))
@pytest.mark.skipif(shutil.which("pngtopnm") is None, reason="needs pngtopnm (apt-get install netpbm)")
def test_two_hundred_pictures_on_two_workers_become_what_a_plain_loop_makes_of_them(tmp_path: Path) -> None:
    """Scheduler and client, and each of the workers, are in a network of their own."""
    files = [f"{seed:03}.png" for seed in range(200)]
    for place in ("there", "here"):
        (tmp_path / place).mkdir()
        for seed, file in enumerate(files):
            png(tmp_path / place / file, seed)
    with networks(3) as (head, *others), Daemons(Command(tmp_path)) as daemons:
        client = Elsewhere(tmp_path)
        client.within = daemons.around["scheduler"] = head.within
        daemons.start_scheduler("--listen", f"{head.address}:{daemons.port}", "--join-listen", f"{head.address}:0")
        for name, network in zip(("one", "two"), others, strict=True):
            token = client.ok("token", "create", "-q").text.strip()
            daemons.around[name] = [*network.within, "env", f"CLUSTER_HOME={tmp_path / name}"]
            daemons.start_worker(name, "--join", token, "--cpus", "1")
        script = "pngtopnm {} | pamflip -tb > {stem}.pnm; echo {name}"
        mapped = client.ok(
            *("map", "-q", "--out", "*.pnm", *reversed(files), "--", "sh", "-c", script), cwd=tmp_path / "there"
        )
        assert mapped.text.splitlines() == list(reversed(files))
        rows = client.ok("usage", "--by", "worker", "--json").json["rows"]
        assert {row["worker"] for row in rows} == {"one", "two"}, "both have worked"
    loop = "for f in *.png; do pngtopnm $f | pamflip -tb > ${f%.png}.pnm; done"
    subprocess.run(["sh", "-c", loop], cwd=tmp_path / "here", check=True)
    here, there = ({p.name: p.read_bytes() for p in (tmp_path / d).iterdir()} for d in ("here", "there"))
    assert len(here) == 400
    assert there == here


def test_each_task_finds_its_file_alone_and_output_goes_to_files(cluster: Command, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    done = cluster(
        *("map", "--out-dir", "logs", "b.txt", "a.txt"),
        *("--", "sh", "-c", 'ls; cat "$1"; echo "$2" >&2; test "$3" = a', "sh", "{}", "{name}", "{stem}"),
        cwd=tmp_path,
    )
    assert done.code == 1, "the highest of the tasks' codes"
    assert {p.name: p.read_text() for p in (tmp_path / "logs").iterdir()} == {
        "1.out": "b.txt\nb.txt",
        "1.err": "b.txt\n",
        "2.out": "a.txt\na.txt",
        "2.err": "a.txt\n",
    }


def test_what_is_uploaded_lies_beside_the_file_of_each_task(cluster: Command, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "lib").mkdir()
    for name in ("a", "b b", "c$(echo INJECTED >&2)"):
        (tmp_path / "raw" / f"{name}.csv").write_text(name)
    (tmp_path / "lib" / "words.py").write_text("def said(text): return text.upper()\n")
    (tmp_path / "conv.py").write_text(CONVERTER)
    files = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "raw").iterdir())
    command = ("--out", "*.txt,none/*", "--to", "out", *files, "--", "python3", "conv.py", "{}", "{stem}.txt")
    done = cluster.ok("map", "-q", "--upload", "conv.py", "--upload", "lib", *command, cwd=tmp_path)
    assert done.text == "".join(f"{file} ['conv.py', 'lib', 'raw'] 1\n" for file in files)
    assert {path.read_text() for path in (tmp_path / "out").iterdir()} == {"A", "B B", "C$(ECHO INJECTED >&2)"}
    [told] = done.err.splitlines()
    assert told.endswith(".1-3: none/* matched nothing"), "one line for all that are alike"
    shown = cluster.ok("job", "list", "--limit", "1").text
    assert "python3 conv.py '{}' '{stem}.txt'" in shown, "as it was typed"
    (tmp_path / "one.py").write_text("import os, sys; print(sys.argv[1], os.environ['CLUSTER_COL_NAME'])\n")
    sent = ("map", "-q", "--script-file", "one.py", "--with", "python3", "--stdin", "one.py", *files)
    said = cluster.ok(*sent, "--", "{ext}", cwd=tmp_path)
    assert (said.text, said.err) == ("".join(f"csv {Path(file).name}\n" for file in files), "")


CONVERTER = """import os, sys
from lib.words import said
file, to = sys.argv[1:]
print(file, sorted(os.listdir()), len(os.listdir("raw")))
open(to, "w").write(said(open(file).read()))
"""


def test_what_was_repaired_is_fetched_as_the_map_brought_it(cluster: Command, tmp_path: Path) -> None:
    for name in ("a.n", "b.n"):
        (tmp_path / name).write_text(name)
    script = f'test "$1" = a.n -o -e "{tmp_path}/repaired" && echo {{stem}} > "$1.out"'
    words = ("--out", "*.out", "--to", "mapped", "a.n", "b.n", "--", "sh", "-c", script, "sh", "{}")
    assert cluster("map", *words, cwd=tmp_path).code == 1
    (tmp_path / "repaired").touch()
    cluster.ok("job", "retry", "last:failed")
    cluster.ok("job", "wait", "last")
    cluster.ok("job", "fetch", "last", "--to", str(tmp_path / "mapped"))
    cluster.ok("job", "fetch", "last", "--apart", "--to", str(tmp_path / "apart"))
    found = {place: sorted(_files_below(tmp_path / place)) for place in ("mapped", "apart")}
    assert found == {"mapped": ["a.n.out", "b.n.out"], "apart": ["1/a.n.out", "2/b.n.out"]}
    refused = cluster("job", "fetch", "last", "--apart", "--flat")
    assert (refused.code, "--flat and --apart exclude each other" in refused.err) == (2, True)


def _files_below(directory: Path) -> list[str]:
    return [str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()]


def test_ctrl_c_while_files_are_read_says_that_nothing_was_handed_in(cluster: Command, tmp_path: Path) -> None:
    before = cluster.ok("job", "list", "-q").text
    os.mkfifo(tmp_path / "fed")
    (tmp_path / "a").touch()
    with cluster.started("map", "--stdin", str(tmp_path / "fed"), str(tmp_path / "a"), "--", "cat", "{}") as mapping:
        with (tmp_path / "fed").open("wb"):  # which it reads to its end
            mapping.send_signal(signal.SIGINT)
            assert mapping.stderr is not None
            assert mapping.stderr.readline() == b"cluster: interrupted while files were sent: nothing was handed in\n"
        assert mapping.wait(PATIENCE) == 130
    assert cluster.ok("job", "list", "-q").text == before


def test_make_runs_there_as_if_it_ran_here(cluster: Command, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    for n in range(3):
        (tmp_path / "src" / f"{n}.txt").write_text(f"{n}\n")
    (tmp_path / "build.sh").write_text("mkdir -p out/sub; cat src/*.txt > out/all; wc -l < out/all > out/sub/lines\n")
    (tmp_path / "Makefile").write_text("all:\n\tsh build.sh\n\t@echo made\n")
    command = ("make", "-s") if shutil.which("make") else ("sh", "-c", "sh build.sh; echo made")
    done = cluster.ok("run", "--upload", ".", "--out", "out/*", "--", *command, cwd=tmp_path)
    assert (done.text, done.err) == ("made\n", "")
    assert (tmp_path / "out" / "all").read_text() == "0\n1\n2\n"
    assert (tmp_path / "out" / "sub" / "lines").read_text().strip() == "3"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["Makefile", "build.sh", "out", "src"]


def test_what_makes_no_sense_is_refused(cluster: Command, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "hostname").write_text("x")
    (tmp_path / "two.sh").write_text("#!/bin/sh\n#CLUSTER --array 1-2\n")
    for words, arguments in {
        "-- must stand": ("map", "a", "cat", "{}"),
        "there are no files before --": ("map", "--", "--", "cat", "{}"),
        "there is no command after --": ("map", "a", "--"),
        "--array does not go with map": ("map", "--array", "1-2", "a", "--", "cat", "{}"),
        "absent: there is no such file": ("map", "absent", "--", "cat", "{}"),
        "'a*'; 1 file matches it, and quotes": ("map", "a*", "--", "cat", "{}"),
        "'x*', and none matches it": ("map", "x*", "--", "cat", "{}"),
        "--upload gone: No such file": ("map", "--upload", "gone", "a", "--", "cat", "{}"),
        "two things would be called hostname": ("map", "--upload", "/etc/hostname", "hostname", "--", "cat", "{}"),
        "the script says what tasks there are": ("map", "--script-file", "two.sh", "a", "--", "{}"),
        "so no task sees its file: … -- wc -l {}": ("map", "a", "--", "wc", "-l"),
        "{nonsense} names no column": ("map", "a", "--", "cat", "{nonsense}"),
    }.items():
        refused = cluster(*arguments, cwd=tmp_path)
        assert refused.code == 2, (arguments, refused)
        assert words in refused.err, refused.err
    told = cluster.ok("map", "--help").text
    assert [flag for flag in ("--array", "--each-line", "--from-csv", "--cwd", "--every") if flag in told] == []
    assert "--upload PATH" in told

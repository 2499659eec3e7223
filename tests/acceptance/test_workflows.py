"""Real workflows as job files: what they make is the same as by the plain way."""

import json
import random
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import Command

PARTS, PIECES, REGIONS = 24, 3, 4
DEBIAN = """Types: deb-src
URIs: http://deb.debian.org/debian
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
COUNT = "tr ' ' '\\n' | sort | uniq -c | awk '{print $2, $1}'"
ADD = "awk '{n[$1] += $2} END {for (w in n) print w, n[w]}' | sort"


def job_file(path: Path, defaults: Mapping[str, Any], jobs: Mapping[str, Mapping[str, Any]]) -> Path:
    """Writes one. Texts and lists of them are the same in JSON and TOML."""
    lines = ["[defaults]", *(f"{key} = {json.dumps(value)}" for key, value in defaults.items())]
    for name, options in jobs.items():
        lines += [f"[jobs.{json.dumps(name)}]", *(f"{key} = {json.dumps(value)}" for key, value in options.items())]
    path.write_text("\n".join(lines))
    return path


def run(cluster: Command, file: Path) -> None:
    """All jobs of the file, to their end."""
    numbers = cluster.ok("job", "submit", "-q", "--file", str(file)).text.split()
    assert cluster("job", "wait", "-q", *numbers, patience=300).code == 0


@pytest.mark.slow
def test_a_data_set_is_split_processed_by_arrays_and_merged(cluster: Command, tmp_path: Path) -> None:
    """How often each word comes: 54 jobs on five levels, 102 tasks."""
    choose = random.Random(7)
    words = [f"word{n}" for n in range(200)]
    data = tmp_path / "data"
    data.write_text("".join(f"{' '.join(choose.choices(words, k=12))}\n" for _ in range(2000)))
    jobs: dict[str, dict[str, Any]] = {"split": {"command": f"split -n l/{PARTS} -d -a 2 data part."}}
    for part in range(PARTS):
        piece = f"split -n l/$CLUSTER_TASK/{PIECES} part.{part:02}"
        count = f"{piece} | {COUNT} > count.{part:02}.$CLUSTER_TASK"
        jobs[f"count-{part}"] = {"command": ["sh", "-c", count], "array": f"1-{PIECES}", "after": "split"}
        add = f"cat count.{part:02}.* | {ADD} > sum.{part:02}"
        jobs[f"sum-{part}"] = {"command": ["sh", "-c", add], "after": f"count-{part}"}
    for region in range(REGIONS):
        those = range(region, PARTS, REGIONS)
        add = f"cat {' '.join(f'sum.{part:02}' for part in those)} | {ADD} > region.{region}"
        jobs[f"region-{region}"] = {"command": ["sh", "-c", add], "after": [f"sum-{part}" for part in those]}
    regions = [f"region-{region}" for region in range(REGIONS)]
    jobs["merge"] = {"command": ["sh", "-c", f"cat region.* | {ADD} > merged"], "after": regions}
    reverse = dict(reversed(jobs.items()))  # the order of the file says nothing
    run(cluster, job_file(tmp_path / "jobs.toml", {"cwd": str(tmp_path), "cpus": 0.5}, reverse))
    plain = subprocess.run(["sh", "-c", f"cat data | {COUNT} | sort"], cwd=tmp_path, capture_output=True, check=True)
    assert (tmp_path / "merged").read_bytes() == plain.stdout
    assert len(jobs) == 54


POINTS = [(mass, spin) for mass in range(1, 9) for spin in range(1, 7)]
# A point of the sweep: some fail at first, as if a licence was taken, some diverge; each try leaves a line.
POINT = """echo x >> tries.$1.$2; n=$(wc -l < tries.$1.$2)
[ $(( ($1 * $2) % 5 )) -ne 0 ] || [ $n -gt 2 ] || exit 75
[ $(( ($1 + $2) % 7 )) -ne 0 ] || exit 9
echo $(( $1 * $1 + 10 * $2 )) > value.$1.$2
"""
ROW = "cat value.$1.* | awk '{n += $1} END {print n}' > row.$1"
BEST = "cat row.* | sort -n | tail -n 1 > best"
DIVERGED = "ls tries.* | sed s/tries/value/ | while read name; do [ -e $name ] || echo $name; done | sort > diverged"
REPORT = "cat best diverged > report"


@pytest.mark.slow
def test_a_sweep_tries_points_again_by_cause_and_goes_on_without_those_that_diverge(
    cluster: Command, tmp_path: Path
) -> None:
    """59 jobs on four levels: 48 points, a sum for each mass, what is best, what is missing, and a report."""
    by_jobs, by_shell = tmp_path / "by-jobs", tmp_path / "by-shell"
    by_jobs.mkdir()
    by_shell.mkdir()
    jobs: dict[str, dict[str, Any]] = {}
    again = {"retries": 3, "retry_on": ["exit:75", "lost"], "backoff": "1ms"}
    for mass, spin in POINTS:
        jobs[f"point-{mass}-{spin}"] = {"command": ["sh", "-c", POINT, "sh", str(mass), str(spin)], **again}
    for mass in range(1, 9):
        points = [f"point-{mass}-{spin}" for spin in range(1, 7)]
        jobs[f"row-{mass}"] = {"command": ["sh", "-c", ROW, "sh", str(mass)], "after_any": points}
    jobs["best"] = {"command": ["sh", "-c", BEST], "after": [f"row-{mass}" for mass in range(1, 9)]}
    points = [f"point-{mass}-{spin}" for mass, spin in POINTS]
    jobs["diverged"] = {"command": ["sh", "-c", DIVERGED], "after_any": points}
    jobs["report"] = {"command": ["sh", "-c", REPORT], "after": ["best", "diverged"]}
    file = job_file(tmp_path / "sweep.toml", {"cwd": str(by_jobs), "cpus": 0.5}, jobs)
    numbers = cluster.ok("job", "submit", "-q", "--file", str(file)).text.split()
    assert len(numbers) == len(jobs) == 59
    assert cluster("job", "wait", "-q", *numbers, patience=300).code == 9

    for mass, spin in POINTS:
        tried = f"while sh -c '{POINT}' sh {mass} {spin}; [ $? -eq 75 ]; do :; done"
        sh(by_shell, tried)
    for mass in range(1, 9):
        sh(by_shell, ROW.replace("$1.*", f"{mass}.*").replace("row.$1", f"row.{mass}"))
    for last in (BEST, DIVERGED, REPORT):
        sh(by_shell, last)
    made, plain = ({path.name: path.read_text() for path in place.iterdir()} for place in (by_jobs, by_shell))
    assert made == plain
    listed = {job["name"]: job for job in cluster.ok("job", "list", "--json", *numbers).json}
    diverged = {f"point-{mass}-{spin}" for mass, spin in POINTS if (mass + spin) % 7 == 0}
    assert {name for name, job in listed.items() if job["state"] == "failed"} == diverged
    assert {listed[name]["reason"] for name in diverged} == {"exit:9"}
    assert made["diverged"].split() == sorted(name.replace("point-", "value.").replace("-", ".") for name in diverged)


@pytest.mark.extra_workflows
def test_a_program_of_debians_is_built_job_by_job_as_by_make(cluster: Command, tmp_path: Path) -> None:
    """zlib, with its libraries and their examples: what `make -n` says, each command as a job after those that make
    what it names."""
    by_make = debian_source("zlib", tmp_path)
    sh(by_make, "CFLAGS=-O0 ./configure")
    by_jobs = tmp_path / "by-jobs"
    shutil.copytree(by_make, by_jobs)
    jobs = dict(graph(sh(by_jobs, "make -n all")))
    assert len(jobs) >= 50
    (by_jobs / "objs").mkdir()
    run(cluster, job_file(tmp_path / "jobs.toml", {"cwd": str(by_jobs)}, jobs))
    (by_jobs / "objs").rmdir()
    sh(by_make, "make all")
    made = [path.relative_to(by_make) for path in by_make.rglob("*") if path.is_file()]
    assert {"libz.a", "libz.so", "examplesh", "minigzip64"} <= set(map(str, made))
    different = [path for path in made if (by_make / path).read_bytes() != (by_jobs / path).read_bytes()]
    assert different == []
    assert sh(by_jobs, "./example") == sh(by_make, "./example")


def graph(commands: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The jobs for what make would do, by name."""
    makers: dict[str, str] = {}  # by the file that it makes
    for place, line in enumerate(commands.splitlines()):
        if "objs 2>" in line or line == "rmdir objs" or line.startswith("rm "):
            continue
        words = shlex.split(line.strip("(").replace(")", ""))
        made = words[words.index("-o") + 1 if "-o" in words else {"ar": 2, "ranlib": 1}.get(words[0], -1)]
        name = f"{place:02}-{Path(made).name.replace('.', '-')}"
        after = sorted({makers[word] for word in words if word in makers})
        yield name, {"command": ["sh", "-c", line], **({"after": after} if after else {})}
        makers[made] = name


def sh(where: Path, command: str) -> str:
    return subprocess.run(["sh", "-c", command], cwd=where, capture_output=True, text=True, check=True).stdout


def debian_source(package: str, where: Path) -> Path:
    """Its unpacked source, by apt, in a directory of its own; skips where that cannot be had."""
    lists = where / "debian.sources"
    lists.write_text(DEBIAN)
    for directory in ("lists/partial", "cache/archives/partial"):
        (where / "apt" / directory).mkdir(parents=True)
    options = (
        f"Dir::Etc::sourcelist={lists}", "Dir::Etc::sourceparts=-", f"Dir::State::lists={where}/apt/lists",
        f"Dir::Cache={where}/apt/cache", "APT::Sandbox::User=root",
    )  # fmt: skip
    apt = f"apt-get -qq {' '.join(f'-o {option}' for option in options)}"
    try:
        for what in ("update", f"source {package}"):
            subprocess.run(["sh", "-c", f"{apt} {what}"], cwd=where, capture_output=True, check=True, timeout=120)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"no source package {package} by apt-get source here: {error}")
    return next(path for path in where.glob(f"{package}-*") if path.is_dir())

"""What `cluster map` says about the words of a command before it hands anything in."""

from pathlib import Path

import pytest

from cluster.cli.map_words import check_words, remark_on_words
from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.spec import JobSpec

PLAIN = {"file": "in/a-1.txt", "name": "a-1.txt", "stem": "a-1", "ext": "txt"}
ODD = {"file": "in/a$(echo INJECTED).txt", "name": "a$(echo INJECTED).txt", "stem": "a$(echo INJECTED)", "ext": "txt"}
BLANK = {"file": "my in/b.txt", "name": "b.txt", "stem": "b", "ext": "txt"}


@pytest.mark.parametrize("words", ["wc -l", "python3 conv.py", "sh script.sh", "echo ${}"])
def test_a_command_by_which_no_task_sees_its_file_is_refused(words: str) -> None:
    with pytest.raises(InvalidInput, match=r"there is no \{\} in the command, so no task sees its file: … -- .* \{\}$"):
        check_words(JobSpec(tuple(words.split())), words.split(), ())


@pytest.mark.parametrize(
    "spec",
    [
        JobSpec(("wc", "{file}")),
        JobSpec(("make", "{stem}.o")),
        JobSpec(("sh", "-c", "wc *")),
        JobSpec(("env", "bash", "-ec", "wc *")),
        JobSpec(("awk", "BEGIN { print ENVIRON['CLUSTER_COL_FILE'] }")),
        JobSpec(("python3",), script_text=b"import os"),
        JobSpec((), script="worker.sh"),
    ],
    ids=str,
)
def test_one_that_may_see_it_is_not(spec: JobSpec) -> None:
    check_words(spec, spec.argv, ())
    check_words(JobSpec(("./look",)), ("./look",), ("look",))


@pytest.mark.parametrize(
    ("words", "rows", "odd"),
    [
        (("sh", "-c", "cat {file}"), [PLAIN], ""),
        (("sh", "-c", "cat {file}"), [PLAIN, ODD], ODD["file"]),
        (("sh", "-c", "cat {file}"), [PLAIN, BLANK], BLANK["file"]),
        (("/bin/bash", "-e", "-c", "cat {name}"), [BLANK], ""),  # of this name it takes what is plain
        (("env", "X=1", "bash", "-xc", "echo {stem}"), [ODD], ODD["stem"]),
        (("sh", "-c", 'cat "$1"', "sh", "{file}"), [ODD, BLANK], ""),
        (("sh", "script.sh", "{file}"), [ODD], ""),
        (("cat", "{file}"), [ODD], ""),
    ],
)
def test_a_name_that_a_shell_would_run_is_told(
    words: tuple[str, ...], rows: list[dict[str, str]], odd: str, capsys: pytest.CaptureFixture[str]
) -> None:
    remark_on_words(JobSpec(words), rows, ())
    told = capsys.readouterr().err
    assert told.startswith(f"cluster: {odd!r} has characters that a shell takes for its own") if odd else not told
    assert told.count("\n") == bool(odd), "one line, however many names"


def test_a_file_of_ours_that_goes_along_with_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lib").mkdir()
    for name in ("conv.py", "lib/words.txt", "mine.sh", "sort"):
        (tmp_path / name).write_text("x")
    monkeypatch.chdir(tmp_path)

    def told(*words: str, shared: tuple[str, ...] = ()) -> str:
        remark_on_words(JobSpec(words), [PLAIN], shared)
        return capsys.readouterr().err

    for word, words in {"conv.py": ("python3", "conv.py", "{file}"), "./mine.sh": ("./mine.sh", "{file}")}.items():
        said = f"cluster: {word} is a file here, and no task finds it: --upload {word} sends it along\n"
        assert told(*words) == said
    assert "lib/words.txt" in told("grep", "-f", "lib/words.txt", "{file}", shared=("conv.py",))
    assert not told("grep", "-f", "lib/words.txt", "{file}", shared=("lib/",))
    assert not told("python3", "./conv.py", "{file}", shared=(".",))
    assert not told("sort", "{file}"), "the program of that name is meant"
    assert not told("cat", str(tmp_path / "conv.py"), "{file}"), "a path of every machine, perhaps"

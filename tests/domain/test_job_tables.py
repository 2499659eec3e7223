"""Tables of a job file as jobs, and what is wrong with them."""

import tomllib
from typing import Any

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.job_tables import WrongTable, specs_of
from cluster.domain.job.spec import JobSpec


def read(text: str, **files: bytes) -> dict[str, JobSpec]:
    def load(path: str) -> bytes:
        try:
            return files[path]
        except KeyError:
            raise InvalidInput("No such file or directory") from None

    return {spec.name: spec for spec in specs_of(tomllib.loads(text), load)}


def one(options: str, **files: bytes) -> JobSpec:
    return read(f'[jobs.a]\ncommand = "true"\n{options}\n[jobs.other]\ncommand = "true"', **files)["a"]


def test_commands_are_lists_or_what_a_shell_splits() -> None:
    jobs = read("""
        [jobs.list]
        command = ["sh", "-c", "echo 'a b'"]
        [jobs.text]
        command = "make 'a b' all"
        [jobs.script]
        command = "bash -e"
        script = "count.sh"
        script-args = ["10"]
    """)
    assert jobs["list"].argv == ("sh", "-c", "echo 'a b'")
    assert jobs["text"].argv == ("make", "a b", "all")
    assert (jobs["script"].argv, jobs["script"].script, jobs["script"].script_args) == (
        ("bash", "-e"), "count.sh", ("10",),
    )  # fmt: skip


SCRIPT = b"""#!/bin/sh
#CLUSTER --cpus 2 --retries=3 --env A=1 --env B=2 --env HOME
#CLUSTER --name elsewhere --after other --each-line names --exclusive
cat
"""


def test_a_script_gives_options_itself_and_the_file_wins() -> None:
    def load(path: str) -> bytes:
        return {"s.sh": SCRIPT, "names": b"x\ny\n"}[path]

    text = """
        [defaults]
        script-file = "s.sh"
        retries = 5
        [jobs.a]
        [jobs.b]
        cpus = 4
        env = { B = "3" }
        [jobs.other]
        command = "bash -e"
        after = []
    """
    jobs = {spec.name: spec for spec in specs_of(tomllib.loads(text), load, {"HOME": "/me", "B": "9"})}
    a, b = jobs["a"], jobs["b"]
    assert (a.millicpus, a.retries, a.after, a.lines, a.exclusive) == (2000, 5, ("other",), b"x\ny", True)
    assert dict(a.env) == {"A": "1", "B": "2", "HOME": "/me"}
    assert (b.millicpus, b.retries, dict(b.env)) == (4000, 5, {"A": "1", "B": "3", "HOME": "/me"})
    assert (jobs["other"].argv, jobs["other"].after) == (("bash", "-e"), ())
    one = tomllib.loads('[jobs.a]\nscript-file = "s.sh"')
    with pytest.raises(WrongTable, match=r"job a: s\.sh, line 2, column 10: '--cpu' is no option of a job"):
        specs_of(one, lambda _: b"#!/bin/sh\n#CLUSTER --cpu 2\n")
    with pytest.raises(WrongTable, match="job a: --env NO_SUCH: there is no such variable here"):
        specs_of(one, lambda _: b"#CLUSTER --env NO_SUCH\n")


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ("cpus = 0.5", "millicpus", 500),
        ('cpus = "2"', "millicpus", 2000),
        ("timeout = 90", "timeout", 90.0),
        ('timeout = "1h30m"', "timeout", 5400.0),
        ("max-output = 65536", "max_output", 65536),
        ('max_output = "1M"', "max_output", 1 << 20),
        ("merge-output = true", "merge_output", True),
        ("retries = 3", "retries", 3),
        ('after = "other"', "after", ("other",)),
        ('after = ["5", "other"]', "after", ("5", "other")),
        ("after_any = 5", "after_any", ("5",)),
        ('after-fail = "5, 7"', "after_fail", ("5", "7")),
        ('on-dependency-fail = "run"', "on_dependency_fail", "run"),
        ('env = { A = "1", B = "" }', "env", (("A", "1"), ("B", ""))),
        ('each-line = ["a", "b c"]', "lines", b"a\nb c"),
        ('each-line = "inputs"', "lines", b"x\ny"),
        ("at = 2999-01-01T00:00:00Z", "at", "2999-01-01T00:00:00+00:00"),
    ],
)
def test_values_are_what_one_would_type(options: str, field: str, value: Any) -> None:
    assert getattr(one(options, inputs=b"x\ny"), field) == value


def test_numbers_of_an_array_are_text_or_one_number() -> None:
    assert one('array = "1-9:2"').task_count == 5
    assert one("array = 7").array[0].first == 7


def test_several_commands_are_lists_or_texts_and_win_over_a_default() -> None:  # S3.3
    jobs = read("""
        [defaults]
        command = "make"
        [jobs.a]
        commands = ["./configure --prefix='/opt/a b'", ["make"], "make test"]
        [jobs.b]
        commands = ["make install"]
        [jobs.c]
    """)
    assert jobs["a"].argv == ("./configure", "--prefix=/opt/a b")
    assert jobs["a"].then == (("make",), ("make", "test"))
    assert [(jobs[name].argv, jobs[name].then) for name in "bc"] == [(("make", "install"), ()), (("make",), ())]


def test_rows_of_a_file_are_tasks_and_numbers_pick_some_of_them() -> None:
    spec = one('from-csv = "csv"\narray = "2"', csv=b"name,size\na,1\nb,2\n")
    assert (spec.rows, spec.task_count) == (True, 1)
    assert b'"b"' in spec.lines
    assert one('from-json = "json"', json=b'[{"x": 1}, {"x": 2}]').task_count == 2


def test_defaults_are_for_all_and_variables_add_up() -> None:
    jobs = read("""
        [defaults]
        command = "make"
        retries = 2
        env = { A = "all", B = "all" }
        [jobs.a]
        [jobs.b]
        retries = 0
        command = "true"
        env = { B = "b", C = "b" }
    """)
    assert (jobs["a"].argv, jobs["a"].retries, dict(jobs["a"].env)) == (("make",), 2, {"A": "all", "B": "all"})
    assert (jobs["b"].argv, jobs["b"].retries, dict(jobs["b"].env)) == (("true",), 0, {"A": "all", "B": "b", "C": "b"})


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("", (), "it has no jobs: give each a table, as in [jobs.build]"),
        ("[jobs]", ("jobs",), "it has no jobs"),
        ('[[jobs]]\ncommand = "x"', ("jobs",), "it has no jobs: give each a table"),
        ('[job.a]\ncommand = "x"', ("job",), "there is no table 'job'; the nearest is 'jobs'"),
        ("[jobs]\na = 1", ("jobs", "a"), "jobs.a is no table: begin one with [jobs.a]"),
        ("[jobs.a]", ("jobs", "a"), 'job a: it has no command: give one, as in command = ["make", "all"]'),
        ('[jobs.5]\ncommand = "x"', ("jobs", "5"), "job 5: a job cannot be called '5'"),
        ('[jobs.a]\ncommand = "x"\nafer = "b"', ("jobs", "a", "afer"),
         "job a: there is no option 'afer'; the nearest is 'after'"),
        ('[jobs.a]\ncommand = "x"\ncommands = ["x"]', ("jobs", "a", "command"),
         "job a: command and commands exclude each other"),
        ('[jobs.a]\ncommands = "x"', ("jobs", "a", "commands"), "job a: commands = 'x': use a list of commands, as in"),
        ('[jobs.a]\ncommands = ["x", ""]', ("jobs", "a", "commands"), "job a: command 2 is empty"),
        ('[jobs.a]\ncommand = "x"\nname = "b"', ("jobs", "a", "name"),
         "job a: there is no key 'name': a job is called as its table"),
        ("[defaults]\nretries = -1\n[jobs.a]", ("defaults", "retries"), "the defaults: retries = -1: "),
        ('[jobs.a]\ncommand = "x"\ncpus = true', ("jobs", "a", "cpus"), "job a: cpus = true: use one text or number"),
        ('[jobs.a]\ncommand = "x"\ncpus = 0', ("jobs", "a", "cpus"), "job a: cpus = 0: "),
        ('[jobs.a]\ncommand = "x"\ntimeout = "soon"', ("jobs", "a", "timeout"), "job a: timeout = 'soon': "),
        ('[jobs.a]\ncommand = "x"\nmerge-output = "yes"', ("jobs", "a", "merge-output"),
         "job a: merge-output = 'yes': use true or false"),
        ('[jobs.a]\ncommand = "x"\nenv = { PORT = 80 }', ("jobs", "a", "env"),
         "job a: env = {'PORT': 80}: use a table of texts, as in"),
        ('[jobs.a]\ncommand = "x"\neach-line = "gone"', ("jobs", "a", "each-line"),
         "job a: each-line = 'gone': No such file or directory"),
        ("[jobs.a]\ncommand = [1]", ("jobs", "a", "command"), "job a: command = [1]: use a list of texts"),
        ("[jobs.a]\ncommand = \"it's\"", ("jobs", "a", "command"),
         "job a: command = \"it's\": it cannot be split into words as a shell does (No closing quotation): use a list"),
        ('[jobs.a]\ncommand = "x"\nmax-output = 70000\nmax_output = 70000', ("jobs", "a", "max_output"),
         "job a: max-output and max_output are the same option: give it once"),
        ('[jobs.a]\ncommand = "x"\narray = "1-2"\neach-line = ["a"]', ("jobs", "a", "array"),
         "job a: --array 2: there is no"),
        ('[jobs.a]\ncommand = "x"\neach-line = ["a"]\nfrom-csv = "csv"', ("jobs", "a", "each-line"),
         "job a: each-line, from-json"),
        ('[jobs.a]\ncommand = "x"\nno-header = true', ("jobs", "a", "no-header"), "job a: no-header needs from-csv"),
        ('[jobs.a]\ncommand = "x"\nafter-any = "7.3"', ("jobs", "a", "after-any"), "job a: --after-any 7.3: "),
        ('[jobs.a]\ncommand = "x"\nafter = "b"\n[jobs.b]\ncommand = "x"\nafter = "a"', ("jobs", "a", "after"),
         "these jobs wait for each other in a circle: a -> b -> a "),
        ('[jobs.a]\ncommand = "x"\narray = "1-3"\n[jobs.b]\ncommand = "x"\nafter-each = "a"',
         ("jobs", "b", "after-each"), "job a has 3 tasks and job b 1: "),
        ('[jobs.a]\ncommand = "x"\n[jobs.b]\ncommand = "x"\nafter-each = "a"\narray = "1-3"',
         ("jobs", "b", "after-each"), "job a has 1 task and job b 3: "),
        ('[jobs.a]\ncommand = "x"\nafter_any = "a"', ("jobs", "a", "after-any"),
         "these jobs wait for each other in a circle: a -> a "),
        ('[jobs.a]\ncpus = 1\ncommand = "x"\npack = true\nspread = true', ("jobs", "a", "pack"),
         "job a: --spread and --pack"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place_its_value_and_what_to_do(
    text: str, path: tuple[str, ...], words: str
) -> None:
    with pytest.raises(WrongTable) as wrong:
        read(text, csv=b"x\n1\n")
    assert str(wrong.value).startswith(words)
    assert wrong.value.path == path

"""A task for each row of a table, JSON or CSV, and for some of many lines."""

import json
from pathlib import Path

import pytest

from cluster.domain.job.task_variables import OWN_VARIABLES
from tests.acceptance.command import Command

pytestmark = pytest.mark.slow

CSV = b'name,file size\n"a, b",1\nc,2\n\nd,3\n'
JSON = b'[{"name": "a, b", "file size": 1.50},\n {"file size": [2], "name": "c"}]'


def test_each_row_of_csv_is_a_task(cluster: Command, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(CSV)
    script = 'echo "$1|$CLUSTER_COL_NAME|$CLUSTER_COL_FILE_SIZE|$CLUSTER_LINE"'
    done = cluster.ok("run", "-q", "--from-csv", "t.csv", "--", "sh", "-c", script, "sh", "{file size}", cwd=tmp_path)
    assert done.text.splitlines() == [
        '1|a, b|1|{"name":"a, b","file size":"1"}',
        '2|c|2|{"name":"c","file size":"2"}',
        '3|d|3|{"name":"d","file size":"3"}',
    ]
    tasks = cluster.ok("job", "show", "last.2", "--json").json["task_details"]
    assert (tasks[0]["line"], tasks[0]["command"][-1]) == ('{"name":"c","file size":"2"}', "2")
    assert '{"name":"c","file size":"2"}' in cluster.ok("job", "show", "last").text
    numbered = cluster.ok(
        "run", "-q", "--from-csv", "-", "--no-header", "--", "echo", "{1} {0} {}", stdin=b"a,b\nc,d\n"
    )
    assert numbered.text == 'b a ["a","b"]\nd c ["c","d"]\n'


def test_each_object_of_json_is_a_task(cluster: Command) -> None:
    for stdin in (JSON, b'{"name":"a, b","file size":1.50}\n{"name":"c","file size":[2]}\n'):
        done = cluster.ok("run", "-q", "--from-json", "-", "--", "echo", "{name} {file size}", stdin=stdin)
        assert done.text == "a, b 1.50\nc [2]\n"


def test_some_of_many_are_tried_first(cluster: Command, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(CSV)
    done = cluster.ok("run", "-q", "--from-csv", "t.csv", "--array", "3,1", "--", "echo", "{name}", cwd=tmp_path)
    assert done.text == "d\na, b\n"
    show = ["sh", "-c", 'echo "$CLUSTER_TASK $1"', "sh", "{}"]
    done = cluster.ok("run", "-q", "--each-line", "-", "--array", "2-5:2", "--", *show, stdin=b"a\nb\nc\nd\ne\n")
    assert done.text == "2 b\n4 d\n"
    shown = cluster.ok("job", "show", "last", "--json").json
    assert (shown["array"], [(task["task"], task["line"]) for task in shown["task_details"]]) == (
        "2-4:2",
        [(2, "b"), (4, "d")],
    )
    assert cluster.ok("job", "logs", "last.4").text == "4 d\n"


def test_a_script_takes_rows_too_and_its_head_may_name_them(cluster: Command, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_bytes(JSON)
    script = b'#CLUSTER --from-json t.json --array 2\necho "$1 $CLUSTER_TASK $CLUSTER_COL_NAME"\n'
    assert cluster.ok("run", "-q", "-", "{file size}", stdin=script, cwd=tmp_path).text == "[2] 2 c\n"


def test_a_large_value_reaches_its_task_as_a_file(cluster: Command, tmp_path: Path) -> None:
    rows = [{"name": "small", "text": "x"}, {"name": "large", "text": "y" * 300_000}]
    (tmp_path / "t.json").write_text("\n".join(map(json.dumps, rows)))
    program = (
        "import json, os, sys\n"
        "file = os.environ.get('CLUSTER_LINE_FILE')\n"
        "row = json.load(open(file)) if file else json.loads(os.environ['CLUSTER_LINE'])\n"
        "print(sys.argv[1], len(row['text']), bool(file), 'CLUSTER_COL_TEXT' in os.environ)\n"
    )
    done = cluster.ok("run", "-q", "--from-json", "t.json", "--", "python3", "-c", program, "{name}", cwd=tmp_path)
    assert done.text == "small 1 False True\nlarge 300000 True False\n"
    (task,) = cluster.ok("job", "show", "last.2", "--json").json["task_details"]
    assert len(task["line"]) == 128 * 1024, "its beginning"
    refused = cluster("run", "--from-json", "t.json", "--", "echo", "{text}", cwd=tmp_path)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "row 2: word 2 of the command has 300000 bytes with it" in refused.err


def test_a_task_finds_the_variables_that_the_documentation_tells_of(cluster: Command) -> None:  # docs/jobs.md
    options = ["--name", "told", "--cpus", "0.5", "--array", "3,1", "--env", "OTHER=1"]
    rows = json.dumps({"a b": "x"}) + "\n\n" + json.dumps({"a b": "y"}) + json.dumps({"a b": "z" * 200_000})
    done = cluster.ok("run", "-q", "--from-json", "-", *options, "--", "env", stdin=rows.encode())
    found = {line.partition("=")[0] for line in done.text.splitlines() if line.startswith("CLUSTER_")}
    assert found == OWN_VARIABLES | {"CLUSTER_COL_A_B"}
    expected = {"JOB_NAME": "told", "CPUS": "0.5", "TASK_COUNT": "2", "TASK_MIN": "1", "TASK_MAX": "3", "TASK": "1"}
    told = cluster.ok("job", "logs", "told.1").text.splitlines()
    assert {f"CLUSTER_{name}={value}" for name, value in expected.items()} <= set(told)
    version = cluster.ok(
        "run", "--from-json", "-", "--", "sh", "-c", "cluster version", "sh", "{hom}", stdin=b'{"hom":1}'
    )
    assert version.err == "", "the program that it calls takes none of them for a slip"

"""Scripts that travel with their job: on stdin, from a file, and the options in their heads."""

from pathlib import Path

import pytest

from tests.acceptance.command import Command

pytestmark = pytest.mark.slow

COUNT = b"""#!/bin/bash
#CLUSTER --name counting --env WHO=head --env GREETING=hello
#CLUSTER --array 1-2 --cpus 0.5
echo "$GREETING $WHO $CLUSTER_TASK $BASH_VERSINFO" "$@"
exit $CLUSTER_TASK
"""


def test_a_script_on_stdin_is_run_by_its_first_line_with_its_arguments(cluster: Command) -> None:
    done = cluster("run", "--quiet", "-", "a b", "c", stdin=COUNT)
    assert (done.code, [line.split()[:3] for line in done.text.splitlines()]) == (
        2,
        [["hello", "head", n] for n in "12"],
    )
    assert done.text.splitlines()[0].endswith(" a b c")
    shown = cluster.ok("job", "show", "counting", "--json").json
    assert (shown["cpus"], shown["array"], shown["script_file"]) == (0.5, "1-2", COUNT.decode())
    assert shown["task_details"][0]["command"] == ["-", "a b", "c"]
    assert "script_file" not in cluster.ok("job", "list", "counting", "--json").json[0]
    assert "- 'a b' c" in cluster.ok("job", "list", "counting").text
    assert "script file   5 lines, " in cluster.ok("job", "show", "counting").text


def test_what_is_typed_wins_and_variables_come_together(cluster: Command, tmp_path: Path) -> None:
    (tmp_path / "count.sh").write_bytes(COUNT)
    options = ["--script-file", "count.sh", "--array", "0", "--env", "WHO=typed"]
    done = cluster.ok("run", "--quiet", *options, "x", cwd=tmp_path)
    assert done.text.startswith("hello typed 0 ")
    done = cluster.ok("run", "-q", "--array", "0", "-", stdin=COUNT, env={"CLUSTER_RUN_NAME": "by-variable"})
    assert cluster.ok("job", "show", "last", "--json").json["name"] == "by-variable"
    done = cluster("run", "-q", "--with", "cat", "--script-file", "count.sh", cwd=tmp_path)
    assert done.out == COUNT * 2


def test_without_a_first_line_the_shell_runs_it_and_its_directory_is_private(cluster: Command) -> None:
    done = cluster.ok("run", "-", stdin=b'stat -c "%a" "$0" "${0%/*}"; echo "$0"; pwd')
    modes, (script, cwd) = done.text.split()[:2], done.text.split()[2:]
    assert modes == ["700", "700"]
    assert script.endswith(".1/.script")
    assert not Path(script).parent.exists()
    assert cwd == str(Path.cwd())


def test_what_the_first_line_names_must_be_there(cluster: Command) -> None:
    done = cluster("run", "-", stdin=b"#!/no/such/interpreter -x\n")
    assert done.code == 127
    assert "cannot start '/no/such/interpreter': no such file" in done.err

"""Files that attempts are given: what came with their job, and lines that are too long for an argument."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cluster.domain.job.exec_limits import MAX_STRING
from cluster.domain.job.given_files import packed
from cluster.domain.launcher.template import Item
from tests.integration.launchers import Lab, one, run

pytestmark = pytest.mark.slow

AS_NOBODY = [{}, {"uid": 65534, "gid": 65534}]


@pytest.fixture
def lab() -> Iterator[Lab]:
    with TemporaryDirectory() as directory:  # others go through it, and pytest's own is closed to them
        Path(directory).chmod(0o755)
        yield Lab(Path(directory))


@pytest.mark.parametrize("user", AS_NOBODY)
@pytest.mark.parametrize("fresh", [True, False])
def test_a_script_is_a_file_of_the_attempts_own(lab: Lab, user: dict[str, int], fresh: bool) -> None:
    if user and os.getuid() != 0:
        pytest.skip("only root can run a command as somebody else")
    script = 'stat -c "%a %u" "$0" "${0%/*}"\necho "$0" "$@"\npwd\nls -A "${0%/*}"\n'
    where = {"fresh_cwd": True} if fresh else {"cwd": "/"}

    async def main() -> None:
        async with lab.agent() as agent:
            given = str(lab.root / "given")
            template = lab.template("sh", "", "a b", **where, **user, given=given, script=script, script_at=1)
            for key in ("1.0#1", "1.1#1"):
                assert (await agent.end_of(one(agent, template, key))).reason == "ok"
            stem = f"{lab.root if fresh else given}/1.1"
            owner = user.get("uid", os.getuid())
            assert lab.output("1.1").splitlines() == [
                *(f"700 {owner}",) * 2,
                f"{stem}/.script a b",
                stem if fresh else "/",
                ".script",
            ]
            assert list(lab.root.glob("**/.script")) == []
            assert list(lab.root.glob("**/1.1")) == [], "an empty directory goes with its files"

    run(main())


def test_a_script_may_remove_itself_and_leave_others(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            script = 'rm "$0"; echo mine > kept; mkdir "$0"\n'
            template = lab.template("sh", "", fresh_cwd=True, given=str(lab.root), script=script, script_at=1)
            assert (await agent.end_of(one(agent, template))).reason == "ok"
            assert (lab.root / "0.1" / "kept").read_text() == "mine\n"

    run(main())


def test_a_line_that_is_too_long_for_a_variable_is_a_file(lab: Lab) -> None:
    script = 'echo "${CLUSTER_LINE-none} $1"; test -z "$CLUSTER_LINE_FILE" || wc -c < "$CLUSTER_LINE_FILE"'
    longest = MAX_STRING - len("CLUSTER_LINE=")

    async def main() -> None:
        async with lab.agent(1000) as agent:
            template = lab.template("sh", "-c", script, "sh", "<>", given=str(lab.root / "given"))
            items = [Item("1.0#1", 1, "a"), Item("1.1#1", 2, "ä" * 65_530), Item("1.2#1", 3, "x" * longest)]
            agent.client.start(agent.client.define(template), items)
            await agent.until(lambda: len(agent.ends()) == 3)
            assert lab.output("0.1") == "a <>\n"
            assert lab.output("1.1") == "none <>\n131060\n"
            assert lab.output("2.1") == f"{'x' * longest} <>\n"
            assert list((lab.root / "given").iterdir()) == []

    run(main())


def test_a_row_is_put_into_words_and_variables(lab: Lab) -> None:
    script = 'echo "$1 $CLUSTER_COL_SIZE"; env | grep -c ^CLUSTER_COL_; echo "$CLUSTER_LINE" | wc -c'
    large = "x" * MAX_STRING

    async def main() -> None:
        async with lab.agent(1000) as agent:
            template = lab.template(
                "sh", "-c", script, "{size}", "<{name} {}>", given=str(lab.root / "given"), rows=True
            )
            rows = ['{"name":"a b","size":1.50}', '{"size":[1],"name":"{size}"}', '["x"]', "no row"]
            rows.append(f'{{"name":"y","size":2,"more":"{large}"}}')
            keys = [f"1.{index}#1" for index in range(len(rows))]
            items = [Item(key, place, row) for place, (key, row) in enumerate(zip(keys, rows, strict=True), start=1)]
            plain = lab.template("echo", "{name}")
            agent.client.start(agent.client.define(template), items)
            agent.client.start(agent.client.define(plain), [Item("2.0#1", 1, rows[0])])
            await agent.until(lambda: len(agent.ends()) == len(items) + 1)
            assert lab.output("0.1") == f"<a b {rows[0]}> 1.50\n2\n{len(rows[0]) + 1}\n"
            assert lab.output("1.1") == f"<{{size}} {rows[1]}> [1]\n2\n{len(rows[1]) + 1}\n"
            assert lab.output("2.1") == '<{name} ["x"]> \n1\n6\n'
            assert (
                agent.ends()[keys[3]].text
                == "cannot start 'sh': its row is no JSON object: column 1: here begins no object"
            )
            assert agent.ends()[keys[4]].reason == "launch_failed", "with {} it is longer than a word may be"

    run(main())


def test_what_of_a_row_is_too_long_for_a_variable_is_in_the_file_alone(lab: Lab) -> None:
    script = 'echo "$1 ${CLUSTER_COL_MORE-none} ${CLUSTER_LINE-none}"; cmp "$CLUSTER_LINE_FILE" "$2"'
    row = f'{{"name":"y","more":"{"x" * MAX_STRING}"}}'
    (lab.root / "row").write_text(row)

    async def main() -> None:
        async with lab.agent(1000) as agent:
            template = lab.template(
                "sh", "-c", script, "sh", "{name}", str(lab.root / "row"), fresh_cwd=True, rows=True
            )
            end = await agent.end_of(one(agent, template, "1.1#1", number=1, line=row))
            assert (end.reason, lab.output("1.1")) == ("ok", "y none none\n")

    run(main())


def test_what_cannot_be_written_says_so(lab: Lab) -> None:
    (lab.root / "given").write_text("no directory")

    async def main() -> None:
        async with lab.agent() as agent:
            template = lab.template("sh", "", given=str(lab.root / "given"), script="true\n", script_at=1)
            end = await agent.end_of(one(agent, template))
            assert end.reason == "launch_failed"
            assert end.text == f"cannot make the working directory '{lab.root}/given/0.1': Not a directory"

    run(main())


@pytest.mark.parametrize("user", AS_NOBODY)
def test_files_of_a_job_are_where_it_runs_and_go_with_it(lab: Lab, user: dict[str, int]) -> None:
    if user and os.getuid() != 0:
        pytest.skip("only root can run a command as somebody else")
    content = bytes(range(256))
    files = (packed("data.bin", content), packed("é b", b"text\n"))
    script = "cat data.bin 'é b' .script > ../seen; ls -A; test -O data.bin"

    async def main() -> None:
        async with lab.agent() as agent:
            os.chmod(lab.root, 0o777)
            template = lab.template("sh", "", fresh_cwd=True, **user, given=str(lab.root), script=script, script_at=1)
            template = replace(template, files=files)
            for key in ("1.0#1", "1.1#1"):
                assert (await agent.end_of(one(agent, template, key))).reason == "ok"
            assert lab.output("1.1").splitlines() == [".script", "data.bin", "é b"]
            assert (lab.root / "seen").read_bytes() == content + b"text\n" + script.encode()
            assert list(lab.root.glob("**/1.1")) == [], "an empty directory goes with its files"

    run(main())

"""One option, one line: each field of a job's spec is an option by one name everywhere, and goes every way by itself.

Whoever adds an option adds its field, its line in `job.proto` and what acts on it; where one of these is missing, a
test here says which. The last test adds a made-up one to a copy of the program.
"""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from cluster.cli import submit
from cluster.cli.grouped_help import GROUPS
from cluster.cli.main import run
from cluster.cli.mapping import map_command
from cluster.cli.render import job_json, options_shown
from cluster.client.handy_specs import spec_of
from cluster.client.messages import job_of
from cluster.domain.base.errors import InvalidInput
from cluster.domain.job import check_options, file_kinds, kinds, result_options, retry_kinds, time_kinds, upload_options
from cluster.domain.job.command_kinds import COMMANDS
from cluster.domain.job.given_files import FILES, packed
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.options import Option, Scope, Shown
from cluster.domain.job.spec import (
    OPTIONS,
    JobSpec,
    for_launcher,
    refuse_what_needs_a_scheduler,
    validate,
)
from cluster.domain.job.spec_making import with_fields
from cluster.domain.launcher.template import Template
from cluster.domain.session.spec_memory import weigh
from cluster.rpc.specs import spec_from_proto, spec_to_proto
from cluster.store.packing import pack_apart, pack_spec, unpack_spec
from cluster.v1 import job_pb2
from tests.contract.program_copy import ProgramCopy

# Another value than the default, of each kind; and as a line of the command line.
VALUES: dict[kinds.OptionKind, Any] = {
    kinds.ARRAY: (ArraySegment(1, 9, 2),),
    retry_kinds.CAUSES: ("exit:75", "lost"),
    kinds.CHOICE: "run",
    kinds.COUNT: 3,
    kinds.CPUS: 2500,
    kinds.DURATION: 90.0,
    kinds.JOBS: ("5", "sweep"),
    kinds.LIMIT: 90.0,
    kinds.LINES: b"a\nb",
    check_options.CHECK: "regex:x",
    kinds.EXPRESSION: "mem >= 64G",
    result_options.PATTERNS: ("out/*", "**/*.log"),
    kinds.RESOURCES: ("fpga=1", "licence=4"),
    kinds.MOST: 5,
    kinds.PRIORITY: -7,
    file_kinds.SCRIPT: b"#!/bin/sh\necho \xe9\n",
    retry_kinds.GROWTH: "mem=2x,max=64G",
    retry_kinds.PAUSES: (2.0, 300.0),
    kinds.SIZE: 1 << 20,
    upload_options.DIGEST: "0123456789abcdef" * 4,
    kinds.SWITCH: True,
    time_kinds.CRON: "0 6 * * mon-fri@Europe/Berlin",
    time_kinds.DEADLINE: "2h",
    time_kinds.TIME: "2199-01-01T06:00:00Z",
    kinds.TEXT: "x",
    kinds.VARIABLES: (("A", "1"),),
    kinds.WORDS: ("x", "y"),
    COMMANDS: (("x", "y"), ("z",)),
    FILES: (packed("data.csv", b"a\0\xff"),),
}
FLAGGED = [option for option in OPTIONS if option.flag]


def name_of(option: Option) -> str:
    return option.field


def value_of(option: Option) -> Any:
    return "/x" if option.field == "cwd" else VALUES[option.kind]


def spec_with(option: Option) -> JobSpec:
    values: dict[str, Any] = {"argv": ("true",), option.field: value_of(option)}
    return JobSpec(**values)


def command() -> click.Command:
    return submit.run


def made_by(arguments: list[str]) -> JobSpec:
    """By the command line."""
    context = command().make_context("run", [*arguments, "--", "true"], auto_envvar_prefix="CLUSTER_RUN", obj={})
    return submit.spec_of({name: value for name, value in context.params.items() if name != "quiet"})


def test_every_field_is_an_option() -> None:
    without = {field.name for field in fields(JobSpec) if field.init} - {option.field for option in OPTIONS}
    assert not without, f"fields of JobSpec without an option: {without}; make them by option(…) of domain/job/options"


def test_a_script_without_a_command_comes_back_from_disk() -> None:
    spec = JobSpec((), script_text=b"#!/bin/sh\necho hi\n")
    assert unpack_spec(pack_spec(spec), pack_apart(spec)) == spec


@pytest.mark.parametrize("option", OPTIONS, ids=name_of)
def test_names_are_equal(option: Option) -> None:
    """Of field, message, flag and JSON: the same, or a name that the option says itself."""
    assert option.field in job_pb2.JobSpec.DESCRIPTOR.fields_by_name, (
        f"JobSpec in protos/cluster/v1/job.proto has no {option.field}: add `TYPE {option.field} = NUMBER;` and make "
        "cluster/v1 anew by `python3 build.py protos`"
    )
    if option.flag:
        assert option.help, f"{option.field} has no help: its option's second argument"
        parameter = next(each for each in command().params if each.name == option.name)
        assert option.flag in parameter.opts
        assert option.flag == f"--{option.name.replace('_', '-')}"


def test_every_field_of_the_message_is_an_option() -> None:
    known = {option.field for option in OPTIONS} | {"raw"}  # which is another form of texts
    extra = set(job_pb2.JobSpec.DESCRIPTOR.fields_by_name) - known
    assert not extra, f"JobSpec in job.proto has {extra}, which cluster/domain/job/spec.py has not"


@pytest.mark.parametrize("option", OPTIONS, ids=name_of)
def test_each_goes_over_the_wire_and_to_disk(option: Option) -> None:
    spec = spec_with(option)
    assert spec_from_proto(job_pb2.JobSpec.FromString(spec_to_proto(spec).SerializeToString())) == spec
    assert unpack_spec(pack_spec(spec), pack_apart(spec), spec.lines) == spec


def test_a_script_without_words_goes_to_disk() -> None:
    spec = JobSpec((), script_text=b"#!/bin/sh\n")
    assert unpack_spec(pack_spec(spec), pack_apart(spec)) == spec


def test_what_is_given_is_what_differs_from_the_defaults() -> None:
    spec = JobSpec(("true",), retries=2, after=("5",))
    assert [each.field for each in spec.given] == ["argv", "after", "retries"]
    assert [each.field for each in with_fields(spec, {"after": (), "millicpus": 500}).given] == [
        "argv",
        "millicpus",
        "retries",
    ]


def test_who_reads_a_message_elsewhere_finds_the_defaults_in_it() -> None:
    message = spec_to_proto(JobSpec(("true",)))
    for option in OPTIONS:
        if option.default and not isinstance(option.default, tuple):
            assert getattr(message, option.field) == option.default, f"{option.field} is not said"
        if message.DESCRIPTOR.fields_by_name[option.field].has_presence:
            assert message.HasField(option.field), f"{option.field} is not said"


@pytest.mark.parametrize("option", FLAGGED, ids=name_of)
def test_each_is_typed(option: Option, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_with(option)
    typed = {kinds.VARIABLES: "A=1", kinds.SWITCH: "1"}
    if option.kind.reads_file:
        typed[option.kind] = str(tmp_path / "file")
        (tmp_path / "file").write_bytes(value_of(option) + (b"\n" if option.kind is kinds.LINES else b""))
    text = typed.get(option.kind) or option.kind.typed(value_of(option))
    if option.field in ("script", "script_text"):
        name = "file" if option.field == "script_text" else ""
        spec = replace(spec, argv=(), script_args=("true",), script_name=name)
    assert made_by([option.flag] if option.kind is kinds.SWITCH else [option.flag, text]) == spec
    monkeypatch.setenv(f"CLUSTER_RUN_{option.name.upper()}", text)
    assert made_by([]) == spec


def test_what_is_not_given_is_the_default() -> None:
    assert made_by([]) == JobSpec(("true",)) == spec_of(["true"]) == spec_from_proto(job_pb2.JobSpec(argv=["true"]))


@pytest.mark.parametrize("option", FLAGGED, ids=name_of)
def test_each_is_taken_from_python(option: Option) -> None:
    value = value_of(option)
    handy = {kinds.CPUS: 2.5, kinds.ARRAY: "1-9:2", kinds.VARIABLES: {"A": "1"}, kinds.LINES: ["a", "b"]}
    assert spec_of(["true"], **{option.name: handy.get(option.kind, value)}) == spec_with(option)
    assert spec_of(["true"], **{option.field: value}) == spec_with(option)
    with pytest.raises(InvalidInput, match=rf"{option.name}=<object object at .*: give"):
        spec_of(["true"], **{option.name: object()})


def test_a_program_with_no_lines_hears_that_there_is_nothing_to_run() -> None:
    """It was given one task, with {} as it stands."""
    with pytest.raises(InvalidInput, match="there is nothing to run"):
        spec_of(["echo", "{}"], each_line=[])


@pytest.mark.parametrize("option", OPTIONS, ids=name_of)
def test_each_is_told(option: Option) -> None:
    """In JSON under its name; lists leave out what is large, and nobody tells lines."""
    spec = spec_with(option)
    job = job_of(job_pb2.Job(number=1, spec=spec_to_proto(spec), state=job_pb2.TASK_STATE_READY))
    in_lists, whole = job_json(job), job_json(job, whole=True)
    assert (option.name in in_lists) is option.kind.is_listed
    assert (option.name in whole) is option.kind.is_told
    if option.name in whole:
        assert json.loads(json.dumps(whole[option.name])) == option.kind.told(value_of(option))
    told = dict(options_shown(spec))
    if option.shown is not Shown.ELSEWHERE and option.kind.shown(value_of(option)):
        assert told[option.words] == option.kind.shown(value_of(option))
    assert dict(options_shown(JobSpec(("true",)))) == {"cpus": "1"}, "only what is not as usual"


def test_lists_leave_out_what_may_be_megabytes() -> None:
    assert [option.name for option in OPTIONS if not option.kind.is_listed] == [
        "env",
        "script_file",
        "files",
        "each_line",
    ]


@pytest.mark.parametrize("option", OPTIONS, ids=name_of)
def test_each_says_who_acts(option: Option) -> None:
    """A worker alone refuses what it cannot act on; what is the launcher's is a field of its template."""
    spec = spec_with(option)
    if option.scope is Scope.SCHEDULER:
        assert option.alone.startswith("needs a scheduler"), f"{option.field}: say in `alone` why"
    if option.alone:
        with pytest.raises(InvalidInput, match=f"^{option.flag}.*{option.alone}"):
            refuse_what_needs_a_scheduler(spec)
    else:
        refuse_what_needs_a_scheduler(spec)
    if Scope.LAUNCHER in option.scope:
        assert option.field in Template.__slots__, f"domain/launcher/template.py: Template has no {option.field}"
        assert for_launcher(spec)[option.field] == value_of(option)


@pytest.mark.parametrize("option", OPTIONS, ids=name_of)
def test_each_text_counts_and_has_no_nul(option: Option) -> None:
    spec, usual = spec_with(option), JobSpec(("true",))
    texts = tuple(option.kind.texts(value_of(option)))
    assert weigh(spec) - weigh(usual) >= sum(map(len, texts)) - (len("true") if option.field == "argv" else 0)
    if option.kind is kinds.TEXT:
        values: dict[str, Any] = {option.field: "/a\0"}
        with pytest.raises(InvalidInput, match="NUL"):
            validate(replace(usual, **values))


FIELD = """    niceness: int = option(COUNT, "Run it so nicely.", default=0, bounds=(0, 19), scope=Scope.LAUNCHER)
    after_hours: float = option(
        LIMIT, "Wait so long.", default=0.0, bounds=(0, 9), scope=Scope.SCHEDULER, alone="needs a scheduler: it is day"
    )
"""
# Two lines of JobSpec in job.proto, as protoc compiles them; and the field of the template that the launcher acts on.
LINES_OF_PROTO = {"niceness": 13, "after_hours": 1}  # uint32, double: numbers of FieldDescriptorProto.Type
OF_TEMPLATE = "    niceness: int = 0\n"

USE = """
import json
from cluster.cli.render import job_json, options_shown
from cluster.client.handy_specs import spec_of
from cluster.client.messages import job_of
from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.spec import for_launcher, refuse_what_needs_a_scheduler, validate
from cluster.domain.launcher.template import Template
from cluster.launcher.wire import decode_template, encode_template
from cluster.rpc.specs import spec_from_proto, spec_to_proto
from cluster.store.packing import pack_apart, pack_spec, unpack_spec
from cluster.v1 import job_pb2
from cluster.cli import submit
from cluster.cli.main import run

def wrong(call, spec):
    try:
        call(spec)
    except InvalidInput as error:
        return str(error)

arguments = ["--niceness", "7", "--after-hours", "5s", "--", "true"]
context = submit.run.make_context("run", arguments, auto_envvar_prefix="CLUSTER_RUN", obj={})
spec = submit.spec_of({name: value for name, value in context.params.items() if name != "quiet"})
wire = job_pb2.JobSpec.FromString(spec_to_proto(spec).SerializeToString())
template = Template(("true",), (), "/tmp", **for_launcher(spec))
print(json.dumps({
    "python": spec == spec_of(["true"], niceness=7, after_hours=5),
    "wire": wire.niceness == 7 and wire.after_hours == 5 and spec_from_proto(wire) == spec,
    "store": unpack_spec(pack_spec(spec), b"") == spec,
    "json": {k: v for k, v in job_json(job_of(job_pb2.Job(number=1, spec=wire, state=2))).items()
             if k in ("niceness", "after_hours")},
    "show": dict(options_shown(spec)),
    "launcher": decode_template(json.loads(json.dumps(encode_template(template)))).niceness,
    "alone": wrong(refuse_what_needs_a_scheduler, spec),
    "refused": wrong(validate, spec_of(["true"], niceness=20)),
}))
"""


@pytest.mark.slow
def test_a_new_option_is_its_field_and_its_line(tmp_path: Path) -> None:
    copy = ProgramCopy(tmp_path)
    copy.insert(
        "domain/job/spec.py",
        "\nfrom cluster.domain.job.lines import",
        "\nfrom cluster.domain.job.kinds import COUNT, LIMIT",
    )
    copy.insert("domain/job/spec.py", "\n    numbering: Numbering", FIELD)
    copy.insert("domain/launcher/template.py", "\n\nclass Item(", OF_TEMPLATE)
    copy.change_job_proto(add_lines)
    assert copy.run(USE) == {
        "python": True,
        "wire": True,
        "store": True,
        "json": {"niceness": 7, "after_hours": 5.0},
        "show": {"cpus": "1", "niceness": "7", "after hours": "5.0s"},
        "launcher": 7,
        "alone": "--after-hours 5 needs a scheduler: it is day",
        "refused": "--niceness 20: use 0 to 19",
    }


def add_lines(file: FileDescriptorProto) -> None:
    (message,) = [each for each in file.message_type if each.name == "JobSpec"]
    for name, kind in LINES_OF_PROTO.items():
        number = max(field.number for field in message.field) + 1
        message.field.add(name=name, number=number, type=kind, label=1)


def test_an_error_of_an_expression_is_pointed_at(capsys: pytest.CaptureFixture[str]) -> None:
    for before in (4, 80):
        text = " " * before + 'zone = "a"'
        assert run(["job", "submit", "--need", text, "--", "true"]) == 2
        first, shown, caret = capsys.readouterr().err.splitlines()
        assert f"'--need': column {before + 6}: use == to compare" in first
        assert shown[caret.index("^")] == "="
        assert len(shown) < 80


def test_every_option_of_what_makes_jobs_is_in_one_group_of_the_help() -> None:
    commands = {"run": submit.run, "job submit": submit.submit, "map": map_command}
    grouped = [name for names in GROUPS.values() for name in names]
    assert len(grouped) == len(set(grouped))
    there = set()
    for words, command in commands.items():
        ctx = click.Context(command, info_name=words)
        shown = {p.name for p in command.get_params(ctx) if isinstance(p, click.Option) and not p.hidden}
        there |= shown
        told = command.get_help(ctx)
        assert [group for group in GROUPS if f"{group}:\n" in told] == [
            group for group, names in GROUPS.items() if shown & set(names)
        ]
    assert there == set(grouped)

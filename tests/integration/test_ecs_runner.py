"""Attempts as tasks of ECS: moto's server answers as AWS does, and the tests' own processes are its containers."""

import asyncio
import threading
from pathlib import Path

import pytest

from cluster.domain.base.errors import ClusterError
from cluster.domain.base.ids import AttemptKey
from cluster.domain.job import endings
from cluster.domain.launcher.messages import Started
from cluster.domain.launcher.sightings import Sight, Sighting
from cluster.domain.session.elsewhere import OWNER, KnownElsewhere
from cluster.domain.worker.engine_orders import OWNER_LENGTH, ContainerOrder
from cluster.worker.runners import ECS, ecs, engine_containers, engine_of
from cluster.worker.runners.ecs import EcsEngine
from cluster.worker.runners.engine import EngineFull
from tests.engines.aws import Aws, aws  # noqa: F401 (a fixture)
from tests.engines.engine_agent import EngineAgent, run
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow


def test_codes_output_and_variables_are_the_commands_own(aws: Aws, tmp_path: Path) -> None:  # noqa: F811
    # S3.5, S3.9, S3.11
    engine = aws.engine()

    async def case(agent: EngineAgent) -> None:
        agent.start(agent.template("echo $WORD $CLUSTER_TASK; echo wrong >&2; exit 7"), "5.1#1")
        agent.start(agent.template("kill -9 $$"), "6.0#2")
        agent.start(agent.template("true", upload="ab" * 32), "7.0#1")
        failed = await agent.end_of("5.1#1")
        assert (failed.reason, failed.code) == ("exit:7", 7)
        text = (tmp_path / "out" / "1.1.out").read_text()
        assert text == "said 1\nwrong\n"
        assert (failed.out, failed.err) == (len(text), 0)
        killed = await agent.end_of("6.0#2")
        assert (killed.reason, killed.code, killed.signal) == ("signal:SIGKILL", None, "SIGKILL")
        (name,) = {name for name in aws.made() if name.endswith("-5-1-1")}
        assert engine.external_id.endswith(":cluster/jobs")
        known = KnownElsewhere(reference=engine.reference.replace(OWNER, agent.runner.hello.incarnation[:OWNER_LENGTH]))
        assert known.reference_of(AttemptKey(5, 1, 1)) == f"jobs/{name}"
        refused = await agent.end_of("7.0#1")
        assert refused.reason == endings.LAUNCH_FAILED
        assert refused.text.endswith("runs a command of the image, and has nothing for: --upload")

    run(engine, tmp_path, case)


def test_what_is_stopped_or_takes_too_long_ends_so(aws: Aws, tmp_path: Path) -> None:  # noqa: F811
    async def case(agent: EngineAgent) -> None:
        agent.start(agent.template("trap 'echo asked; exit 3' TERM; echo ready; sleep 1000 & wait"), "5.0#1")
        agent.start(agent.template("sleep 1000", timeout=0.2), "6.1#1")
        await agent.until(Started, "5.0#1")
        file, empty = (tmp_path / "out" / name for name in ("0.1.out", "1.1.out"))
        assert file.exists(), "whoever hears that it runs may follow it"
        while not file.stat().st_size:  # noqa: ASYNC110 (nobody tells of a file)
            await asyncio.sleep(0.01)
        agent.runner.stop(["5.0#1"])
        stopped = await agent.end_of("5.0#1")
        assert (stopped.reason, stopped.code, stopped.signal) == (endings.CANCELLED, 3, "SIGTERM")
        assert file.read_text() == "ready\nasked\n"
        late = await agent.end_of("6.1#1")
        assert (late.reason, late.signal) == (endings.TIMEOUT, "SIGTERM")
        assert not empty.exists(), "as after any launcher"

    run(aws.engine(), tmp_path, case)


def test_an_image_that_cannot_be_pulled_is_told(aws: Aws, tmp_path: Path) -> None:  # noqa: F811
    async def case(agent: EngineAgent) -> None:
        agent.start(agent.template("true"), "5.0#1")
        end = await agent.end_of("5.0#1")
        assert end.reason == endings.LAUNCH_FAILED
        assert end.text.startswith("its image cannot be pulled: CannotPullContainerError")

    run(aws.engine(task_definition="missing"), tmp_path, case)


def test_who_comes_after_a_crash_goes_on_with_what_runs_and_starts_nothing_twice(
    aws: Aws,  # noqa: F811
    tmp_path: Path,
) -> None:
    async def case(agent: EngineAgent) -> None:
        go = tmp_path / "go"
        keys = [f"8.{index}#1" for index in range(4)]
        agent.start(agent.template(f"echo a; until test -e {go}; do sleep 0.05; done; echo b; exit 4"), *keys)
        before = await agent.until(Started, *keys)
        assert len(before) == len(keys)
        await agent.runner.close()  # as a crash: nothing is told, and nothing stopped
        agent.reports.clear()
        again = await agent.begin()
        assert sorted(again.hello.running) == keys
        assert again.hello.unacked == len(keys)
        agent.start(agent.template("echo never"), *keys)  # said twice
        go.touch()
        for index, key in enumerate(keys):
            assert (await agent.end_of(key)).reason == "exit:4"
            assert (tmp_path / "out" / f"{index}.1.out").read_text() == "a\nb\n"
        made = [name for name in aws.made() if "-8-" in name]
        assert len(made) == len(set(made)) == len(keys)

    run(aws.engine(), tmp_path, case)


def test_what_was_ordered_without_an_answer_is_found_before_it_is_given_back(
    aws: Aws,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, lost = aws.engine(), threading.Event()
    make = engine.make

    def without_answer(order: ContainerOrder) -> Sighting:
        make(order)
        lost.set()
        raise EngineFull("it does not answer")

    async def case(agent: EngineAgent) -> None:
        agent.start(agent.template("exec sleep 1000"), "9.0#1")
        assert await asyncio.to_thread(lost.wait, PATIENCE)
        agent.runner.stop(["9.0#1"])
        end = await agent.end_of("9.0#1")
        assert (end.reason, end.signal) == (endings.CANCELLED, "SIGTERM"), "it ran, and was stopped"

    monkeypatch.setattr(engine, "make", without_answer)
    monkeypatch.setattr(engine_containers, "PAUSE", 0.05)
    run(engine, tmp_path, case)


def test_what_was_given_back_and_comes_again_is_not_forgotten_with_what_it_was(
    aws: Aws,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, calls, go = aws.engine(), list[str](), threading.Event()
    make = engine.make

    def makes(order: ContainerOrder) -> Sighting:
        calls.append("make")
        if len(calls) == 1:
            return Sighting(order.name, Sight.UNMADE, "arn:of:another", returned=True, text="there was no room")
        return make(order)

    def forgets(name: str, reference: str) -> None:
        calls.append("forget")
        assert go.wait(PATIENCE)
        calls.append("forgotten")

    async def case(agent: EngineAgent) -> None:
        template = agent.template("true")
        agent.start(template, "13.0#1")
        assert (await agent.end_of("13.0#1")).reason == endings.RETURNED
        agent.runner.ack(agent.reports[-1].seq)
        agent.reports.clear()
        while "forget" not in calls:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        agent.start(template, "13.0#1")
        await asyncio.to_thread((tmp_path / "out").exists)
        go.set()
        assert (await agent.end_of("13.0#1")).reason == "ok"
        assert calls == ["make", "forget", "forgotten", "make"]

    monkeypatch.setattr(engine, "make", makes)
    monkeypatch.setattr(engine, "forget", forgets)
    monkeypatch.setattr(engine_containers, "PAUSE", 0.05)
    run(engine, tmp_path, case)


@pytest.mark.parametrize("again", [False, True])
def test_an_order_that_comes_after_it_was_given_up_is_ended(
    aws: Aws,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    again: bool,
) -> None:
    """`again`: by the next agent."""
    engine, sent = aws.engine(), list[ContainerOrder]()
    make = engine.make

    def on_its_way(order: ContainerOrder) -> Sighting:
        sent.append(order)
        raise EngineFull("it does not answer")

    async def case(agent: EngineAgent) -> None:
        key = f"{11 + again}.0#1"
        agent.start(agent.template("exec sleep 1000"), key)
        while not sent:  # noqa: ASYNC110 (nobody tells of it)
            await asyncio.sleep(0.01)
        agent.runner.recall([key])
        assert (await agent.end_of(key)).reason == endings.RETURNED
        if again:
            await agent.runner.close()  # as a crash
            await agent.begin()
        assert not (await asyncio.to_thread(make, sent[0])).sight.over, "it has come to ECS"
        while await asyncio.to_thread(is_there, engine, sent[0].name):  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    monkeypatch.setattr(engine, "make", on_its_way)
    monkeypatch.setattr(engine_containers, "PAUSE", 0.05)
    monkeypatch.setattr(engine_containers, "LOOK_DOUBTED", 0.05)
    run(engine, tmp_path, case)


STUBBORN = ("sh", "-c", "trap '' TERM; sleep 1000")  # it ends a while after it was told to


def is_there(engine: EcsEngine, name: str) -> bool:
    try:
        return engine.find(name) is not None
    except EngineFull:
        return True


def test_what_was_given_up_or_could_not_be_begun_is_no_later_ones_end(aws: Aws) -> None:  # noqa: F811
    engine, order = aws.engine(), ContainerOrder("cluster-0123456789ab-14-0-1", STUBBORN, (), 250)
    first = engine.make(order)
    assert engine.make(order) == engine.find(order.name)
    engine.discard(order.name, first.reference)
    with pytest.raises(EngineFull, match="was given up, and has not ended yet"):
        engine.make(order)
    while is_there(engine, order.name):
        pass
    second = engine.make(order)
    assert second.reference != first.reference
    assert engine.make(order).reference == second.reference, "it is asked for once"
    engine.discard(order.name, second.reference)


def test_what_ecs_does_not_know_yet_is_not_lost(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    engine, told, arn = aws.engine(), list[Sighting](), "arn:aws:ecs:eu-west-1:1:task/shell/5"
    assert isinstance(engine, ecs.EcsEngine)
    answer = {"tasks": [], "failures": [{"arn": arn, "reason": "MISSING"}]}
    monkeypatch.setattr(engine, "_call", lambda method, **arguments: answer)
    engine._look({arn: "name"}, [arn], told.append)
    assert told == []
    monkeypatch.setattr(ecs, "MISSING_FOR", 0.0)
    engine._look({arn: "name"}, [arn], told.append)
    assert [each.sight for each in told] == [Sight.LOST]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cluster": "none"}, "ECS has no cluster 'none' that is active in eu-west-1"),
        ({"task_definition": "none"}, "ECS refuses DescribeTaskDefinition: Unable to describe task definition."),
        ({"container": "other"}, "task definition 'shell' has no container 'other'; it has: main"),
        ({"endpoint": "http://127.0.0.1:1"}, "ECS does not answer: Could not connect to the endpoint URL"),
        ({"endpoint": "nonsense"}, "ECS cannot be reached: Invalid endpoint: nonsense"),
    ],
)
def test_what_cannot_be_used_is_one_line(aws: Aws, change: dict[str, str], words: str) -> None:  # noqa: F811
    with pytest.raises(ClusterError) as raised:
        aws.engine(**change)
    assert str(raised.value).startswith(words)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no table [ecs]"),
        ("[ecs]\ncluster = 'a'", "[ecs] lacks task_definition"),
        ("[ecs]\nclustre = 'a'", "[ecs] has no 'clustre'; there are: cluster, task_definition, region"),
        ("[ecs]\ncluster = 3", "[ecs] cluster = 3 is to be a text"),
        ("[ecs]\nsubnets = 'a'", "[ecs] subnets = 'a' is to be a list of texts"),
        ("[ecs", "is no TOML"),
    ],
)
def test_settings_that_say_nothing_of_use_are_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "ecs.toml").write_text(text)
    with pytest.raises(ClusterError) as raised:
        engine_of(ECS, tmp_path / "ecs.toml")
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)

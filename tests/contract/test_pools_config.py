"""What is wrong in pools.toml is told in one line, with file, key and value."""

from pathlib import Path

import pytest

from cluster.cli.main import run
from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.request import Beside, Request
from cluster.pools.config import read_pools
from cluster.pools.written import AskedFor, MachinesFile
from tools.environments import REPOSITORY

CLUSTER = "0123456789abcdef"
COMMANDS = '[pool.command]\nstart = ["true"]\nlist = ["true"]\nstop = ["true"]\n'
GPU = '[[pool]]\nname = "gpu"\nprovider = "command"\nmax = 3\ncpus = 2\n'
KUBE = GPU.replace("command", "kubernetes") + "[pool.kubernetes]\n"
SSH = GPU.replace("command", "ssh") + "[pool.ssh]\n"
ECS = GPU.replace("command", "ecs") + "[pool.ecs]\n"
EC2 = GPU.replace("command", "ec2") + "[pool.ec2]\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pools.toml"
    path.write_text(text)
    return path


def test_a_pool_is_read(tmp_path: Path) -> None:
    more = 'min = 1\nmem = "8G"\nidle = "90s"\nlabels = { zone = "a" }\nresources = { licence = 4 }\n'
    (pool,) = read_pools(written(tmp_path, GPU + more + COMMANDS), CLUSTER)
    settings = pool.settings
    assert (settings.name, settings.minimum, settings.maximum, settings.idle) == ("gpu", 1, 3, 90.0)
    assert settings.shape.takes(Request(2000, beside=Beside((("licence", 4),), 'zone == "a" and pool == "gpu"')))
    assert not settings.shape.takes(Request(2000, beside=Beside(need='zone == "b"')))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "{} has no pool: it must have [[pool]], once for each pool"),
        ("pools = 1", "{}: unknown key 'pools'; it may have [[pool]] alone, once for each pool"),
        ("[[pool]]\nmax = 3", "{}: pool 1: name is missing; it must be a text"),
        (GPU.replace("gpu", "G P"), "{}: pool 1: name: 'G P' is no name of a pool: use at most 24 lower-case"),
        (
            GPU + "maxx = 3\n" + COMMANDS,
            "{}: pool gpu: unknown key 'maxx'; it may have: back_off, command, cost,",
        ),
        (GPU.replace("3", '"3"'), "{}: pool gpu: max is '3'; it must be a whole number from 0 to 10000"),
        (GPU + "min = 4\n" + COMMANDS, "{}: pool gpu: min is 4; it must be a whole number from 0 to 3"),
        (GPU.replace("cpus = 2", ""), "{}: pool gpu: cpus is missing; it must be a number from 0 on"),
        (GPU.replace("cpus = 2", "cpus = -1"), "{}: pool gpu: cpus: '-1' is no number of cpus: use 0.001 or more"),
        (GPU + 'idle = "soon"\n', "{}: pool gpu: idle: 'soon'"),
        (GPU + 'labels = { pool = "x" }\n', "{}: pool gpu: labels.pool is 'x'; it must be left out"),
        (GPU + "resources = { gpus = 1 }\n", "{}: pool gpu: resources.gpus is 1; it must be left out: gpus has an"),
        (GPU.replace('provider = "command"', ""), "{}: pool gpu: provider is missing; it must be a text"),
        (GPU.replace("command", "cloud"), "{}: pool gpu: provider is 'cloud'; it must be one of: command, ecs, ec2,"),
        (GPU, "{}: pool gpu: [pool.command]: start is missing; it must be a list of texts"),
        (GPU + COMMANDS.replace('["true"]', "[]"), "{}: pool gpu: [pool.command]: start is []; it must be a command"),
        (
            GPU + COMMANDS + "time_limit = 0\n",
            "{}: pool gpu: [pool.command]: time_limit is 0.0; it must be more",
        ),
        (GPU + COMMANDS + "shell = true\n", "{}: pool gpu: [pool.command]: unknown key 'shell'; it may have: list,"),
        (SSH, "{}: pool gpu: [pool.ssh]: hosts is missing; it must be a list of texts"),
        (SSH + "hosts = []\n", "{}: pool gpu: [pool.ssh]: hosts is []; it must be at least one host, and each once"),
        (SSH + 'hosts = ["a", "a"]\n', "{}: pool gpu: [pool.ssh]: hosts is ['a', 'a']; it must be at least one host"),
        (
            SSH + 'hosts = ["-oProxyCommand=x"]\n',
            "{}: pool gpu: [pool.ssh]: hosts is '-oProxyCommand=x'; it must be hosts",
        ),
        (SSH + 'hosts = ["a"]\nconfig = "/no"\n', "{}: pool gpu: [pool.ssh]: config is '/no'; it must be a file of"),
        (SSH + 'hosts = ["a"]\nworker = ["x"]\n', "{}: pool gpu: [pool.ssh]: worker is 'x'; it must be options of"),
        (SSH + 'hosts = ["a"]\nprogram = []\n', "{}: pool gpu: [pool.ssh]: program is []; it must be the words"),
        (ECS, "{}: pool gpu: [pool.ecs]: cluster is missing; it must be a text"),
        (
            ECS + 'cluster = "a"\ntask_definition = "b"\nlaunch_type = "LAMBDA"\n',
            "{}: pool gpu: [pool.ecs]: launch_type is 'LAMBDA'; it must be one of: FARGATE, EC2, EXTERNAL",
        ),
        (ECS + 'tags = { cluster-pool = "x" }\n', "{}: pool gpu: [pool.ecs]: tags.cluster-pool is 'x'; it must be"),
        (EC2, "{}: pool gpu: [pool.ec2]: image is missing; it must be a text"),
        (
            EC2 + 'image = "ami-1"\ninstance_type = "t3.small"\nprepare = "/no"\n',
            "{}: pool gpu: [pool.ec2]: prepare is '/no'; it must be a file with a shell script",
        ),
        (EC2 + 'launch_template = "a"\nimagge = "b"\n', "{}: pool gpu: [pool.ec2]: unknown key 'imagge'; it may have:"),
        (KUBE, "{}: pool gpu: [pool.kubernetes]: namespace is missing; it must be a text"),
        (KUBE + 'namespace = "a"\n', "{}: pool gpu: [pool.kubernetes] needs an image or a template: one of them"),
        (
            KUBE + 'namespace = "a"\ntemplate = "none.yaml"\n',
            "{}: pool gpu: [pool.kubernetes]: template '/",
        ),
        (
            KUBE + 'namespace = "a"\nimage = "b"\nkubeconfig = "none"\n',
            "Kubernetes: the kubeconfig ('/",
        ),
        ((GPU + COMMANDS) * 2, "{}: name is 'gpu' in two pools: each has a name of its own"),
        ("[[pool", "{}: "),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InvalidInput) as raised:
        read_pools(path, CLUSTER)
    message = str(raised.value)
    assert message.startswith(said.format(path)), message
    assert "\n" not in message
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("provider", ["ecs", "ec2"])
def test_what_the_page_shows_is_read(provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (REPOSITORY / "docs" / "pools.md").read_text()
    text = page.partition(f"```toml {provider}-pools.toml on head\n")[2].partition("```")[0]
    (tmp_path / "prepare.sh").write_text("true\n")
    monkeypatch.chdir(tmp_path)
    (pool,) = read_pools(written(tmp_path, text), CLUSTER)
    assert pool.provider_name == provider


def test_what_was_asked_for_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "machines.json"
    file = MachinesFile(path)
    file.add({"gpu-a-1": AskedFor("gpu", 5.0), "gpu-a-2": AskedFor("gpu", 6.0)})
    file.remove(["gpu-a-1"])
    assert MachinesFile(path).machines == {"gpu-a-2": AskedFor("gpu", 6.0)}
    path.write_text("[")
    with pytest.raises(InvalidInput, match=r"machines\.json is damaged"):
        MachinesFile(path)


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        ([], "name their file with --config FILE", 2),
        (["--config", "FILE", "--join", "nonsense"], "no join token", 2),
        (["--config", "nowhere.toml"], "there is no file", 2),
        (["--config", "FILE"], "this keeper of pools belongs to no cluster: start it once with --join TOKEN", 1),
    ],
)
def test_what_keeps_the_keeper_from_starting_is_told_in_one_line(
    words: list[str],
    said: str,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CLUSTER_HOME", str(tmp_path / "home"))
    file = str(written(tmp_path, GPU + COMMANDS))
    assert run(["pools", *(file if word == "FILE" else word for word in words)]) == code
    told = capsys.readouterr().err
    assert said in told
    assert len(told.splitlines()) == 1, told

"""What may start a worker's attempts, by the name that `cluster worker --runner` takes."""

from pathlib import Path

from cluster.domain.base.errors import InvalidInput
from cluster.domain.session.offer import NOTHING, Offer
from cluster.worker.runners.engine import Engine
from cluster.worker.runners.interface import Connect
from cluster.worker.runners.local import local
from cluster.worker.runners.null import null

LOCAL, NULL, ECS, KUBERNETES = "local", "null", "ecs", "kubernetes"
ENGINES = (ECS, KUBERNETES)  # what runs attempts elsewhere


def engine_of(name: str, config: Path | None) -> Engine | None:
    """The engine of that name, as `config` says; None: attempts run here. InvalidInput where it cannot be used so, and
    ClusterError where it does not answer, has no such thing or lets nobody in."""
    if name not in ENGINES:
        if config is not None:
            raise InvalidInput(f"--runner-config is for --runner {' or '.join(ENGINES)}; leave it out")
        return None
    engine = {ECS: _ecs, KUBERNETES: _kubernetes}[name](config)
    engine.check()
    return engine


def _ecs(config: Path | None) -> Engine:
    from cluster.worker.runners.ecs import EcsEngine, EcsSettings
    from cluster.worker.runners.engine_settings import read_settings

    return EcsEngine(read_settings(EcsSettings, ECS, config))


def _kubernetes(config: Path | None) -> Engine:
    from cluster.worker.runners.engine_settings import read_settings
    from cluster.worker.runners.kubernetes import KubernetesEngine, KubernetesSettings

    settings = read_settings(KubernetesSettings, KUBERNETES, config)
    return KubernetesEngine(settings, config.parent if config is not None else Path())


def runner(name: str, directory: Path, millicpus: int, offer: Offer = NOTHING, engine: Engine | None = None) -> Connect:
    """`directory` is its own, on this machine; attempts may take `millicpus` and what is offered beside these.
    `engine`: what runs them elsewhere. KeyError for a name that is none."""
    if engine is not None:
        from cluster.worker.runners.engine_runner import engine_runner

        return engine_runner(engine, directory, millicpus, offer)
    return {LOCAL: lambda: local(str(directory), millicpus, offer), NULL: null}[name]()

"""What may start a worker's attempts, by the name that `cluster worker --runner` takes."""

from pathlib import Path

from cluster.domain.session.offer import NOTHING, Offer
from cluster.worker.runners.interface import Connect
from cluster.worker.runners.local import local
from cluster.worker.runners.null import null

LOCAL, NULL = "local", "null"


def runner(name: str, directory: Path, millicpus: int, offer: Offer = NOTHING) -> Connect:
    """`directory` is its own, on this machine; attempts may take `millicpus` and what is offered beside these. KeyError
    for a name that is none."""
    return {LOCAL: lambda: local(str(directory), millicpus, offer), NULL: null}[name]()

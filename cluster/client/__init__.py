"""Floor 2: the public Python client, on which the command line is built.

    from cluster.client import Client

    with Client.connect() as client:
        job = client.submit(["sh", "-c", "echo hello"])
        for piece in client.logs(job.number, follow=True):
            print(piece.data)
        (job,) = client.wait(job.number)
        print(job.exit_code)

`AsyncClient` has the same verbs for asyncio. Whatever goes wrong is raised as a `ClusterError` (of
`cluster.domain.base.errors`). gRPC (100 ms) is loaded by the first client, not by this import.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster.client.aio import AsyncClient
    from cluster.client.sync import Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> Any:
    """Loads a client when it is first named (PEP 562)."""
    if name == "AsyncClient":
        from cluster.client.aio import AsyncClient

        return AsyncClient
    if name == "Client":
        from cluster.client.sync import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

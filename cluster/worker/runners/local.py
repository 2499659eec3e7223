"""The launcher beside the agent, which runs attempts as processes of this machine."""

from cluster.domain.session.offer import Offer
from cluster.launcher.client import LauncherClient
from cluster.worker.runners.interface import Connect, Runner


def local(directory: str, millicpus: int, offer: Offer) -> Connect:
    """Connects to the launcher that lives in this directory, or starts one."""

    async def connect() -> Runner:
        return await LauncherClient.connect_or_start(directory, millicpus, offer=offer)

    return connect

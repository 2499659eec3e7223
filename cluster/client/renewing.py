"""A user's certificate is renewed by using it: in the middle of its life, after the calls that used it."""

import logging
import time
from pathlib import Path

from cluster.client.discovery import Endpoint
from cluster.domain.base.errors import ClusterError
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import scheduler_server_name
from cluster.domain.trust.renewal import EARLIEST, LATEST, renewal_time

logger = logging.getLogger(__name__)


async def renew_if_due(endpoint: Endpoint) -> None:
    """Replaces the file of the credentials that `endpoint` was reached with, where this user may and it is time.

    A failure costs nothing yet, since a fifth of its life or more is left: it is tried again by the next use."""
    if endpoint.renewable is None or not _is_due(endpoint.certificate):
        return
    try:
        await _renew(endpoint, endpoint.renewable)
    except ClusterError as error:
        logger.warning("your certificate was not renewed, %.0f h are left: %s", _hours_left(endpoint), error)


def _is_due(present: Credentials) -> bool:
    now = time.time()
    if now < renewal_time(present.not_before, present.not_after, EARLIEST):
        return False
    import random  # 5 ms, which the usual case does without

    fraction = random.uniform(EARLIEST, LATEST)  # noqa: S311 (spreads renewals, keeps no secret)
    return now >= renewal_time(present.not_before, present.not_after, fraction)


async def _renew(endpoint: Endpoint, file: Path) -> None:
    from cluster.pki.files import save_credentials
    from cluster.pki.issuer import KeyRequest  # cryptography: 130 ms, twice a month
    from cluster.rpc.channel import dial
    from cluster.rpc.join_client import renew

    present, request = endpoint.certificate, KeyRequest()
    async with dial(endpoint.address, present, scheduler_server_name(present.identity.cluster_id)) as channel:
        certificate = await renew(channel, endpoint.address, request.request)
    save_credentials(file, request.complete(certificate, present.ca_pem, present.identity))


def _hours_left(endpoint: Endpoint) -> float:
    return (endpoint.certificate.not_after - time.time()) / 3600

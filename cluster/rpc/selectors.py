"""Selectors as calls bring them."""

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.keys import uuid_of_key
from cluster.v1 import jobs_pb2


def text_of(selector: jobs_pb2.Selector, owner: str) -> str:
    """What it says as people type it: of a key the UUID that the job of that owner has by it. InvalidInput for both."""
    if not selector.key:
        return selector.text
    if selector.text:
        raise InvalidInput("a selector has a text or a key, and not both")
    return uuid_of_key(owner, selector.key)

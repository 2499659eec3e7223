"""What is kept of a job, as `job show` tells it."""

from typing import Any

from cluster.cli.render import ago, iso
from cluster.client.types import Job, Kept


def kept_facts(job: Job, now: float) -> list[tuple[str, str]]:
    kept = job.kept or Kept()
    pinned = f"by {kept.pinned_by}, {ago(kept.pinned_at, now)}" if kept.pinned_by else ""
    gone = f"deleted on {iso(kept.output_expired_at)}, {kept.output_expired_why}" if kept.output_expired_at else ""
    return [("pinned", pinned), ("output", gone)]


def kept_json(job: Job) -> dict[str, Any]:
    kept = job.kept or Kept()
    gone = {"at": iso(kept.output_expired_at), "why": kept.output_expired_why} if kept.output_expired_at else None
    pinned = {"by": kept.pinned_by, "at": iso(kept.pinned_at)} if kept.pinned_by else None
    return {"pinned": pinned, "output_expired": gone}

"""All routes that a scheduler's gateway has."""

from cluster.gateway import job_scheduler, worker_jobs
from cluster.gateway.handled_routes import HandledRoute
from cluster.gateway.routes import ROUTES, Route

HANDLED: tuple[HandledRoute, ...] = (*worker_jobs.ROUTES, *job_scheduler.ROUTES)
TABLE: tuple[Route | HandledRoute, ...] = (*ROUTES, *HANDLED)

"""All routes that a scheduler's gateway has."""

from cluster.gateway import execute, job_scheduler, live, metrics, node_processor, results, uploads, worker_jobs
from cluster.gateway.handled_routes import HandledRoute
from cluster.gateway.routes import ROUTES, Route

HANDLED: tuple[HandledRoute, ...] = (*worker_jobs.ROUTES, *job_scheduler.ROUTES, *node_processor.ROUTES)
TABLE: tuple[Route | HandledRoute, ...] = (
    *ROUTES,
    *results.ROUTES,
    *uploads.ROUTES,
    *HANDLED,
    *live.ROUTES,
    *metrics.ROUTES,
    *execute.ROUTES,
)
DEBUG_TABLE = (*(route for route in TABLE if route not in execute.ROUTES), *execute.DEBUG_ROUTES)  # of the second door

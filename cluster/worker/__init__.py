"""Floor 2: the worker agent: its session with the scheduler, its launcher, its own API.

Read in this order: `role` (start and end), `agent` (the loop around the core of `cluster.domain.worker.core`),
`session`, `launching`, `templates`; then what serves them: `outputs`, `readers`, `own_jobs`, `api`, `membership`.
"""

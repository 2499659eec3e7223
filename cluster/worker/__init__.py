"""Floor 2: the worker agent: its session with the scheduler, its launcher, its own API.

Read in this order: `process` (start and end), `agent` (the loop around the core of `cluster.domain.worker.core`),
`session`, `launching`, `templates`; then what serves them: `output`, `own` (jobs that were started here), `membership`.
"""

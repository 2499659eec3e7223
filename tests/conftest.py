"""Loaded before every test module: `cluster` must be imported before gRPC is, and linters sort it behind."""

import cluster  # noqa: F401

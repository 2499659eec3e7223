"""Floor 2: the worker role: drives WorkerCore, keeps its session, serves its own gRPC API."""

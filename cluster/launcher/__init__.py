"""Floor 1: the small process that starts and reaps jobs, and its journal. Never imports gRPC."""

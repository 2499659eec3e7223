"""Floor 1: gRPC plumbing: generated messages, credentials, who may call what."""

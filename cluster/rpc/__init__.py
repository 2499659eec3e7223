"""Floor 1: gRPC plumbing: credentials, channels and servers, who may call what, errors over the wire."""

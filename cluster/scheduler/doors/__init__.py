"""The gRPC services: a request in, a use of the scheduler, an answer out."""

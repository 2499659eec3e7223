"""Floor 2: the scheduler role: drives SchedulerCore, serves the gRPC API."""

"""What makes and removes the machines of a pool, each behind the one interface."""

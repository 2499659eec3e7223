"""Floor 3: the HTTP door, a process of its own. It knows the scheduler as any client does."""

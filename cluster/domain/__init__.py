"""Floor 0: every decision, as plain values and state machines without I/O, clocks or randomness."""

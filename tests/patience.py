"""How long a test may take before it counts as hanging: one number for all, because no test waits for it.

Generous, so that a machine that stalls for seconds, or has other things to do, breaks no test; only a broken program
gets there.
"""

PATIENCE = 300.0  # seconds

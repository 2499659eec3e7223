"""Floor 1: the small process that starts and reaps jobs, and its journal. Never imports gRPC.

Read in this order: `wire` (what agent and launcher say to each other), `driver` (the loop), `spawn`, `tree`
(whole process trees), `journal` (what survives a crash), `cgroup` (how a successor finds everything). The
decisions are in `cluster.domain.launcher.core`. `client` is what the agent uses.
"""

"""Generated from protos/cluster/v1 by `python3 build.py protos`; edit those instead."""

"""The commands that people type all day, as fast as Python starts: on the scheduler's own machine, without click, gRPC,
asyncio and TLS.

A quick command does the usual thing or nothing: for whatever else there is (another option, an error, a signal, a job
that takes longer than a moment) it raises Elsewhere, and the whole command line begins, or goes on where it was. So
each message and each exit code but the plain ones has one place, which is there.
"""

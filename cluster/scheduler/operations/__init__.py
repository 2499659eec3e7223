"""What callers may do, once: on domain values, with the caller as an argument. Doors (gRPC today) only translate.

In which roles somebody may do what is asked before, at the gate, by one table (cluster.rpc.roles): so nothing is parsed
for who may not. Whose it is, is asked here: which jobs a caller sees, by cluster.domain.job.visibility; whose attempt
it is, by the identity that calls. What goes wrong is a ClusterError, which each door says in its own way: gRPC by a
status (cluster.rpc.errors).
"""

"""Floor 1: the cluster's own certificate authority, certificates, identities and join tokens."""

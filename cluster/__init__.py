"""cluster: one file that turns Linux machines into one secure computer for running commands."""

import os
import sys

__version__ = "0.1.0"

# gRPC has no option for a least TLS version. This cipher suite exists in TLS 1.2 alone and wants an RSA certificate;
# ours are ECDSA. So TLS 1.2 always fails, and TLS 1.3, whose suites are not configured here, works. gRPC reads its
# environment once, when it is imported; this package is imported before anything of ours that imports gRPC.
_SUITES = "ECDHE-RSA-AES128-GCM-SHA256"
TLS_1_3_ONLY = "grpc" not in sys.modules or os.environ.get("GRPC_SSL_CIPHER_SUITES") == _SUITES
os.environ["GRPC_SSL_CIPHER_SUITES"] = _SUITES
# gRPC writes a line to stderr for every handshake that fails. We report each failure ourselves, in words.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
# Names as the rest of the machine has them. gRPC's own resolver asks the name server also about what /etc/hosts tells,
# and finds nobody for as long as that server does not answer.
os.environ.setdefault("GRPC_DNS_RESOLVER", "native")
# As Python's gRPC is built it starts its threads again in every child that is forked, which is about to become another
# program and closes all descriptors: then they abort it. Who needs gRPC in a forked child says 1.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

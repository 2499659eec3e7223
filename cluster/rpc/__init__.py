"""Floor 1: gRPC plumbing: credentials, channels and servers, who may call what, errors over the wire.

gRPC reads its environment once, when it makes its first credentials; so it is set here, before anything below this
package can.
"""

import os

# gRPC has no option for a least TLS version. This cipher suite exists in TLS 1.2 alone and wants an RSA certificate;
# ours are ECDSA. So TLS 1.2 always fails, and TLS 1.3, whose suites are not configured here, works.
os.environ["GRPC_SSL_CIPHER_SUITES"] = "ECDHE-RSA-AES128-GCM-SHA256"
# gRPC's C core writes a line to stderr for every handshake that fails. We report each failure ourselves, in words.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

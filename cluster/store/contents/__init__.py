"""Contents: bytes that their SHA-256 names, with who has sent them and which jobs use them."""

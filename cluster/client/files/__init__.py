"""What a client does with files of jobs: finds, hashes and sends them."""

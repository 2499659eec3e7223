"""`python -m cluster`: the same program as the packed file, from a checkout or an installed package."""

from cluster.cli.entry import main

if __name__ == "__main__":
    main()

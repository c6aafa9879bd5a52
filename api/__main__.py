"""`python -m api`: the same as the command `flexledger`."""

from api.cli.entry import main

if __name__ == "__main__":
    main()

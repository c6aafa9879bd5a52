"""`python -m tests.bench`. It imports nothing by itself: a process that helps an audit begins as this module once more,
as one does of `flexledger audit`, whose main module is as short.
"""

if __name__ == "__main__":
    import sys

    from tests.bench.command import main

    sys.exit(main())

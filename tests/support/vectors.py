"""The folder of test data that others wrote; its absence skips a test and says so."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def root() -> Path:
    """The folder in FLEXLEDGER_VECTORS, or `shared/vectors` beside the repository."""
    return Path(os.environ.get("FLEXLEDGER_VECTORS", REPOSITORY.parent / "shared" / "vectors"))


def folder(name: str) -> Path:
    """The sub-folder `name`; skips the calling test where it is absent."""
    path = root() / name
    if not path.is_dir():
        pytest.skip(f"vectors '{name}' are absent (FLEXLEDGER_VECTORS names the folder)")
    return path

"""The folder of test data that others wrote; its absence skips a test and says so."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def root() -> Path:
    """The folder in FLEXLEDGER_VECTORS, or `shared/vectors` beside the repository."""
    return Path(os.environ.get("FLEXLEDGER_VECTORS", REPOSITORY.parent / "shared" / "vectors"))


def folder(name: str) -> Path:
    """The sub-folder `name`; skips the calling test where it is absent or holds no file."""
    path = root() / name
    if not any(found.is_file() for found in path.rglob("*")):
        pytest.skip(f"vectors '{name}' are absent (FLEXLEDGER_VECTORS names the folder)")
    return path


def files(name: str, pattern: str) -> list[Path]:
    """Every file of the sub-folder `name`, however deep, that has the form `pattern`; skips where there is none."""
    found = sorted(path for path in folder(name).rglob(pattern) if path.is_file())
    if not found:
        pytest.skip(f"vectors '{name}' hold no {pattern}")
    return found

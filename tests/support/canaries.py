"""What names a person stands in no file, log line or metric in clear, whatever a test did with the service.

Every service that the tests open in one process is looked through when it is closed: databases, write-ahead logs,
whatever else lies in its folders, the log lines and the metrics. Needles are the ids of persons and the keys of their
cars, which every scene of the day hands in.
"""

from collections.abc import Iterable
from pathlib import Path

OFFICE = "pki.db"
"""The certificate office's own store names whom it issued to; it has its own tests and its own erasure."""
MIN_LENGTH = 8
"""A shorter needle would be found by chance."""


def found_in(folders: Iterable[Path], texts: Iterable[str], needles: Iterable[str]) -> list[str]:
    """Where a needle is in clear: the names of files, or `lines`."""
    wanted = [needle for needle in needles if len(needle) >= MIN_LENGTH]
    places = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith(OFFICE):
                data = path.read_bytes().lower()
                places += [path.name for needle in wanted if needle.lower().encode() in data]
    for text in texts:
        folded = text.lower()
        places += ["lines" for needle in wanted if needle.lower() in folded]
    return places


def require_silent(folders: Iterable[Path], texts: Iterable[str], needles: Iterable[str]) -> None:
    """Raises AssertionError where a needle is in clear."""
    places = found_in(folders, texts, needles)
    assert places == [], f"a person's data in clear: {sorted(set(places))}"

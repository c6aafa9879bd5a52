"""What names a person stands in no file, log line or metric in clear, whatever a test did with the service.

Two nets. Every service that the tests open in one process is looked through when it is closed, for the ids of its own
persons and the keys of their cars (`require_silent`). And every pseudonym that any test makes of a person, in its own
process or a server's, begins with `MARK`, so that at the end of a session all files that it left, its captured lines and its metrics are
looked through for that: databases, write-ahead logs, backups, mirrors, exports, stderr of servers (`swept`).

"""

import base64
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from pki import names

UNMARKED: Final = names.new_pseudonym
"""What draws real ones; a session of tests puts `marked_pseudonym` in its place."""
MARK: Final = "ca4a275eedca4a275eed"
"""Hex, as a pseudonym is; 80 bits, so that nothing else begins with it by chance."""
PSEUDONYM_CHARS: Final = 32

MAY_HOLD: Final[Mapping[str, str]] = {
    "parties/*/party.toml": "a person's own configuration",
    "parties/*/*.crt.pem": "a person's own certificates, as the ceremony gives them out",
    "pki.db": "the certificate office's own store, which has an erasure of its own",
    "pki.db-wal": "the same",
    "dev.json": "where a development service says who everybody is",
    "bundles/*.json": "what an auditor may see of a request (not the tree of the log beside it)",
    "bundle.json": "the same, by itself",
    "one.json": "the same",
    "leaf.pem": "a certificate that a test hands to openssl",
    "all.pem": "a test's own list of every certificate",
}
"""Files that tests leave in which a person may stand, and why; nothing else may."""

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


def marked_pseudonym() -> str:
    """Instead of `pki.names.new_pseudonym`: 32 hex digits, no two alike, and a canary."""
    return MARK + secrets.token_hex((PSEUDONYM_CHARS - len(MARK)) // 2)


def encodings(mark: str = MARK) -> tuple[bytes, ...]:
    """The mark as files may have it: in clear, and inside base64 of either alphabet at each of its three offsets."""
    found = {mark.encode(), mark.upper().encode()}
    for offset in range(3):
        text = base64.b64encode(bytes(offset) + mark.encode())
        # What the octets around it take part in is cut off; hex in base64 needs none of the letters that differ.
        found.add(text[4 if offset else 0 : len(text) // 4 * 4 - 4])
    return tuple(sorted(found))


def swept(folder: Path, may_hold: Mapping[str, str]) -> Iterator[str]:
    """Every file under the folder that has a canary and none of the patterns that say why it may."""
    needles = encodings()
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        place = path.relative_to(folder)
        if any(place.match(pattern) for pattern in may_hold):
            continue
        data = path.read_bytes()
        if any(needle in data for needle in needles):
            yield place.as_posix()

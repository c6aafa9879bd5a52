"""The folder of revocation lists: new ones are added whole, old ones move into an archive."""

import base64
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography import x509

from api.engines import pem_blocks
from ledger import plain_file
from pki.errors import PkiError
from pki.status import StatusSet

MAX_FILES: Final = 512
"""Lists that may stay in the folder; a service reads all of them when it starts."""
KEPT: Final = 16
"""Of each authority, when there are more than that."""
ARCHIVE: Final = "archive"
_PEM_COLUMNS: Final = 64
PART_DUE: Final = 2
"""A list is made anew when one part in so many of its life is over."""


def write(folder: Path, lists: Iterable[bytes]) -> None:
    """Adds revocation lists (DER) as PEM files; a running service takes them up within a second."""
    # After the highest number, not the count: old lists may have been cleared away, and none may be written over.
    have = max((int(path.stem) for path in folder.glob("*.pem") if path.stem.isdecimal()), default=0)
    for number, der in enumerate(lists, start=have + 1):
        beside = folder / f"{number:05d}.part"
        beside.write_bytes(_pem(der))
        beside.rename(folder / f"{number:05d}.pem")
    files = sorted(folder.glob("*.pem"))
    if len(files) > MAX_FILES:
        _archive(folder, files)


def _pem(der: bytes) -> bytes:
    """RFC 7468. The library would read and write a large list again for this, and let nobody else run meanwhile."""
    text = base64.b64encode(der)
    lines = (text[at : at + _PEM_COLUMNS] for at in range(0, len(text), _PEM_COLUMNS))
    return b"\n".join((b"-----BEGIN X509 CRL-----", *lines, b"-----END X509 CRL-----", b""))


def read(folder: Path) -> list[bytes]:
    """Every list in the folder (DER)."""
    return [der for path in sorted(folder.glob("*.pem")) for der in pem_blocks(plain_file.read(path))]


def _archive(folder: Path, files: list[Path]) -> None:
    """The oldest lists of each issuer move; statements of their days are verified from the bundles that hold them."""
    by_issuer: defaultdict[bytes, list[Path]] = defaultdict(list)
    for path in files:
        blocks = pem_blocks(plain_file.read(path))
        if len(blocks) == 1:
            by_issuer[x509.load_der_x509_crl(blocks[0]).issuer.public_bytes()].append(path)
    (folder / ARCHIVE).mkdir(exist_ok=True)
    for same_issuer in by_issuer.values():
        for path in same_issuer[:-KEPT]:
            path.rename(folder / ARCHIVE / path.name)


def is_due(status: StatusSet, authority: x509.Certificate, at_ms: int) -> bool:
    """Whether the authority has no list in force at `at_ms`, or one in the second half of its life."""
    try:
        crl = status.crl_for(authority, at_ms)
    except PkiError:
        return True
    return at_ms - crl.this_update_ms > (crl.next_update_ms - crl.this_update_ms) // PART_DUE

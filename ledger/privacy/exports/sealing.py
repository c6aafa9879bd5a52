"""Exports sealed to one recipient's key with HPKE (RFC 9180): a file that only they can open.

X25519, or the hybrid of X25519 and ML-KEM-768 for those who mind a recording being opened years later.
"""

import io
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Literal

import msgspec
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke, serialization
from cryptography.hazmat.primitives.asymmetric import x25519

from ledger.privacy.errors import ExportMalformed, SealingRefused
from ledger.privacy.exports import stream
from ledger.privacy.exports.archive import Octets
from ledger.privacy.exports.parts import FileOctets
from ledger.privacy.keys import framed
from ledger.records import canonical
from ledger.records.errors import NotCanonical, RecordMalformed
from ledger.records.statement_fields import Hash

FORMAT: Final = "flexledger-sealed/2"
MAX_HEADER_BYTES: Final = 512
BEGINNING: Final = b'{"format":"flexledger-sealed/'
LABEL: Final = b"flexledger export v2"

PublicKey = x25519.X25519PublicKey | hpke.MLKEM768X25519PublicKey
PrivateKey = x25519.X25519PrivateKey | hpke.MLKEM768X25519PrivateKey
KemName = Literal["X25519", "MLKEM768-X25519"]

WRAPPED_BYTES: Final[Mapping[KemName, int]] = {"X25519": 32 + 48, "MLKEM768-X25519": 1_120 + 48}
"""Encapsulated key, then the file's own key (32 bytes) and its tag (16)."""


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line of a sealed export, in clear and bound to what follows."""

    format: Literal["flexledger-sealed/2"]
    kem: KemName
    recipient: str
    manifest_sha256: Hash


class Seal:
    """One export's seal: the header in clear, the key of this file for its recipient alone, then chunks."""

    def __init__(self, key: PublicKey, *, recipient: str, manifest_sha256: str) -> None:
        """Only the owner of `key` will open what is sealed."""
        kem: KemName = "X25519" if isinstance(key, x25519.X25519PublicKey) else "MLKEM768-X25519"
        line = canonical.encode(
            Header(format="flexledger-sealed/2", kem=kem, recipient=recipient, manifest_sha256=manifest_sha256)
        )
        self._key = secrets.token_bytes(stream.KEY_BYTES)
        self._front = line + b"\n" + _suite(kem).encrypt(self._key, key, info=framed(LABEL, line))

    def size(self, size: int) -> int:
        """How many bytes a sealed archive of `size` bytes has."""
        return len(self._front) + stream.encrypted_size(size)

    def pieces(self, archive: Iterable[bytes]) -> Iterator[bytes]:
        """The sealed archive, a piece at a time; once, for one archive."""
        yield self._front
        yield from stream.encrypted(self._key, archive)


def public_key(pem: bytes) -> PublicKey:
    """The recipient's key in a PEM (SubjectPublicKeyInfo of X25519); raises `SealingRefused`."""
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise SealingRefused("not a public key", expected="X25519 in PEM") from None
    if not isinstance(key, x25519.X25519PublicKey):
        raise SealingRefused("another kind of key", expected="X25519 in PEM")
    return key


def is_sealed(octets: Octets) -> bool:
    """True where the octets begin as a sealed export does."""
    return octets.read_at(0, len(BEGINNING)) == BEGINNING


class Opened:
    """The archive in a sealed export, deciphered where it is read."""

    def __init__(self, sealed: Octets, key: PrivateKey) -> None:
        """Raises `SealingRefused` where it is none or for another key; later too, where it was changed or cut off."""
        line, newline, _ = sealed.read_at(0, MAX_HEADER_BYTES + 1).partition(b"\n")
        if not newline:
            raise SealingRefused("not a sealed export", expected="a line of JSON first")
        self.header = _header(line, key)
        after = len(line) + 1
        wrapped = sealed.read_at(after, WRAPPED_BYTES[self.header.kem])
        front = after + len(wrapped)
        with _refusing():
            of_file = _suite(self.header.kem).decrypt(wrapped, key, info=framed(LABEL, line))
            self._chunks = stream.Chunks(
                of_file, sealed.size - front, lambda offset, size: sealed.read_at(front + offset, size)
            )
        self.size = self._chunks.size

    def read_at(self, offset: int, size: int) -> bytes:
        """As `Octets`; raises `SealingRefused`."""
        with _refusing():
            return self._chunks.at(offset, size)


def open_sealed(data: bytes, key: PrivateKey) -> tuple[Header, bytes]:
    """The header and the archive; raises `SealingRefused` where it is for another key, was changed, or was cut off."""
    opened = Opened(FileOctets(io.BytesIO(data)), key)
    return opened.header, opened.read_at(0, opened.size)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (InvalidTag, ValueError) as error:
        raise SealingRefused("not for this key, or changed on the way") from error


def _header(line: bytes, key: PrivateKey) -> Header:
    try:
        header = canonical.convert(canonical.decode(line), Header, "the sealed export's header")
    except (NotCanonical, RecordMalformed) as error:
        raise SealingRefused("not a sealed export", expected=FORMAT) from error
    kem: KemName = "X25519" if isinstance(key, x25519.X25519PrivateKey) else "MLKEM768-X25519"
    if header.kem != kem:
        raise SealingRefused("sealed to another kind of key", expected=kem, found=header.kem)
    return header


def require_named(header: Header, *, manifest_sha256: str, recipient: str | None) -> None:
    """The header names the export that was sealed: anybody can seal to a public key, and write what they like before.

    `manifest_sha256` and `recipient` are of the verified export inside. Raises `ExportMalformed`.
    """
    if header.manifest_sha256 != manifest_sha256:
        raise ExportMalformed(
            "the seal names another export", expected=f"manifest {manifest_sha256}", found=header.manifest_sha256
        )
    if header.recipient != (recipient or ""):
        raise ExportMalformed("the seal names another recipient than the export")


def _suite(kem: KemName) -> hpke.Suite:
    kems = {"X25519": hpke.KEM.X25519, "MLKEM768-X25519": hpke.KEM.MLKEM768_X25519}
    return hpke.Suite(kems[kem], hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)

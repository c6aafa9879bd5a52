"""Private keys in files, and which public keys are good enough."""

import hashlib
import os
import stat
from pathlib import Path
from typing import NoReturn, Protocol, Self, TypeAlias, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from pki import plain_file
from pki.errors import Absent, Refused

# What the builders of `cryptography` accept. It is abstract: a key in a PKCS#11 token is a subclass whose `sign` asks
# the token.
Signer: TypeAlias = ec.EllipticCurvePrivateKey
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_PLAIN = (
    (bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"), 64),  # P-256, named, uncompressed
    (bytes.fromhex("3076301006072a8648ce3d020106052b8104002203620004"), 96),  # P-384, named, uncompressed
    (bytes.fromhex("302a300506032b6570032100"), 32),  # Ed25519
)
"""How the one encoding of a key that is allowed here begins, and how much follows: to write it again shows no more."""
_READABLE = (ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey, rsa.RSAPublicKey, dsa.DSAPublicKey)
_CURVES = frozenset({ec.SECP256R1.name, ec.SECP384R1.name})
OWNER_ONLY = 0o600
MAX_KEY_FILE_BYTES = 8192
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class KeyFileMode(Refused):
    """A private key that somebody else on the machine may read."""

    code = "pki/key-file-mode"
    title = "Private key is readable by others"


class KeyFileOwner(Refused):
    """A private key that belongs to another user of the machine, who may read and change it."""

    code = "pki/key-file-owner"
    title = "Private key belongs to another user"


class KeyFileExists(Refused):
    """A private key is never overwritten."""

    code = "pki/key-file-exists"
    title = "Private key exists already"


class KeyFileAbsent(Absent):
    """There is no private key at this path."""

    code = "pki/key-file-absent"
    title = "Private key not found"


class BadKeyFile(Refused):
    """Not a private key that we can use, or the wrong password."""

    code = "pki/key-file"
    title = "Private key cannot be read"


class WeakKey(Refused):
    """A public key of an algorithm or curve that is not allowed here."""

    code = "pki/weak-key"
    title = "Key not allowed"


class KeyOffline(Absent):
    """The private key of this authority is kept elsewhere; what needs it is done where the key is."""

    code = "pki/key-offline"
    title = "Private key is offline"


class KeyNotExportable(Refused):
    """A private key that never leaves the place where it is used."""

    code = "pki/key-not-exportable"
    title = "Private key cannot be exported"


class OutsideKey(ec.EllipticCurvePrivateKey):
    """A key whose private half is not in this process: only `sign` differs from place to place.

    The builders of `cryptography` accept it, for their key type is an abstract class. `place` says where the private
    half is, if that can be said.
    """

    place: str | None = None

    def __init__(self, public_key: ec.EllipticCurvePublicKey) -> None:
        self._public_key = public_key

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self._public_key

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve of the key."""
        return self._public_key.curve

    @property
    def key_size(self) -> int:
        """Bits."""
        return self._public_key.key_size

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        """KeyNotExportable: an authority's key signs and does nothing else."""
        raise KeyNotExportable("the key signs and does nothing else")

    def private_numbers(self) -> NoReturn:
        """KeyNotExportable."""
        raise KeyNotExportable("the private key stays where it is")

    def private_bytes(
        self,
        encoding: Encoding,
        format: PrivateFormat,  # noqa: A002  # the name in the class that is followed
        encryption_algorithm: KeySerializationEncryption,
    ) -> bytes:
        """KeyNotExportable."""
        raise KeyNotExportable("the private key stays where it is")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self


class OfflineKey(OutsideKey):
    """The key of an authority of which only the certificate is here."""

    def sign(
        self, data: bytes | bytearray | memoryview, signature_algorithm: ec.EllipticCurveSignatureAlgorithm
    ) -> bytes:
        """KeyOffline."""
        raise KeyOffline("the private key is not here", expected="the ceremony with the key")


def require_online(key: Signer) -> None:
    """The private half can be asked, or KeyOffline."""
    if isinstance(key, OfflineKey):
        raise KeyOffline("the private key is not here", expected="the ceremony with the key")


class KeyEncoding(Refused):
    """A public key that is written otherwise than in the one way: explicit curve parameters, a compressed point."""

    code = "pki/key-encoding"
    title = "Public key in another encoding"


def generate() -> ec.EllipticCurvePrivateKey:
    """A new P-256 key: for leaves and issuing authorities."""
    return ec.generate_private_key(ec.SECP256R1())


def generate_root() -> ec.EllipticCurvePrivateKey:
    """A new P-384 key: for roots."""
    return ec.generate_private_key(ec.SECP384R1())


def save_private(path: Path, key: ec.EllipticCurvePrivateKey, password: bytes | None) -> None:
    """Write `key` as PKCS#8 PEM that only the owner may read; KeyFileExists if there is a file already.

    Without `password` the file is not encrypted, and its mode is all that protects it; an empty one is a ValueError.
    """
    encryption: KeySerializationEncryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except FileExistsError as error:
        raise KeyFileExists("a private key is never overwritten", file=path.name) from error
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def load_private(path: Path, password: bytes | None) -> ec.EllipticCurvePrivateKey:
    """The elliptic-curve key in `path`; KeyFileMode if group or others have any right to it, KeyFileOwner."""
    try:
        with plain_file.opened(path) as file:
            status = os.fstat(file.fileno())  # of the file that is read, not of a name that may move
            mode = status.st_mode
            if mode & OTHERS:
                found = f"{stat.S_IMODE(mode):04o}"
                raise KeyFileMode("others may read the private key", expected="0600", found=found, file=path.name)
            if status.st_uid not in {os.geteuid(), 0}:
                raise KeyFileOwner("the private key is another user's", file=path.name)
            data = file.read(MAX_KEY_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise KeyFileAbsent("there is no private key", file=path.name) from error
    if len(data) > MAX_KEY_FILE_BYTES:
        raise BadKeyFile("the file is too large for a key", expected=f"at most {MAX_KEY_FILE_BYTES} bytes")
    try:
        key = load_pem_private_key(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKeyFile("not a private key, or the wrong password", file=path.name) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadKeyFile("not an elliptic-curve key", file=path.name)
    return key


def require_leaf_key(key: object) -> PublicKey:
    """`key`, if it is P-256, P-384 or Ed25519; or WeakKey."""
    if _kind(type(key)) is ed25519.Ed25519PublicKey:
        return cast("ed25519.Ed25519PublicKey", key)
    return require_authority_key(key)


class Keyed(Protocol):
    """A certificate or a request, as the library reads it."""

    def public_key(self) -> object:
        """Its public key; reading it may fail in ways that the library chooses."""
        ...


def key_of(holder: Keyed) -> object:
    """The public key in a certificate or a request; or WeakKey where the library cannot read it."""
    try:
        return holder.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise WeakKey("the key cannot be read", expected="P-256 or P-384") from error


def require_authority_key(key: object) -> ec.EllipticCurvePublicKey:
    """`key`, if it is P-256 or P-384; or WeakKey. Too many verifiers refuse Ed25519 authorities."""
    found = type(key).__name__
    if _kind(type(key)) is ec.EllipticCurvePublicKey:
        curved = cast("ec.EllipticCurvePublicKey", key)
        found = curved.curve.name
        if found in _CURVES:
            return curved
    raise WeakKey("the key is not allowed", expected="P-256 or P-384", found=found)


_kinds: dict[type, type | None] = {}


def _kind(of: type) -> type | None:
    """Which kind of key a class is; to ask an abstract class takes a microsecond each time, and classes are few."""
    if of not in _kinds:
        _kinds[of] = next((kind for kind in _READABLE if issubclass(of, kind)), None)
    return _kinds[of]


def require_plain(key: object, written: bytes) -> None:
    """`written` is the one encoding of `key` as SubjectPublicKeyInfo: named curve, uncompressed (RFC 5480 section 2).

    Others can be read, but give one key several digests, and digests are what keys go by here. Or KeyEncoding, and
    WeakKey for a key of a kind that nobody here uses.
    """
    kind = _kind(type(key))
    if kind is None:
        raise WeakKey("the key is not allowed", found=type(key).__name__)
    if any(len(written) == len(head) + size and written.startswith(head) for head, size in _PLAIN):
        return
    readable = cast("PublicKey", key)
    if readable.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != written:
        raise KeyEncoding("the public key is not in its one encoding", expected="a named curve, an uncompressed point")


def spki_sha256(key: PublicKey) -> str:
    """SHA-256 (hex) of the SubjectPublicKeyInfo: what a key is known by."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()

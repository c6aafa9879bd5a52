"""The keys of signed notes: names, key IDs, the verifier-key text, and the two kinds of Ed25519 signature.

Source: c2sp.org/signed-note and c2sp.org/tlog-cosignature. Other kinds of key (ML-DSA-44 is 0x06) have other key
IDs, so their signatures are lines by unknown keys here, and stay in the note.
"""

import base64
import binascii
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256
from typing import Final, Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.clock import MS_PER_S, Clock
from ledger.tlog.errors import KeyMalformed, NoteMalformed, NoteUnverified

KEY_ID_SIZE: Final = 4
MAX_NAME_CHARACTERS: Final = 1024
PRIVATE_PREFIX: Final = "PRIVATE+KEY+"
EM_DASH: Final = "\u2014"

_ED25519_SIZE: Final = 32
_SIGNATURE_SIZE: Final = 64
_TIME_SIZE: Final = 8
_MAX_TIME_S: Final = 2**63 - 1
_KEY_ID_DIGITS: Final = 2 * KEY_ID_SIZE


class KeyKind(IntEnum):
    """The signature type byte of a note key."""

    ED25519 = 0x01
    COSIGNATURE_V1 = 0x04


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line of a note; `value` is what follows the key ID."""

    name: str
    key_id: int
    value: bytes = field(repr=False)
    cosigned_at_ms: int | None = None
    """When a cosigner said that it signed; None for other kinds and for lines that were not verified."""

    def line(self) -> str:
        """The line, its newline included."""
        octets = self.key_id.to_bytes(KEY_ID_SIZE, "big") + self.value
        return f"{EM_DASH} {self.name} {base64.b64encode(octets).decode('ascii')}\n"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key that is trusted to sign notes under a name."""

    name: str
    kind: KeyKind
    public: bytes

    def __post_init__(self) -> None:
        """Raises KeyMalformed."""
        refuse_name(self.name)
        if len(self.public) != _ED25519_SIZE:
            raise KeyMalformed("not an Ed25519 key", expected=_ED25519_SIZE, found=len(self.public))

    @property
    def key_id(self) -> int:
        """The number that, with the name, says whose a signature line is."""
        return _key_id(self.name, self.kind, self.public)

    @property
    def vkey(self) -> str:
        """The verifier-key text: name, key ID and key, joined by `+`."""
        return f"{self.name}+{self.key_id:08x}+{_encode_key(self.kind, self.public)}"

    def verify(self, text: str, signature: Signature) -> Signature:
        """The signature, with its time if it has one; raises NoteUnverified unless it is this key's over `text`."""
        octets, message, at_ms = signature.value, text, None
        if self.kind is KeyKind.COSIGNATURE_V1:
            at_s = int.from_bytes(octets[:_TIME_SIZE], "big")
            octets = octets[_TIME_SIZE:]
            if at_s > _MAX_TIME_S:
                raise NoteUnverified("time of cosignature out of range", name=self.name)
            message, at_ms = _cosigned_message(at_s, text), at_s * MS_PER_S
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(octets, message.encode())
        except InvalidSignature:
            raise NoteUnverified(
                "wrong signature by a trusted key", name=self.name, key_id=f"{self.key_id:08x}"
            ) from None
        return Signature(self.name, self.key_id, signature.value, at_ms)


class Signer(Protocol):
    """Whatever writes a signature line: a key in memory or one that never leaves its module."""

    @property
    def vkey(self) -> str:
        """The verifier-key text of the key."""
        ...

    def sign(self, text: str) -> str:
        """A signature line over `text`, its newline included."""
        ...


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """An Ed25519 key of type 0x01, such as a log signs its checkpoints with."""

    name: str
    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls, name: str) -> Self:
        """A new key."""
        refuse_name(name)
        return cls(name, Ed25519PrivateKey.generate())

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        return Verifier(self.name, KeyKind.ED25519, _public(self.private))

    @property
    def vkey(self) -> str:
        """The verifier-key text."""
        return self.verifier.vkey

    def sign(self, text: str) -> str:
        """A signature line over `text`, its newline included; deterministic."""
        return Signature(self.name, self.verifier.key_id, self.private.sign(text.encode())).line()

    def sign_octets(self, octets: bytes) -> bytes:
        """The bare Ed25519 signature, for another format of a checkpoint; never over what reads as a note."""
        return self.private.sign(octets)

    def dump(self) -> str:
        """The `PRIVATE+KEY+name+id+key` text, in the clear: for a file that only its owner reads."""
        return _dump_private(self.verifier, self.private)

    @classmethod
    def load(cls, text: str) -> Self:
        """The key that `dump` wrote; raises KeyMalformed without showing it."""
        return cls(*_load_private(text, KeyKind.ED25519))


@dataclass(frozen=True, slots=True)
class Cosigner:
    """An Ed25519 key of type 0x04, such as a witness cosigns with; each line says when it was made.

    c2sp.org/tlog-cosignature: the message does not name the cosigner, so a key must serve one cosigner only.
    """

    name: str
    private: Ed25519PrivateKey = field(repr=False)
    clock: Clock = field(repr=False)

    @classmethod
    def generate(cls, name: str, clock: Clock) -> Self:
        """A new key."""
        refuse_name(name)
        return cls(name, Ed25519PrivateKey.generate(), clock)

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        return Verifier(self.name, KeyKind.COSIGNATURE_V1, _public(self.private))

    @property
    def vkey(self) -> str:
        """The verifier-key text."""
        return self.verifier.vkey

    def sign(self, text: str) -> str:
        """A cosignature/v1 line over the checkpoint `text`, its newline included, at the clock's second."""
        at_s = self.clock.now_ms() // MS_PER_S
        octets = self.private.sign(_cosigned_message(at_s, text).encode())
        return Signature(self.name, self.verifier.key_id, at_s.to_bytes(_TIME_SIZE, "big") + octets).line()

    def dump(self) -> str:
        """The `PRIVATE+KEY+name+id+key` text, in the clear: for a file that only its owner reads."""
        return _dump_private(self.verifier, self.private)

    @classmethod
    def load(cls, text: str, clock: Clock) -> Self:
        """The key that `dump` wrote; raises KeyMalformed without showing it."""
        return cls(*_load_private(text, KeyKind.COSIGNATURE_V1), clock)


def parse_vkey(text: str) -> Verifier:
    """The verifier that the text encodes, and no other text encodes it; raises KeyMalformed."""
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise KeyMalformed("not a verifier key", expected="name+id+key")
    name, key_id, encoded = parts
    verifier = Verifier(name, *_decode_key(encoded))
    if key_id != f"{verifier.key_id:08x}":
        raise KeyMalformed("the key ID is not this key's", expected=f"{verifier.key_id:08x}", name=name)
    return verifier


def decode_base64(text: str) -> bytes | None:
    """The octets that `text` is the standard base64 of (RFC 4648, section 4), or None if it is not exactly that."""
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return octets if base64.b64encode(octets).decode("ascii") == text else None


def is_name(name: str) -> bool:
    """Whether a key may have this name: UTF-8, not empty, no Unicode space, no plus, no control character."""
    return 0 < len(name) <= MAX_NAME_CHARACTERS and not any(
        character.isspace() or character == "+" or character < " " or "\ud800" <= character <= "\udfff"
        for character in name
    )


def refuse_name(name: str) -> None:
    """Raises KeyMalformed unless a key may have this name."""
    if not is_name(name):
        raise KeyMalformed("no key may have this name", expected="no space, plus or control character")


def refuse_text(text: str) -> None:
    """Raises NoteMalformed unless notes may have this text."""
    if not text.endswith("\n"):
        raise NoteMalformed("the text does not end in a newline")
    if any(character < " " and character != "\n" for character in text):
        raise NoteMalformed("control character in the text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NoteMalformed("the text is not UTF-8") from None


def _key_id(name: str, kind: KeyKind, public: bytes) -> int:
    digest = sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()
    return int.from_bytes(digest[:KEY_ID_SIZE], "big")


def _cosigned_message(at_s: int, text: str) -> str:
    return f"cosignature/v1\ntime {at_s}\n{text}"


def _public(private: Ed25519PrivateKey) -> bytes:
    return private.public_key().public_bytes_raw()


def _encode_key(kind: KeyKind, octets: bytes) -> str:
    return base64.b64encode(bytes([kind]) + octets).decode("ascii")


def _decode_key(encoded: str) -> tuple[KeyKind, bytes]:
    octets = decode_base64(encoded)
    if octets is None or len(octets) != 1 + _ED25519_SIZE:
        raise KeyMalformed("the key is not a type byte and an Ed25519 key in base64")
    if octets[0] not in set(KeyKind):
        raise KeyMalformed("unknown type of key", expected="0x01 or 0x04", found=f"0x{octets[0]:02x}")
    return KeyKind(octets[0]), octets[1:]


def _dump_private(verifier: Verifier, private: Ed25519PrivateKey) -> str:
    encoded = _encode_key(verifier.kind, private.private_bytes_raw())
    return f"{PRIVATE_PREFIX}{verifier.name}+{verifier.key_id:08x}+{encoded}"


def _load_private(text: str, kind: KeyKind) -> tuple[str, Ed25519PrivateKey]:
    parts = text.removeprefix(PRIVATE_PREFIX).split("+", 2)
    if not text.startswith(PRIVATE_PREFIX) or len(parts) != 3:
        raise KeyMalformed("not a private note key", expected=f"{PRIVATE_PREFIX}name+id+key")
    name, key_id, encoded = parts
    refuse_name(name)
    found, octets = _decode_key(encoded)
    if found is not kind:
        raise KeyMalformed("a private key of another type", expected=kind.name, found=found.name)
    private = Ed25519PrivateKey.from_private_bytes(octets)
    if key_id != f"{Verifier(name, kind, _public(private)).key_id:08x}":
        raise KeyMalformed("the key ID is not this key's")
    return name, private

"""A thin JWS door (RFC 7515 compact form) on msgspec and cryptography: ES256 and EdDSA, nothing negotiated.

The algorithm is the one that fits the key, never one that the header asks for, so there is nothing to confuse.
"""

import binascii
from functools import cache, lru_cache
from typing import Any, cast

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from ledger.records import canonical
from ledger.records.errors import SignatureInvalid, StatementMalformed, StatementTooLarge

MAX_JWS_BYTES = 56_000
"""An entry holds at most 65,535 bytes; the rest of it needs far less than the difference."""

ES256_SIGNATURE_BYTES = 64
P256_SCALAR_BYTES = 32

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_es256 = ec.ECDSA(hashes.SHA256())
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_ALPHABET = bytes(octet if octet in _LETTERS else 0x21 for octet in range(256)).translate(bytes.maketrans(b"-_", b"+/"))
"""From base64url to base64; whatever belongs to no base64url, a quotation mark too, becomes what belongs to neither."""
_PADS = (b"", b"!", b"==", b"=")
"""What is missing from a string of base64 by its length modulo four; of 1, nothing makes it one."""
_LAST = ("", "", "AQgw", "AEIMQUYcgkosw048")
"""Letters that may stand last, by the length modulo four: those whose bits beyond the last octet are zero."""
_decode_string = msgspec.json.Decoder(bytes).decode
"""Three times as fast as `binascii` in its strict mode, and as strict over these letters."""

MAX_KEYS = 1024
"""Public keys that are remembered as read."""

MAX_HEADERS = 1024
"""Headers that are remembered as read: a signer's are all the same."""

_headers: dict[str, dict[str, Any]] = {}


class Parsed:
    """A JWS taken apart, not yet authenticated."""

    __slots__ = ("header", "payload", "raw", "signature", "signing_input")

    def __init__(
        self, raw: str, header: dict[str, Any], payload: bytes, signing_input: bytes, signature: bytes
    ) -> None:
        self.raw = raw
        self.header = header
        self.payload = payload
        self.signing_input = signing_input
        self.signature = signature


def encode_base64url(data: bytes) -> str:
    """base64url without padding (RFC 7515 section 2)."""
    return binascii.b2a_base64(data, newline=False).translate(_URL_SAFE).rstrip(b"=").decode("ascii")


def decode_base64url(text: str) -> bytes:
    """The bytes of canonical, unpadded base64url; anything else is refused."""
    rest = len(text) & 3
    try:
        data = _decode_string(b'"%s%s"' % (text.encode("ascii").translate(_ALPHABET), _PADS[rest]))
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise StatementMalformed("not base64url", expected="unpadded base64url") from error
    # Only the last group, where it is not a whole one, has bits that say nothing.
    if rest and text[-1] not in _LAST[rest]:
        raise StatementMalformed("base64url is not canonical", expected="unpadded, zero trailing bits")
    return data


def algorithm(key: PrivateKey | PublicKey) -> str:
    """The one algorithm that fits the key; raises `SignatureInvalid` for keys that sign no statement."""
    if _is_edwards(type(key)):
        return "EdDSA"
    curve = cast("ec.EllipticCurvePublicKey", key).curve
    if curve.name == ec.SECP256R1.name:
        return "ES256"
    raise SignatureInvalid("no statement is signed with this key", expected="P-256 or Ed25519", found=curve.name)


@cache
def _is_edwards(kind: type) -> bool:
    """Whether keys of this class are Ed25519. The library's classes are abstract, and dear to ask about each key."""
    return issubclass(kind, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey)


def signing_input(payload: bytes, alg: str, header: dict[str, Any]) -> str:
    """What is signed (RFC 7515 section 5.1): the canonical header, which gains `alg`, a dot, and the payload."""
    return f"{encode_base64url(canonical.encode({**header, 'alg': alg}))}.{encode_base64url(payload)}"


def sign(payload: bytes, key: PrivateKey, header: dict[str, Any]) -> str:
    """A compact JWS over `payload`; the header is canonical and gains `alg`."""
    found = signing_input(payload, algorithm(key), header)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        signature = key.sign(found.encode())
    else:
        r, s = utils.decode_dss_signature(key.sign(found.encode(), _es256))
        signature = r.to_bytes(P256_SCALAR_BYTES, "big") + s.to_bytes(P256_SCALAR_BYTES, "big")
    return f"{found}.{encode_base64url(signature)}"


def parse(raw: str) -> Parsed:
    """Takes a compact JWS apart, strictly; authenticates nothing."""
    if len(raw) > MAX_JWS_BYTES:
        raise StatementTooLarge("the statement is too large", expected=f"at most {MAX_JWS_BYTES}", found=len(raw))
    parts = raw.split(".")
    if len(parts) != 3:
        raise StatementMalformed("not a compact JWS", expected="three parts", found=len(parts))
    header = _headers.get(parts[0]) or _read_header(parts[0])
    payload = decode_base64url(parts[1])
    return Parsed(raw, header, payload, raw[: -1 - len(parts[2])].encode(), decode_base64url(parts[2]))


def _read_header(text: str) -> dict[str, Any]:
    header = canonical.decode(decode_base64url(text))
    if not isinstance(header, dict):
        raise StatementMalformed("the header is not an object")
    if len(_headers) >= MAX_HEADERS:
        _headers.clear()
    _headers[text] = header
    return header


def open_jws(parsed: Parsed, key: PublicKey) -> bytes:
    """The payload, now authenticated under `key`; raises `SignatureInvalid`."""
    wanted = algorithm(key)
    if parsed.header.get("alg") != wanted:
        raise SignatureInvalid("the header names another algorithm than the key's", expected=wanted)
    try:
        if _is_edwards(type(key)):
            cast("ed25519.Ed25519PublicKey", key).verify(parsed.signature, parsed.signing_input)
        else:
            elliptic = cast("ec.EllipticCurvePublicKey", key)
            elliptic.verify(_der(parsed.signature), parsed.signing_input, _es256)
    except InvalidSignature as error:
        raise SignatureInvalid("the signature does not verify under the credential's key") from error
    return parsed.payload


@lru_cache(MAX_KEYS)
def load_key(spki: bytes) -> PublicKey:
    """A public key from DER SubjectPublicKeyInfo; raises `SignatureInvalid` for other kinds."""
    try:
        key = serialization.load_der_public_key(spki)
    except ValueError as error:
        raise SignatureInvalid("the key cannot be read") from error
    if isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        return key
    raise SignatureInvalid("no statement is signed with this kind of key", found=type(key).__name__)


def _der(signature: bytes) -> bytes:
    if len(signature) != ES256_SIGNATURE_BYTES:
        raise SignatureInvalid("wrong length", expected=ES256_SIGNATURE_BYTES, found=len(signature))
    r = int.from_bytes(signature[:P256_SCALAR_BYTES], "big")
    s = int.from_bytes(signature[P256_SCALAR_BYTES:], "big")
    return utils.encode_dss_signature(r, s)

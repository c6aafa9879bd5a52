"""OCMF 1.x: signed meter values, read from their own bytes and checked against a key that we bound beforehand.

`OCMF|{payload}|{signature}` (S.A.F.E. Open Charge Metering Format 1.4.1). The signed bytes are the payload text as it
stands; a number keeps the digits it was written with. The verifying key always comes from the caller: a key that
travels with the value proves nothing. What is accepted and what is a quirk: `docs/spec/ocmf.md`.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from ledger.delivery.errors import (
    OcmfKeyMalformed,
    OcmfKeyMismatch,
    OcmfMalformed,
    OcmfSignature,
    OcmfUnsupported,
)
from ledger.delivery.readings import Literal, Pagination, Reading, parse_pagination, parse_readings

MAX_TEXT_BYTES: Final = 32_768
"""The bound of OCPP 2.1 `signedMeterData`, which is what carries a record to us."""
MAX_KEY_BYTES: Final = 512
MAX_SIGNATURE_BYTES: Final = 256
MAX_FIELD_CHARS: Final = 256

DEFAULT_ALGORITHM: Final = "ECDSA-secp256r1-SHA256"
# Algorithm name -> (the library's name of the curve, octets of a coordinate). The hash is SHA-256 on every curve.
# The format also names secp192k1, which the library does not have: unsupported, like any unknown name.
CURVES: Final[Mapping[str, tuple[str, int]]] = {
    "ECDSA-secp192r1-SHA256": ("secp192r1", 24),
    "ECDSA-secp256k1-SHA256": ("secp256k1", 32),
    "ECDSA-secp256r1-SHA256": ("secp256r1", 32),
    "ECDSA-secp384r1-SHA256": ("secp384r1", 48),
    "ECDSA-secp521r1-SHA256": ("secp521r1", 66),
    "ECDSA-brainpool256r1-SHA256": ("brainpoolP256r1", 32),
    "ECDSA-brainpoolP256r1-SHA256": ("brainpoolP256r1", 32),
    "ECDSA-brainpool384r1-SHA256": ("brainpoolP384r1", 48),
    "ECDSA-brainpoolP384r1-SHA256": ("brainpoolP384r1", 48),
}


class Quirk(StrEnum):
    """A departure from the format that real meters show."""

    RAW_SIGNATURE = "RAW_SIGNATURE"
    RAW_KEY = "RAW_KEY"
    VALUE_AS_STRING = "VALUE_AS_STRING"


class OcmfRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the text says. Nothing in it is authentic yet. Identification of the user is left in `payload`."""

    payload: bytes
    format_version: str
    gateway_id: str | None
    gateway_serial: str | None
    meter_vendor: str | None
    meter_model: str | None
    meter_serial: str | None
    meter_firmware: str | None
    pagination: Pagination | None
    readings: tuple[Reading, ...]
    algorithm: str
    signature: bytes
    quirks: frozenset[Quirk]


class VerifiedOcmf(msgspec.Struct, frozen=True, kw_only=True):
    """A record whose signature holds under the key with this SHA-256; only `open_ocmf` makes one."""

    record: OcmfRecord
    key_sha256: str
    curve: str


def parse_ocmf(text: str | bytes) -> OcmfRecord:
    """The record, its payload verbatim. Raises OcmfMalformed."""
    raw = _raw(text)
    if not raw.startswith(b"OCMF|"):
        raise OcmfMalformed("the header is missing", expected="OCMF|")
    # The signature section holds no bar followed by a brace, so the last such place is where it starts.
    cut = raw.rfind(b"|{")
    if cut <= len(b"OCMF"):
        raise OcmfMalformed("there is no signature section", expected="OCMF|{payload}|{signature}")
    payload = raw[5:cut]
    fields = _object(payload, "payload")
    section = _object(raw[cut + 1 :], "signature section")
    readings, as_string = parse_readings(fields.get("RD"))
    return OcmfRecord(
        payload=payload,
        format_version=_text(fields, "FV") or "",
        gateway_id=_text(fields, "GI"),
        gateway_serial=_text(fields, "GS"),
        meter_vendor=_text(fields, "MV"),
        meter_model=_text(fields, "MM"),
        meter_serial=_text(fields, "MS"),
        meter_firmware=_text(fields, "MF"),
        pagination=parse_pagination(_text(fields, "PG")),
        readings=readings,
        algorithm=_text(section, "SA") or DEFAULT_ALGORITHM,
        signature=_signature(section),
        quirks=_STRING_VALUES if as_string else _NO_QUIRKS,
    )


def open_ocmf(text: str | bytes, public_key_der: bytes, *, accept: frozenset[Quirk] = frozenset()) -> VerifiedOcmf:
    """The record, after its signature was verified over the payload as it stands.

    `public_key_der` is the SubjectPublicKeyInfo that we bound to the meter. A signature of two bare integers, or a key
    of two bare coordinates (with or without the octet 04 before them), is taken only where `accept` has
    Quirk.RAW_SIGNATURE or Quirk.RAW_KEY, and the record then lists it.

    Raises OcmfMalformed, OcmfUnsupported (says nothing about the signature), OcmfKeyMalformed, OcmfKeyMismatch,
    OcmfSignature.
    """
    record = parse_ocmf(text)
    if record.algorithm not in CURVES:
        raise OcmfUnsupported("unknown signature algorithm", found=record.algorithm[:64])
    curve, width = CURVES[record.algorithm]
    signature, quirks = record.signature, record.quirks
    bare = _coordinates(public_key_der, width)
    if bare is None:
        key, key_curve, key_sha256 = _load_key(public_key_der)
    elif Quirk.RAW_KEY not in accept:
        raise OcmfKeyMalformed("the key is not a DER SubjectPublicKeyInfo", found="two bare coordinates")
    else:
        key, key_curve, key_sha256 = _load_point(curve, bare)
        quirks |= {Quirk.RAW_KEY}
    if key_curve != curve:
        raise OcmfKeyMismatch("the key is on another curve", expected=curve, found=key_curve)
    if len(signature) == 2 * width and not _is_der(signature):
        if Quirk.RAW_SIGNATURE not in accept:
            raise OcmfMalformed("the signature is not DER", expected="DER", found="two bare integers")
        signature = utils.encode_dss_signature(
            int.from_bytes(signature[:width], "big"), int.from_bytes(signature[width:], "big")
        )
        quirks |= {Quirk.RAW_SIGNATURE}
    try:
        key.verify(signature, record.payload, _ECDSA)
    except InvalidSignature as error:
        raise OcmfSignature("the signature does not hold over the payload", key=key_sha256[:16]) from error
    return VerifiedOcmf(
        record=record if quirks == record.quirks else msgspec.structs.replace(record, quirks=quirks),
        key_sha256=key_sha256,
        curve=curve,
    )


def sign_ocmf(payload: str, private_key: ec.EllipticCurvePrivateKey) -> str:
    """The record as a meter writes it: DER in hex, nonces by RFC 6979, so that the same input gives the same text.

    `payload` is the JSON text that is signed as it stands (`meter.build_payload` writes one). Raises OcmfUnsupported
    for a curve without a name in the format, OcmfMalformed where the result would not be read back.
    """
    raw = _raw(payload)
    names = [name for name, (curve, _) in CURVES.items() if curve == private_key.curve.name]
    if not names:
        raise OcmfUnsupported("the format has no name for this curve", found=private_key.curve.name)
    signature = private_key.sign(raw, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    text = f'OCMF|{payload}|{{"SA":"{names[0]}","SD":"{signature.hex()}"}}'
    parse_ocmf(text)
    return text


def _raw(text: str | bytes) -> bytes:
    try:
        raw = text.encode() if isinstance(text, str) else text
        if len(raw) > MAX_TEXT_BYTES:
            raise OcmfMalformed("the text is too long", expected=f"at most {MAX_TEXT_BYTES}", found=len(raw))
        if not isinstance(text, str):
            raw.decode()
    except UnicodeError as error:
        raise OcmfMalformed("the text is not UTF-8") from error
    return raw


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise OcmfMalformed("a member name occurs twice")
    return members


def _refuse_constant(_: str) -> object:
    raise OcmfMalformed("not a JSON number")


_ECDSA: Final = ec.ECDSA(hashes.SHA256())
_NO_QUIRKS: Final[frozenset[Quirk]] = frozenset()
_STRING_VALUES: Final = frozenset({Quirk.VALUE_AS_STRING})

# Numbers stay the digits they were written with: 0.2596 is never a binary float.
_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=Literal, parse_int=Literal, parse_constant=_refuse_constant
)


def _object(raw: bytes, part: str) -> dict[str, object]:
    try:
        value: object = _DECODER.decode(raw.decode())
    except (ValueError, RecursionError) as error:
        raise OcmfMalformed(f"the {part} is not JSON") from error
    if not isinstance(value, dict):
        raise OcmfMalformed(f"the {part} is not an object")
    return value


def _text(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    if value is None or (type(value) is str and len(value) <= MAX_FIELD_CHARS):
        return value
    # Some meters write a version as a number; its digits are its text.
    if not isinstance(value, str) or len(value) > MAX_FIELD_CHARS:
        raise OcmfMalformed("not a short text", expected=f"at most {MAX_FIELD_CHARS} characters", field=name)
    return str(value)


def _signature(section: Mapping[str, object]) -> bytes:
    data = section.get("SD")
    encoding = _text(section, "SE") or "hex"
    if not isinstance(data, str) or isinstance(data, Literal) or len(data) > 2 * MAX_SIGNATURE_BYTES:
        raise OcmfMalformed("no signature", expected=f"SD of at most {2 * MAX_SIGNATURE_BYTES} characters")
    try:
        if encoding == "hex":
            return binascii.unhexlify(data)
        if encoding == "base64":
            return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise OcmfMalformed("the signature is not in its encoding", expected=encoding) from error
    raise OcmfMalformed("unknown encoding of the signature", expected="hex or base64", found=encoding[:16])


def _is_der(signature: bytes) -> bool:
    try:
        utils.decode_dss_signature(signature)
    except ValueError:
        return False
    return True


def _coordinates(key: bytes, width: int) -> bytes | None:
    """x and y of a key that is nothing else; None for what is longer or shorter, as every SubjectPublicKeyInfo is."""
    if len(key) == 2 * width:
        return key
    return key[1:] if len(key) == 2 * width + 1 and key[:1] == b"\x04" else None


_KEY_CURVES: Final[Mapping[str, ec.EllipticCurve]] = {
    "secp192r1": ec.SECP192R1(),
    "secp256k1": ec.SECP256K1(),
    "secp256r1": ec.SECP256R1(),
    "secp384r1": ec.SECP384R1(),
    "secp521r1": ec.SECP521R1(),
    "brainpoolP256r1": ec.BrainpoolP256R1(),
    "brainpoolP384r1": ec.BrainpoolP384R1(),
}


@lru_cache(maxsize=1024)
def _load_point(curve: str, bare: bytes) -> tuple[ec.EllipticCurvePublicKey, str, str]:
    """The key; its digest is that of the SubjectPublicKeyInfo that it stands for, which is what is bound."""
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(_KEY_CURVES[curve], b"\x04" + bare)
    except UnsupportedAlgorithm as error:
        raise OcmfUnsupported("the key's curve is not available here") from error
    except ValueError as error:
        raise OcmfKeyMalformed("the coordinates are no point of the curve", expected=curve) from error
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return key, curve, hashlib.sha256(der).hexdigest()


@lru_cache(maxsize=1024)
def _load_key(der: bytes) -> tuple[ec.EllipticCurvePublicKey, str, str]:
    if len(der) > MAX_KEY_BYTES:
        raise OcmfKeyMalformed("the key is too long", expected=f"at most {MAX_KEY_BYTES}", found=len(der))
    try:
        key = load_der_public_key(der)
    except UnsupportedAlgorithm as error:
        raise OcmfUnsupported("the key's curve is not available here") from error
    except ValueError as error:
        raise OcmfKeyMalformed("not a DER SubjectPublicKeyInfo") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise OcmfKeyMismatch("the key is not on an elliptic curve", found=type(key).__name__)
    return key, key.curve.name, hashlib.sha256(der).hexdigest()

"""COSE receipts (RFC 9942, RFC 9162 SHA-256 profile): the same proof as a tlog-proof, for readers of SCITT.

The one file that knows the CBOR library, which the base install does not bring: it is loaded when it is needed. A
receipt is read only in its one deterministic encoding (RFC 8949, section 4.2): no byte of it can change unnoticed.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from api.errors import Refused
from ledger.tlog import hashing, merkle
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.notekeys import KEY_ID_SIZE, KeyKind, Verifier

MEDIA_TYPE: Final = "application/scitt-receipt+cose"
MARK: Final = b"\xd2"
"""CBOR tag 18: COSE_Sign1 (RFC 9052)."""
MAX_BYTES: Final = 16_384

_SIGN1: Final = 18
_ALG, _KID, _CLAIMS, _VDS, _VDP = 1, 4, 15, 395, 396
_EDDSA: Final = -8
_RFC9162_SHA256: Final = 1
_INCLUSION: Final = -1
_ISS, _SUB = 1, 2


class CborMissing(Refused):
    """The CBOR library is not installed; it comes with the extra `server`."""

    code = "verify/cbor-missing"
    title = "CBOR library is not installed"


class ReceiptMalformed(Refused):
    """The bytes are not a COSE receipt of this profile in its deterministic encoding."""

    code = "verify/cose-malformed"
    title = "Malformed COSE receipt"


class ReceiptUnverified(Refused):
    """No trusted key of the log signed the root to which the receipt leads."""

    code = "verify/cose-unverified"
    title = "COSE receipt does not verify"


class CoseReceipt(msgspec.Struct, frozen=True):
    """A well-formed receipt; nothing of it is authentic yet."""

    protected: bytes
    key_id: int
    origin: str
    subject: str
    size: int
    index: int
    path: tuple[bytes, ...]
    signature: bytes


def encode(
    head: Checkpoint, index: int, path: Sequence[bytes], *, verifier: Verifier, sign: Callable[[bytes], bytes]
) -> bytes:
    """The receipt of entry `index` under the root of `head`; `sign` is by the key of `verifier`."""
    cbor = _cbor()
    protected = _protected(cbor, head.origin, head.size, index, verifier.key_id)
    signature = sign(_signed_octets(cbor, protected, head.root))
    return _assembled(cbor, protected, head.size, index, path, signature)


def parse(data: bytes) -> CoseReceipt:
    """The receipt in the bytes; raises `ReceiptMalformed`, `CborMissing`."""
    if len(data) > MAX_BYTES:
        raise ReceiptMalformed("too long", expected=f"at most {MAX_BYTES} bytes", found=len(data))
    cbor = _cbor()
    tagged = _load(cbor, data)
    try:
        protected, unprotected, _, signature = tagged.value
        header = _load(cbor, protected)
        size, index, path = _load(cbor, unprotected[_VDP][_INCLUSION][0])
        origin, key_id = header[_CLAIMS][_ISS], int.from_bytes(header[_KID], "big")
        # What is written again from these values is the file, so it holds nothing else.
        is_ours = (
            data == _assembled(cbor, protected, size, index, path, signature)
            and protected == _protected(cbor, origin, size, index, key_id)
            and type(size) is int
            and type(index) is int
            and all(isinstance(one, bytes) for one in (*path, signature))
        )
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise ReceiptMalformed("not a COSE receipt", expected="RFC 9942, RFC9162_SHA256, EdDSA") from error
    if not is_ours:
        raise ReceiptMalformed(
            "not of this profile", expected="alg, kid, claims and vds protected; one inclusion proof"
        )
    return CoseReceipt(protected, key_id, origin, _subject(origin, size, index), size, index, tuple(path), signature)


def open_receipt(data: bytes, *, entry: bytes, origin: str, verifiers: Sequence[Verifier]) -> CoseReceipt:
    """The receipt, once the entry's path leads to a root that a key of the log signed.

    Raises `ReceiptUnverified`, and what `parse` raises.
    """
    parsed = parse(data)
    if parsed.origin != origin:
        raise ReceiptUnverified("the receipt is of another log", expected=origin, found=parsed.origin)
    root = merkle.root_of_inclusion(parsed.path, index=parsed.index, size=parsed.size, leaf_hash=hashing.leaf(entry))
    octets = _signed_octets(_cbor(), parsed.protected, root)
    for key in verifiers:
        if key.kind is KeyKind.ED25519 and key.name == origin and key.key_id == parsed.key_id:
            try:
                Ed25519PublicKey.from_public_bytes(key.public).verify(parsed.signature, octets)
            except InvalidSignature:
                continue
            return parsed
    raise ReceiptUnverified("no trusted key signed this root", expected=f"key {parsed.key_id:08x} of the log")


def _subject(origin: str, size: int, index: int) -> str:
    """Root and path alone do not fix the size: one path leads to one root in several. So what is signed says it."""
    return f"{origin}/entries/{index}?size={size}"


def _protected(cbor: Any, origin: str, size: int, index: int, key_id: int) -> bytes:
    claims = {_ISS: origin, _SUB: _subject(origin, size, index)}
    kid = key_id.to_bytes(KEY_ID_SIZE, "big")
    return _dump(cbor, {_ALG: _EDDSA, _KID: kid, _CLAIMS: claims, _VDS: _RFC9162_SHA256})


def _assembled(cbor: Any, protected: bytes, size: int, index: int, path: Sequence[bytes], signature: bytes) -> bytes:
    proof = _dump(cbor, [size, index, list(path)])
    return _dump(cbor, cbor.CBORTag(_SIGN1, [protected, {_VDP: {_INCLUSION: [proof]}}, None, signature]))


def _signed_octets(cbor: Any, protected: bytes, root: bytes) -> bytes:
    """Sig_structure of RFC 9052, section 4.4, over the detached payload."""
    return _dump(cbor, ["Signature1", protected, b"", root])


def _cbor() -> Any:
    try:
        import cbor2
    except ImportError:
        raise CborMissing("reading COSE needs cbor2", expected="pip install flexledger[server]") from None
    return cbor2


def _dump(cbor: Any, value: object) -> bytes:
    made: bytes = cbor.dumps(value, canonical=True)
    return made


def _load(cbor: Any, data: object) -> Any:
    if not isinstance(data, bytes):
        raise ReceiptMalformed("not a byte string where CBOR should be")
    try:
        found = cbor.loads(data)
        is_same = _dump(cbor, found) == data
    except (cbor.CBORDecodeError, cbor.CBOREncodeError, ValueError, RecursionError, TypeError) as error:
        raise ReceiptMalformed("not CBOR") from error
    if not is_same:
        raise ReceiptMalformed("not deterministically encoded", expected="RFC 8949, section 4.2")
    return found

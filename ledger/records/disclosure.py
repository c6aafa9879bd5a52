"""Disclosures in the shape of RFC 9901 (SD-JWT): a salt, a name and a value, hashed byte for byte as transmitted."""

import hashlib
from typing import Any

import msgspec

from ledger.records import canonical, jws
from ledger.records.errors import DisclosureMalformed, NotCanonical, StatementMalformed

SALT_BYTES = 32
MIN_SALT_BYTES = 16
MAX_DISCLOSURE_BYTES = 65_536


_triples = msgspec.json.Decoder(tuple[str, str, Any])


class Disclosure(msgspec.Struct, frozen=True):
    """One opened disclosure; `text` is what was hashed, so it is kept exactly as it came."""

    text: str
    salt: str
    name: str
    value: Any
    digest: str = ""
    """base64url SHA-256 of the transmitted text (RFC 9901 section 4.2.3); computed here, whatever is passed."""

    def __post_init__(self) -> None:
        """Once for each: a statement's way to the log asks for it half a dozen times."""
        msgspec.structs.force_setattr(self, "digest", digest(self.text))


def digest(text: str) -> str:
    """The digest under which a statement commits to this disclosure."""
    return jws.encode_base64url(hashlib.sha256(text.encode("ascii")).digest())


def make(salt: bytes, name: str, value: Any) -> Disclosure:
    """A disclosure of `value` under `name`; the salt must be fresh and random."""
    text = jws.encode_base64url(canonical.encode([jws.encode_base64url(salt), name, value]))
    return Disclosure(text, jws.encode_base64url(salt), name, value)


def parse(text: str) -> Disclosure:
    """Reads a transmitted disclosure; raises `DisclosureMalformed`, never repeating what it holds."""
    if len(text) > MAX_DISCLOSURE_BYTES:
        raise DisclosureMalformed("too large", expected=f"at most {MAX_DISCLOSURE_BYTES}", found=len(text))
    try:
        triple = canonical.decode(jws.decode_base64url(text))
        salt, name, value = triple if isinstance(triple, list) else (None, None, None)
        salt_bytes = jws.decode_base64url(salt) if isinstance(salt, str) else b""
    except (NotCanonical, StatementMalformed, ValueError) as error:
        raise DisclosureMalformed("not [salt, name, value]") from error
    if len(salt_bytes) < MIN_SALT_BYTES:
        raise DisclosureMalformed("the salt is too short", expected=f"at least {MIN_SALT_BYTES} bytes")
    if not isinstance(name, str) or name in {"_sd", "...", ""}:
        raise DisclosureMalformed("not a member name")
    return Disclosure(text, str(salt), name, value)


def read(text: str) -> Disclosure:
    """A disclosure that was parsed before, when it was taken in, and hashes to what the log holds: not looked at again.

    Raises `DisclosureMalformed`.
    """
    try:
        salt, name, value = _triples.decode(jws.decode_base64url(text))
    except (msgspec.DecodeError, StatementMalformed, UnicodeDecodeError) as error:
        raise DisclosureMalformed("not [salt, name, value]") from error
    return Disclosure(text, salt, name, value)

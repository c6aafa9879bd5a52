"""`Credential`: what a certificate chain proved, at one time, from stated status evidence."""

import msgspec

from pki.keys import PublicKey
from pki.roles import Purpose, Role


class Credential(msgspec.Struct, frozen=True):
    """A validated leaf. Only `validation.validate` makes one.

    `spki_sha256`, `tbs_sha256` and `issuer_key_sha256` are hex; `x5t_s256` is base64url without padding (RFC 8705) and
    good only for comparison with a live TLS peer: an ECDSA certificate has a second encoding with another fingerprint,
    so records and deny-lists go by (`issuer_key_sha256`, `serial`). `chain` is DER from the leaf to the issuing
    authority. `status_digests` are the SHA-256 (hex) of the CRLs used; the result holds until `status_valid_until_ms`.
    """

    role: Role
    party_id: str
    purpose: Purpose
    services: frozenset[str]
    delegated_by: str | None
    station_id: str | None
    organisation: str
    public_key: PublicKey
    spki_sha256: str
    x5t_s256: str
    tbs_sha256: str
    issuer_key_sha256: str
    serial: int
    not_before_ms: int
    not_after_ms: int
    chain: tuple[bytes, ...]
    status_digests: tuple[str, ...]
    status_valid_until_ms: int
    development: bool

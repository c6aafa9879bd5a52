"""Who speaks: the value that the service makes from a verified credential, so that no rule ever sees a certificate."""

from enum import StrEnum
from typing import NamedTuple

import msgspec


class Role(StrEnum):
    """The roles of the FCSBE's world; the same names as in the role extension of a credential."""

    FO = "FO"
    CSO = "CSO"
    CSP = "CSP"
    EVU = "EVU"
    SO = "SO"
    CB = "CB"
    AUD = "AUD"
    DPO = "DPO"
    OPS = "OPS"
    STATION = "STATION"


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """A party in one role, with the key that it signs with; made from a verified credential, never from a body."""

    party: str
    role: Role
    key_spki: bytes
    """DER SubjectPublicKeyInfo of the signing key."""
    x5t: str
    """base64url SHA-256 of the certificate: a look-up hint (RFC 7515 section 4.1.8), never an identity."""
    tbs_sha256: str
    """Hex SHA-256 of the to-be-signed certificate: what identifies it, for an ECDSA signature can be rewritten."""
    services: frozenset[str] = frozenset()
    delegated_by: str | None = None


class SignerProof(NamedTuple):
    """How long it holds that a statement is its signer's."""

    until_ms: int
    """Exclusive: then its credential, its root or what says that it stands comes to an end."""
    policy_index: int | None
    """Index of the last change of policy or roots that whoever proved it had heard of; None where nobody listens."""

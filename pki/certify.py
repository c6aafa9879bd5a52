"""A certificate of any kind from its draft: linted before anything is recorded, then issued by `issuance`."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from cryptography import x509

from pki import issuance, keys, tbs
from pki.errors import Broken
from pki.journal import Journal
from pki.lint.examine import examine
from pki.lint.second_opinion import SecondOpinion
from pki.lint.subject import Examined
from pki.opened import OpenedCertificate, open_certificate, signed_as
from pki.profiles import AuthorityProfile
from pki.store.records import CertificateStore, Intent, Issued, KeyUse
from pki.tbs import Draft, InfrastructureOrder, LeafOrder

Asked: TypeAlias = LeafOrder | InfrastructureOrder | AuthorityProfile | None


class NotAsLinted(Broken):
    """The signed bytes are not those that were linted and recorded."""

    code = "pki/not-as-linted"
    title = "Signed certificate differs from the linted one"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs, and where it is kept; `certificate` is None for a root that signs itself."""

    signer: keys.Signer
    key_sha256: str
    """SHA-256 (hex) of its public key."""
    certificate: x509.Certificate | None
    development: bool
    store: CertificateStore
    journal: Journal
    second_opinion: SecondOpinion | None = None


def certify(
    draft: Draft,
    issuer: Issuer,
    *,
    asked: Asked,
    profile_name: str,
    now_ms: int,
    check: Callable[[OpenedCertificate], None],
    order_id: str | None = None,
    admit: Callable[[Sequence[KeyUse], Intent], None] | None = None,
) -> x509.Certificate:
    """What `draft` says, stored and recorded: the very bytes that were linted under a signature that is none.

    Raises KeyOffline, `LintFailed`, NotAsLinted, what `check` raises (it sees the certificate before it is stored),
    what `admit` raises (it sees the uses of the key), and what `issuance.carry_out` raises.
    """
    keys.require_online(issuer.signer)
    algorithm = tbs.algorithm_for(issuer.signer)
    to_be_signed = draft.encode(algorithm)
    linted = open_certificate(tbs.unsigned(to_be_signed, algorithm))
    examine(Examined(linted.certificate, issuer.certificate, asked, issuer.development, linted))
    if issuer.second_opinion is not None:
        issuer.second_opinion(linted.certificate)
    intent = _intent(linted, issuer.key_sha256, asked, profile_name, now_ms)
    made: list[x509.Certificate] = []

    def sign() -> Issued:
        # What is looked at, kept and given away from here on are the octets that came back, not what was meant.
        signed = signed_as(tbs.signed(to_be_signed, issuer.signer), linted)
        if signed is None:
            raise NotAsLinted("the signed bytes are not those that were linted")
        check(signed)
        made.append(signed.certificate)
        return _issued(signed, intent)

    issuance.carry_out(
        issuer.store,
        issuer.journal,
        intent,
        sign=sign,
        order_id=order_id,
        # A development hierarchy plays days of the past beside today.
        clock_tolerance_ms=None if issuer.development else issuance.CLOCK_TOLERANCE_MS,
        admit=None if admit is None else lambda uses: admit(uses, intent),
    )
    return made[0]


def _intent(
    linted: OpenedCertificate,
    issuer_key_sha256: str,
    asked: Asked,
    profile_name: str,
    now_ms: int,
) -> Intent:
    keys.require_leaf_key(linted.certificate.public_key())
    leaf = asked if isinstance(asked, LeafOrder) else None
    return Intent(
        tbs_sha256=hashlib.sha256(linted.tbs).hexdigest(),
        profile=profile_name,
        issuer_key_sha256=issuer_key_sha256,
        serial=linted.serial,
        at_ms=now_ms,
        spki_sha256=hashlib.sha256(linted.spki).hexdigest(),
        role=None if leaf is None else leaf.profile.role,
        purpose=None if leaf is None else leaf.profile.purpose,
        party_id=None if leaf is None else leaf.identity.party_id,
        station_id=None if leaf is None else leaf.identity.station_id,
    )


def _issued(signed: OpenedCertificate, intent: Intent) -> Issued:
    return Issued(
        issuer_key_sha256=intent.issuer_key_sha256,
        serial=intent.serial,
        der=signed.der,
        profile=intent.profile,
        role=intent.role,
        purpose=intent.purpose,
        party_id=intent.party_id,
        station_id=intent.station_id,
        spki_sha256=intent.spki_sha256,
        tbs_sha256=intent.tbs_sha256,
        not_before_ms=signed.not_before_ms,
        not_after_ms=signed.not_after_ms,
        issued_at_ms=intent.at_ms,
    )

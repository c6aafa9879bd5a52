"""A certificate of any kind from its draft: linted before anything is recorded, then issued by `issuance`."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from cryptography import x509

from pki import issuance, keys, path, tbs
from pki.errors import Broken
from pki.journal import Journal
from pki.lint.examine import examine
from pki.lint.second_opinion import SecondOpinion
from pki.lint.subject import Examined
from pki.profiles import AuthorityProfile
from pki.store.records import CertificateStore, Intent, Issued, KeyUse
from pki.tbs import Draft, InfrastructureOrder, LeafOrder
from pki.trust import encoded

Asked: TypeAlias = LeafOrder | InfrastructureOrder | AuthorityProfile | None


class NotAsLinted(Broken):
    """The signed bytes are not those that were linted and recorded."""

    code = "pki/not-as-linted"
    title = "Signed certificate differs from the linted one"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs, and where it is kept; `certificate` is None for a root that signs itself."""

    signer: keys.Signer
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
    check: Callable[[x509.Certificate], None],
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
    linted = tbs.unsigned(to_be_signed, algorithm)
    examine(Examined(linted, issuer.certificate, asked, issuer.development))
    if issuer.second_opinion is not None:
        issuer.second_opinion(linted)
    intent = _intent(linted, to_be_signed, issuer.signer, asked, profile_name, now_ms)
    made: list[x509.Certificate] = []

    def sign() -> Issued:
        certificate = tbs.signed(to_be_signed, issuer.signer)
        if certificate.tbs_certificate_bytes != to_be_signed:
            raise NotAsLinted("the signed bytes are not those that were linted")
        check(certificate)
        made.append(certificate)
        return _issued(certificate, intent)

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
    linted: x509.Certificate, to_be_signed: bytes, signer: keys.Signer, asked: Asked, profile_name: str, now_ms: int
) -> Intent:
    leaf = asked if isinstance(asked, LeafOrder) else None
    return Intent(
        tbs_sha256=hashlib.sha256(to_be_signed).hexdigest(),
        profile=profile_name,
        issuer_key_sha256=keys.spki_sha256(signer.public_key()),
        serial=linted.serial_number,
        at_ms=now_ms,
        spki_sha256=keys.spki_sha256(keys.require_leaf_key(linted.public_key())),
        role=None if leaf is None else leaf.profile.role,
        purpose=None if leaf is None else leaf.profile.purpose,
        party_id=None if leaf is None else leaf.identity.party_id,
        station_id=None if leaf is None else leaf.identity.station_id,
    )


def _issued(certificate: x509.Certificate, intent: Intent) -> Issued:
    return Issued(
        issuer_key_sha256=intent.issuer_key_sha256,
        serial=intent.serial,
        der=encoded(certificate),
        profile=intent.profile,
        role=intent.role,
        purpose=intent.purpose,
        party_id=intent.party_id,
        station_id=intent.station_id,
        spki_sha256=intent.spki_sha256,
        tbs_sha256=intent.tbs_sha256,
        not_before_ms=path.not_before_ms(certificate),
        not_after_ms=path.not_after_ms(certificate),
        issued_at_ms=intent.at_ms,
    )

"""CRLs: one per authority, complete, with its scope in the issuing distribution point (RFC 5280 section 5)."""

from collections.abc import Iterable, Iterator

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pki import tbs
from pki.asn1 import crl as octets
from pki.asn1 import tlv
from pki.errors import Broken, Refused
from pki.journal import Journal
from pki.keys import Signer, require_authority_key, spki_sha256
from pki.profiles import DAY_MS
from pki.status import Scope, StatusIndeterminate, StatusSet
from pki.store.records import REASON_NUMBER, CertificateStore, Revocation

CRL_LIFETIME_MS = 7 * DAY_MS
ROOT_CRL_LIFETIME_MS = 90 * DAY_MS
PAGE = 1000


class InvalidityRefused(Refused):
    """A key is not to be trusted from before its certificate was revoked; not from after it, nor from before 1970."""

    code = "pki/invalidity-date"
    title = "Invalidity date not allowed"


class CrlUnusable(Broken):
    """A CRL of our own that our own check would not use."""

    code = "pki/crl-unusable"
    title = "Own CRL fails its check"


def revoke(store: CertificateStore, journal: Journal, revocation: Revocation) -> Revocation:
    """The certificate is revoked for ever from `revoked_at_ms` on; asked again, the first revocation stands.

    CRLs made from now on list it. Raises InvalidityRefused, or `CertificateAbsent` for what was never intended.
    """
    if revocation.invalid_from_ms is not None and not 0 <= revocation.invalid_from_ms <= revocation.revoked_at_ms:
        raise InvalidityRefused(
            "the invalidity date is not before the revocation",
            expected=f"0 to {revocation.revoked_at_ms}",
            found=revocation.invalid_from_ms,
        )
    standing = store.revocation_of(revocation.issuer_key_sha256, revocation.serial)
    if standing is not None:
        return standing
    store.require_named(revocation.issuer_key_sha256, revocation.serial)
    journal.revoked(revocation)
    # From here on it is revoked: a crash now is repaired by telling the store again from the journal.
    return store.revoke(revocation)


def crl(
    *,
    issuer: x509.Certificate,
    signer: Signer,
    scope: Scope,
    revocations: Iterable[Revocation],
    number: int,
    this_update_ms: int,
    lifetime_ms: int,
) -> bytes:
    """The DER of the CRL that `issuer` publishes at `this_update_ms`; checked as any verifier of ours would.

    A hundred thousand entries take a second or two, in steps that let other threads run.
    """
    algorithm = tbs.algorithm_for(signer).dotted_string
    key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    said: list[tuple[x509.ExtensionType, bool]] = [
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), False),
        (x509.CRLNumber(number), False),
        (_distribution_point(scope), True),
    ]
    signed = octets.encode_tbs(
        algorithm=algorithm,
        issuer=issuer.subject.public_bytes(),
        this_update_ms=this_update_ms,
        next_update_ms=this_update_ms + lifetime_ms,
        entries=(
            octets.Entry(one.serial, one.revoked_at_ms, REASON_NUMBER[one.reason], one.invalid_from_ms)
            for one in revocations
        ),
        extensions=[(value.oid, critical, value.public_bytes()) for value, critical in said],
    )
    data = tlv.signed(signed, algorithm, signer.sign(signed, ec.ECDSA(tbs.digest_for(signer))))
    try:
        StatusSet([data]).crl_for(issuer, this_update_ms, scope)
    except StatusIndeterminate as error:
        raise CrlUnusable("the CRL does not pass our own check") from error
    return data


def published(
    store: CertificateStore,
    *,
    issuer: x509.Certificate,
    signer: Signer,
    scope: Scope,
    now_ms: int,
    lifetime_ms: int,
    allow_earlier: bool = False,
) -> bytes:
    """The next CRL of `issuer`, with all that `store` holds as revoked at `now_ms` and a number never used before."""
    name = spki_sha256(require_authority_key(issuer.public_key()))
    number = store.next_crl_number(name, now_ms, allow_earlier=allow_earlier)
    return crl(
        issuer=issuer,
        signer=signer,
        scope=scope,
        revocations=_all_revocations(store, name, now_ms),
        number=number,
        this_update_ms=now_ms,
        lifetime_ms=lifetime_ms,
    )


def _all_revocations(store: CertificateStore, issuer_key_sha256: str, until_ms: int) -> Iterator[Revocation]:
    """By serial number, a few at a time: a hundred thousand at once would keep the collector of garbage busy."""
    after = -1
    while page := store.revocations(issuer_key_sha256, until_ms, after=after, limit=PAGE):
        yield from page
        after = page[-1].serial


def _distribution_point(scope: Scope) -> x509.IssuingDistributionPoint:
    return x509.IssuingDistributionPoint(
        full_name=None,
        relative_name=None,
        only_contains_user_certs=scope is Scope.USER,
        only_contains_ca_certs=scope is Scope.AUTHORITY,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=scope is Scope.ATTRIBUTE,
    )

"""A conformity body issues claims: attribute certificates about the key of a thing, or about a matched pair of keys."""

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pki import conformity, keys, oids, path, tbs
from pki.asn1 import attributecert, claims
from pki.asn1.attributecert import AttributeInfo
from pki.asn1.claims import ConformityClaims
from pki.errors import Refused
from pki.journal import Journal
from pki.revocation import CRL_LIFETIME_MS, published, revoke
from pki.status import Scope
from pki.store.records import CertificateStore, Issued, Reason, Revocation
from pki.tbs import Window

CLAIM_PROFILE = "CB/CLAIM/v1"
MAX_LIFETIME_MS = 366 * 86_400_000


class BadClaim(Refused):
    """A claim that this body may not sign as it stands."""

    code = "pki/claim-refused"
    title = "Claim cannot be issued"


def issue_claim(
    signer_key: keys.Signer,
    signer_cert: x509.Certificate,
    content: ConformityClaims,
    *,
    window: Window,
    serial: int,
) -> bytes:
    """The DER attribute certificate (RFC 5755) in which the body claims `content` for `window`.

    The holder is the thing's key, or both keys of a pair; it is computed from `content`, so that the two cannot differ.
    Raises BadClaim if the key is not the certificate's, or the window is not inside the certificate's and a year.
    """
    public_key = keys.require_authority_key(signer_cert.public_key())
    if keys.spki_sha256(signer_key.public_key()) != keys.spki_sha256(public_key):
        raise BadClaim("the key is not the one in the body's certificate")
    inside = path.not_before_ms(signer_cert) <= window.not_before_ms
    if not inside or window.not_after_ms > path.not_after_ms(signer_cert):
        raise BadClaim("the claim would be valid when the body's certificate is not")
    if not 0 < window.not_after_ms - window.not_before_ms <= MAX_LIFETIME_MS:
        raise BadClaim("a claim lasts up to a year", expected=MAX_LIFETIME_MS)
    digest, pair = conformity.holder(tuple(thing.spki_sha256 for thing in content.things))
    info = AttributeInfo(
        holder_digest=digest,
        pair=pair,
        issuer=signer_cert.subject.public_bytes(),
        issuer_key_id=signer_cert.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest,
        serial=serial,
        not_before_ms=window.not_before_ms // tbs.MS_PER_S * tbs.MS_PER_S,
        not_after_ms=window.not_after_ms // tbs.MS_PER_S * tbs.MS_PER_S,
        claims=claims.encode(content),
    )
    algorithm = oids.ECDSA_WITH_SHA256 if isinstance(signer_key.curve, ec.SECP256R1) else oids.ECDSA_WITH_SHA384
    to_be_signed = attributecert.encode_info(info, algorithm.dotted_string)
    signature = signer_key.sign(to_be_signed, ec.ECDSA(tbs.digest_for(signer_key)))
    return attributecert.assemble(info, algorithm.dotted_string, signature)


def revoke_claim(
    der: bytes,
    signer_cert: x509.Certificate,
    *,
    store: CertificateStore,
    journal: Journal,
    reason: Reason,
    at_ms: int,
) -> Revocation:
    """The claim in `der` is revoked from `at_ms` on; the body's CRLs say so from the next one on."""
    info = attributecert.parse(der).info
    issuer_key_sha256 = keys.spki_sha256(keys.require_authority_key(signer_cert.public_key()))
    store.put(
        Issued(
            issuer_key_sha256=issuer_key_sha256,
            serial=info.serial,
            der=der,
            profile=CLAIM_PROFILE,
            role=None,
            purpose=None,
            party_id=None,
            station_id=None,
            spki_sha256=info.holder_digest.hex(),
            tbs_sha256=hashlib.sha256(der).hexdigest(),
            not_before_ms=info.not_before_ms,
            not_after_ms=info.not_after_ms,
            issued_at_ms=info.not_before_ms,
        )
    )
    return revoke(store, journal, Revocation(issuer_key_sha256, info.serial, at_ms, reason))


def claims_crl(
    signer_key: keys.Signer, signer_cert: x509.Certificate, store: CertificateStore, *, now_ms: int, allow_earlier: bool
) -> bytes:
    """The body's next CRL (DER) over its attribute certificates, and over nothing else."""
    return published(
        store,
        issuer=signer_cert,
        signer=signer_key,
        scope=Scope.ATTRIBUTE,
        now_ms=now_ms,
        lifetime_ms=CRL_LIFETIME_MS,
        allow_earlier=allow_earlier,
    )

"""Conformity claims and installation links: open one, and it was really said, by whom it names, and holds.

A type claim is about no thing in particular; a link says that one thing is an instance of the type. They are two
documents with two signatures. Whether those at hand cover what is asked is `pki.coverage`.
"""

import hashlib
from collections.abc import Sequence
from typing import TypedDict

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from pki import keys, oids, path
from pki.asn1 import attributecert, claims, links
from pki.asn1.attributecert import Attribute, HolderKind
from pki.asn1.claims import ConformityClaims, Thing
from pki.asn1.links import InstallationLink
from pki.credential import Credential
from pki.errors import Refused
from pki.roles import Purpose, Role
from pki.status import Scope, StatusSet
from pki.trust import TrustAnchors
from pki.validation import validate

_PAIR = 2


class ClaimUntrusted(Refused):
    """The attribute certificate was not signed by the body that it names."""

    code = "pki/claim-untrusted"
    title = "Claim not authentic"


class ClaimExpired(Refused):
    """The claim is not, or not yet, or no longer valid at the time asked about."""

    code = "pki/claim-expired"
    title = "Claim not valid at this time"


class ClaimHolder(Refused):
    """The holder of the attribute certificate is not the thing, or the pair, that its claims are about."""

    code = "pki/claim-holder"
    title = "Claim about something else"


class _Common(TypedDict):
    digest: str
    serial: int
    body: Credential
    not_before_ms: int
    not_after_ms: int
    status_digests: tuple[str, ...]
    status_valid_until_ms: int


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A document whose signer, signature, holder, times and status were good.

    `digest` is the SHA-256 (hex) of its DER, `body` who signed it. The answer holds until `status_valid_until_ms`.
    """

    digest: str
    serial: int
    body: Credential
    not_before_ms: int
    not_after_ms: int
    status_digests: tuple[str, ...]
    status_valid_until_ms: int


class VerifiedClaim(Verified, frozen=True, kw_only=True):
    """A conformity body's claim about things or types."""

    content: ConformityClaims


class VerifiedLink(Verified, frozen=True, kw_only=True):
    """An installation link: by a conformity body that witnessed it, or by an operator about its own."""

    content: InstallationLink


def holder(things: Sequence[Thing]) -> tuple[bytes, HolderKind]:
    """What the holder field binds: a key's digest, a type's, or the SHA-256 over both of a pair (EVSE, EV)."""
    found = [claims.thing_digest(thing) for thing in things]
    if len(found) == _PAIR:
        return hashlib.sha256(b"".join(found)).digest(), HolderKind.PAIR
    return found[0], HolderKind.TYPE if things[0].spki_sha256 is None else HolderKind.KEY


def open_claim(
    der: bytes, *, aa_chain: Sequence[bytes], anchors: TrustAnchors, status: StatusSet, at_ms: int
) -> VerifiedClaim:
    """The claim in `der`, good at `at_ms`; `aa_chain` is the body's attribute certificate chain, leaf first (DER).

    Raises what `validation.validate` raises for the body, `pki/malformed-der`, `pki/oversize-der`, ClaimUntrusted,
    ClaimExpired, ClaimHolder, `pki/revoked`, `pki/status-indeterminate`.
    """
    parsed = _parse(der, Attribute.CONFORMITY)
    if parsed.info.no_rev_avail:
        raise ClaimUntrusted("a claim that cannot be revoked", expected="a claim without noRevAvail")
    body = _signer(parsed, aa_chain, Purpose.ATTRIBUTE, Role.CB, anchors, status, at_ms)
    content = claims.decode(parsed.info.value)
    if holder(content.things) != (parsed.info.holder_digest, parsed.info.holder_kind):
        raise ClaimHolder("the holder is not the thing that the claims are about")
    digests, until_ms = _standing(parsed, body, aa_chain, status, at_ms)
    return VerifiedClaim(content=content, **_common(der, parsed, body, digests, until_ms))


def open_link(
    der: bytes, *, chain: Sequence[bytes], anchors: TrustAnchors, status: StatusSet, at_ms: int
) -> VerifiedLink:
    """The installation link in `der`, good at `at_ms`; `chain` is its signer's, leaf first (DER).

    A body's link stands in the scope of its CRL. An operator's has noRevAvail (RFC 5755 section 4.3.6): it ends with
    the operator's certificate, or when the operator withdraws it. Raises as `open_claim` does.
    """
    parsed = _parse(der, Attribute.INSTALLATION)
    if parsed.info.no_rev_avail:
        body = _signer(parsed, chain, Purpose.SIGNING, Role.CSO, anchors, status, at_ms)
    else:
        body = _signer(parsed, chain, Purpose.ATTRIBUTE, Role.CB, anchors, status, at_ms)
    content = links.decode(parsed.info.value)
    if (bytes.fromhex(content.spki_sha256), HolderKind.KEY) != (parsed.info.holder_digest, parsed.info.holder_kind):
        raise ClaimHolder("the holder is not the thing that the link is about")
    digests, until_ms = _standing(parsed, body, chain, status, at_ms)
    return VerifiedLink(content=content, **_common(der, parsed, body, digests, until_ms))


def open_document(
    der: bytes, *, chain: Sequence[bytes], anchors: TrustAnchors, status: StatusSet, at_ms: int
) -> VerifiedClaim | VerifiedLink:
    """Whichever of the two `der` is, good at `at_ms`; raises as `open_claim` and `open_link` do."""
    if attributecert.parse(der).info.attribute is Attribute.CONFORMITY:
        return open_claim(der, aa_chain=chain, anchors=anchors, status=status, at_ms=at_ms)
    return open_link(der, chain=chain, anchors=anchors, status=status, at_ms=at_ms)


def require_signed_by(parsed: attributecert.ParsedAttribute, certificate: x509.Certificate) -> None:
    """The document names this certificate as its issuer and is signed with its key; or ClaimUntrusted."""
    info = parsed.info
    own_id = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    if info.issuer != certificate.subject.public_bytes() or info.issuer_key_id != own_id:
        raise ClaimUntrusted("the document names another issuer")
    sha384 = parsed.signature_oid == oids.ECDSA_WITH_SHA384.dotted_string
    key = keys.require_authority_key(keys.key_of(certificate))
    try:
        key.verify(parsed.signature, parsed.info_der, ec.ECDSA(hashes.SHA384() if sha384 else hashes.SHA256()))
    except InvalidSignature as error:
        raise ClaimUntrusted("the document is not signed by the key of its issuer") from error


def _parse(der: bytes, attribute: Attribute) -> attributecert.ParsedAttribute:
    parsed = attributecert.parse(der)
    if parsed.info.attribute is not attribute:
        raise ClaimUntrusted("the document states something else", expected=attribute.name, found=parsed.info.attribute)
    return parsed


def _signer(
    parsed: attributecert.ParsedAttribute,
    chain: Sequence[bytes],
    purpose: Purpose,
    role: Role,
    anchors: TrustAnchors,
    status: StatusSet,
    at_ms: int,
) -> Credential:
    """Who signed the document, which lies within the time of that certificate and is valid at `at_ms`."""
    if not chain:
        raise ClaimUntrusted("the chain of the issuer is missing")
    body = validate(chain[0], chain[1:], anchors=anchors, status=status, at_ms=at_ms, purpose=purpose, roles={role})
    info = parsed.info
    require_signed_by(parsed, path.load(chain[0]))
    if not info.not_before_ms <= at_ms // 1000 * 1000 <= info.not_after_ms:
        raise ClaimExpired(
            "not valid at this time", expected=f"{info.not_before_ms} to {info.not_after_ms}", found=at_ms
        )
    if info.not_before_ms < body.not_before_ms or info.not_after_ms > body.not_after_ms:
        raise ClaimUntrusted("the document is valid when the certificate of its issuer is not")
    return body


def _standing(
    parsed: attributecert.ParsedAttribute, body: Credential, chain: Sequence[bytes], status: StatusSet, at_ms: int
) -> tuple[tuple[str, ...], int]:
    """The document is not revoked: the digests of the lists that say so, and until when they do."""
    until_ms = min(body.status_valid_until_ms, parsed.info.not_after_ms)
    if parsed.info.no_rev_avail:
        return body.status_digests, until_ms
    crl = status.crl_for(path.load(chain[0]), at_ms, Scope.ATTRIBUTE)
    crl.require_not_revoked(parsed.info.serial, at_ms)
    return (*body.status_digests, *crl.digests), min(until_ms, crl.until_ms(at_ms))


def _common(
    der: bytes, parsed: attributecert.ParsedAttribute, body: Credential, digests: tuple[str, ...], until_ms: int
) -> _Common:
    return _Common(
        digest=hashlib.sha256(der).hexdigest(),
        serial=parsed.info.serial,
        body=body,
        not_before_ms=parsed.info.not_before_ms,
        not_after_ms=parsed.info.not_after_ms,
        status_digests=digests,
        status_valid_until_ms=until_ms,
    )

"""Attribute certificates are issued: claims by a conformity body, installation links by a body or by an operator.

The way is that of certificates: lint, intent, the one real signature, own check, store, record. Whatever happens
between intent and issuance stays visible as a gap.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pki import conformity, keys, oids, path, profiles, tbs
from pki.asn1 import attributecert, claims, links
from pki.asn1.attributecert import Attribute, AttributeInfo, HolderKind
from pki.asn1.claims import ConformityClaims
from pki.asn1.links import InstallationLink
from pki.errors import Refused
from pki.issuance import carry_out
from pki.journal import Intent, Journal
from pki.lint import documents
from pki.revocation import CRL_LIFETIME_MS, published, revoke
from pki.roles import Purpose, Role
from pki.status import Scope
from pki.store.records import CertificateStore, Issued, Reason, Revocation
from pki.tbs import Window

CLAIM_PROFILE = "CB/CLAIM/v1"
LINK_PROFILE = "CB/LINK/v1"
OPERATOR_LINK_PROFILE = "CSO/LINK/v1"
_SERIAL_BITS = 158
_SERIAL_TOP = 1 << _SERIAL_BITS  # so that every serial number has the same, full length


class BadClaim(Refused):
    """A claim or link that this issuer may not sign."""

    code = "pki/claim-refused"
    title = "Claim cannot be issued"


def new_serial() -> int:
    """159 bits, 158 of them random, so that every serial number has 20 octets and none tells how many there are."""
    return _SERIAL_TOP | secrets.randbits(_SERIAL_BITS)


_OPERATOR_SIGNING = profiles.get(Role.CSO, Purpose.SIGNING).ekus[0]


@dataclass(frozen=True, slots=True)
class AttributeAuthority:
    """Who issues attribute certificates: a conformity body with its attribute key, or an operator with its signing key.

    What it issued stands in `store` under (`key_sha256`, serial), so that no serial number is given twice.
    """

    certificate: x509.Certificate
    signer: keys.Signer
    store: CertificateStore
    journal: Journal
    new_serial: Callable[[], int] = new_serial
    key_sha256: str = field(init=False)

    def __post_init__(self) -> None:
        """The key belongs to the certificate, which is a body's or an operator's; or BadClaim."""
        name = keys.spki_sha256(keys.require_authority_key(self.certificate.public_key()))
        if keys.spki_sha256(self.signer.public_key()) != name:
            raise BadClaim("the key is not the one in the certificate")
        if not {oids.KP_CONFORMITY_AA, _OPERATOR_SIGNING} & set(_purposes(self.certificate)):
            raise BadClaim("not the certificate of a conformity body or of an operator")
        object.__setattr__(self, "key_sha256", name)

    @property
    def is_body(self) -> bool:
        """Whether it is a conformity body."""
        return oids.KP_CONFORMITY_AA in _purposes(self.certificate)

    def issue_claim(self, content: ConformityClaims, *, window: Window, now_ms: int) -> bytes:
        """The DER attribute certificate (RFC 5755) in which the body claims `content` for `window`.

        The holder is computed from `content`, so that the two cannot differ. Raises BadClaim, `LintFailed`,
        `pki/malformed-der`, `pki/oversize-der`, `SerialReused`.
        """
        if not self.is_body:
            raise BadClaim("only a conformity body makes claims", expected="a certificate for attribute certificates")
        digest, kind = conformity.holder(content.things)
        info = self._info(Attribute.CONFORMITY, claims.encode(content), digest, kind, window)
        return self._issue(info, CLAIM_PROFILE, now_ms)

    def issue_link(self, content: InstallationLink, *, window: Window, now_ms: int) -> bytes:
        """The DER attribute certificate that makes one thing an instance of its type; raises as `issue_claim` does.

        A body's can be revoked. An operator's cannot (noRevAvail), and ends with the operator's certificate at the
        latest; the operator withdraws it from the log.
        """
        profile = LINK_PROFILE if self.is_body else OPERATOR_LINK_PROFILE
        digest = bytes.fromhex(content.spki_sha256)
        info = self._info(Attribute.INSTALLATION, links.encode(content), digest, HolderKind.KEY, window)
        return self._issue(info, profile, now_ms)

    def revoke(self, serial: int, reason: Reason, at_ms: int) -> Revocation:
        """What has this serial number is revoked from `at_ms` on; the CRLs say so from the next one on.

        Raises `CertificateAbsent`; BadClaim for an operator, whose documents no list speaks about.
        """
        if not self.is_body:
            raise BadClaim("an operator's link is withdrawn from the log, not revoked")
        return revoke(self.store, self.journal, Revocation(self.key_sha256, serial, at_ms, reason))

    def crl(self, now_ms: int, *, allow_earlier: bool = False) -> bytes:
        """The next CRL (DER) over the attribute certificates of this body, and over nothing else."""
        if not self.is_body:
            raise BadClaim("an operator signs no revocation lists")
        return claims_crl(self.signer, self.certificate, self.store, now_ms=now_ms, allow_earlier=allow_earlier)

    def _info(
        self, attribute: Attribute, value: bytes, digest: bytes, kind: HolderKind, window: Window
    ) -> AttributeInfo:
        return AttributeInfo(
            holder_digest=digest,
            holder_kind=kind,
            issuer=self.certificate.subject.public_bytes(),
            issuer_key_id=self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest,
            serial=self.new_serial(),
            not_before_ms=window.not_before_ms // tbs.MS_PER_S * tbs.MS_PER_S,
            not_after_ms=window.not_after_ms // tbs.MS_PER_S * tbs.MS_PER_S,
            attribute=attribute,
            value=value,
            no_rev_avail=not self.is_body,
        )

    def _issue(self, info: AttributeInfo, profile: str, now_ms: int) -> bytes:
        """Linted, then by the one way to everything that is issued: intent, signature, own check, store, record."""
        documents.examine(documents.Draft(info, self.certificate))
        algorithm = oids.ECDSA_WITH_SHA256 if isinstance(self.signer.curve, ec.SECP256R1) else oids.ECDSA_WITH_SHA384
        to_be_signed = attributecert.encode_info(info, algorithm.dotted_string)
        tbs_sha256 = hashlib.sha256(to_be_signed).hexdigest()

        def sign() -> Issued:
            signature = self.signer.sign(to_be_signed, ec.ECDSA(tbs.digest_for(self.signer)))
            data = attributecert.assemble(info, algorithm.dotted_string, signature)
            conformity.require_signed_by(attributecert.parse(data), self.certificate)
            return Issued(
                issuer_key_sha256=self.key_sha256,
                serial=info.serial,
                der=data,
                profile=profile,
                role=None,
                purpose=None,
                party_id=None,
                station_id=None,
                # No key was certified: a thing's key stays free for the thing's own certificates.
                spki_sha256="",
                tbs_sha256=tbs_sha256,
                not_before_ms=info.not_before_ms,
                not_after_ms=info.not_after_ms,
                issued_at_ms=now_ms,
            )

        intent = Intent(tbs_sha256, profile, self.key_sha256, info.serial, now_ms)
        return carry_out(self.store, self.journal, intent, sign=sign).der


def _purposes(certificate: x509.Certificate) -> tuple[x509.ObjectIdentifier, ...]:
    return tuple(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def window_from(now_ms: int, lifetime_ms: int, within: x509.Certificate) -> Window:
    """From now for `lifetime_ms`, never beyond the certificate of who signs."""
    return Window(now_ms, min(now_ms + lifetime_ms, path.not_after_ms(within)))


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

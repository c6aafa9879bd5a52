"""A hierarchy of every role for the tests of pki, and a forger who has the keys of its authorities.

`tests/unit/pki` and `tests/security/pki` have it as the fixtures `world` and `own_world`.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from pyasn1.codec.der import decoder, encoder
from pyasn1.type import univ
from pyasn1_alt_modules import rfc5280

from pki import ceremony, csr, keys, names, profiles, tbs
from pki.asn1.flexrole import FlexRole
from pki.authority import Authority
from pki.ceremony import Ceremony, CeremonySpec, PartySpec, StationSpec
from pki.credential import Credential
from pki.errors import Refused
from pki.known import KnownAuthorities
from pki.roles import Purpose, Role, Service
from pki.status import StatusSet
from pki.tbs import LeafOrder
from pki.trust import TrustAnchors, encoded
from pki.validation import validate

CREATED_AT_MS = 1_767_225_600_000  # 2026-01-01
SIGNING_AT_MS = 1_768_867_200_000  # 2026-01-20
TLS_AT_MS = 1_795_370_000_000  # 2026-11-22


def _parties() -> tuple[PartySpec, ...]:
    named = [
        PartySpec(id="FI-AUR", role=Role.FO, organisation="Aurora Flex", services=(Service.DROOP, Service.FFR)),
        PartySpec(id="FI-NGC", role=Role.CSO, organisation="Northgate", dns_names=("localhost",)),
        PartySpec(id="FI-VOL", role=Role.CSP, organisation="Voltwise", delegated_by="FI-NGC"),
        PartySpec(id="FI-DSO", role=Role.SO, organisation="Grid"),
        PartySpec(id="FI-LAB", role=Role.CB, organisation="Laboratory"),
        PartySpec(id="FI-AUDIT", role=Role.AUD, organisation="Auditors"),
        PartySpec(id="FI-DPO", role=Role.DPO, organisation="Northgate"),
        PartySpec(id="FI-OPS", role=Role.OPS, organisation="Northgate"),
        PartySpec(id="evu-1", role=Role.EVU),
    ]
    return tuple(named)


SPEC = CeremonySpec(
    organisation="Flexledger",
    development=True,
    created_at_ms=CREATED_AT_MS,
    parties=_parties(),
    stations=(StationSpec(id="E1", operator="FI-NGC"),),
)


class World:
    """What was made, and shortcuts to look at it."""

    def __init__(self, made: Ceremony) -> None:
        self.made = made
        self.status = StatusSet(made.crls)
        self.known = KnownAuthorities()
        self.tls_at_ms = TLS_AT_MS + 1000
        self.signing_at_ms = SIGNING_AT_MS + 1000

    def chain(self, party: str, purpose: Purpose) -> tuple[bytes, ...]:
        """DER from the leaf of a party or station to its issuing authority."""
        holder = self.made.parties.get(party) or self.made.stations[party]
        return holder.credentials[purpose].chain

    def at_ms(self, purpose: Purpose) -> int:
        """A time at which a credential for this purpose is good."""
        return self.tls_at_ms if purpose in {Purpose.TLS_CLIENT, Purpose.TLS_SERVER} else self.signing_at_ms

    def check(
        self,
        chain: tuple[bytes, ...],
        purpose: Purpose,
        *,
        at_ms: int | None = None,
        status: StatusSet | None = None,
        anchors: TrustAnchors | None = None,
        roles: set[Role] | None = None,
    ) -> Credential:
        """The credential of the chain; everything not given is as it should be.

        Asked twice, as if nothing were known and with what is known of authorities by then: the answers are the same.
        """

        def outcome(known: KnownAuthorities | None) -> Credential | Refused:
            try:
                return validate(
                    chain[0],
                    chain[1:],
                    anchors=anchors or self.made.anchors,
                    status=status or self.status,
                    at_ms=self.at_ms(purpose) if at_ms is None else at_ms,
                    purpose=purpose,
                    roles=roles,
                    known=known,
                )
            except Refused as error:
                return error

        found, again = outcome(None), outcome(self.known)
        if isinstance(found, Refused):
            assert (type(again), str(again)) == (type(found), str(found))
            raise found
        assert again == found
        return found

    def order(self, party: str, purpose: Purpose) -> LeafOrder:
        """What the authority was asked for when it made the party's certificate."""
        spec = next(one for one in SPEC.parties if one.id == party)
        minted = self.made.parties[party]
        return LeafOrder(
            profile=profiles.get(minted.role, purpose),
            public_key=minted.credentials[purpose].key.public_key(),
            identity=names.Identity(minted.role, minted.party_id),
            organisation=minted.organisation,
            role=FlexRole(minted.role, minted.party_id, frozenset(spec.services), spec.delegated_by),
            hosts=(),
            zone=SPEC.zone,
            development=True,
        )

    def forge(
        self,
        original: bytes,
        authority: Authority,
        *,
        replaced: Mapping[x509.ObjectIdentifier, tuple[x509.ExtensionType, bool] | None] | None = None,
        added: tuple[tuple[x509.ExtensionType, bool], ...] = (),
        subject: x509.Name | None = None,
        public_key: object | None = None,
        not_before: dt.datetime | None = None,
        not_after: dt.datetime | None = None,
        serial: int | None = None,
        digest: hashes.HashAlgorithm | None = None,
    ) -> tuple[bytes, ...]:
        """The chain of a copy of `original` with changes, signed by `authority` without asking any rule."""
        model = x509.load_der_x509_certificate(original)
        key = public_key or model.public_key()
        builder = x509.CertificateBuilder(
            issuer_name=authority.certificate.subject,
            subject_name=model.subject if subject is None else subject,
            public_key=key,  # type: ignore[arg-type]  # weak keys on purpose
            serial_number=serial or model.serial_number,
            not_valid_before=not_before or model.not_valid_before_utc,
            not_valid_after=not_after or model.not_valid_after_utc,
        )
        own_id = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        changes = {
            x509.AuthorityKeyIdentifier.oid: (
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_id),
                False,
            ),
            x509.SubjectKeyIdentifier.oid: (
                x509.SubjectKeyIdentifier.from_public_key(key),  # type: ignore[arg-type]
                False,
            ),
            **(replaced or {}),
        }
        for extension in model.extensions:
            change = changes.get(extension.oid, (extension.value, extension.critical))
            if change is not None:
                builder = builder.add_extension(change[0], critical=change[1])
        for value, critical in added:
            builder = builder.add_extension(value, critical=critical)
        key_of_issuer = authority.signer
        if not isinstance(key_of_issuer, ec.EllipticCurvePrivateKey):
            algorithm = None  # Ed25519, which no authority has
        else:
            algorithm = digest or tbs.digest_for(key_of_issuer)
        certificate = builder.sign(key_of_issuer, algorithm)  # type: ignore[arg-type]
        return encoded(certificate), encoded(authority.certificate)


def der(value: Any) -> bytes:
    """The DER of a pyasn1 value."""
    return bytes(encoder.encode(value))


def resigned(
    leaf: bytes,
    signer: keys.Signer,
    change: Callable[[Any], None],
    *,
    digest: hashes.HashAlgorithm | None = None,
    outer: str | None = None,
) -> bytes:
    """The certificate after `change` to its signed part (a pyasn1 `TBSCertificate`), signed again: for what no builder
    will build. `outer` is an algorithm identifier to name outside the signed part instead of the one inside.
    """
    certificate, _ = decoder.decode(leaf, asn1Spec=rfc5280.Certificate())
    change(certificate["tbsCertificate"])
    body = der(certificate["tbsCertificate"])
    algorithm = digest or tbs.digest_for(signer)
    certificate["signature"] = univ.BitString.fromOctetString(signer.sign(body, ec.ECDSA(algorithm)))
    if outer is not None:
        certificate["signatureAlgorithm"]["algorithm"] = univ.ObjectIdentifier(outer)
    return der(certificate)


P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def twin(leaf: bytes) -> bytes:
    """The same certificate with the other valid encoding of its P-256 signature: s and n - s both verify."""
    certificate = x509.load_der_x509_certificate(leaf)
    r, s = decode_dss_signature(certificate.signature)
    other = encode_dss_signature(r, P256_ORDER - s)
    body = certificate.tbs_certificate_bytes + bytes.fromhex("300a06082a8648ce3d040302")  # ecdsa-with-SHA256
    body += b"\x03" + bytes([len(other) + 1]) + b"\x00" + other
    return b"\x30\x82" + len(body).to_bytes(2, "big") + body


def perform() -> World:
    """A fresh hierarchy with fresh keys."""
    return World(ceremony.perform(SPEC, tls_now_ms=TLS_AT_MS, signing_now_ms=SIGNING_AT_MS))


def request_for(key: keys.Signer) -> csr.OpenedCsr:
    """A good request by this key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return csr.open_csr(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))


def encoded_request(builder: x509.CertificateSigningRequestBuilder, key: keys.Signer) -> bytes:
    """The DER of a request, signed by this key."""
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_G = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)


def _sequence(*members: Any) -> univ.Sequence:
    made = univ.Sequence()
    for index, member in enumerate(members):
        made[index] = member
    return made


def explicit_p256() -> bytes:
    """The parameters of P-256 written out (RFC 3279 section 2.3.5), which RFC 5480 section 2.1.1 forbids."""
    field = _sequence(univ.ObjectIdentifier("1.2.840.10045.1.1"), univ.Integer(_P))
    curve = _sequence(univ.OctetString((_P - 3).to_bytes(32, "big")), univ.OctetString(_B.to_bytes(32, "big")))
    base, order = univ.OctetString(_G), univ.Integer(P256_ORDER)
    return der(_sequence(univ.Integer(1), field, curve, base, order, univ.Integer(1)))

"""To-be-signed certificates, built from a profile and nothing else.

They are written as octets, once: what is linted, recorded and signed are these very bytes (RFC 5280 section 4.1). What
all certificates of one profile and issuer say alike is encoded by the library, once.
"""

import datetime as dt
import hashlib
import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID

from pki import keys, names, oids, profiles
from pki.asn1 import der, flexrole, tlv
from pki.profiles import AuthorityProfile, InfrastructureProfile, Profile
from pki.roles import Group

MS_PER_S = 1000
_ASN1_NULL = b"\x05\x00"
_V3: Final = tlv.element(tlv.context(0), tlv.integer(2))
_UNSIGNED: Final = tlv.sequence(tlv.integer(0), tlv.integer(0))
_DNS_NAME: Final = tlv.context(2, constructed=False)
_URI: Final = tlv.context(6, constructed=False)
_KEPT: Final = 256
_EVERY_ADDRESS = ("0.0.0.0/0", "::/0")
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True, slots=True)
class Window:
    """From when and until when, in Unix milliseconds; certificates hold whole seconds."""

    not_before_ms: int
    not_after_ms: int


@dataclass(frozen=True, slots=True)
class LeafOrder:
    """All that a leaf says; only its key comes from a request."""

    profile: Profile
    public_key: keys.PublicKey
    identity: names.Identity
    organisation: str
    role: flexrole.FlexRole
    hosts: tuple[str, ...]
    zone: str
    development: bool


@dataclass(frozen=True, slots=True)
class InfrastructureOrder:
    """A key of the house; `name` is its common name."""

    profile: InfrastructureProfile
    public_key: keys.PublicKey
    organisation: str
    name: str
    zone: str
    development: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """A certificate but for its signature; names and key are DER, `extensions` too, each whole and in their order."""

    serial: int
    issuer: bytes
    window: Window
    subject: bytes
    spki: bytes
    extensions: tuple[bytes, ...]

    def encode(self, algorithm: x509.ObjectIdentifier) -> bytes:
        """TBSCertificate, for a signature by `algorithm`."""
        return tlv.sequence(
            _V3,
            tlv.integer(self.serial),
            tlv.sequence(tlv.identifier(algorithm.dotted_string)),
            self.issuer,
            tlv.sequence(tlv.time(self.window.not_before_ms), tlv.time(self.window.not_after_ms)),
            self.subject,
            self.spki,
            tlv.element(tlv.context(3), tlv.sequence(*self.extensions)),
        )


def algorithm_for(key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) -> x509.ObjectIdentifier:
    """ECDSA with SHA-384 for P-384, else with SHA-256 (RFC 5480 section 4)."""
    return oids.ECDSA_WITH_SHA384 if key.curve.name == ec.SECP384R1.name else oids.ECDSA_WITH_SHA256


def unsigned(to_be_signed: bytes, algorithm: x509.ObjectIdentifier) -> bytes:
    """The certificate with r = s = 0 for a signature, which no key can make (SEC 1 section 4.1.4): to be looked at."""
    return tlv.signed(to_be_signed, algorithm.dotted_string, _UNSIGNED)


def signed(to_be_signed: bytes, key: keys.Signer) -> bytes:
    """The certificate (DER), signed with `key`: once."""
    signature = key.sign(to_be_signed, ec.ECDSA(digest_for(key)))
    return tlv.signed(to_be_signed, algorithm_for(key).dotted_string, signature)


def moment(at_ms: int) -> dt.datetime:
    """The second in which `at_ms` lies, as the builders of `cryptography` want it."""
    return dt.datetime.fromtimestamp(at_ms // MS_PER_S, tz=dt.UTC)


def digest_for(key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) -> hashes.SHA256 | hashes.SHA384:
    """SHA-384 with P-384, else SHA-256 (RFC 5480 section 4)."""
    return hashes.SHA384() if key.curve.name == ec.SECP384R1.name else hashes.SHA256()


def leaf(order: LeafOrder, *, issuer: x509.Certificate, serial: int, window: Window) -> Draft:
    """The leaf that `order` asks for, under `issuer`."""
    profile = order.profile
    usage = ("digital_signature", "crl_sign") if profile.crl_sign else ("digital_signature",)
    said = [
        _constraints(ca=False, path_length=None),
        _usage(usage),
        _ekus(profile.ekus),
        _alternative_names(order),
        _key_id_of(issuer),
        _policies(profile.policy, development=order.development),
        # Never critical: OpenSSL would refuse the certificate in the TLS handshake, before anyone can read the role.
        tlv.extension(oids.FLEX_ROLE, flexrole.encode(order.role)),
    ]
    if profile.no_rev_avail:
        said.append(tlv.extension(oids.NO_REV_AVAIL, _ASN1_NULL))
    else:
        said += _pointers(order.zone, profile.group.lower(), issuer, answered=True)
    return _draft(names.subject(order.identity, order.organisation), issuer, order.public_key, serial, window, said)


def infrastructure(order: InfrastructureOrder, *, issuer: x509.Certificate, serial: int, window: Window) -> Draft:
    """The certificate of a key of the house, under `issuer`: one usage, no alternative name, no role."""
    profile = order.profile
    said = [
        _constraints(ca=False, path_length=None),
        _usage(("digital_signature",)),
        _ekus((profile.eku,)),
        _key_id_of(issuer),
    ]
    if profile.policy is not None or order.development:
        said.append(_policies(profile.policy, development=order.development))
    if profile.no_check:
        said.append(_said(x509.OCSPNoCheck()))
    else:
        said += _pointers(order.zone, _published_name(profile.group), issuer, answered=True)
    subject = names.authority(order.organisation, order.name).public_bytes()
    return _draft(subject, issuer, order.public_key, serial, window, said)


def issuing(
    profile: AuthorityProfile,
    *,
    public_key: ec.EllipticCurvePublicKey,
    subject: x509.Name,
    root: x509.Certificate,
    zone: str,
    serial: int,
    window: Window,
    development: bool,
) -> Draft:
    """An issuing authority under `root`: for one policy, one zone of host names, no addresses, no further authority."""
    hosts = [f"{profile.group.lower()}.{names.dns_name(zone)}"] + (["localhost"] if development else [])
    constraints = x509.NameConstraints(
        permitted_subtrees=[x509.DNSName(host) for host in hosts],
        excluded_subtrees=[x509.IPAddress(ipaddress.ip_network(network)) for network in _EVERY_ADDRESS],
    )
    said = [
        _constraints(ca=True, path_length=0),
        _usage(("key_cert_sign", "crl_sign")),
        _ekus(profile.ekus),
        _said(constraints, critical=True),
        _key_id_of(root),
        _policies(profile.policy, development=development),
        # Of the root nobody can ask by OCSP: its key lies in a safe and signs a list now and then.
        *_pointers(zone, "root", root, answered=False),
    ]
    return _draft(subject.public_bytes(), root, public_key, serial, window, said)


def root(
    *, public_key: ec.EllipticCurvePublicKey, subject: x509.Name, serial: int, window: Window, development: bool
) -> Draft:
    """A self-signed root over issuing authorities only."""
    said = [
        _constraints(ca=True, path_length=1),
        _usage(("key_cert_sign", "crl_sign")),
        _said(x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key)),
    ]
    if development:
        said.append(_policies(None, development=True))
    return _draft(subject.public_bytes(), None, public_key, serial, window, said)


def _draft(
    name: bytes,
    issuer: x509.Certificate | None,
    key: keys.PublicKey,
    serial: int,
    window: Window,
    said: list[bytes],
) -> Draft:
    """With the key's own identifier before all else; a root is its own issuer."""
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    issuing_name = name if issuer is None else _name_of(issuer)
    return Draft(serial, issuing_name, window, name, spki, (_own_key_id(spki), *said))


def _own_key_id(spki: bytes) -> bytes:
    """SHA-1 of the key bits: method 1 of RFC 5280 section 4.2.1.2, which is a name and protects nothing."""
    bits = tlv.read_bits(tlv.only(der.child(spki, 1, "key"), tlv.BIT_STRING, "key"), "key")
    digest = hashlib.sha1(bits, usedforsecurity=False).digest()
    return tlv.extension(ExtensionOID.SUBJECT_KEY_IDENTIFIER, tlv.octets(digest))


def _alternative_names(order: LeafOrder) -> bytes:
    hosts = [tlv.element(_DNS_NAME, names.dns_name(host).encode("ascii")) for host in order.hosts]
    uri = tlv.element(_URI, names.identity_uri(order.identity, order.zone).encode("ascii"))
    return tlv.extension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, tlv.sequence(*hosts, uri))


# What many certificates say in the same words: functions of little, and the last few hundred answers are kept.
_again = lru_cache(maxsize=_KEPT)


def _said(value: x509.ExtensionType, *, critical: bool = False) -> bytes:
    return tlv.extension(value.oid, value.public_bytes(), critical=critical)


@_again
def _constraints(*, ca: bool, path_length: int | None) -> bytes:
    return _said(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)


@_again
def _usage(names_of_usages: tuple[str, ...]) -> bytes:
    return _said(x509.KeyUsage(**{name: name in names_of_usages for name in _USAGES}), critical=True)


@_again
def _ekus(usages: tuple[x509.ObjectIdentifier, ...]) -> bytes:
    return _said(x509.ExtendedKeyUsage(usages))


@_again
def _policies(policy: x509.ObjectIdentifier | None, *, development: bool) -> bytes:
    found = ([] if policy is None else [policy]) + ([oids.CP_TEST] if development else [])
    return _said(x509.CertificatePolicies([x509.PolicyInformation(oid, None) for oid in found]))


@_again
def _name_of(issuer: x509.Certificate) -> bytes:
    return issuer.subject.public_bytes()


@_again
def _key_id_of(issuer: x509.Certificate) -> bytes:
    key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return _said(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id))


@_again
def _pointers(zone: str, base: str, issuer: x509.Certificate, *, answered: bool) -> tuple[bytes, ...]:
    """Where the list and the certificate of `issuer` are, and if it is `answered` for, where to ask by OCSP."""
    name = names.published(base, issuer.subject)
    place = x509.UniformResourceIdentifier(crl_url(zone, name))
    methods = [(AuthorityInformationAccessOID.OCSP, ocsp_url(zone))] if answered else []
    methods.append((AuthorityInformationAccessOID.CA_ISSUERS, certificate_url(zone, name)))
    access = [x509.AccessDescription(method, x509.UniformResourceIdentifier(url)) for method, url in methods]
    points = x509.CRLDistributionPoints([x509.DistributionPoint([place], None, None, None)])
    return _said(points), _said(x509.AuthorityInformationAccess(access))


def _published_name(group: Group | None) -> str:
    return "root" if group is None else group.lower()


def crl_url(zone: str, name: str) -> str:
    """Where the CRL of the authority `name` (see `names.published`) is published."""
    return f"http://pki.{names.dns_name(zone)}/crl/{name}.crl"


def certificate_url(zone: str, name: str) -> str:
    """Where the certificate (DER) of the authority `name` (see `names.published`) is published."""
    return f"http://pki.{names.dns_name(zone)}/pki/{name}.crt"


def ocsp_url(zone: str) -> str:
    """Where OCSP is answered, for every authority of the zone that is online."""
    return f"http://pki.{names.dns_name(zone)}/pki/ocsp"


def window_from(now_ms: int, lifetime_ms: int, within: x509.Certificate | None = None) -> Window:
    """From 5 minutes ago for `lifetime_ms`, never beyond the certificate it stands in."""
    not_before_ms, not_after_ms = now_ms - profiles.BACKDATE_MS, now_ms + lifetime_ms
    if within is not None:
        not_before_ms = max(not_before_ms, int(within.not_valid_before_utc.timestamp()) * MS_PER_S)
        not_after_ms = min(not_after_ms, int(within.not_valid_after_utc.timestamp()) * MS_PER_S)
    return Window(not_before_ms, not_after_ms)

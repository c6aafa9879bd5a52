"""To-be-signed certificates, built from a profile and nothing else."""

import datetime as dt
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID

from pki import keys, names, oids, profiles
from pki.asn1 import flexrole
from pki.profiles import AuthorityProfile, InfrastructureProfile, Profile
from pki.roles import Group

MS_PER_S = 1000
_ASN1_NULL = b"\x05\x00"
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


def moment(at_ms: int) -> dt.datetime:
    """The second in which `at_ms` lies, as the builders of `cryptography` want it."""
    return dt.datetime.fromtimestamp(at_ms // MS_PER_S, tz=dt.UTC)


def digest_for(key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) -> hashes.SHA256 | hashes.SHA384:
    """SHA-384 with P-384, else SHA-256 (RFC 5480 section 4)."""
    return hashes.SHA384() if isinstance(key.curve, ec.SECP384R1) else hashes.SHA256()


def leaf(order: LeafOrder, *, issuer: x509.Certificate, serial: int, window: Window) -> x509.CertificateBuilder:
    """The leaf that `order` asks for, under `issuer`."""
    profile = order.profile
    uri = x509.UniformResourceIdentifier(names.identity_uri(order.identity, order.zone))
    hosts = [x509.DNSName(names.dns_name(host)) for host in order.hosts]
    builder = _begin(
        names.subject(order.identity, order.organisation), issuer.subject, order.public_key, serial, window
    )
    usage = {"digital_signature", "crl_sign"} if profile.crl_sign else {"digital_signature"}
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage(profile.ekus), critical=False)
        .add_extension(x509.SubjectAlternativeName([*hosts, uri]), critical=False)
        .add_extension(_key_id_of(issuer), critical=False)
        .add_extension(_policies(profile.policy, development=order.development), critical=False)
        # Never critical: OpenSSL would refuse the certificate in the TLS handshake, before anyone can read the role.
        .add_extension(x509.UnrecognizedExtension(oids.FLEX_ROLE, flexrole.encode(order.role)), critical=False)
    )
    if profile.no_rev_avail:
        return builder.add_extension(x509.UnrecognizedExtension(oids.NO_REV_AVAIL, _ASN1_NULL), critical=False)
    return _with_pointers(builder, order.zone, profile.group.lower(), issuer)


def infrastructure(
    order: InfrastructureOrder, *, issuer: x509.Certificate, serial: int, window: Window
) -> x509.CertificateBuilder:
    """The certificate of a key of the house, under `issuer`: one usage, no alternative name, no role."""
    profile = order.profile
    builder = (
        _begin(names.authority(order.organisation, order.name), issuer.subject, order.public_key, serial, window)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage({"digital_signature"}), critical=True)
        .add_extension(x509.ExtendedKeyUsage([profile.eku]), critical=False)
        .add_extension(_key_id_of(issuer), critical=False)
    )
    if profile.policy is not None or order.development:
        builder = builder.add_extension(_policies(profile.policy, development=order.development), critical=False)
    if profile.no_check:
        return builder.add_extension(x509.OCSPNoCheck(), critical=False)
    return _with_pointers(builder, order.zone, _published_name(profile.group), issuer)


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
) -> x509.CertificateBuilder:
    """An issuing authority under `root`: for one policy, one zone of host names, no addresses, no further authority."""
    hosts = [f"{profile.group.lower()}.{names.dns_name(zone)}"] + (["localhost"] if development else [])
    constraints = x509.NameConstraints(
        permitted_subtrees=[x509.DNSName(host) for host in hosts],
        excluded_subtrees=[x509.IPAddress(ipaddress.ip_network(network)) for network in _EVERY_ADDRESS],
    )
    builder = (
        _begin(subject, root.subject, public_key, serial, window)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage({"key_cert_sign", "crl_sign"}), critical=True)
        .add_extension(x509.ExtendedKeyUsage(profile.ekus), critical=False)
        .add_extension(constraints, critical=True)
        .add_extension(_key_id_of(root), critical=False)
        .add_extension(_policies(profile.policy, development=development), critical=False)
    )
    # Of the root nobody can ask by OCSP: its key lies in a safe and signs a list now and then.
    return _with_pointers(builder, zone, "root", root, answered=False)


def root(
    *, public_key: ec.EllipticCurvePublicKey, subject: x509.Name, serial: int, window: Window, development: bool
) -> x509.CertificateBuilder:
    """A self-signed root over issuing authorities only."""
    builder = (
        _begin(subject, subject, public_key, serial, window)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_usage({"key_cert_sign", "crl_sign"}), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key), critical=False)
    )
    if not development:
        return builder
    marker = x509.CertificatePolicies([x509.PolicyInformation(oids.CP_TEST, None)])
    return builder.add_extension(marker, critical=False)


def _begin(
    subject: x509.Name, issuer: x509.Name, key: keys.PublicKey, serial: int, window: Window
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(moment(window.not_before_ms))
        .not_valid_after(moment(window.not_after_ms))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(names_of_usages: set[str]) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in names_of_usages for name in _USAGES})


def _key_id_of(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id)


def _policies(policy: x509.ObjectIdentifier | None, *, development: bool) -> x509.CertificatePolicies:
    found = ([] if policy is None else [policy]) + ([oids.CP_TEST] if development else [])
    return x509.CertificatePolicies([x509.PolicyInformation(oid, None) for oid in found])


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


def _with_pointers(
    builder: x509.CertificateBuilder, zone: str, base: str, issuer: x509.Certificate, *, answered: bool = True
) -> x509.CertificateBuilder:
    """Where the list and the certificate of `issuer` are, and if it is `answered` for, where to ask by OCSP."""
    name = names.published(base, issuer.subject)
    place = x509.UniformResourceIdentifier(crl_url(zone, name))
    methods = [(AuthorityInformationAccessOID.OCSP, ocsp_url(zone))] if answered else []
    methods.append((AuthorityInformationAccessOID.CA_ISSUERS, certificate_url(zone, name)))
    access = [x509.AccessDescription(method, x509.UniformResourceIdentifier(url)) for method, url in methods]
    points = x509.CRLDistributionPoints([x509.DistributionPoint([place], None, None, None)])
    return builder.add_extension(points, critical=False).add_extension(
        x509.AuthorityInformationAccess(access), critical=False
    )


def window_from(now_ms: int, lifetime_ms: int, within: x509.Certificate | None = None) -> Window:
    """From 5 minutes ago for `lifetime_ms`, never beyond the certificate it stands in."""
    not_before_ms, not_after_ms = now_ms - profiles.BACKDATE_MS, now_ms + lifetime_ms
    if within is not None:
        not_before_ms = max(not_before_ms, int(within.not_valid_before_utc.timestamp()) * MS_PER_S)
        not_after_ms = min(not_after_ms, int(within.not_valid_after_utc.timestamp()) * MS_PER_S)
    return Window(not_before_ms, not_after_ms)

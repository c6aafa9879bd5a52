"""The rules, each with its citation. They share no code with what builds or checks certificates."""

import unicodedata
from collections.abc import Callable, Iterator

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from pki import oids
from pki.asn1 import flexrole
from pki.lint.subject import Examined, Rule
from pki.profiles import BACKDATE_MS, AuthorityProfile, Hosts
from pki.roles import Role
from pki.tbs import InfrastructureOrder, LeafOrder

RULES: list[Rule] = []
MIN_SERIAL_BITS = 64
MAX_SERIAL_BITS = 159
MAX_BYTES = 16_384
MAX_NAME = 64  # ub-common-name, ub-organization-name
_CRITICAL = {ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.NAME_CONSTRAINTS}
_BASIC = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
}
_COMMON = _BASIC | {ExtensionOID.EXTENDED_KEY_USAGE, ExtensionOID.CERTIFICATE_POLICIES}
_POINTERS = {ExtensionOID.CRL_DISTRIBUTION_POINTS, ExtensionOID.AUTHORITY_INFORMATION_ACCESS}

_Check = Callable[[Examined], Iterator[str]]


def _rule(name: str, citation: str) -> Callable[[_Check], _Check]:
    def register(check: _Check) -> _Check:
        RULES.append(Rule(name, citation, check))
        return check

    return register


@_rule("serial", "RFC 5280 section 4.1.2.2; CA/B BR 7.1")
def _serial(examined: Examined) -> Iterator[str]:
    serial = examined.certificate.serial_number
    if serial <= 0 or not MIN_SERIAL_BITS <= serial.bit_length() <= MAX_SERIAL_BITS:
        yield "the serial number is not positive with 64 to 159 bits"


@_rule("size", "pki design: certificates over 16 kB are not looked at")
def _size(examined: Examined) -> Iterator[str]:
    if len(examined.certificate.public_bytes(Encoding.DER)) > MAX_BYTES:
        yield "the certificate is larger than 16 kB"


@_rule("issuer-name", "RFC 5280 section 6.1.3 (a)(4), compared byte for byte")
def _issuer_name(examined: Examined) -> Iterator[str]:
    issuer = examined.issuer or examined.certificate
    if examined.certificate.issuer.public_bytes() != issuer.subject.public_bytes():
        yield "the issuer name is not the issuer's subject"


@_rule("validity", "RFC 5280 section 4.1.2.5; RFC 9608 section 5; profile")
def _validity(examined: Examined) -> Iterator[str]:
    certificate = examined.certificate
    before, after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if before >= after:
        yield "the certificate ends before it starts"
    if examined.issuer is not None and (
        before < examined.issuer.not_valid_before_utc or after > examined.issuer.not_valid_after_utc
    ):
        yield "the certificate is valid when its issuer is not"
    longest_ms = None
    if isinstance(examined.asked, LeafOrder):
        longest_ms = examined.asked.profile.max_lifetime_ms
    elif isinstance(examined.asked, InfrastructureOrder):
        longest_ms = examined.asked.profile.lifetime_ms
    if longest_ms is not None and int((after - before).total_seconds()) * 1000 > longest_ms + BACKDATE_MS:
        yield "the certificate lives longer than its profile allows"


@_rule("key", "pki design: P-384 roots, P-256 authorities, P-256, P-384 or Ed25519 leaves")
def _key(examined: Examined) -> Iterator[str]:
    key = examined.certificate.public_key()
    curve = key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__
    if examined.asked is None:
        allowed = {"secp384r1"}
    elif isinstance(examined.asked, AuthorityProfile | InfrastructureOrder):
        allowed = {"secp256r1"}
    else:
        allowed = {"secp256r1", "secp384r1"}
    if isinstance(examined.asked, LeafOrder) and isinstance(key, ed25519.Ed25519PublicKey):
        return
    if curve not in allowed:
        yield f"the key is {curve}"


@_rule("key-identifiers", "RFC 5280 sections 4.2.1.1 and 4.2.1.2, method 1")
def _key_identifiers(examined: Examined) -> Iterator[str]:
    own = examined.value(ExtensionOID.SUBJECT_KEY_IDENTIFIER)
    spki = x509.SubjectKeyIdentifier.from_public_key(examined.certificate.public_key())
    if own != spki:
        yield "the subject key identifier is not the SHA-1 of the key bits"
    issuer = examined.certificate if examined.issuer is None else examined.issuer
    of_issuer = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    wanted = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(of_issuer)
    if examined.value(ExtensionOID.AUTHORITY_KEY_IDENTIFIER) != wanted:
        yield "the authority key identifier is not just the issuer's key identifier"


@_rule("basic-constraints", "RFC 5280 section 4.2.1.9")
def _basic_constraints(examined: Examined) -> Iterator[str]:
    leaf = (False, None)
    wanted = {LeafOrder: leaf, InfrastructureOrder: leaf, AuthorityProfile: (True, 0)}.get(
        type(examined.asked), (True, 1)
    )
    found = examined.value(ExtensionOID.BASIC_CONSTRAINTS)
    if not isinstance(found, x509.BasicConstraints) or (found.ca, found.path_length) != wanted:
        yield f"basic constraints are not ca={wanted[0]}, path length {wanted[1]}"


@_rule("key-usage", "RFC 5280 section 4.2.1.3; RFC 5480 section 3")
def _key_usage(examined: Examined) -> Iterator[str]:
    if isinstance(examined.asked, LeafOrder):
        wanted = (True, False, examined.asked.profile.crl_sign)
    elif isinstance(examined.asked, InfrastructureOrder):
        wanted = (True, False, False)
    else:
        wanted = (False, True, True)
    usage = examined.value(ExtensionOID.KEY_USAGE)
    if not isinstance(usage, x509.KeyUsage):
        yield "there is no key usage"
        return
    if (usage.digital_signature, usage.key_cert_sign, usage.crl_sign) != wanted:
        yield "the key usage is not the profile's"
    if usage.content_commitment or usage.key_encipherment or usage.data_encipherment or usage.key_agreement:
        yield "the key usage allows more than signing"


@_rule("extended-key-usage", "RFC 5280 section 4.2.1.12; profile")
def _extended_key_usage(examined: Examined) -> Iterator[str]:
    usage = examined.value(ExtensionOID.EXTENDED_KEY_USAGE)
    found = list(usage) if isinstance(usage, x509.ExtendedKeyUsage) else []
    if isinstance(examined.asked, LeafOrder):
        wanted = list(examined.asked.profile.ekus)
    elif isinstance(examined.asked, InfrastructureOrder):
        wanted = [examined.asked.profile.eku]
    else:
        wanted = [] if examined.asked is None else list(examined.asked.ekus)
    if len(found) != len(wanted) or set(found) != set(wanted):
        yield "the extended key usages are not the profile's"
    if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in found:
        yield "the key may be used for anything"


@_rule("policies", "RFC 5280 section 4.2.1.4; exactly one policy of ours")
def _policies(examined: Examined) -> Iterator[str]:
    value = examined.value(ExtensionOID.CERTIFICATE_POLICIES)
    policies = list(value) if isinstance(value, x509.CertificatePolicies) else []
    found = [policy.policy_identifier for policy in policies]
    wanted = {oids.CP_TEST} if examined.development else set()
    policy = None
    if isinstance(examined.asked, LeafOrder | InfrastructureOrder):
        policy = examined.asked.profile.policy
    elif examined.asked is not None:
        policy = examined.asked.policy
    wanted |= set() if policy is None else {policy}
    if len(found) != len(set(found)) or set(found) != wanted:
        yield "the policies are not the profile's"
    if any(policy.policy_qualifiers for policy in policies):
        yield "a policy has qualifiers"


@_rule("extensions", "RFC 5280 section 4.2: nothing unknown; critical only what every verifier understands")
def _extensions(examined: Examined) -> Iterator[str]:
    allowed = _BASIC
    if isinstance(examined.asked, LeafOrder):
        allowed = _COMMON | {ExtensionOID.SUBJECT_ALTERNATIVE_NAME, oids.FLEX_ROLE, oids.NO_REV_AVAIL} | _POINTERS
    elif isinstance(examined.asked, InfrastructureOrder):
        allowed = _COMMON | ({ExtensionOID.OCSP_NO_CHECK} if examined.asked.profile.no_check else _POINTERS)
    elif examined.asked is not None:
        allowed = _COMMON | {ExtensionOID.NAME_CONSTRAINTS} | _POINTERS
    elif examined.development:
        allowed = _BASIC | {ExtensionOID.CERTIFICATE_POLICIES}
    for extension in examined.certificate.extensions:
        if extension.oid not in allowed:
            yield f"extension {extension.oid.dotted_string} does not belong here"
        if extension.critical != (extension.oid in _CRITICAL):
            yield f"extension {extension.oid.dotted_string} has the wrong criticality"


@_rule("status", "RFC 9608 section 3: short-lived and no pointers, or pointers; RFC 6960 section 4.2.2.2.1")
def _status(examined: Examined) -> Iterator[str]:
    if examined.asked is None:
        return
    found = {extension.oid for extension in examined.certificate.extensions}
    if isinstance(examined.asked, InfrastructureOrder):
        unasked = examined.asked.profile.no_check
        if unasked != (ExtensionOID.OCSP_NO_CHECK in found) or unasked == bool(found & _POINTERS):
            yield "revocation is announced otherwise than in the profile"
        return
    silent = isinstance(examined.asked, LeafOrder) and examined.asked.profile.no_rev_avail
    if silent != (oids.NO_REV_AVAIL in found) or silent == bool(found & _POINTERS):
        yield "revocation is announced otherwise than in the profile"


@_rule("subject", "RFC 5280 appendix A.1 upper bounds; pki design: no control, bidi or format characters")
def _subject(examined: Examined) -> Iterator[str]:
    attributes = list(examined.certificate.subject)
    if not attributes or len({attribute.oid for attribute in attributes}) != len(attributes):
        yield "the subject is empty or repeats an attribute"
    for attribute in attributes:
        text = str(attribute.value)
        if not 1 <= len(text) <= MAX_NAME:
            yield "an attribute of the subject is empty or too long"
        if any(unicodedata.category(character)[0] == "C" for character in text):
            yield "an attribute of the subject has a control or format character"


@_rule("subject-alternative-name", "RFC 5280 section 4.2.1.6; exactly one identity URI, host names by profile")
def _alternative_name(examined: Examined) -> Iterator[str]:
    if not isinstance(examined.asked, LeafOrder):
        return
    value = examined.value(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    found = list(value) if isinstance(value, x509.SubjectAlternativeName) else []
    uris = [name.value for name in found if isinstance(name, x509.UniformResourceIdentifier)]
    hosts = [name.value for name in found if isinstance(name, x509.DNSName)]
    if len(uris) != 1 or not uris[0].startswith("https://id.") or len(uris) + len(hosts) != len(found):
        yield "the names are not one https identity URI and host names"
    rule = examined.asked.profile.hosts
    if (hosts and rule is Hosts.NONE) or (not hosts and rule is Hosts.REQUIRED):
        yield "host names are not as in the profile"
    if any("*" in host for host in hosts):
        yield "a host name has a wildcard"
    if hosts and not all(_in_zone(host, examined.issuer) for host in hosts):
        yield "a host name is outside the zone of the authority"


def _in_zone(host: str, issuer: x509.Certificate | None) -> bool:
    if issuer is None:
        return False
    constraints = issuer.extensions.get_extension_for_class(x509.NameConstraints).value
    zones = [str(name.value) for name in constraints.permitted_subtrees or [] if isinstance(name, x509.DNSName)]
    return any(host == zone or host.endswith(f".{zone}") for zone in zones)


@_rule("name-constraints", "RFC 5280 section 4.2.1.10: an authority speaks for its own zone and for no address")
def _name_constraints(examined: Examined) -> Iterator[str]:
    if not isinstance(examined.asked, AuthorityProfile):
        return
    value = examined.value(ExtensionOID.NAME_CONSTRAINTS)
    if not isinstance(value, x509.NameConstraints) or not value.permitted_subtrees:
        yield "an issuing authority has no permitted zone"
        return
    networks = {str(name.value) for name in value.excluded_subtrees or [] if isinstance(name, x509.IPAddress)}
    if networks != {"0.0.0.0/0", "::/0"}:
        yield "an issuing authority may name addresses"


@_rule("role", "ECV-DESS.asn1 FlexRole; non-critical and as ordered")
def _role(examined: Examined) -> Iterator[str]:
    if not isinstance(examined.asked, LeafOrder):
        return
    value = examined.value(oids.FLEX_ROLE)
    asked = examined.asked
    found = None if value is None else flexrole.decode(value.public_bytes())
    if found != asked.role or found.role is not asked.profile.role or found.party_id != asked.identity.party_id:
        yield "the role extension is absent or about somebody else"


@_rule("privacy", "GDPR article 5 (1)(c); pki design: an EVU is a pseudonym and nothing else")
def _privacy(examined: Examined) -> Iterator[str]:
    if not isinstance(examined.asked, LeafOrder) or examined.asked.profile.role is not Role.EVU:
        return
    if [attribute.oid for attribute in examined.certificate.subject] != [NameOID.PSEUDONYM]:
        yield "the subject of an EVU holds more than a pseudonym"

"""Stage 2, without status: a chain means a role only if policy, key usages, role extension and authority agree.

Each of the four could be forged or issued by mistake alone; all four together need the authority of that role itself.
"""

import functools
from collections.abc import Sequence

import msgspec
from cryptography import x509
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtensionOID

from pki import names, oids, profiles
from pki.asn1 import flexrole
from pki.errors import Refused
from pki.opened import OpenedCertificate, reopened
from pki.profiles import Hosts, InfrastructureProfile, Profile
from pki.roles import GROUP_OF_ROLE, Group, Purpose, Role
from pki.trust import DevelopmentCredential

CHAIN_LENGTH = 3  # leaf, issuing authority, root
MAX_HOSTS = 16
MAX_AUTHORITIES = 64
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)
_POINTERS = {ExtensionOID.CRL_DISTRIBUTION_POINTS, ExtensionOID.AUTHORITY_INFORMATION_ACCESS}
_LEAF_EXTENSIONS = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
    oids.NO_REV_AVAIL,
    oids.FLEX_ROLE,
}
_AUTHORITY_EXTENSIONS = _LEAF_EXTENSIONS - {
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    oids.NO_REV_AVAIL,
    oids.FLEX_ROLE,
} | {ExtensionOID.NAME_CONSTRAINTS}


_INFRASTRUCTURE_EXTENSIONS = _LEAF_EXTENSIONS - {
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    oids.NO_REV_AVAIL,
    oids.FLEX_ROLE,
} | {ExtensionOID.OCSP_NO_CHECK}


class RoleMismatch(Refused):
    """Policy, extended key usage, role extension, name and issuing authority do not all say the same role."""

    code = "pki/role-mismatch"
    title = "Role not proven"


class RoleNotAllowed(Refused):
    """The role is proven, but it is none of those that may do this."""

    code = "pki/role-not-allowed"
    title = "Role not allowed"


class WrongPurpose(Refused):
    """The key may be used, but not for this."""

    code = "pki/purpose"
    title = "Wrong purpose"


class BadProfile(Refused):
    """A certificate that is not in the form that its profile demands."""

    code = "pki/profile"
    title = "Certificate does not meet its profile"


class OutlivesIssuer(Refused):
    """A certificate that is valid when its issuer is not."""

    code = "pki/outlives-issuer"
    title = "Certificate outlives its issuer"


class Bound(msgspec.Struct, frozen=True):
    """What leaf and authorities agree on."""

    role: flexrole.FlexRole
    identity: names.Identity
    organisation: str
    profile: Profile
    development: bool


def bind(
    chain: Sequence[OpenedCertificate], *, purpose: Purpose, roles: frozenset[Role] | None, allow_development: bool
) -> Bound:
    """What `chain` (leaf, issuing authority, root) says, if all of it agrees; roles None allows every role.

    Raises RoleMismatch, RoleNotAllowed, WrongPurpose, BadProfile, OutlivesIssuer, `DevelopmentCredential`, or what
    `names` and `asn1` raise.
    """
    if len(chain) != CHAIN_LENGTH:
        raise BadProfile("the chain is not leaf, issuing authority, root", expected=CHAIN_LENGTH, found=len(chain))
    leaf, issuing, root = chain
    for inner, outer in ((leaf, issuing), (issuing, root)):
        _require_within(inner, outer)
    _require_own_key(leaf, issuing, root)
    development = any(_is_marked(certificate) for certificate in chain)
    if development and not allow_development:
        raise DevelopmentCredential("a development credential counts for nothing here")
    group = _require_issuing(issuing)
    role = _role(leaf)
    _require_role(leaf, role.role, group)
    if roles is not None and role.role not in roles:
        raise RoleNotAllowed("this role may not do this", expected=", ".join(sorted(roles)), found=role.role)
    profile = _profile(leaf, role.role, purpose)
    _require_form(leaf, profile)
    identity = _require_names(leaf, issuing, role, group, profile)
    organisation = names.organisation_in(leaf.subject, leaf.subject_name, identity)
    return Bound(role, identity, organisation, profile, development)


def require_infrastructure(
    certificate: x509.Certificate, issuer: x509.Certificate, profile: InfrastructureProfile
) -> None:
    """`certificate`, which `issuer` signed, is a key of the house of `profile` and nothing besides.

    Raises OutlivesIssuer, RoleMismatch for a wrong usage, policy or authority, BadProfile for another form.
    """
    opened, above = reopened(certificate), reopened(issuer)
    _require_within(opened, above)
    _require_extensions(opened, _INFRASTRUCTURE_EXTENSIONS)
    found = opened.extensions
    if usages(opened) != {profile.eku}:
        raise RoleMismatch("the key usages are not those of the profile", expected=profile.name)
    policies = role_policies(opened) if ExtensionOID.CERTIFICATE_POLICIES in found else set()
    if policies != (set() if profile.policy is None else {profile.policy}):
        raise RoleMismatch("the policy is not the profile's", expected=profile.name)
    if profile.group is not None and _require_issuing(above) is not profile.group:
        raise RoleMismatch("another authority issues this", expected=profile.group)
    _require_plain_form(opened, {"digital_signature"}, profile.lifetime_ms)
    if (ExtensionOID.OCSP_NO_CHECK in found) != profile.no_check:
        raise BadProfile("revocation is announced otherwise than in the profile")


def _require_within(inner: OpenedCertificate, outer: OpenedCertificate) -> None:
    if inner.not_before_ms < outer.not_before_ms or inner.not_after_ms > outer.not_after_ms:
        raise OutlivesIssuer("valid when its issuer is not", expected=outer.not_after_ms)


def _is_marked(certificate: OpenedCertificate) -> bool:
    policies = certificate.get(x509.CertificatePolicies) or ()
    return any(policy.policy_identifier == oids.CP_TEST for policy in policies)


def _require_own_key(leaf: OpenedCertificate, issuing: OpenedCertificate, root: OpenedCertificate) -> None:
    """Every key stands once: whoever has a leaf over an authority's key could claim what that authority signed."""
    if len({leaf.spki, issuing.spki, root.spki}) != CHAIN_LENGTH:
        raise BadProfile("a key stands in more than one certificate of the chain")


def role_policies(certificate: OpenedCertificate) -> set[ObjectIdentifier]:
    """All its policies but the development marker; BadProfile if there are none or one has qualifiers."""
    found = certificate.get(x509.CertificatePolicies)
    if found is None:
        raise BadProfile("a certificate has no policy")
    if any(policy.policy_qualifiers for policy in found):
        raise BadProfile("a policy has qualifiers")
    return {policy.policy_identifier for policy in found} - {oids.CP_TEST}


def usages(certificate: OpenedCertificate) -> frozenset[ObjectIdentifier]:
    """Its extended key usages; BadProfile if it has none."""
    found = certificate.get(x509.ExtendedKeyUsage)
    if found is None:
        raise BadProfile("a certificate has no extended key usage")
    return frozenset(found)


# Of authorities alone, which are few and whose chain was built before: what their octets say is read once.
_of_authorities = functools.lru_cache(maxsize=MAX_AUTHORITIES)


@_of_authorities
def _require_issuing(issuing: OpenedCertificate) -> Group:
    """The group whose authority `issuing` is: by its one policy, and with exactly the usages of that authority."""
    _require_extensions(issuing, _AUTHORITY_EXTENSIONS)
    policies = role_policies(issuing)
    for group, authority in profiles.AUTHORITIES.items():
        if policies == {authority.policy}:
            if usages(issuing) != set(authority.ekus):
                raise RoleMismatch("the authority's key usages are not those of its policy", found=group)
            constraints = issuing.get(x509.BasicConstraints)
            if constraints is None or constraints.path_length != 0:
                raise BadProfile(
                    "an issuing authority has path length 0", found=constraints and constraints.path_length
                )
            return group
    raise RoleMismatch("the authority does not have exactly one known policy", found=len(policies))


def _role(leaf: OpenedCertificate) -> flexrole.FlexRole:
    found = leaf.extensions.get(oids.FLEX_ROLE)
    if found is None:
        raise RoleMismatch("the certificate has no role extension")
    return flexrole.decode(found.value.public_bytes())


def _require_role(leaf: OpenedCertificate, role: Role, group: Group) -> None:
    if role_policies(leaf) != {profiles.POLICY_OF_GROUP[group]}:
        raise RoleMismatch("the policy is not the one of the issuing authority", expected=group)
    if GROUP_OF_ROLE[role] is not group:
        raise RoleMismatch("the role extension names a role of another authority", expected=group, found=role)


def _profile(leaf: OpenedCertificate, role: Role, purpose: Purpose) -> Profile:
    """The profile for `purpose` if the leaf's usages are exactly its usages."""
    matching = profiles.BY_USAGES.get((role, usages(leaf)))
    if matching is None:
        raise RoleMismatch("the key usages are none of this role's", found=role)
    if matching.purpose is not purpose:
        raise WrongPurpose("the key is for something else", expected=purpose, found=matching.purpose)
    return matching


def _require_form(leaf: OpenedCertificate, profile: Profile) -> None:
    _require_extensions(leaf, _LEAF_EXTENSIONS)
    wanted = {"digital_signature", "crl_sign"} if profile.crl_sign else {"digital_signature"}
    _require_plain_form(leaf, wanted, profile.max_lifetime_ms)
    if (oids.NO_REV_AVAIL in leaf.extensions) != profile.no_rev_avail:
        raise BadProfile("revocation is announced otherwise than in the profile")
    if profile.no_rev_avail and not leaf.extensions.keys().isdisjoint(_POINTERS):
        raise BadProfile("no revocation is available, yet a place to ask is named")  # RFC 9608 section 3


def _require_plain_form(leaf: OpenedCertificate, wanted: set[str], max_lifetime_ms: int) -> None:
    """No authority, with exactly the key usages `wanted`, and for no longer than `max_lifetime_ms`."""
    constraints, usage = leaf.get(x509.BasicConstraints), leaf.get(x509.KeyUsage)
    if constraints is None or usage is None:
        raise BadProfile("a leaf has basic constraints and a key usage")
    if constraints.ca:
        raise BadProfile("a leaf is not an authority")
    if {name for name in _USAGES if getattr(usage, name)} != wanted:
        raise BadProfile("the key usage is not the profile's", expected=", ".join(sorted(wanted)))
    if leaf.not_after_ms - leaf.not_before_ms > max_lifetime_ms + profiles.BACKDATE_MS:
        raise BadProfile("the certificate lives longer than its profile allows")


def _require_extensions(certificate: OpenedCertificate, allowed: set[ObjectIdentifier]) -> None:
    found = certificate.extensions.keys() - allowed
    if found:
        unknown = ", ".join(sorted(oid.dotted_string for oid in found))
        raise BadProfile("an extension is not in the profile", found=unknown)


def _require_names(
    leaf: OpenedCertificate, issuing: OpenedCertificate, role: flexrole.FlexRole, group: Group, profile: Profile
) -> names.Identity:
    """The identity URI says what the role extension says, in the zone of the issuing authority."""
    alternatives = list(leaf.get(x509.SubjectAlternativeName) or ())
    uris = [name.value for name in alternatives if isinstance(name, x509.UniformResourceIdentifier)]
    hosts = [name.value for name in alternatives if isinstance(name, x509.DNSName)]
    if len(uris) != 1 or len(uris) + len(hosts) != len(alternatives) or len(hosts) > MAX_HOSTS:
        raise BadProfile("the names are not one identity URI and host names")
    if (hosts and profile.hosts is Hosts.NONE) or (not hosts and profile.hosts is Hosts.REQUIRED):
        raise BadProfile("host names are not as in the profile", expected=profile.hosts, found=len(hosts))
    for host in hosts:
        names.dns_name(host)
    identity, zone = names.parse_identity_uri(uris[0])
    if (identity.role, identity.party_id) != (role.role, role.party_id):
        raise RoleMismatch("the identity URI and the role extension differ")
    if f"{group.lower()}.{zone}" not in permitted_zones(issuing):
        raise RoleMismatch("the identity URI is in a zone that its authority has no say in")
    return identity


@_of_authorities
def permitted_zones(issuing: OpenedCertificate) -> frozenset[str]:
    """The host names, with all below them, that the authority may speak for; BadProfile without name constraints."""
    constraints = issuing.get(x509.NameConstraints)
    if constraints is None:
        raise BadProfile("an issuing authority has no name constraints")
    return frozenset(name.value for name in constraints.permitted_subtrees or [] if isinstance(name, x509.DNSName))

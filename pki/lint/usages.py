"""Rules about what a key may do, under which policy, and where its revocation is told."""

from collections.abc import Iterator

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, ExtensionOID

from pki import oids
from pki.lint.form import POINTERS
from pki.lint.subject import Examined, Rule, registrar
from pki.profiles import AuthorityProfile
from pki.tbs import InfrastructureOrder, LeafOrder

RULES: list[Rule] = []
_ASN1_NULL = b"\x05\x00"

_rule = registrar(RULES)


@_rule("basic-constraints", "RFC 5280 section 4.2.1.9")
def _basic_constraints(examined: Examined) -> Iterator[str]:
    leaf = (False, None)
    wanted = {LeafOrder: leaf, InfrastructureOrder: leaf, AuthorityProfile: (True, 0)}.get(
        type(examined.asked), (True, 1)
    )
    found = examined.get(x509.BasicConstraints)
    if found is None or (found.ca, found.path_length) != wanted:
        yield f"basic constraints are not ca={wanted[0]}, path length {wanted[1]}"


@_rule("key-usage", "RFC 5280 section 4.2.1.3; RFC 5480 section 3")
def _key_usage(examined: Examined) -> Iterator[str]:
    if isinstance(examined.asked, LeafOrder):
        wanted = (True, False, examined.asked.profile.crl_sign)
    elif isinstance(examined.asked, InfrastructureOrder):
        wanted = (True, False, False)
    else:
        wanted = (False, True, True)
    usage = examined.get(x509.KeyUsage)
    if usage is None:
        yield "there is no key usage"
        return
    if (usage.digital_signature, usage.key_cert_sign, usage.crl_sign) != wanted:
        yield "the key usage is not the profile's"
    if usage.content_commitment or usage.key_encipherment or usage.data_encipherment or usage.key_agreement:
        yield "the key usage allows more than signing"


@_rule("extended-key-usage", "RFC 5280 section 4.2.1.12; profile")
def _extended_key_usage(examined: Examined) -> Iterator[str]:
    found = list(examined.get(x509.ExtendedKeyUsage) or [])
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
    policies = list(examined.get(x509.CertificatePolicies) or [])
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


@_rule("status", "RFC 9608 section 3: short-lived and no pointers, or pointers; RFC 6960 section 4.2.2.2.1")
def _status(examined: Examined) -> Iterator[str]:
    if examined.asked is None:
        return
    found = set(examined.extensions)
    if isinstance(examined.asked, InfrastructureOrder):
        unasked = examined.asked.profile.no_check
        if unasked != (ExtensionOID.OCSP_NO_CHECK in found) or found & POINTERS != _pointers_of(silent=unasked):
            yield "revocation is announced otherwise than in the profile"
        return
    silent = isinstance(examined.asked, LeafOrder) and examined.asked.profile.no_rev_avail
    if silent != (oids.NO_REV_AVAIL in found) or found & POINTERS != _pointers_of(silent=silent):
        yield "revocation is announced otherwise than in the profile"
    value = examined.value(oids.NO_REV_AVAIL)
    if value is not None and value.public_bytes() != _ASN1_NULL:
        yield "the announcement that no revocation is available holds something"


def _pointers_of(*, silent: bool) -> set[x509.ObjectIdentifier]:
    return set() if silent else POINTERS


@_rule(
    "pointers", "RFC 5280 sections 4.2.1.13 and 4.2.2.1: whole lists over plain HTTP, for whoever checks has no session"
)
def _pointers(examined: Examined) -> Iterator[str]:
    points = list(examined.get(x509.CRLDistributionPoints) or [])
    if any(point.reasons or point.crl_issuer or point.relative_name for point in points):
        yield "a distribution point is partial, or of another issuer"
    access = list(examined.get(x509.AuthorityInformationAccess) or [])
    places = [name for point in points for name in point.full_name or []] + [one.access_location for one in access]
    for place in places:
        if not isinstance(place, x509.UniformResourceIdentifier) or not place.value.startswith("http://"):
            yield "a place to ask is not an http URI"


@_rule("access", "RFC 5280 section 4.2.2.1; RFC 6960 section 3.1: one responder, which no root has, and one issuer")
def _access(examined: Examined) -> Iterator[str]:
    access = examined.get(x509.AuthorityInformationAccess)
    if access is None:
        return
    wanted = [AuthorityInformationAccessOID.OCSP, AuthorityInformationAccessOID.CA_ISSUERS]
    if isinstance(examined.asked, AuthorityProfile):
        wanted.remove(AuthorityInformationAccessOID.OCSP)
    if [one.access_method for one in access] != wanted:
        yield "the places to ask are not those of the profile"
    if isinstance(examined.asked, LeafOrder | InfrastructureOrder):
        base = f"http://pki.{examined.asked.zone}/"
        if any(not str(one.access_location.value).startswith(base) for one in access):
            yield "a place to ask is not this zone's"

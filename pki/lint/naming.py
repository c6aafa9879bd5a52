"""Rules about who a certificate is about: subject, alternative names, zone, role, and what it must not tell."""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.x509.oid import NameOID

from pki import oids
from pki.asn1 import flexrole
from pki.errors import Refused
from pki.lint.subject import Examined, Rule, registrar
from pki.profiles import AuthorityProfile, Hosts
from pki.roles import Role
from pki.tbs import LeafOrder

RULES: list[Rule] = []
MAX_NAME = 64  # ub-common-name, ub-organization-name
_PSEUDONYM = re.compile(r"[0-9a-f]{32}")
_ORGANISATION = [NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME]

_rule = registrar(RULES)


@_rule("subject", "RFC 5280 appendix A.1 upper bounds; Unicode TR 36: no control, bidi or format characters")
def _subject(examined: Examined) -> Iterator[str]:
    attributes = examined.subject
    found = [attribute.oid for attribute in attributes]
    pseudonymous = isinstance(examined.asked, LeafOrder) and examined.asked.profile.role is Role.EVU
    if found != ([NameOID.PSEUDONYM] if pseudonymous else _ORGANISATION):
        yield "the subject is not an organisation and a name, or of an EVU a pseudonym"
    for attribute in attributes:
        text = str(attribute.value)
        if not 1 <= len(text) <= MAX_NAME:
            yield "an attribute of the subject is empty or too long"
        plain = text.isascii() and text.isprintable()
        if not plain and any(unicodedata.category(character)[0] == "C" for character in text):
            yield "an attribute of the subject has a control or format character"


@_rule("subject-alternative-name", "RFC 5280 section 4.2.1.6; exactly one identity URI, host names by profile")
def _alternative_name(examined: Examined) -> Iterator[str]:
    if not isinstance(examined.asked, LeafOrder):
        return
    found = list(examined.get(x509.SubjectAlternativeName) or [])
    uris = [name.value for name in found if isinstance(name, x509.UniformResourceIdentifier)]
    hosts = [name.value for name in found if isinstance(name, x509.DNSName)]
    if uris != [_identity_of(examined.asked)] or len(uris) + len(hosts) != len(found):
        yield "the names are not the one identity URI of the order and host names"
    if sorted(hosts) != sorted(examined.asked.hosts):
        yield "the host names are not those of the order"
    rule = examined.asked.profile.hosts
    if (hosts and rule is Hosts.NONE) or (not hosts and rule is Hosts.REQUIRED):
        yield "host names are not as in the profile"
    if wild := [host for host in hosts if "*" in host]:
        yield f"a host name has a wildcard: {wild[0]!r:.80}"
    if outside := [host for host in hosts if not _in_zone(host, examined.signer.zones)]:
        zones = ", ".join(examined.signer.zones) or "none"
        yield f"a host name is outside the zone of the authority ({zones}): {outside[0]!r:.80}"


def _identity_of(asked: LeafOrder) -> str:
    who = asked.identity
    station = "" if who.station_id is None else f"/{who.station_id}"
    return f"https://id.{asked.zone}/{who.role.lower()}/{who.party_id}{station}"


def _in_zone(host: str, zones: Sequence[str]) -> bool:
    return any(host == zone or host.endswith(f".{zone}") for zone in zones)


@_rule("name-constraints", "RFC 5280 section 4.2.1.10: an authority speaks for its own zone and for no address")
def _name_constraints(examined: Examined) -> Iterator[str]:
    if not isinstance(examined.asked, AuthorityProfile):
        return
    value = examined.get(x509.NameConstraints)
    if value is None or not value.permitted_subtrees:
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
    try:
        found = None if value is None else flexrole.decode(value.public_bytes())
    except Refused:
        yield "the role extension cannot be read"
        return
    if found != asked.role or found.role is not asked.profile.role or found.party_id != asked.identity.party_id:
        yield "the role extension is absent or about somebody else"


@_rule("privacy", "GDPR article 5 (1)(c): an EVU is a random pseudonym and nothing else")
def _privacy(examined: Examined) -> Iterator[str]:
    if not isinstance(examined.asked, LeafOrder) or examined.asked.profile.role is not Role.EVU:
        return
    attributes = examined.subject
    if [attribute.oid for attribute in attributes] != [NameOID.PSEUDONYM]:
        yield "the subject of an EVU holds more than a pseudonym"
    if any(not _PSEUDONYM.fullmatch(str(attribute.value)) for attribute in attributes):
        yield "the pseudonym of an EVU is not 128 bits in hex"

"""Subjects and identity URIs: built one way, and refused unless they are exactly what would be built.

The identity URI is `https://id.<zone>/<role>/<party id>`, for a station `https://id.<zone>/station/<party
id>/<station id>` with the party that operates it. Comparison is of whole names, so no second common name, no
odd string type and no look-alike can stand beside the identity.
"""

import re
import secrets

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from pki.asn1 import der, tlv
from pki.errors import Refused
from pki.roles import Role

DEFAULT_ZONE = "flexledger.example"
MAX_ORGANISATION = 64
_PARTY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9*._-]{0,63}")
_PSEUDONYM = re.compile(r"[0-9a-f]{32}")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DNS_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_URI = re.compile(r"https://id\.([a-z0-9.-]{1,253})/([a-z]{2,7})/([^/]+)(?:/([^/]+))?")
_GENERATION = re.compile(r" G([1-9][0-9]{0,2})\Z")
_PSEUDONYM_BYTES = 16
_ORGANISATION_OID, _COMMON_OID, _PSEUDONYM_OID = (
    tlv.identifier(oid.dotted_string) for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME, NameOID.PSEUDONYM)
)
_ROLES = {role.lower(): role for role in Role}


class BadName(Refused):
    """A party id, station id, host name or subject that is not in the one allowed form."""

    code = "pki/bad-name"
    title = "Name not allowed"


class Identity(msgspec.Struct, frozen=True):
    """Who a certificate is about; `station_id` for stations only."""

    role: Role
    party_id: str
    station_id: str | None = None


def party_id(value: str, role: Role) -> str:
    """`value`, if it can be the id of a party in `role`: for an EVU, 32 hex digits from a random source and no name."""
    pattern = _PSEUDONYM if role is Role.EVU else _PARTY_ID
    if not pattern.fullmatch(value):
        raise BadName("not a party id for this role", expected=pattern.pattern, role=role)
    return value


def station_id(value: str) -> str:
    """`value`, if it can be the id of a station."""
    if not _PARTY_ID.fullmatch(value):
        raise BadName("not a station id", expected=_PARTY_ID.pattern)
    return value


def dns_name(value: str) -> str:
    """`value`, if it is a host name in lower case without wildcard or trailing dot (RFC 1123)."""
    if not _DNS_NAME.fullmatch(value):
        raise BadName("not a host name", expected="lower-case labels, no wildcard")
    return value


def new_pseudonym() -> str:
    """128 random bits: the party id of an EVU under one contract, derived from nothing."""
    return secrets.token_hex(_PSEUDONYM_BYTES)


def identity_uri(identity: Identity, zone: str) -> str:
    """The URI that stands in the subject alternative name."""
    party = party_id(identity.party_id, identity.role)
    uri = f"https://id.{dns_name(zone)}/{identity.role.lower()}/{party}"
    if (identity.station_id is not None) != (identity.role is Role.STATION):
        raise BadName("a station has a station id and nobody else has", role=identity.role)
    return uri if identity.station_id is None else f"{uri}/{station_id(identity.station_id)}"


def parse_identity_uri(uri: str) -> tuple[Identity, str]:
    """Identity and zone that `uri` names; BadName unless `identity_uri` would build the same."""
    match = _URI.fullmatch(uri)
    if match is None:
        raise BadName("not an identity URI", expected=_URI.pattern)
    zone, role, party, station = match.groups()
    if role not in _ROLES:
        raise BadName("the identity URI names an unknown role")
    identity = Identity(_ROLES[role], party, station)
    if identity_uri(identity, zone) != uri:
        raise BadName("the identity URI is not in canonical form")
    return identity, zone


def subject(identity: Identity, organisation: str) -> bytes:
    """O and CN (DER); for an EVU the pseudonym and nothing else; for a station its id as CN (OCPP A00.FR.405)."""
    party = party_id(identity.party_id, identity.role)
    if identity.role is Role.EVU:
        if organisation:
            raise BadName("an EVU has no organisation in its certificate")
        return tlv.sequence(_attribute(_PSEUDONYM_OID, party))
    common = party if identity.station_id is None else station_id(identity.station_id)
    text = der.text(organisation, longest=MAX_ORGANISATION, what="organisation")
    return tlv.sequence(_attribute(_ORGANISATION_OID, text), _attribute(_COMMON_OID, common))


def _attribute(oid: bytes, text: str) -> bytes:
    """A RelativeDistinguishedName of one attribute, in UTF-8 as RFC 5280 section 4.1.2.4 wants it."""
    return tlv.element(tlv.SET, tlv.sequence(oid, tlv.element(tlv.UTF8_STRING, text.encode())))


def organisation_in(written: bytes, name: x509.Name, identity: Identity) -> str:
    """The organisation in `name`, "" for an EVU; BadName unless `subject` would build a name of the octets `written`.

    `name` is what the library reads in them.
    """
    found = name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    organisation = str(found[0].value) if found else ""
    if subject(identity, organisation) != written:
        raise BadName("the subject is not the one of this identity", role=identity.role)
    return organisation


def generation(name: x509.Name) -> int:
    """Which generation of its kind the authority of this name is: the number after the last " G" of its common name."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    match = _GENERATION.search(str(found[0].value)) if found else None
    return 1 if match is None else int(match.group(1))


def published(base: str, name: x509.Name) -> str:
    """What files and lists of an authority are called: `base` ("root", "fo", ...), "-g2" behind it in generation 2."""
    return of_generation(base, generation(name))


def of_generation(base: str, number: int) -> str:
    """The same for a generation that is not there yet."""
    return base if number == 1 else f"{base}-g{number}"


def authority_of(organisation: str, kind: str, number: int = 1) -> x509.Name:
    """The name of the certification authority of the kind ("Root", "FO CA") in its generation.

    A long organisation is cut in the common name, never what tells the authorities of one organisation apart.
    """
    behind = f" {kind} G{number}"
    return authority(organisation, organisation[: MAX_ORGANISATION - len(behind)] + behind)


def authority(organisation: str, common: str) -> x509.Name:
    """The name of a certification authority."""
    return x509.Name(
        [
            x509.NameAttribute(
                NameOID.ORGANIZATION_NAME, der.text(organisation, longest=MAX_ORGANISATION, what="organisation")
            ),
            x509.NameAttribute(NameOID.COMMON_NAME, der.text(common, longest=MAX_ORGANISATION, what="common name")),
        ]
    )

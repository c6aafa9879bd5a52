"""`FlexRole`, the role extension of a certificate (ECV-DESS.asn1)."""

import functools
from dataclasses import dataclass
from typing import Any

from pyasn1.type import char as strings
from pyasn1.type import namedtype, univ

from pki.asn1 import der, tlv
from pki.roles import ACTOR_ROLE_NUMBER, ROLE_OF_NUMBER, SERVICE_BIT, Role, Service

MAX_PARTY_ID = 64
_WHAT = "role extension"
_CACHED_VALUES = 4096
_SERVICES = tlv.context(1, constructed=False)
_DELEGATED_BY = tlv.context(2, constructed=False)
_SERVICE_OF_BIT = {bit: service for service, bit in SERVICE_BIT.items()}


@dataclass(frozen=True, slots=True)
class FlexRole:
    """A party, its role, what it may request or offer, and for whom it acts."""

    role: Role
    party_id: str
    services: frozenset[Service] = frozenset()
    delegated_by: str | None = None


class _FlexRole(univ.Sequence):  # type: ignore[misc]  # pyasn1 has no types
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.DefaultedNamedType("version", univ.Integer(1).subtype(explicitTag=der.implicit(0, constructed=True))),
        namedtype.NamedType("role", univ.Integer()),
        namedtype.NamedType("partyId", strings.UTF8String()),
        namedtype.OptionalNamedType("services", univ.BitString().subtype(implicitTag=der.implicit(1))),
        namedtype.OptionalNamedType("delegatedBy", strings.UTF8String().subtype(implicitTag=der.implicit(2))),
    )


def services_to_bits(services: frozenset[Service]) -> Any:
    """`FlexServices` for `services`, which are not empty."""
    return der.named_bits({SERVICE_BIT[service] for service in services})


def services_from_bits(value: Any) -> frozenset[Service]:
    """The services that `value` names; unknown bits are refused."""
    bits = der.bits_named(value, known=len(SERVICE_BIT), what="list of services")
    return frozenset(_SERVICE_OF_BIT[bit] for bit in bits)


def encode(value: FlexRole) -> bytes:
    """The DER encoding; raises `der.MalformedDer` if it could not be read back."""
    said = [
        tlv.integer(ACTOR_ROLE_NUMBER[value.role]),
        tlv.element(tlv.UTF8_STRING, _text(value.party_id, "party id")),
    ]
    if value.services:
        said.append(tlv.element(_SERVICES, tlv.named_bits({SERVICE_BIT[service] for service in value.services})))
    if value.delegated_by is not None:
        said.append(tlv.element(_DELEGATED_BY, _text(value.delegated_by, "delegating party id")))
    return tlv.sequence(*said)


def _text(value: str, what: str) -> bytes:
    return der.text(value, longest=MAX_PARTY_ID, what=what).encode()


@functools.lru_cache(maxsize=_CACHED_VALUES)  # a pure function of small bytes, asked again for each request
def decode(data: bytes) -> FlexRole:
    """The value in `data`; raises `der.MalformedDer` or `der.OversizeDer`."""
    record = der.decode(data, _FlexRole(), limit=der.MAX_VALUE_BYTES, what=_WHAT)
    if int(record["version"]) != 1:
        raise der.MalformedDer("the role extension has an unknown version", expected=1)
    number = int(record["role"])
    if number not in ROLE_OF_NUMBER:
        raise der.MalformedDer("the role extension names an unknown role", found=number)
    services: frozenset[Service] = frozenset()
    if record["services"].isValue:
        services = services_from_bits(record["services"])
    delegated_by = None
    if record["delegatedBy"].isValue:
        delegated_by = der.text(record["delegatedBy"], longest=MAX_PARTY_ID, what="delegating party id")
    return FlexRole(
        role=ROLE_OF_NUMBER[number],
        party_id=der.text(record["partyId"], longest=MAX_PARTY_ID, what="party id"),
        services=services,
        delegated_by=delegated_by,
    )

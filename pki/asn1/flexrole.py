"""`FlexRole`, the role extension of a certificate (ECV-DESS.asn1)."""

import functools
from typing import Any

import msgspec

from pki.asn1 import der, tlv
from pki.roles import ACTOR_ROLE_NUMBER, ROLE_OF_NUMBER, SERVICE_BIT, Role, Service

MAX_PARTY_ID = 64
_WHAT = "role extension"
_CACHED_VALUES = 4096
_VERSION = tlv.context(0)
_SERVICES = tlv.context(1, constructed=False)
_DELEGATED_BY = tlv.context(2, constructed=False)
_SERVICE_OF_BIT = {bit: service for service, bit in SERVICE_BIT.items()}


class FlexRole(msgspec.Struct, frozen=True):
    """A party, its role, what it may request or offer, and for whom it acts."""

    role: Role
    party_id: str
    services: frozenset[Service] = frozenset()
    delegated_by: str | None = None


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
    der.require_size(data, limit=der.MAX_VALUE_BYTES, what=_WHAT)
    members = tlv.Members(tlv.only(data, tlv.SEQUENCE, _WHAT), _WHAT)
    version = members.optional(_VERSION)
    if version is not None and tlv.only(version, tlv.INTEGER, _WHAT) != b"\x01":
        raise der.MalformedDer("the role extension has an unknown version", expected=1)
    number = tlv.read_integer(members.take(tlv.INTEGER), _WHAT)
    party_id = _read_text(members.take(tlv.UTF8_STRING), "party id")
    services, delegated_by = members.optional(_SERVICES), members.optional(_DELEGATED_BY)
    members.end()
    if number not in ROLE_OF_NUMBER:
        raise der.MalformedDer("the role extension names an unknown role", found=number)
    found = FlexRole(
        role=ROLE_OF_NUMBER[number],
        party_id=party_id,
        services=frozenset() if services is None else _read_services(services),
        delegated_by=None if delegated_by is None else _read_text(delegated_by, "delegating party id"),
    )
    # A default that is written, and bits after the last one that is set, are other octets of the same value.
    if encode(found) != data:
        raise der.MalformedDer(f"the {_WHAT} is not in canonical form")
    return found


def _read_text(octets: bytes, what: str) -> str:
    try:
        return der.text(octets.decode("utf-8"), longest=MAX_PARTY_ID, what=what)
    except UnicodeDecodeError as error:
        raise der.MalformedDer(f"the {what} is not UTF-8") from error


def _read_services(octets: bytes) -> frozenset[Service]:
    bits = tlv.read_named_bits(octets, known=len(SERVICE_BIT), what="list of services")
    return frozenset(_SERVICE_OF_BIT[bit] for bit in bits)

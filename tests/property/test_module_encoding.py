"""Whatever value is written, the published module's own encoder writes the same bytes."""

from typing import Any

import asn1tools
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pki.asn1 import claims, der, links
from pki.asn1.claims import Claim, ConformityClaims, DerFunction, Scheme, Thing, ThingKind, TypeRef
from pki.asn1.links import InstallationLink
from pki.errors import Refused
from pki.roles import SERVICE_BIT, Service
from tests.support.vectors import REPOSITORY

pytestmark = pytest.mark.slow  # takes seconds

SETTINGS = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])

letters = st.characters(categories=("Lu", "Ll", "Nd"), max_codepoint=0xFF)
texts = st.text(letters, min_size=1, max_size=24)
ascii_texts = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
watts = st.none() | st.integers(0, claims.MAX_WATT)
types = st.builds(TypeRef, texts, texts, st.none() | texts, st.none() | hashes)
bound = st.builds(
    Thing,
    st.sampled_from(ThingKind),
    hashes,
    st.none() | types,
    st.none() | texts,
    st.none() | hashes,
)
unbound = st.builds(Thing, st.sampled_from(ThingKind), st.none(), types)
single = st.tuples(bound | unbound)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Thing, Thing]:
    key = st.none() | hashes
    evse, ev = (
        Thing(kind, found, draw(types) if found is None else draw(st.none() | types))
        for kind, found in ((ThingKind.EVSE, draw(key)), (ThingKind.EV, draw(key)))
    )
    return evse, ev


statements = st.builds(
    Claim,
    standard=texts,
    edition=texts,
    scheme=st.sampled_from(Scheme),
    cert_number=texts,
    services=st.frozensets(st.sampled_from(Service), min_size=1),
    regions=st.lists(st.sampled_from(["FI", "SE-3", "DE-BY"]), min_size=1, max_size=3).map(tuple),
    max_charge_w=watts,
    max_discharge_w=watts,
    response_ms=watts,
    report_sha256=st.none() | hashes,
    report_uri=st.none() | ascii_texts,
    grid_code=st.none() | texts,
    functions=st.frozensets(st.sampled_from(DerFunction)),
)
whole = st.builds(ConformityClaims, single | pairs(), st.lists(statements, min_size=1, max_size=3).map(tuple))
all_links = st.builds(
    InstallationLink,
    st.sampled_from(ThingKind),
    hashes,
    st.builds(TypeRef, texts, texts, st.none() | texts, hashes),
    st.none() | hashes,
)


@pytest.fixture(scope="module")
def module() -> Any:
    return asn1tools.compile_files([str(REPOSITORY / "docs" / "spec" / "ECV-DESS.asn1")], "der")


def _bits(numbers: set[int]) -> tuple[bytes, int]:
    """A named-bit list as the compiler wants it: the bytes, and how many bits of them count."""
    size = max(numbers) + 1
    value = sum(1 << (7 - number % 8 + 8 * ((size - 1) // 8 - number // 8)) for number in numbers)
    return value.to_bytes((size + 7) // 8, "big"), size


def _known(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _raw(digest: str | None) -> bytes | None:
    return None if digest is None else bytes.fromhex(digest)


def _type(found: TypeRef) -> dict[str, Any]:
    return _known(
        manufacturer=found.manufacturer,
        model=found.model,
        hardware=found.hardware,
        firmwareSha256=_raw(found.firmware_sha256),
    )


def _thing(found: Thing) -> dict[str, Any]:
    return _known(
        kind=int(found.kind),
        keySha256=_raw(found.spki_sha256),
        typeRef=None if found.type_ref is None else _type(found.type_ref),
        publicId=found.public_id,
        commitment=_raw(found.commitment),
    )


def _claim(found: Claim) -> dict[str, Any]:
    return _known(
        standard=found.standard,
        edition=found.edition,
        scheme=int(found.scheme),
        certNumber=found.cert_number,
        services=_bits({SERVICE_BIT[one] for one in found.services}),
        regions=list(found.regions),
        maxChargeW=found.max_charge_w,
        maxDischargeW=found.max_discharge_w,
        responseMs=found.response_ms,
        reportSha256=_raw(found.report_sha256),
        reportUri=found.report_uri,
        gridCode=found.grid_code,
        functions=_bits({int(one) for one in found.functions}) if found.functions else None,
    )


@given(value=whole)
@SETTINGS
def test_claims_are_the_bytes_of_the_published_module(module: Any, value: ConformityClaims) -> None:
    data = claims.encode(value)
    wanted = {"things": [_thing(one) for one in value.things], "claims": [_claim(one) for one in value.claims]}
    assert data == module.encode("ConformityClaims", wanted)
    assert claims.decode(data) == value
    found = module.decode("ConformityClaims", data)
    assert [len(found["things"]), len(found["claims"])] == [len(value.things), len(value.claims)]


@given(value=all_links)
@SETTINGS
def test_links_are_the_bytes_of_the_published_module(module: Any, value: InstallationLink) -> None:
    data = links.encode(value)
    wanted = _known(
        kind=int(value.kind),
        keySha256=_raw(value.spki_sha256),
        typeRef=_type(value.type_ref),
        recordSha256=_raw(value.record_sha256),
    )
    assert data == module.encode("InstallationLink", wanted)
    assert links.decode(data) == value


@given(value=whole, at=st.integers(0, 4095), flip=st.integers(1, 255))
@SETTINGS
def test_changed_bytes_of_claims_are_another_canonical_value_or_refused(
    value: ConformityClaims, at: int, flip: int
) -> None:
    data = bytearray(claims.encode(value))
    data[at % len(data)] ^= flip
    try:
        found = claims.decode(bytes(data))
    except der.MalformedDer:
        return
    assert found != value
    assert claims.encode(found) == bytes(data)


@given(value=all_links, at=st.integers(0, 4095), flip=st.integers(1, 255))
@SETTINGS
def test_changed_bytes_of_a_link_are_another_canonical_value_or_refused(
    value: InstallationLink, at: int, flip: int
) -> None:
    data = bytearray(links.encode(value))
    data[at % len(data)] ^= flip
    try:
        found = links.decode(bytes(data))
    except Refused:
        return
    assert found != value
    assert links.encode(found) == bytes(data)

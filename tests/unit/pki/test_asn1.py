"""What is written is what the published module says, and only the one encoding is read."""

from typing import Any

import asn1tools
import pytest

from pki import oids
from pki.asn1 import claims, der, flexrole, links
from pki.asn1.claims import Claim, ConformityClaims, DerFunction, Scheme, Thing, ThingKind, TypeRef
from pki.asn1.flexrole import FlexRole
from pki.asn1.links import InstallationLink
from pki.roles import ACTOR_ROLE_NUMBER, Role, Service
from tests.support.vectors import REPOSITORY

ROLE = FlexRole(Role.FO, "FI-AUR", frozenset({Service.SETPOINT, Service.EMBEDDED}), "FI-NGC")
THINGS = (
    Thing(
        ThingKind.EVSE,
        "11" * 32,
        TypeRef("Maker", "Model", "H1", "22" * 32),
        "FI*NGC*E1",
    ),
    Thing(ThingKind.EV, "44" * 32, commitment="55" * 32),
)
CLAIM = Claim(
    standard="EN 50549-10",
    edition="2022",
    scheme=Scheme.WITNESSED_INSTALLATION,
    cert_number="LAB-1",
    services=frozenset({Service.DROOP}),
    regions=("FI", "SE"),
    max_charge_w=0,
    max_discharge_w=2_147_483_647,
    response_ms=300,
    report_sha256="66" * 32,
    report_uri="https://lab.example/1",
    grid_code="VJV 2018",
    functions=frozenset({DerFunction.FREQUENCY_WATT, DerFunction.FAST_FREQUENCY_RESPONSE}),
)
WHOLE = ConformityClaims(THINGS, (CLAIM,))


@pytest.fixture(scope="module")
def module() -> Any:
    return asn1tools.compile_files([str(REPOSITORY / "docs" / "spec" / "ECV-DESS.asn1")], "der")


def test_a_role_is_encoded_as_the_published_module_says(module: Any) -> None:
    value = {"role": 1, "partyId": "FI-AUR", "services": (bytes([0x80, 0x80]), 9), "delegatedBy": "FI-NGC"}
    assert flexrole.encode(ROLE) == module.encode("FlexRole", value)
    assert flexrole.decode(flexrole.encode(ROLE)) == ROLE


@pytest.mark.parametrize("role", list(Role))
def test_every_role_survives_its_encoding(role: Role) -> None:
    value = FlexRole(role, "x")
    assert flexrole.decode(flexrole.encode(value)) == value
    assert oids.signing(ACTOR_ROLE_NUMBER[role]).dotted_string.startswith(f"{oids.ARC}.5.")


def test_claims_are_encoded_as_the_published_module_says(module: Any) -> None:
    thing = {
        "kind": 1,
        "keySha256": b"\x11" * 32,
        "typeRef": {"manufacturer": "Maker", "model": "Model", "hardware": "H1", "firmwareSha256": b"\x22" * 32},
        "publicId": "FI*NGC*E1",
    }
    claim = {
        "standard": "EN 50549-10",
        "edition": "2022",
        "scheme": 4,
        "certNumber": "LAB-1",
        "services": (b"\x40", 2),
        "regions": ["FI", "SE"],
        "maxChargeW": 0,
        "maxDischargeW": 2_147_483_647,
        "responseMs": 300,
        "reportSha256": b"\x66" * 32,
        "reportUri": "https://lab.example/1",
        "gridCode": "VJV 2018",
        "functions": (b"\x80\x04", 14),
    }
    other = {"kind": 3, "keySha256": b"\x44" * 32, "commitment": b"\x55" * 32}
    assert claims.encode(WHOLE) == module.encode("ConformityClaims", {"things": [thing, other], "claims": [claim]})
    assert claims.decode(claims.encode(WHOLE)) == WHOLE


TYPE = TypeRef("Maker", "Model", "H1", "22" * 32)


def test_a_type_is_a_thing_without_a_key_and_its_digest_is_over_its_reference(module: Any) -> None:
    import hashlib

    type_ref = {"manufacturer": "Maker", "model": "Model", "hardware": "H1", "firmwareSha256": b"\x22" * 32}
    thing = Thing(ThingKind.EVSE, None, TYPE)
    written = module.encode("ThingRef", {"kind": 1, "typeRef": type_ref})
    assert claims.thing_digest(thing) == hashlib.sha256(written).digest()
    whole = ConformityClaims((thing,), (CLAIM,))
    assert claims.decode(claims.encode(whole)) == whole
    assert claims.thing_digest(THINGS[1]) == b"\x44" * 32


@pytest.mark.parametrize(
    "thing",
    [
        Thing(ThingKind.EVSE, None),
        Thing(ThingKind.EVSE, None, TYPE, public_id="FI*NGC*E1"),
        Thing(ThingKind.EV, None, TYPE, commitment="55" * 32),
    ],
)
def test_a_thing_has_a_key_or_is_a_type_and_nothing_else(thing: Thing) -> None:
    with pytest.raises(der.MalformedDer):
        claims.encode(ConformityClaims((thing,), (CLAIM,)))


def test_a_link_is_encoded_as_the_published_module_says(module: Any) -> None:
    type_ref = {"manufacturer": "Maker", "model": "Model", "hardware": "H1", "firmwareSha256": b"\x22" * 32}
    value = {"kind": 1, "keySha256": b"\x11" * 32, "typeRef": type_ref, "recordSha256": b"\x33" * 32}
    link = InstallationLink(ThingKind.EVSE, "11" * 32, TYPE, "33" * 32)
    assert links.encode(link) == module.encode("InstallationLink", value)
    assert links.decode(links.encode(link)) == link


def test_a_link_says_which_firmware_the_thing_ran() -> None:
    with pytest.raises(der.MalformedDer, match="firmware"):
        links.encode(InstallationLink(ThingKind.EVSE, "11" * 32, TypeRef("Maker", "Model")))


def test_every_identifier_of_the_module_is_the_one_in_the_code() -> None:
    """The names under the arc, read from the text: the compiler does not hand them out."""
    import re

    text = (REPOSITORY / "docs" / "spec" / "ECV-DESS.asn1").read_text(encoding="utf-8")
    arcs = {"id-ecvdess": oids.ARC}
    found = {}
    for name, parent, number in re.findall(
        r"^(id-[\w-]+)\s+OBJECT IDENTIFIER ::= \{ (id-[\w-]+) (\d+) \}", text, re.MULTILINE
    ):
        arcs[name] = f"{arcs[parent]}.{number}"
        found[name] = arcs[name]
    in_code = {value.dotted_string for value in vars(oids).values() if isinstance(value, oids.ObjectIdentifier)}
    in_code |= {oids.signing(number).dotted_string for number in ACTOR_ROLE_NUMBER.values()}
    leaves = {oid for name, oid in found.items() if name.count("-") > 1}
    assert leaves == {oid for oid in in_code if oid.startswith(oids.ARC)}
    assert len(leaves) == len([name for name in found if name.count("-") > 1])


# tag, length and content by hand; the good one is FO "A"
GOOD = bytes.fromhex("3006020101") + b"\x0c\x01A"
MALFORMED = {
    "nothing": b"",
    "trailing byte": GOOD + b"\x00",
    "truncated": GOOD[:-1],
    "long length": b"\x30\x81" + GOOD[1:],
    "indefinite length": b"\x30\x80" + GOOD[2:] + b"\x00\x00",
    "huge length": b"\x30\x84\xff\xff\xff\xff" + GOOD[2:],
    "padded integer": bytes.fromhex("300702020001") + b"\x0c\x01A",
    "default version written": bytes.fromhex("300ba003020101020101") + b"\x0c\x01A",
    "version 2": bytes.fromhex("300ba003020102020101") + b"\x0c\x01A",
    "role 0": bytes.fromhex("3006020100") + b"\x0c\x01A",
    "role 11": bytes.fromhex("300602010b") + b"\x0c\x01A",
    "empty party": bytes.fromhex("30050201010c00"),
    "not UTF-8": bytes.fromhex("3006020101") + b"\x0c\x01\xff",
    "a control character": bytes.fromhex("3006020101") + b"\x0c\x01\x00",
    "a bidi character": bytes.fromhex("3008020101") + b"\x0c\x03\xe2\x80\xae",
    "not normal form C": bytes.fromhex("3008020101") + b"\x0c\x03e\xcc\x81",
    "constructed string": bytes.fromhex("3008020101") + b"\x2c\x03\x0c\x01A",
    "trailing zero bits": bytes.fromhex("300a020101") + b"\x0c\x01A" + bytes.fromhex("81020680"),
    "no services": bytes.fromhex("3009020101") + b"\x0c\x01A" + bytes.fromhex("810100"),
    "an unknown service": bytes.fromhex("300b020101") + b"\x0c\x01A" + bytes.fromhex("8103060040"),
    "high tag number": b"\x3f\x81\x00" + GOOD[1:],
    "another type": bytes.fromhex("0c0141"),
}


@pytest.mark.parametrize("what", sorted(MALFORMED))
def test_malformed_bytes_are_refused(what: str) -> None:
    assert flexrole.decode(GOOD).party_id == "A"
    with pytest.raises(der.MalformedDer):
        flexrole.decode(MALFORMED[what])


def test_size_depth_and_number_of_elements_are_capped() -> None:
    with pytest.raises(der.OversizeDer):
        flexrole.decode(b"\x30" * (der.MAX_VALUE_BYTES + 1))
    with pytest.raises(der.MalformedDer):
        flexrole.decode(b"\x30" * der.MAX_VALUE_BYTES)
    for depth, refused in ((der.MAX_DEPTH, False), (der.MAX_DEPTH + 1, True)):
        data = b"\x05\x00"
        for _ in range(depth):
            data = b"\x30" + bytes([len(data)]) + data
        if refused:
            with pytest.raises(der.MalformedDer):
                der.walk(data, "test")
        else:
            der.walk(data, "test")
    der.walk(b"\x05\x00" * der.MAX_ELEMENTS, "test")
    with pytest.raises(der.MalformedDer):
        der.walk(b"\x05\x00" * (der.MAX_ELEMENTS + 1), "test")


@pytest.mark.parametrize(
    "wrong",
    [
        ConformityClaims((), (CLAIM,)),
        ConformityClaims(THINGS, ()),
        ConformityClaims((*THINGS, THINGS[0]), (CLAIM,)),
        ConformityClaims((THINGS[1], THINGS[0]), (CLAIM,)),
        ConformityClaims(THINGS, (CLAIM,) * 17),
        ConformityClaims((Thing(ThingKind.EV, "44"),), (CLAIM,)),
        ConformityClaims((Thing(ThingKind.EV, "no hex"),), (CLAIM,)),
        ConformityClaims((Thing(ThingKind.EV, "44" * 32, public_id="a\x00"),), (CLAIM,)),
    ],
)
def test_claims_that_could_not_be_read_back_are_not_written(wrong: ConformityClaims) -> None:
    with pytest.raises(der.MalformedDer):
        claims.encode(wrong)


@pytest.mark.parametrize(
    "changes",
    [
        {"regions": ()},
        {"regions": ("FI",) * 17},
        {"services": frozenset()},
        {"max_charge_w": -1},
        {"response_ms": 2_147_483_648},
        {"edition": "x" * 33},
    ],
)
def test_a_claim_outside_its_bounds_is_not_written(changes: dict[str, Any]) -> None:
    from msgspec.structs import replace

    with pytest.raises(der.MalformedDer):
        claims.encode(ConformityClaims(THINGS, (replace(CLAIM, **changes),)))


def test_sixteen_claims_and_regions_are_the_most() -> None:
    from msgspec.structs import replace

    small = Claim("S", "1", Scheme.TYPE_TEST, "N", frozenset({Service.DROOP}), ("FI",) * 16)
    whole = ConformityClaims(THINGS, (small,) * 16)
    assert claims.decode(claims.encode(whole)) == whole
    with pytest.raises(der.OversizeDer):
        claims.encode(ConformityClaims(THINGS, (replace(CLAIM, report_uri="https://" + "x" * 248),) * 16))

"""Whatever is done to the bytes, the answer is one of our errors, and soon."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pki import attribute, ceremony, conformity, csr, ocsp
from pki.asn1 import attributecert, claims, flexrole
from pki.asn1 import ocsp as octets
from pki.asn1.claims import Claim, ConformityClaims, Scheme, Thing, ThingKind
from pki.asn1.flexrole import FlexRole
from pki.ceremony import Ceremony, CeremonySpec, PartySpec
from pki.errors import Refused
from pki.responder import Responder
from pki.roles import Group, Purpose, Role, Service
from pki.status import BadCrl, StatusIndeterminate, StatusSet
from pki.tbs import Window
from pki.validation import validate

AT_MS = 1_768_867_200_000
SLOWEST_S = 0.5
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SPEC = CeremonySpec(
    organisation="Flexledger",
    development=True,
    parties=(
        PartySpec(id="FI-AUR", role=Role.FO, organisation="Aurora Flex"),
        PartySpec(id="FI-LAB", role=Role.CB, organisation="Laboratory"),
    ),
)
CLAIM = Claim("EN 50549-10", "2022", Scheme.TYPE_TEST, "LAB-1", frozenset({Service.DROOP}), ("FI",))
CLAIMS = ConformityClaims((Thing(ThingKind.EVSE, "11" * 32), Thing(ThingKind.EV, "22" * 32)), (CLAIM,))

mutations = st.lists(
    st.tuples(st.sampled_from(["flip", "cut", "insert", "repeat"]), st.integers(0, 4095), st.integers(1, 255)),
    min_size=1,
    max_size=4,
)
texts = st.text(st.characters(categories=("L", "N"), max_codepoint=0x24F), min_size=1, max_size=20)


def _mutated(data: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    out = bytearray(data)
    for kind, at, value in changes:
        place = at % max(1, len(out))
        if kind == "flip" and out:
            out[place] ^= value
        elif kind == "cut":
            del out[place : place + value % 16 + 1]
        elif kind == "insert":
            out[place:place] = bytes([value])
        else:
            out[place:place] = out[place : place + value]
    return bytes(out)


@pytest.fixture(scope="module")
def made() -> Ceremony:
    return ceremony.perform(SPEC, tls_now_ms=AT_MS, signing_now_ms=AT_MS)


@pytest.fixture(scope="module")
def claim(made: Ceremony) -> bytes:
    body = made.parties["FI-LAB"].credentials[Purpose.ATTRIBUTE]
    window = Window(AT_MS, AT_MS + 86_400_000)
    office = attribute.AttributeAuthority(body.certificate, body.key, made.store, made.hierarchy.root.journal)
    return office.issue_claim(CLAIMS, window=window, now_ms=AT_MS)


@given(changes=mutations)
@SETTINGS
def test_a_mutated_certificate_is_refused_or_is_the_same(made: Ceremony, changes: list[tuple[str, int, int]]) -> None:
    chain = made.parties["FI-AUR"].credentials[Purpose.SIGNING].chain
    status = StatusSet(made.crls)
    for mutant in ((_mutated(chain[0], changes), chain[1]), (chain[0], _mutated(chain[1], changes))):
        if mutant == chain:
            continue
        start = time.perf_counter()
        with pytest.raises(Refused):
            validate(mutant[0], mutant[1:], anchors=made.anchors, status=status, at_ms=AT_MS, purpose=Purpose.SIGNING)
        assert time.perf_counter() - start < SLOWEST_S


@given(changes=mutations)
@SETTINGS
def test_a_mutated_claim_is_refused(made: Ceremony, claim: bytes, changes: list[tuple[str, int, int]]) -> None:
    data = _mutated(claim, changes)
    if data == claim:
        return
    chain = made.parties["FI-LAB"].credentials[Purpose.ATTRIBUTE].chain
    start = time.perf_counter()
    with pytest.raises(Refused):
        conformity.open_claim(data, aa_chain=chain, anchors=made.anchors, status=StatusSet(made.crls), at_ms=AT_MS)
    assert time.perf_counter() - start < SLOWEST_S


@given(changes=mutations)
@SETTINGS
def test_a_mutated_crl_is_no_evidence(made: Ceremony, changes: list[tuple[str, int, int]]) -> None:
    root = made.hierarchy.root.certificate
    for original in made.crls[:2]:
        data = _mutated(original, changes)
        if data == original:
            continue
        try:
            held = StatusSet([data])
        except BadCrl:
            continue
        for issuer in (root, *(authority.certificate for authority in made.hierarchy.authorities())):
            with pytest.raises(StatusIndeterminate):
                held.crl_for(issuer, AT_MS)


@given(data=st.binary(max_size=300))
@SETTINGS
def test_any_bytes_are_a_canonical_value_or_refused(data: bytes) -> None:
    for decode, encode in ((flexrole.decode, flexrole.encode), (claims.decode, claims.encode)):
        try:
            value = decode(data)
        except Refused:
            continue
        assert encode(value) == data  # type: ignore[arg-type]  # each with its own
    for parse in (attributecert.parse, csr.open_csr):
        with pytest.raises(Refused):
            parse(data)


@given(changes=mutations)
@SETTINGS
def test_a_mutated_role_is_another_canonical_value_or_refused(changes: list[tuple[str, int, int]]) -> None:
    data = _mutated(flexrole.encode(FlexRole(Role.FO, "FI-AUR", frozenset(Service), "FI-NGC")), changes)
    try:
        value = flexrole.decode(data)
    except Refused:
        return
    assert flexrole.encode(value) == data


@given(
    role=st.sampled_from(list(Role)),
    party=texts,
    services=st.frozensets(st.sampled_from(list(Service))),
    delegated_by=st.none() | texts,
)
@SETTINGS
def test_a_role_survives_its_encoding(
    role: Role, party: str, services: frozenset[Service], delegated_by: str | None
) -> None:
    value = FlexRole(role, party, services, delegated_by)
    try:
        data = flexrole.encode(value)
    except Refused:
        return
    assert flexrole.decode(data) == value


@pytest.fixture(scope="module")
def response(made: Ceremony) -> tuple[ocsp.Question, bytes]:
    answering = Responder(made.hierarchy.authorities())
    answering.rotate(AT_MS)
    serial = made.parties["FI-AUR"].credentials[Purpose.SIGNING].certificate.serial_number
    asked = ocsp.ask(made.hierarchy.issuing[Group.FO].certificate, (serial,))
    return asked, answering.answer(asked.der, AT_MS).der


@given(changes=mutations)
@SETTINGS
def test_a_mutated_ocsp_response_is_refused(
    made: Ceremony, response: tuple[ocsp.Question, bytes], changes: list[tuple[str, int, int]]
) -> None:
    asked, original = response
    data = _mutated(original, changes)
    if data == original:
        return
    start = time.perf_counter()
    with pytest.raises(Refused):
        ocsp.answered(asked, data, AT_MS)
    assert time.perf_counter() - start < SLOWEST_S


@given(changes=mutations)
@SETTINGS
def test_a_mutated_ocsp_request_is_answered_or_refused(
    made: Ceremony, response: tuple[ocsp.Question, bytes], changes: list[tuple[str, int, int]]
) -> None:
    answering = Responder(made.hierarchy.authorities())
    start = time.perf_counter()
    answer = answering.answer(_mutated(response[0].der, changes), AT_MS)
    assert answer.status is not octets.ResponseStatus.SUCCESSFUL
    assert octets.status_of(answer.der) is answer.status
    assert time.perf_counter() - start < SLOWEST_S

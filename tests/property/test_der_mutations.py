"""Whatever is done to the bytes, the answer is one of our errors, and soon."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pki import attribute, ceremony, conformity, csr, keys, ocsp, oids, tbs
from pki.asn1 import attributecert, claims, flexrole
from pki.asn1 import ocsp as octets
from pki.asn1.claims import Claim, ConformityClaims, Scheme, Thing, ThingKind
from pki.asn1.flexrole import FlexRole
from pki.ceremony import Ceremony, CeremonySpec, PartySpec
from pki.credential import Credential
from pki.errors import Refused
from pki.responder import Responder
from pki.roles import Group, Purpose, Role, Service
from pki.status import StatusIndeterminate, StatusSet
from pki.tbs import Window
from pki.validation import validate
from tests.support import crls

pytestmark = pytest.mark.slow  # takes seconds

AT_MS = 1_768_867_200_000
SLOWEST_S = 0.05
"""Of the processor's time for one call; the machine may be busy with other things besides."""
TRIES = 3
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


def _outcome(act: Callable[[], Any]) -> Any:
    """What `act` gives, or the error of ours that it raises, within the bound at one of three tries."""
    for _ in range(TRIES):
        start = time.thread_time()
        try:
            found = act()
        except Refused as refusal:
            found = refusal
        if time.thread_time() - start < SLOWEST_S:
            return found
    pytest.fail("it took too long every time")


def _refused(act: Callable[[], Any]) -> None:
    assert isinstance(_outcome(act), Refused)


@pytest.fixture(scope="module")
def made() -> Ceremony:
    return ceremony.perform(SPEC, tls_now_ms=AT_MS, signing_now_ms=AT_MS)


@pytest.fixture(scope="module")
def claim(made: Ceremony) -> bytes:
    body = made.parties["FI-LAB"].credentials[Purpose.ATTRIBUTE]
    window = Window(AT_MS, AT_MS + 86_400_000)
    office = attribute.AttributeAuthority(body.certificate, body.key, made.store, made.hierarchy.root.journal)
    return office.issue_claim(CLAIMS, window=window, now_ms=AT_MS)


def _validated(made: Ceremony, chain: tuple[bytes, ...], status: StatusSet) -> Any:
    return _outcome(
        lambda: validate(chain[0], chain[1:], anchors=made.anchors, status=status, at_ms=AT_MS, purpose=Purpose.SIGNING)
    )


@given(changes=mutations)
@SETTINGS
def test_a_mutated_certificate_is_refused_or_is_the_same(made: Ceremony, changes: list[tuple[str, int, int]]) -> None:
    chain = made.parties["FI-AUR"].credentials[Purpose.SIGNING].chain
    status = StatusSet(made.crls)
    for mutant in ((_mutated(chain[0], changes), chain[1]), (chain[0], _mutated(chain[1], changes))):
        if mutant == chain:
            continue
        assert isinstance(_validated(made, mutant, status), Refused)


def _signed(body: bytes, key: keys.Signer) -> bytes:
    """A certificate or request whose signed part is `body`, whatever that is, with a good signature."""
    digest = tbs.digest_for(key)
    algorithm = oids.ECDSA_WITH_SHA384 if digest.name == "sha384" else oids.ECDSA_WITH_SHA256
    signature = b"\x00" + key.sign(body, ec.ECDSA(digest))
    inside = body + bytes.fromhex("300a06082a8648ce3d0403") + bytes([int(algorithm.dotted_string[-1])])
    inside += b"\x03" + bytes([len(signature)]) + signature
    return b"\x30\x82" + len(inside).to_bytes(2) + inside


@given(changes=mutations)
@SETTINGS
def test_a_certificate_that_was_mutated_before_it_was_signed_says_nothing_else(
    made: Ceremony, changes: list[tuple[str, int, int]]
) -> None:
    """The signatures are good all the way: what is left to stop it is the reading, and that must not break either."""
    chain = made.parties["FI-AUR"].credentials[Purpose.SIGNING].chain
    status = StatusSet(made.crls)
    hierarchy = made.hierarchy
    authority = hierarchy.issuing[Group.FO]
    bodies = [x509.load_der_x509_certificate(der).tbs_certificate_bytes for der in chain]
    assert isinstance(_validated(made, (_signed(bodies[0], authority.signer), chain[1]), status), Credential)
    leaf = _signed(_mutated(bodies[0], changes), authority.signer)
    issuing = _signed(_mutated(bodies[1], changes), hierarchy.root.signer)
    for mutant in ((leaf, chain[1]), (chain[0], issuing)):
        found = _validated(made, mutant, status)
        if isinstance(found, Credential):
            assert (found.role, found.party_id, found.purpose) == (Role.FO, "FI-AUR", Purpose.SIGNING)
            assert found.public_key == made.parties["FI-AUR"].credentials[Purpose.SIGNING].key.public_key()


REQUEST_KEY = keys.generate()
REQUEST = (
    x509.CertificateSigningRequestBuilder()
    .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "FI-AUR")]))
    .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example.com")]), critical=False)
    .sign(REQUEST_KEY, hashes.SHA256())
)


@given(changes=mutations)
@SETTINGS
def test_a_mutated_request_gives_its_own_key_or_nothing(changes: list[tuple[str, int, int]]) -> None:
    der = REQUEST.public_bytes(Encoding.DER)
    own = keys.spki_sha256(REQUEST_KEY.public_key())
    for data in (_mutated(der, changes), _signed(_mutated(REQUEST.tbs_certrequest_bytes, changes), REQUEST_KEY)):
        found = _outcome(lambda data=data: csr.open_csr(data))  # type: ignore[misc]
        assert isinstance(found, Refused) or found.spki_sha256 == own


@given(changes=mutations)
@SETTINGS
def test_a_mutated_claim_is_refused(made: Ceremony, claim: bytes, changes: list[tuple[str, int, int]]) -> None:
    data = _mutated(claim, changes)
    if data == claim:
        return
    chain = made.parties["FI-LAB"].credentials[Purpose.ATTRIBUTE].chain
    _refused(
        lambda: conformity.open_claim(
            data, aa_chain=chain, anchors=made.anchors, status=StatusSet(made.crls), at_ms=AT_MS
        )
    )


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
        except Refused:  # as a list, or as the response that it now looks like
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
    _refused(lambda: ocsp.answered(asked, data, AT_MS))


@given(changes=mutations)
@SETTINGS
def test_a_mutated_ocsp_request_is_answered_or_refused(
    made: Ceremony, response: tuple[ocsp.Question, bytes], changes: list[tuple[str, int, int]]
) -> None:
    answering = Responder(made.hierarchy.authorities())
    answer = _outcome(lambda: answering.answer(_mutated(response[0].der, changes), AT_MS))
    assert answer.status is not octets.ResponseStatus.SUCCESSFUL
    assert octets.status_of(answer.der) is answer.status


@given(changes=mutations)
@SETTINGS
def test_a_mutated_delta_crl_never_makes_anything_good(made: Ceremony, changes: list[tuple[str, int, int]]) -> None:
    authority = made.hierarchy.issuing[Group.FO]
    base = crls.made(authority, AT_MS, 7)
    original = crls.made(authority, AT_MS, 8, [crls.Line(5, AT_MS)], base=7)
    data = _mutated(original, changes)
    if data == original:
        return
    held = StatusSet([base])
    try:
        held.add(data)
    except Refused:
        return
    found = held.crl_for(authority.certificate, AT_MS)
    assert found.delta is None  # passed over: what the complete CRL says, and no more
    assert found.revoked_at_ms == {}

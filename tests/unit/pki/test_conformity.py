"""Claims are opened strictly, and cover what they say for exactly the things that they name."""

from typing import Any

import pytest
from msgspec.structs import replace

from pki import attribute, binding, conformity, coverage, keys, status
from pki.asn1 import attributecert, der
from pki.asn1.attributecert import HolderKind
from pki.asn1.claims import Claim, ConformityClaims, DerFunction, Scheme, Thing, ThingKind, TypeRef
from pki.asn1.links import InstallationLink
from pki.attribute import AttributeAuthority
from pki.conformity import VerifiedClaim, VerifiedLink
from pki.coverage import Ask, NotCovered
from pki.errors import Refused
from pki.journal import MemoryJournal
from pki.lint.examine import LintFailed
from pki.roles import Purpose, Service
from pki.status import StatusSet
from pki.store.records import Reason, SerialReused
from pki.tbs import Window

pytestmark = pytest.mark.slow  # takes seconds

EVSE, EV, OTHER = "11" * 32, "22" * 32, "33" * 32
FIRMWARE = "ab" * 32
DAY_MS = 86_400_000
CLAIM = Claim(
    standard="EN 50549-10",
    edition="2022",
    scheme=Scheme.TYPE_TEST,
    cert_number="LAB-1",
    services=frozenset({Service.DROOP, Service.FFR}),
    regions=("FI", "FR-IDF"),
    max_charge_w=11_000,
    max_discharge_w=10_000,
    response_ms=500,
    functions=frozenset({DerFunction.FREQUENCY_WATT}),
)
EVSE_CLAIMS = ConformityClaims((Thing(ThingKind.EVSE, EVSE),), (CLAIM,))
EV_CLAIMS = ConformityClaims((Thing(ThingKind.EV, EV),), (CLAIM,))
PAIR_CLAIMS = ConformityClaims((Thing(ThingKind.EVSE, EVSE), Thing(ThingKind.EV, EV)), (CLAIM,))


TYPE = TypeRef("Maker", "Model", "H1", FIRMWARE)
TYPE_CLAIMS = ConformityClaims((Thing(ThingKind.EVSE, None, TYPE),), (CLAIM,))
LINK = InstallationLink(ThingKind.EVSE, EVSE, TYPE)


def _office(world: Any, party: str = "FI-LAB", purpose: Purpose = Purpose.ATTRIBUTE) -> AttributeAuthority:
    made = world.made
    body = made.parties[party].credentials[purpose]
    return AttributeAuthority(body.certificate, body.key, made.store, made.hierarchy.root.journal)


def _window(world: Any, **window: int) -> Window:
    start_ms = window.get("start_ms", world.signing_at_ms)
    return Window(start_ms, window.get("end_ms", start_ms + 30 * DAY_MS))


def _issue(world: Any, content: ConformityClaims, **window: int) -> bytes:
    return _office(world).issue_claim(content, window=_window(world, **window), now_ms=world.signing_at_ms)


def _link(world: Any, content: InstallationLink = LINK, party: str = "FI-LAB", **window: int) -> bytes:
    purpose = Purpose.ATTRIBUTE if party == "FI-LAB" else Purpose.SIGNING
    office = _office(world, party, purpose)
    return office.issue_link(content, window=_window(world, **window), now_ms=world.signing_at_ms)


def _open_link(
    world: Any, data: bytes, party: str = "FI-LAB", *, at_ms: int | None = None, status_set: StatusSet | None = None
) -> VerifiedLink:
    return conformity.open_link(
        data,
        chain=world.chain(party, Purpose.ATTRIBUTE if party == "FI-LAB" else Purpose.SIGNING),
        anchors=world.made.anchors,
        status=status_set or world.status,
        at_ms=world.signing_at_ms if at_ms is None else at_ms,
    )


def _open(world: Any, data: bytes, *, at_ms: int | None = None, status_set: StatusSet | None = None) -> VerifiedClaim:
    return conformity.open_claim(
        data,
        aa_chain=world.chain("FI-LAB", Purpose.ATTRIBUTE),
        anchors=world.made.anchors,
        status=status_set or world.status,
        at_ms=world.signing_at_ms if at_ms is None else at_ms,
    )


@pytest.fixture(scope="module")
def held(world: Any) -> dict[str, VerifiedClaim]:
    contents = {"evse": EVSE_CLAIMS, "ev": EV_CLAIMS, "pair": PAIR_CLAIMS}
    return {name: _open(world, _issue(world, content)) for name, content in contents.items()}


def test_a_claim_says_what_was_claimed(world: Any) -> None:
    thing = Thing(
        ThingKind.EVSE,
        EVSE,
        type_ref=TypeRef("Maker", "Model", "H1", FIRMWARE),
        public_id="FI*NGC*E1",
    )
    whole = replace(
        CLAIM, response_ms=300, report_sha256="ef" * 32, report_uri="https://lab.example/1", grid_code="VJV"
    )
    opened = _open(world, _issue(world, ConformityClaims((thing,), (whole, CLAIM))))
    assert opened.content == ConformityClaims((thing,), (whole, CLAIM))
    assert opened.body.party_id == "FI-LAB"
    assert len(opened.status_digests) == 3
    assert opened.status_valid_until_ms <= opened.not_after_ms


def test_a_claim_holds_in_its_window_only(world: Any) -> None:
    start_ms = world.signing_at_ms + 3_600_000
    data = _issue(world, EVSE_CLAIMS, start_ms=start_ms, end_ms=start_ms + 3_600_000)
    first_ms, last_ms = start_ms // 1000 * 1000, (start_ms + 3_600_000) // 1000 * 1000
    assert _open(world, data, at_ms=first_ms)
    assert _open(world, data, at_ms=last_ms + 999)
    for at_ms in (first_ms - 1, last_ms + 1000):
        with pytest.raises(conformity.ClaimExpired):
            _open(world, data, at_ms=at_ms)


def test_a_revoked_claim_is_refused_from_its_date_on(own_world: Any) -> None:
    world = own_world
    data, other = _issue(world, EVSE_CLAIMS), _issue(world, EVSE_CLAIMS)
    office = _office(world)
    at_ms = world.signing_at_ms + 3_600_000
    for _ in range(2):
        office.revoke(attributecert.parse(data).info.serial, Reason.PRIVILEGE_WITHDRAWN, at_ms)
    assert isinstance(office.journal, MemoryJournal)
    assert len(office.journal.revocations) == 1
    status_set = StatusSet([*world.made.crls, world.made.claims_crl("FI-LAB", at_ms)])
    assert _open(world, data, at_ms=at_ms - 1000, status_set=status_set)
    with pytest.raises(status.Revoked):
        _open(world, data, at_ms=at_ms, status_set=status_set)
    assert _open(world, other, at_ms=at_ms, status_set=status_set)


def test_without_the_bodys_own_crl_a_claim_is_indeterminate(world: Any) -> None:
    body = world.made.parties["FI-LAB"].credentials[Purpose.ATTRIBUTE].certificate
    from cryptography import x509

    others = [data for data in world.made.crls if x509.load_der_x509_crl(data).issuer != body.subject]
    with pytest.raises(status.StatusIndeterminate):
        _open(world, _issue(world, EVSE_CLAIMS), status_set=StatusSet(others))


def test_every_changed_byte_of_a_claim_is_refused(world: Any) -> None:
    data = _issue(world, PAIR_CLAIMS)
    for at in range(0, len(data), 3):
        changed = bytearray(data)
        changed[at] ^= 0x01
        with pytest.raises(Refused):
            _open(world, bytes(changed))


def test_a_signing_key_of_the_body_is_no_attribute_authority(world: Any) -> None:
    with pytest.raises(binding.WrongPurpose):
        conformity.open_claim(
            _issue(world, EVSE_CLAIMS),
            aa_chain=world.chain("FI-LAB", Purpose.SIGNING),
            anchors=world.made.anchors,
            status=world.status,
            at_ms=world.signing_at_ms,
        )
    with pytest.raises(conformity.ClaimUntrusted):
        conformity.open_claim(
            _issue(world, EVSE_CLAIMS),
            aa_chain=(),
            anchors=world.made.anchors,
            status=world.status,
            at_ms=world.signing_at_ms,
        )


def test_a_body_signs_with_its_own_key_and_within_its_own_life(world: Any) -> None:
    office = _office(world)
    with pytest.raises(attribute.BadClaim):
        AttributeAuthority(office.certificate, keys.generate(), office.store, office.journal)
    for wrong in (
        Window(world.signing_at_ms - 365 * DAY_MS, world.signing_at_ms),
        Window(world.signing_at_ms, world.signing_at_ms + 400 * DAY_MS),
        Window(world.signing_at_ms, world.signing_at_ms),
    ):
        with pytest.raises(LintFailed):
            office.issue_claim(EVSE_CLAIMS, window=wrong, now_ms=world.signing_at_ms)


@pytest.mark.parametrize("party", ["FI-AUR", "FI-DSO", "FI-VOL"])
def test_nobody_else_issues_attribute_certificates(world: Any, party: str) -> None:
    with pytest.raises(attribute.BadClaim):
        _office(world, party, Purpose.SIGNING)


def test_an_operator_makes_links_and_no_claims_and_revokes_nothing(world: Any) -> None:
    office = _office(world, "FI-NGC", Purpose.SIGNING)
    with pytest.raises(attribute.BadClaim):
        office.issue_claim(EVSE_CLAIMS, window=_window(world), now_ms=world.signing_at_ms)
    with pytest.raises(attribute.BadClaim):
        office.revoke(1, Reason.SUPERSEDED, world.signing_at_ms)
    with pytest.raises(attribute.BadClaim):
        office.crl(world.signing_at_ms)


@pytest.mark.parametrize(
    "content",
    [
        ConformityClaims((Thing(ThingKind.EVSE, EVSE, public_id="WVWZZZ1JZXW000001"),), (CLAIM,)),
        ConformityClaims((Thing(ThingKind.EVSE, EVSE, public_id="FI-VOL-C12345678-X"),), (CLAIM,)),
        ConformityClaims((Thing(ThingKind.EV, EV, public_id="my car"),), (CLAIM,)),
        ConformityClaims((Thing(ThingKind.EVSE, EVSE),), (replace(CLAIM, regions=("Finland",)),)),
    ],
)
def test_a_finding_of_the_linter_blocks_before_anything_is_recorded(own_world: Any, content: ConformityClaims) -> None:
    office = _office(own_world)
    assert isinstance(office.journal, MemoryJournal)
    before = len(office.journal.intents)
    with pytest.raises(LintFailed):
        office.issue_claim(content, window=_window(own_world), now_ms=own_world.signing_at_ms)
    assert len(office.journal.intents) == before


def test_a_claim_is_intended_before_it_is_signed_and_recorded_after(own_world: Any) -> None:
    made = own_world.made
    body = made.parties["FI-LAB"].credentials[Purpose.ATTRIBUTE]
    journal = MemoryJournal()
    office = AttributeAuthority(body.certificate, body.key, made.store, journal)
    data = office.issue_claim(EVSE_CLAIMS, window=_window(own_world), now_ms=own_world.signing_at_ms)
    assert [issued.der for issued in journal.issuances] == [data]
    assert journal.gaps() == []
    assert made.store.get(office.key_sha256, attributecert.parse(data).info.serial).der == data

    class Dies(MemoryJournal):
        def issued(self, issued: Any) -> None:
            raise OSError("power failure")

    dying = Dies()
    office = AttributeAuthority(body.certificate, body.key, made.store, dying)
    with pytest.raises(OSError, match="power failure"):
        office.issue_claim(EVSE_CLAIMS, window=_window(own_world), now_ms=own_world.signing_at_ms)
    assert len(dying.gaps()) == 1


def test_a_serial_number_is_given_once(own_world: Any) -> None:
    made = own_world.made
    body = made.parties["FI-LAB"].credentials[Purpose.ATTRIBUTE]
    office = AttributeAuthority(body.certificate, body.key, made.store, MemoryJournal(), lambda: 1 << 100)
    office.issue_claim(EVSE_CLAIMS, window=_window(own_world), now_ms=own_world.signing_at_ms)
    with pytest.raises(SerialReused):
        office.issue_claim(EV_CLAIMS, window=_window(own_world), now_ms=own_world.signing_at_ms)


def _signed(world: Any, info: attributecert.AttributeInfo) -> bytes:
    """What a body that breaks its own rules could sign."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    body = world.made.parties["FI-LAB"].credentials[Purpose.ATTRIBUTE]
    oid = "1.2.840.10045.4.3.2"
    return attributecert.assemble(
        info, oid, body.key.sign(attributecert.encode_info(info, oid), ec.ECDSA(hashes.SHA256()))
    )


def test_holder_and_things_must_agree(world: Any) -> None:
    info = attributecert.parse(_issue(world, EVSE_CLAIMS)).info
    assert _open(world, _signed(world, info))
    for wrong in (
        replace(info, holder_digest=bytes.fromhex(OTHER)),
        replace(info, holder_kind=HolderKind.PAIR),
        replace(info, holder_kind=HolderKind.TYPE),
    ):
        with pytest.raises(conformity.ClaimHolder):
            _open(world, _signed(world, wrong))
    other = attributecert.parse(_issue(world, PAIR_CLAIMS)).info
    with pytest.raises(conformity.ClaimHolder):
        _open(world, _signed(world, replace(info, value=other.value)))


def test_a_claim_that_outlives_its_body_or_names_another_is_refused(world: Any) -> None:
    info = attributecert.parse(_issue(world, EVSE_CLAIMS)).info
    for wrong in (
        replace(info, not_after_ms=info.not_after_ms + 800 * DAY_MS),
        replace(info, issuer_key_id=b"\x01" * 20),
        replace(info, issuer=b"\x30\x00"),
    ):
        with pytest.raises(conformity.ClaimUntrusted):
            _open(world, _signed(world, wrong))
    with pytest.raises(der.MalformedDer):
        _signed(world, replace(info, serial=0))


ASK: dict[str, Any] = {
    "kind": "AC",
    "generator": True,
    "function": Service.DROOP,
    "region": "FI",
    "evse_spki_sha256": EVSE,
    "ev_spki_sha256": EV,
}


# kind, generator, claims held, covered
TRUTH = [
    ("DC", False, (), True),
    ("DC", True, (), False),
    ("DC", True, ("evse",), True),
    ("DC", True, ("ev",), False),
    ("DC", True, ("pair",), False),
    ("AC", False, (), True),
    ("AC", True, (), False),
    ("AC", True, ("evse",), False),
    ("AC", True, ("ev",), False),
    ("AC", True, ("evse", "ev"), True),
    ("AC", True, ("pair",), True),
    ("AC", True, ("evse", "ev", "pair"), True),
]


@pytest.mark.parametrize(("kind", "generator", "names", "covered"), TRUTH)
def test_who_needs_a_claim(
    world: Any, held: dict[str, VerifiedClaim], kind: str, generator: bool, names: tuple[str, ...], covered: bool
) -> None:
    claims = [held[name] for name in names]
    ask = {**ASK, "kind": kind, "generator": generator, "at_ms": world.signing_at_ms}
    if covered:
        found = coverage.covers(claims, Ask(**ask))
        assert found.needed is generator
        assert set(found.digests) <= {claim.digest for claim in claims}
        assert (found.valid_until_ms is not None) is generator
    else:
        with pytest.raises(NotCovered) as caught:
            coverage.covers(claims, Ask(**ask))
        assert caught.value.reason == "no-claim"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"function": Service.RESERVE}, "function"),
        ({"region": "DE"}, "region"),
        ({"region": "FR"}, "region"),
        ({"region": "SE"}, "region-unknown"),
        ({"region": "FIN"}, "region-unknown"),
        ({"discharge_w": 10_001}, "power"),
        ({"charge_w": 11_001}, "power"),
        ({"response_ms": 499}, "response"),
        ({"region": "DE-BY"}, "region"),
        ({"function": Service.FFR}, "der-function"),
        ({"evse_spki_sha256": OTHER}, "no-claim"),
        ({"ev_spki_sha256": OTHER}, "no-claim"),
        ({"ev_spki_sha256": None}, "no-claim"),
        ({"at_ms": 0}, "not-valid"),
    ],
)
def test_each_miss_has_its_reason(
    world: Any, held: dict[str, VerifiedClaim], changes: dict[str, Any], reason: str
) -> None:
    assert reason in NotCovered.reasons
    with pytest.raises(NotCovered) as caught:
        coverage.covers(list(held.values())[2:], Ask(**{**ASK, "at_ms": world.signing_at_ms, **changes}))
    assert caught.value.reason == reason


def test_the_edges_of_region_and_power_are_covered(world: Any, held: dict[str, VerifiedClaim]) -> None:
    ask = {**ASK, "at_ms": world.signing_at_ms}
    for changes in (
        {"region": "FI-18"},
        {"region": "FR-IDF"},
        {"discharge_w": 10_000, "charge_w": 11_000, "response_ms": 500},
    ):
        assert coverage.covers([held["pair"]], Ask(**{**ask, **changes}))


def test_another_firmware_invalidates_and_an_unknown_one_too(world: Any) -> None:
    thing = Thing(ThingKind.EVSE, EVSE, type_ref=TypeRef("Maker", "Model", None, FIRMWARE))
    claim = _open(world, _issue(world, ConformityClaims((thing,), (CLAIM,))))
    ask = {**ASK, "kind": "DC", "at_ms": world.signing_at_ms}
    assert coverage.covers([claim], Ask(**ask, firmware_sha256={EVSE: FIRMWARE}))
    for running in ({}, {EVSE: "cd" * 32}, {EV: FIRMWARE}):
        with pytest.raises(NotCovered) as caught:
            coverage.covers([claim], Ask(**ask, firmware_sha256=running))
        assert caught.value.reason == "firmware"


def test_a_claim_about_an_ev_never_stands_for_an_evse(world: Any) -> None:
    claim = _open(world, _issue(world, ConformityClaims((Thing(ThingKind.EV, EVSE),), (CLAIM,))))
    with pytest.raises(NotCovered) as caught:
        coverage.covers([claim], Ask(**{**ASK, "kind": "DC", "at_ms": world.signing_at_ms}))
    assert caught.value.reason == "no-claim"


def test_the_number_of_claims_looked_at_is_capped(world: Any, held: dict[str, VerifiedClaim]) -> None:
    ask = {**ASK, "at_ms": world.signing_at_ms}
    assert coverage.covers([held["pair"]] * coverage.MAX_DOCUMENTS, Ask(**ask))
    with pytest.raises(NotCovered) as caught:
        coverage.covers([held["pair"]] * (coverage.MAX_DOCUMENTS + 1), Ask(**ask))
    assert caught.value.reason == "too-many-claims"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"max_charge_w": None}, "power"),
        ({"max_discharge_w": None}, "power"),
        ({"response_ms": None}, "response"),
        ({"functions": frozenset()}, "der-function"),
        ({"scheme": Scheme.SELF_DECLARATION}, "scheme"),
    ],
)
def test_what_a_claim_does_not_say_it_does_not_cover(world: Any, changes: dict[str, Any], reason: str) -> None:
    content = ConformityClaims((Thing(ThingKind.EVSE, EVSE),), (replace(CLAIM, **changes),))
    claim = _open(world, _issue(world, content))
    ask = {**ASK, "kind": "DC", "at_ms": world.signing_at_ms, "charge_w": 1, "discharge_w": 1, "response_ms": 1000}
    with pytest.raises(NotCovered) as caught:
        coverage.covers([claim], Ask(**ask))
    assert caught.value.reason == reason


def test_of_several_misses_the_one_that_came_furthest_is_told_whatever_the_order(world: Any) -> None:
    near = replace(CLAIM, max_discharge_w=1)
    far = replace(CLAIM, services=frozenset({Service.V2H}))
    ask = Ask(**{**ASK, "kind": "DC", "at_ms": world.signing_at_ms, "discharge_w": 2})
    for items in ((near, far), (far, near)):
        together = [_open(world, _issue(world, ConformityClaims((Thing(ThingKind.EVSE, EVSE),), items)))]
        apart = [
            _open(world, _issue(world, ConformityClaims((Thing(ThingKind.EVSE, EVSE),), (item,)))) for item in items
        ]
        for held in (together, apart):
            with pytest.raises(NotCovered) as caught:
                coverage.covers(held, ask)
            assert caught.value.reason == "power"


def _typed(world: Any) -> dict[str, Any]:
    return {**ASK, "kind": "DC", "at_ms": world.signing_at_ms, "firmware_sha256": {EVSE: FIRMWARE}}


def test_a_type_claim_covers_through_a_link_and_both_are_named(world: Any) -> None:
    claim = _open(world, _issue(world, TYPE_CLAIMS))
    link = _open_link(world, _link(world))
    found = coverage.covers([claim], Ask(**_typed(world)), [link])
    assert found.digests == (claim.digest, link.digest)
    assert found.valid_until_ms == min(claim.status_valid_until_ms, link.status_valid_until_ms)


def test_an_operators_link_counts_for_its_own_evse_only(world: Any) -> None:
    claim = _open(world, _issue(world, TYPE_CLAIMS))
    link = _open_link(world, _link(world, party="FI-NGC"), "FI-NGC")
    assert len(link.status_digests) == 2
    assert coverage.covers([claim], Ask(**_typed(world), operator="FI-NGC"), [link]).links == (link,)
    for operator in (None, "FI-VOL"):
        with pytest.raises(NotCovered) as caught:
            coverage.covers([claim], Ask(**_typed(world), operator=operator), [link])
        assert caught.value.reason == "no-link"


def test_for_a_car_only_a_body_says_which_type_it_is(world: Any) -> None:
    of_type = ConformityClaims((Thing(ThingKind.EVSE, EVSE), Thing(ThingKind.EV, None, TYPE)), (CLAIM,))
    claim = _open(world, _issue(world, of_type))
    content = InstallationLink(ThingKind.EV, EV, TYPE)
    ask = Ask(
        **{**ASK, "at_ms": world.signing_at_ms, "firmware_sha256": {EV: FIRMWARE}, "operator": "FI-NGC"},
    )
    witnessed = _open_link(world, _link(world, content))
    assert coverage.covers([claim], ask, [witnessed]).digests == (claim.digest, witnessed.digest)
    own = _open_link(world, _link(world, content, "FI-NGC"), "FI-NGC")
    with pytest.raises(NotCovered) as caught:
        coverage.covers([claim], ask, [own])
    assert caught.value.reason == "no-link"


def test_a_pair_of_types_needs_a_link_for_each(world: Any) -> None:
    things = (Thing(ThingKind.EVSE, None, TYPE), Thing(ThingKind.EV, None, TYPE))
    claim = _open(world, _issue(world, ConformityClaims(things, (CLAIM,))))
    both = [
        _open_link(world, _link(world, InstallationLink(kind, key, TYPE)))
        for kind, key in ((ThingKind.EVSE, EVSE), (ThingKind.EV, EV))
    ]
    ask = Ask(**{**ASK, "at_ms": world.signing_at_ms, "firmware_sha256": {EVSE: FIRMWARE, EV: FIRMWARE}})
    assert len(coverage.covers([claim], ask, both).digests) == 3
    for one in both:
        with pytest.raises(NotCovered) as caught:
            coverage.covers([claim], ask, [one])
        assert caught.value.reason == "no-link"


@pytest.mark.parametrize(
    "content",
    [
        replace(LINK, spki_sha256=OTHER),
        replace(LINK, kind=ThingKind.CHARGING_STATION),
        replace(LINK, type_ref=replace(TYPE, model="Other")),
        replace(LINK, type_ref=replace(TYPE, manufacturer="Other")),
        replace(LINK, type_ref=replace(TYPE, hardware="H2")),
        replace(LINK, type_ref=replace(TYPE, hardware=None)),
    ],
)
def test_a_link_to_another_thing_or_type_is_no_link(world: Any, content: InstallationLink) -> None:
    claim = _open(world, _issue(world, TYPE_CLAIMS))
    with pytest.raises(NotCovered) as caught:
        coverage.covers([claim], Ask(**_typed(world)), [_open_link(world, _link(world, content))])
    assert caught.value.reason == "no-link"


def test_a_changed_firmware_breaks_the_link_unless_the_type_claim_names_none(world: Any) -> None:
    claim = _open(world, _issue(world, TYPE_CLAIMS))
    free = replace(TYPE, firmware_sha256=None)
    any_firmware = _open(world, _issue(world, ConformityClaims((Thing(ThingKind.EVSE, None, free),), (CLAIM,))))
    link = _open_link(world, _link(world))
    older = _open_link(world, _link(world, replace(LINK, type_ref=replace(TYPE, firmware_sha256="cd" * 32))))
    changed = Ask(**{**_typed(world), "firmware_sha256": {EVSE: "cd" * 32}})
    for held, ask in ((link, changed), (older, Ask(**_typed(world))), (older, changed)):
        with pytest.raises(NotCovered) as caught:
            coverage.covers([claim], ask, [held])
        assert caught.value.reason == "firmware"
        assert coverage.covers([any_firmware], ask, [held])


def test_the_newest_link_says_what_the_thing_is_now(world: Any) -> None:
    claim = _open(world, _issue(world, TYPE_CLAIMS))
    at_ms = world.signing_at_ms
    first = _open_link(world, _link(world, start_ms=at_ms - 1000))
    moved = _open_link(world, _link(world, replace(LINK, type_ref=replace(TYPE, firmware_sha256="cd" * 32))))
    with pytest.raises(NotCovered) as caught:
        coverage.covers([claim], Ask(**_typed(world)), [moved, first])
    assert caught.value.reason == "firmware"


def test_a_link_and_a_claim_are_never_taken_for_each_other(world: Any) -> None:
    with pytest.raises(conformity.ClaimUntrusted):
        _open(world, _link(world))
    with pytest.raises(conformity.ClaimUntrusted):
        _open_link(world, _issue(world, EVSE_CLAIMS))


def test_an_operator_cannot_pass_for_a_body_nor_a_body_hide_from_its_list(world: Any) -> None:
    info = attributecert.parse(_link(world)).info
    with pytest.raises(Refused):
        _open_link(world, _signed(world, replace(info, no_rev_avail=True)))
    claim = attributecert.parse(_issue(world, EVSE_CLAIMS)).info
    with pytest.raises(conformity.ClaimUntrusted):
        _open(world, _signed(world, replace(claim, no_rev_avail=True)))
    own = _link(world, party="FI-NGC")
    with pytest.raises(Refused):
        _open_link(world, own, "FI-LAB")

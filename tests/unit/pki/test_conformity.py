"""Claims are opened strictly, and cover what they say for exactly the things that they name."""

from dataclasses import replace
from typing import Any

import pytest

from pki import attribute, binding, conformity, keys, status
from pki.asn1 import attributecert, der
from pki.asn1.claims import Claim, ConformityClaims, InstallationLink, Scheme, Thing, ThingKind, TypeRef
from pki.conformity import NotCovered, VerifiedClaim
from pki.journal import MemoryJournal
from pki.roles import Purpose, Service
from pki.status import StatusSet
from pki.store.records import Reason
from pki.tbs import Window

EVSE, EV, OTHER = "11" * 32, "22" * 32, "33" * 32
FIRMWARE = "ab" * 32
DAY_MS = 86_400_000
CLAIM = Claim(
    standard="EN 50549-10",
    edition="2022",
    scheme=Scheme.TYPE_TEST,
    cert_number="LAB-1",
    services=frozenset({Service.DROOP, Service.FFR}),
    regions=("FI", "SE-3"),
    max_charge_w=11_000,
    max_discharge_w=10_000,
)
EVSE_CLAIMS = ConformityClaims((Thing(ThingKind.EVSE, EVSE),), (CLAIM,))
EV_CLAIMS = ConformityClaims((Thing(ThingKind.EV, EV),), (CLAIM,))
PAIR_CLAIMS = ConformityClaims((Thing(ThingKind.EVSE, EVSE), Thing(ThingKind.EV, EV)), (CLAIM,))


def _issue(world: Any, content: ConformityClaims, *, serial: int = 7, **window: int) -> bytes:
    body = world.made.parties["FI-LAB"].credentials[Purpose.ATTRIBUTE]
    start_ms = window.get("start_ms", world.signing_at_ms)
    return attribute.issue_claim(
        body.key,
        body.certificate,
        content,
        window=Window(start_ms, window.get("end_ms", start_ms + 30 * DAY_MS)),
        serial=serial,
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
        installation=InstallationLink("TYPE-1", "cd" * 32),
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
    data = _issue(world, EVSE_CLAIMS)
    body = world.made.parties["FI-LAB"].credentials[Purpose.ATTRIBUTE]
    journal = MemoryJournal()
    at_ms = world.signing_at_ms + 3_600_000
    for _ in range(2):
        attribute.revoke_claim(
            data,
            body.certificate,
            store=world.made.store,
            journal=journal,
            reason=Reason.PRIVILEGE_WITHDRAWN,
            at_ms=at_ms,
        )
    assert len(journal.revocations) == 1
    status_set = StatusSet([*world.made.crls, world.made.claims_crl("FI-LAB", at_ms)])
    assert _open(world, data, at_ms=at_ms - 1000, status_set=status_set)
    with pytest.raises(status.Revoked):
        _open(world, data, at_ms=at_ms, status_set=status_set)
    assert _open(world, _issue(world, EVSE_CLAIMS, serial=8), at_ms=at_ms, status_set=status_set)


def test_without_the_bodys_own_crl_a_claim_is_indeterminate(world: Any) -> None:
    body = world.made.parties["FI-LAB"].credentials[Purpose.ATTRIBUTE].certificate
    from cryptography import x509

    others = [data for data in world.made.crls if x509.load_der_x509_crl(data).issuer != body.subject]
    with pytest.raises(status.StatusIndeterminate):
        _open(world, _issue(world, EVSE_CLAIMS), status_set=StatusSet(others))


def test_every_changed_byte_of_a_claim_is_refused(world: Any) -> None:
    data = _issue(world, PAIR_CLAIMS)
    from pki.errors import Refused

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
    body = world.made.parties["FI-LAB"].credentials[Purpose.ATTRIBUTE]
    window = Window(world.signing_at_ms, world.signing_at_ms + DAY_MS)
    with pytest.raises(attribute.BadClaim):
        attribute.issue_claim(keys.generate(), body.certificate, EVSE_CLAIMS, window=window, serial=1)
    for wrong in (
        Window(world.signing_at_ms - 365 * DAY_MS, world.signing_at_ms),
        Window(world.signing_at_ms, world.signing_at_ms + 400 * DAY_MS),
        Window(world.signing_at_ms, world.signing_at_ms),
    ):
        with pytest.raises(attribute.BadClaim):
            attribute.issue_claim(body.key, body.certificate, EVSE_CLAIMS, window=wrong, serial=1)


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
        replace(info, pair=True),
    ):
        with pytest.raises(conformity.ClaimHolder):
            _open(world, _signed(world, wrong))
    other = attributecert.parse(_issue(world, PAIR_CLAIMS)).info
    with pytest.raises(conformity.ClaimHolder):
        _open(world, _signed(world, replace(info, claims=other.claims)))


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
        coverage = conformity.covers(claims, **ask)
        assert coverage.needed is generator
        assert set(coverage.digests) <= {claim.digest for claim in claims}
        assert (coverage.valid_until_ms is not None) is generator
    else:
        with pytest.raises(NotCovered) as caught:
            conformity.covers(claims, **ask)
        assert caught.value.reason == "no-claim"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"function": Service.RESERVE}, "function"),
        ({"region": "DE"}, "region"),
        ({"region": "SE"}, "region"),
        ({"region": "FIN"}, "region"),
        ({"discharge_w": 10_001}, "power"),
        ({"charge_w": 11_001}, "power"),
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
        conformity.covers(list(held.values())[2:], **{**ASK, "at_ms": world.signing_at_ms, **changes})
    assert caught.value.reason == reason


def test_the_edges_of_region_and_power_are_covered(world: Any, held: dict[str, VerifiedClaim]) -> None:
    ask = {**ASK, "at_ms": world.signing_at_ms}
    for changes in ({"region": "FI-18"}, {"region": "SE-3"}, {"discharge_w": 10_000, "charge_w": 11_000}):
        assert conformity.covers([held["pair"]], **{**ask, **changes})


def test_another_firmware_invalidates_and_an_unknown_one_too(world: Any) -> None:
    thing = Thing(ThingKind.EVSE, EVSE, type_ref=TypeRef("Maker", "Model", None, FIRMWARE))
    claim = _open(world, _issue(world, ConformityClaims((thing,), (CLAIM,))))
    ask = {**ASK, "kind": "DC", "at_ms": world.signing_at_ms}
    assert conformity.covers([claim], **ask, firmware_sha256={EVSE: FIRMWARE})
    for running in ({}, {EVSE: "cd" * 32}, {EV: FIRMWARE}):
        with pytest.raises(NotCovered) as caught:
            conformity.covers([claim], **ask, firmware_sha256=running)
        assert caught.value.reason == "firmware"


def test_a_claim_about_an_ev_never_stands_for_an_evse(world: Any) -> None:
    claim = _open(world, _issue(world, ConformityClaims((Thing(ThingKind.EV, EVSE),), (CLAIM,))))
    with pytest.raises(NotCovered) as caught:
        conformity.covers([claim], **{**ASK, "kind": "DC"}, at_ms=world.signing_at_ms)
    assert caught.value.reason == "no-claim"


def test_the_number_of_claims_looked_at_is_capped(world: Any, held: dict[str, VerifiedClaim]) -> None:
    ask = {**ASK, "at_ms": world.signing_at_ms}
    assert conformity.covers([held["pair"]] * conformity.MAX_CLAIMS, **ask)
    with pytest.raises(NotCovered) as caught:
        conformity.covers([held["pair"]] * (conformity.MAX_CLAIMS + 1), **ask)
    assert caught.value.reason == "too-many-claims"

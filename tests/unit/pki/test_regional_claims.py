"""What a region asks of a claim decides what covers there; what is only guessed of it covers nothing."""

from typing import Any

import pytest
from msgspec.structs import replace

from pki import conformity, coverage, regions
from pki.asn1.claims import Claim, ConformityClaims, DerFunction, Scheme, Thing, ThingKind
from pki.attribute import AttributeAuthority
from pki.conformity import VerifiedClaim
from pki.coverage import Ask, NotCovered
from pki.gridcode import GridCode, Status
from pki.roles import Purpose, Service
from pki.tbs import Window

pytestmark = pytest.mark.slow  # takes seconds

EVSE = "11" * 32
DAY_MS = 86_400_000
CLAIM = Claim(
    standard="EN 50549-10",
    edition="2022",
    scheme=Scheme.TYPE_TEST,
    cert_number="LAB-1",
    services=frozenset({Service.DROOP}),
    regions=("FI",),
    max_charge_w=11_000,
    max_discharge_w=10_000,
    functions=frozenset({DerFunction.FREQUENCY_WATT}),
)


def _held(world: Any, item: Claim = CLAIM) -> VerifiedClaim:
    body = world.made.parties["FI-LAB"].credentials[Purpose.ATTRIBUTE]
    office = AttributeAuthority(body.certificate, body.key, world.made.store, world.made.hierarchy.root.journal)
    window = Window(world.signing_at_ms, world.signing_at_ms + 30 * DAY_MS)
    content = ConformityClaims((Thing(ThingKind.EVSE, EVSE),), (item,))
    return conformity.open_claim(
        office.issue_claim(content, window=window, now_ms=world.signing_at_ms),
        aa_chain=world.chain("FI-LAB", Purpose.ATTRIBUTE),
        anchors=world.made.anchors,
        status=world.status,
        at_ms=world.signing_at_ms,
    )


def _ask(world: Any, **changes: Any) -> Ask:
    asked = Ask(
        kind="DC",
        generator=True,
        function=Service.DROOP,
        region="FI",
        evse_spki_sha256=EVSE,
        ev_spki_sha256=None,
        at_ms=world.signing_at_ms,
    )
    return replace(asked, **changes)


@pytest.mark.parametrize(
    ("code", "scheme", "reason"),
    [
        ("VDE-AR-N 4105", Scheme.PRODUCT_CERTIFICATION, None),
        ("VDE-AR-N 4105:2018", Scheme.PRODUCT_CERTIFICATION, None),
        ("VDE-AR-N 4105:2018", Scheme.TYPE_EXAMINATION, "scheme"),
        ("VDE-AR-N 41050", Scheme.PRODUCT_CERTIFICATION, "grid-code"),
        ("EN 50549-1", Scheme.PRODUCT_CERTIFICATION, "grid-code"),
        (None, Scheme.PRODUCT_CERTIFICATION, "grid-code"),
    ],
)
def test_a_region_asks_for_its_grid_code_and_its_scheme(
    world: Any, code: str | None, scheme: Scheme, reason: str | None
) -> None:
    item = replace(CLAIM, regions=("DE",), grid_code=code, scheme=scheme)
    claim = _held(world, item)
    ask = _ask(world, region="DE-BY")
    if reason is None:
        assert coverage.covers([claim], ask).claims == (claim,)
    else:
        with pytest.raises(NotCovered) as caught:
            coverage.covers([claim], ask)
        assert caught.value.reason == reason


def _file(monkeypatch: pytest.MonkeyPatch, code: GridCode) -> None:
    monkeypatch.setattr(regions, "grid_codes", lambda: {code.region: code})


def test_where_what_a_region_asks_of_a_claim_is_uncertain_nothing_covers_and_nothing_is_missing(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, claim = _ask(world), _held(world)
    finland = regions.grid_codes()["FI"]
    assert coverage.covers([claim], ask).needed
    guess = replace(finland.claims, status=Status.UNCERTAIN, settled_by="the text")
    _file(monkeypatch, replace(finland, claims=guess))
    with pytest.raises(NotCovered) as caught:
        coverage.covers([claim], ask)
    assert (caught.value.reason, caught.value.undecided) == ("region-uncertain", True)
    with pytest.raises(NotCovered) as caught:  # what is missing whatever the region asks is missing
        coverage.covers([claim], replace(ask, discharge_w=10_001))
    assert (caught.value.reason, caught.value.undecided) == ("power", False)
    assert not coverage.covers([], replace(ask, generator=False)).needed


def test_an_uncertain_line_about_a_function_or_a_market_never_makes_a_claim_cover_more(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, claim = _ask(world), _held(world)
    finland = regions.grid_codes()["FI"]
    market = tuple(replace(row, status=Status.UNCERTAIN, settled_by="the text") for row in finland.market)
    _file(monkeypatch, replace(finland, function=(), market=market))
    assert coverage.covers([claim], ask).needed
    more = tuple(replace(row, functions=(*row.functions, "RAMP_RATE")) for row in market)
    _file(monkeypatch, replace(finland, market=more))
    for named in (None, frozenset({DerFunction.FREQUENCY_WATT})):
        with pytest.raises(NotCovered) as caught:
            coverage.covers([claim], replace(ask, der_functions=named))
        assert caught.value.reason == "der-function"


def test_what_is_sold_as_a_droop_is_not_asked_of_a_curve_of_voltage(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = replace(CLAIM, functions=frozenset({DerFunction.VOLT_VAR}))
    claim = _held(world, item)
    curve = frozenset({DerFunction.VOLT_VAR})
    ask = _ask(world, der_functions=curve)
    assert coverage.covers([claim], ask).claims == (claim,)
    with pytest.raises(NotCovered) as caught:
        coverage.covers([claim], replace(ask, der_functions=None))
    assert caught.value.reason == "der-function"


@pytest.mark.parametrize(
    ("standard", "code", "covered"),
    [
        ("EN 50549-1", None, True),
        ("EN 50549-1:2019", None, True),
        ("EN 50549-1", "VJV 2018", True),
        ("IEC 62116", "VDE-AR-N 4105:2018-11", True),
        ("IEC 62116", "VDE-AR-N 4105:2011-08", False),
        ("EN 50549-11", None, False),
        ("IEC 62116", None, False),
    ],
)
def test_a_region_without_a_code_of_its_own_asks_for_a_standard(
    world: Any, standard: str, code: str | None, covered: bool
) -> None:
    item = replace(CLAIM, standard=standard, grid_code=code)
    claim = _held(world, item)
    ask = _ask(world)
    if covered:
        assert coverage.covers([claim], ask).claims == (claim,)
        return
    with pytest.raises(NotCovered) as caught:
        coverage.covers([claim], ask)
    assert caught.value.reason == "grid-code"

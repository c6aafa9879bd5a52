"""The files of grid codes are read strictly, name their sources, and decide what covers feeding in."""

import pytest

from pki import regions
from pki.asn1.claims import DerFunction, Scheme
from pki.regions import GridCodeMalformed
from pki.roles import Service
from tests.support.vectors import REPOSITORY

FOLDER = REPOSITORY / "pki" / "gridcodes"
FI = (FOLDER / "FI.toml").read_text(encoding="utf-8")


def test_the_countries_that_somebody_has_looked_at_are_known_and_others_are_not() -> None:
    assert list(regions.grid_codes()) == ["BE", "DE", "FI", "FR", "GB"]
    assert {path.name for path in FOLDER.iterdir()} == {f"{region}.toml" for region in regions.grid_codes()}
    bavaria = regions.grid_code_of("DE-BY")
    assert bavaria is not None
    assert bavaria.region == "DE"
    for unknown in ("SE", "FIN", "", "D", "de"):
        assert regions.grid_code_of(unknown) is None


@pytest.mark.parametrize(
    ("region", "scheme", "code", "accepted"),
    [
        ("DE", Scheme.PRODUCT_CERTIFICATION, "VDE-AR-N 4105:2018-11", True),
        ("DE", Scheme.PRODUCT_CERTIFICATION, "EN 50549-1", False),
        ("BE", Scheme.TYPE_EXAMINATION, "C10/11:2.3", True),
        ("BE", Scheme.TYPE_EXAMINATION, "C10/26", False),
        ("FI", Scheme.TYPE_TEST, None, True),
        ("FR", Scheme.TYPE_TEST, None, True),
        ("GB", Scheme.TYPE_TEST, "ENA EREC G99", True),
        ("GB", Scheme.TYPE_TEST, None, False),
    ],
)
def test_each_country_says_what_a_claim_must_be(region: str, scheme: Scheme, code: str | None, accepted: bool) -> None:
    found = regions.grid_codes()[region]
    assert found.weakest_scheme is scheme
    assert found.accepts_code(code) is accepted


def test_what_is_sold_asks_for_functions_that_every_region_asks_for_too() -> None:
    for code in regions.grid_codes().values():
        for row in code.market:
            assert regions.functions_of(row.service) <= code.functions_for(row.service), code.region
    finland = regions.grid_codes()["FI"]
    assert finland.functions_for(Service.FFR) == {DerFunction.FAST_FREQUENCY_RESPONSE}
    assert finland.functions_for(Service.PRICE) == frozenset()


def test_over_frequency_is_nobodys_service_anywhere() -> None:
    for code in regions.grid_codes().values():
        (row,) = [row for row in code.function if row.name == "FREQUENCY_WATT"]
        assert row.obligation is regions.Obligation.MANDATORY, code.region


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("format = 1", "format = 2", "format"),
        ("format = 1", 'format = "1"', "not a grid-code file"),
        ('region = "FI"', 'region = "SE"', "another region"),
        ('region = "FI"', 'region = "fi"', "not a grid-code file"),
        ('reviewed = "2026-11-30"', 'reviewed = "last week"', "not a grid-code file"),
        ('reviewed = "2026-11-30"', "", "not a grid-code file"),
        ('name = "Finland"', 'name = "Finland"\nsurplus = 1', "not a grid-code file"),
        ('weakest_scheme = "TYPE_TEST"', 'weakest_scheme = "HEARSAY"', "no such scheme"),
        ('name = "VOLT_VAR"', 'name = "VOLT_VARS"', "no such function"),
        ('name = "VOLT_VAR"', 'name = "FREQUENCY_WATT"', "twice"),
        ('functions = ["FAST_FREQUENCY_RESPONSE"]', 'functions = ["FAST"]', "no such function"),
        ('functions = ["FAST_FREQUENCY_RESPONSE"]', "functions = []", "not a grid-code file"),
        ('service = "FFR"', 'service = "FRR"', "not a grid-code file"),
        ('obligation = "OPERATOR"', 'obligation = "MAYBE"', "not a grid-code file"),
        ('certainty = "UNCERTAIN"', 'certainty = "SURE"', "not a grid-code file"),
        ('sources = ["mfrr"]', "sources = []", "not a grid-code file"),
        ('sources = ["mfrr"]', 'sources = ["hearsay"]', "sources"),
        ('sources = ["et-form", "vjv"]', 'sources = ["vjv"]', ""),
        ('id = "ffr"', 'id = "vjv"', "twice"),
        ("[claims]", "[claims", "not a grid-code file"),
        ('name = "Finland"', f'name = "{"F" * 70_000}"', "too long"),
    ],
)
def test_a_file_that_is_wrong_anywhere_is_refused_whole(old: str, new: str, why: str) -> None:
    assert old in FI
    changed = FI.replace(old, new, 1).encode()
    if not why:
        assert regions.parse(changed, "FI.toml").region == "FI"
        return
    with pytest.raises(GridCodeMalformed, match=why) as caught:
        regions.parse(changed, "FI.toml")
    assert caught.value.code == "pki/grid-code-malformed"


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(GridCodeMalformed):
        regions.parse(b"\xff" + FI.encode(), "FI.toml")

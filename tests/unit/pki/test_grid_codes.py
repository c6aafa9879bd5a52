"""The files of grid codes are read strictly, say how each line was reviewed, and decide what covers feeding in."""

from collections.abc import Callable

import pytest

from pki import gridcode, regions
from pki.asn1.claims import DerFunction, Scheme
from pki.gridcode import GridCodeMalformed, Read, Status
from pki.roles import Service
from tests.support.vectors import REPOSITORY

FOLDER = REPOSITORY / "pki" / "gridcodes"
FI = (FOLDER / "FI.toml").read_text(encoding="utf-8")
STANDARD = "EN 50549-10"


def test_the_countries_that_somebody_has_looked_at_are_known_and_others_are_not() -> None:
    assert list(regions.grid_codes()) == ["BE", "DE", "FI", "FR", "GB"]
    assert {path.name for path in FOLDER.iterdir()} == {f"{region}.toml" for region in regions.grid_codes()}
    bavaria = regions.grid_code_of("DE-BY")
    assert bavaria is not None
    assert bavaria.region == "DE"
    for unknown in ("SE", "FIN", "", "D", "de"):
        assert regions.grid_code_of(unknown) is None


@pytest.mark.parametrize(
    ("region", "scheme", "code", "standard", "accepted"),
    [
        ("DE", Scheme.PRODUCT_CERTIFICATION, "VDE-AR-N 4105:2018-11", STANDARD, True),
        ("DE", Scheme.PRODUCT_CERTIFICATION, "EN 50549-1", STANDARD, False),
        ("DE", Scheme.PRODUCT_CERTIFICATION, None, "VDE-AR-N 4105", False),
        ("BE", Scheme.TYPE_EXAMINATION, "C10/11:2.2", STANDARD, True),
        ("BE", Scheme.TYPE_EXAMINATION, "C10/26", STANDARD, False),
        ("FI", Scheme.TYPE_TEST, None, STANDARD, True),
        ("FI", Scheme.TYPE_TEST, None, "SFS-EN 50549-1:2019", True),
        ("FI", Scheme.TYPE_TEST, "VDE-AR-N 4105:2018-11", "DIN VDE V 0124-100", True),
        ("FI", Scheme.TYPE_TEST, "VDE-AR-N 4105:2011-08", "DIN VDE V 0124-100", False),
        ("FI", Scheme.TYPE_TEST, None, "IEC 62116", False),
        ("FR", Scheme.TYPE_TEST, None, STANDARD, True),
        ("FR", Scheme.TYPE_TEST, None, "NF EN 50549-1:2019", True),
        ("FR", Scheme.TYPE_TEST, "DIN VDE 0126-1-1/A1", "DIN VDE 0126-1-1/A1", False),
        ("GB", Scheme.TYPE_TEST, "ENA EREC G99", STANDARD, True),
        ("GB", Scheme.TYPE_TEST, None, STANDARD, False),
    ],
)
def test_each_country_says_what_a_claim_must_be(
    region: str, scheme: Scheme, code: str | None, standard: str, accepted: bool
) -> None:
    found = regions.grid_codes()[region]
    assert found.weakest_scheme is scheme
    assert found.accepts(code, standard) is accepted


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
        assert row.obligation is gridcode.Obligation.MANDATORY, code.region


def test_what_packaged_files_ask_of_a_claim_was_read_everywhere() -> None:
    for code in regions.grid_codes().values():
        assert code.claims.status is Status.CONFIRMED, code.region
        assert code.claims.best_read in (Read.TEXT, Read.PAGE), code.region


def test_a_line_counts_as_read_by_what_was_read_best() -> None:
    finland = regions.grid_codes()["FI"]
    (over_frequency,) = [row for row in finland.function if row.name == "FREQUENCY_WATT"]
    assert [one.read for one in over_frequency.cites] == [Read.PAGE, Read.PAGE, Read.SECONDARY]
    assert over_frequency.best_read is Read.PAGE
    assert len(finland.lines) == 1 + len(finland.function) + len(finland.market) + len(finland.duty)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("format = 2", "format = 1", "format"),
        ("format = 2", 'format = "2"', "not a grid-code file"),
        ('region = "FI"', 'region = "SE"', "another region"),
        ('region = "FI"', 'region = "fi"', "not a grid-code file"),
        ('reviewed_on = "2026-12-01"', 'reviewed_on = "last week"', "not a grid-code file"),
        ('reviewed_on = "2026-12-01"', 'reviewed_on = "2026-02-30"', "no such day"),
        ('reviewed_on = "2026-12-01"', 'reviewed_on = "2026-11-30"', "newer than its review"),
        ('reviewed_on = "2026-12-01"', 'reviewed_on = "2026-12-02"', ""),
        ('reviewed_on = "2026-12-01"', "", "not a grid-code file"),
        ('name = "Finland"', 'name = "Finland"\nsurplus = 1', "not a grid-code file"),
        ('weakest_scheme = "TYPE_TEST"', 'weakest_scheme = "HEARSAY"', "no such scheme"),
        ('name = "VOLT_VAR"', 'name = "VOLT_VARS"', "no such function"),
        ('name = "VOLT_VAR"', 'name = "FREQUENCY_WATT"', "twice"),
        ('functions = ["FAST_FREQUENCY_RESPONSE"]', 'functions = ["FAST"]', "no such function"),
        ('functions = ["FAST_FREQUENCY_RESPONSE"]', "functions = []", "not a grid-code file"),
        ('service = "FFR"', 'service = "FRR"', "not a grid-code file"),
        ('obligation = "OPERATOR"', 'obligation = "MAYBE"', "not a grid-code file"),
        ('status = "UNCERTAIN"', 'status = "SURE"', "not a grid-code file"),
        ('status = "UNCERTAIN"', 'status = "CONFIRMED"', "a status without its reason"),
        ('status = "CONFIRMED"', 'status = "UNCERTAIN"', "a status without its reason"),
        ('status = "CONFIRMED"', 'status = "CONFIRMED"\nsettled_by = "A look."', "a status without its reason"),
        ('status = "CONFIRMED"', 'status = "UNCERTAIN"\nsettled_by = "A look."', ""),
        ('clause = "bids", read = "PAGE"', 'clause = "bids", read = "UNREAD"', "confirmed by nothing that was read"),
        ('clause = "bids", read = "PAGE"', 'clause = "bids", read = "SECONDARY"', ""),
        ('clause = "bids", read = "PAGE"', 'clause = "bids", read = "GLANCED"', "not a grid-code file"),
        ('clause = "bids", read = "PAGE"', 'clause = "", read = "PAGE"', "not a grid-code file"),
        ('clause = "bids", read = "PAGE"', 'clause = "bids"', "not a grid-code file"),
        ('cites = [{ source = "mfrr", clause = "bids", read = "PAGE" }]', "cites = []", "not a grid-code file"),
        ('source = "mfrr"', 'source = "hearsay"', "sources"),
        ('id = "ffr"', 'id = "vjv"', "twice"),
        ('date = "undated"', 'date = "lately"', "not a grid-code file"),
        ('date = "undated"', 'date = "2025-01"', ""),
        ("[claims]", "[claims", "not a grid-code file"),
        ('name = "Finland"', f'name = "{"F" * 70_000}"', "too long"),
        ('removed_on = "2026-12-01"', 'removed_on = "2027-01-01"', "newer than its review"),
        ('name = "Notice and permission"', 'name = ""', "not a grid-code file"),
    ],
)
def test_a_file_that_is_wrong_anywhere_is_refused_whole(old: str, new: str, why: str) -> None:
    assert old in FI
    changed = FI.replace(old, new, 1).encode()
    if not why:
        assert gridcode.parse(changed, "FI.toml").region == "FI"
        return
    with pytest.raises(GridCodeMalformed, match=why) as caught:
        gridcode.parse(changed, "FI.toml")
    assert caught.value.code == "pki/grid-code-malformed"


def test_a_file_that_would_take_any_claim_is_refused() -> None:
    lines = [line for line in FI.splitlines() if not line.startswith(("grid_codes", "standards"))]
    with pytest.raises(GridCodeMalformed, match="any claim"):
        gridcode.parse("\n".join(lines).encode(), "FI.toml")
    one = "\n".join(lines).replace("[claims]", '[claims]\nstandards = ["EN 50549-1"]')
    assert gridcode.parse(one.encode(), "FI.toml").accepts(None, "EN 50549-1")


def _cites(count: int) -> str:
    one = '{ source = "mfrr", clause = "bids", read = "PAGE" }'
    return FI.replace(f"cites = [{one}]", f"cites = [{', '.join([one] * count)}]")


def _points(count: int) -> str:
    before, after = FI.split("open_points = [", 1)
    points = ", ".join(['"An open point."'] * count)
    return f"{before}open_points = [{points}{after[after.index(']') :]}"


def _standards(count: int) -> str:
    names = ", ".join(f'"S-{number}"' for number in range(count))
    return "\n".join(f"standards = [{names}]" if one.startswith("standards") else one for one in FI.splitlines())


def _sized(size: int) -> str:
    return FI + "#" * (size - len(FI.encode()))


@pytest.mark.parametrize(
    ("made", "most"),
    [(_cites, 8), (_points, 16), (_standards, 8), (_sized, gridcode.MAX_FILE_BYTES)],
    ids=["cites", "open-points", "standards", "bytes"],
)
def test_each_limit_is_taken_and_one_more_is_refused(made: Callable[[int], str], most: int) -> None:
    assert gridcode.parse(made(most).encode(), "FI.toml").region == "FI"
    with pytest.raises(GridCodeMalformed):
        gridcode.parse(made(most + 1).encode(), "FI.toml")


@pytest.mark.parametrize("page", ["README.md", "docs/security/limitations.md", "docs/standard/coverage.md"])
def test_what_pages_tell_of_uncertain_lines_is_what_the_files_say(page: str) -> None:
    lines = [line for code in regions.grid_codes().values() for line in code.lines]
    uncertain = sum(line.status is Status.UNCERTAIN for line in lines)
    told = (REPOSITORY / page).read_text(encoding="utf-8")
    both = {f"{uncertain} of {len(lines)} lines", f"{len(lines) - uncertain} of {len(lines)} lines"}
    assert any(one in told for one in both), f"{page} tells another number than {both}"


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(GridCodeMalformed):
        gridcode.parse(b"\xff" + FI.encode(), "FI.toml")

"""The applications that the abstract names: each is played whole, and meets the figures that its page works out."""

from pathlib import Path

import pytest

from api.cli.demo.report import Report
from api.cli.scenarios import command, scene
from tests.support.vectors import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.day, pytest.mark.timeout(300)]
PAGES = REPOSITORY / "docs" / "scenarios"
LEAST_FLEET = 10
LEAST_REFUSALS = 3


def rows(page: str) -> set[tuple[str, str]]:
    """The first two cells of every row of its tables."""
    cells = [
        [cell.strip().strip("`") for cell in line.split("|")[1:3]] for line in page.splitlines() if line[:1] == "|"
    ]
    return {(first, second) for first, second in cells}


@pytest.mark.parametrize("name", command.SCENARIOS)
async def test_a_scenario_meets_every_figure_and_refusal_of_its_page(name: str, tmp_path: Path) -> None:
    scenario, report = command.SCENARIOS[name], Report()
    await scene.perform(scenario, tmp_path, report)
    assert [f"{one.what}: {one.found}" for one in report.expectations if not one.holds] == []
    page = rows((PAGES / f"{name}.md").read_text(encoding="utf-8"))
    figures = {tuple(one.what.rsplit(": ", 1)) for one in report.expectations if one.kind == "story"}
    refusals = {(one.what, one.found) for one in report.expectations if one.kind == "attack"}
    assert len(scenario.place.bays) >= LEAST_FLEET
    assert len(refusals) >= LEAST_REFUSALS
    assert any(one.kind == "verified" for one in report.expectations)
    assert (figures | refusals) - page == set()
    assert page - figures - refusals == {("what", "figure"), ("---", "---"), ("who tries what", "refused with")}


def test_every_scenario_has_a_page_and_every_page_a_scenario() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} - {"index"} == set(command.SCENARIOS)


def test_an_unknown_scenario_is_said_to_be_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["no-such"], json=False) == 2
    assert "no-such" in capsys.readouterr().err

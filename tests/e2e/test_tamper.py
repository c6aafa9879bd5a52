"""The README's first demonstration: one row of a real log is edited, and exactly that entry is named."""

import pytest
from typer.testing import CliRunner

from api.cli.demo import tamper
from api.cli.main import app
from api.verification.report import Lines, Report, Status
from tests.support.pages import Page
from tests.support.vectors import REPOSITORY

README = Page(REPOSITORY / "README.md")


@pytest.fixture(scope="module")
def said() -> str:
    result = CliRunner().invoke(app, ["demo", "--tamper"])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_edited_row_is_named_and_so_it_is_when_its_hash_fits_again(said: str) -> None:
    assert said.startswith("A log, written by the service"), "nothing of the service's own log comes first"
    assert "flexledger audit: log ledger.example/tamper: VERIFIED (4 verified)" in said
    first, second = said.split("He knows of the hash")
    assert first.count("named: entry 9") == second.count("named: entry 9") == 1
    assert "ledger/body-edited" in first
    assert "ledger/body-edited" not in second
    assert "NOT NAMED" not in said


def test_the_readme_shows_what_is_printed(said: str) -> None:
    (shown,) = [block for block in README.blocks("text") if "named: entry" in block]
    assert [
        line for line in shown.splitlines() if line.strip() not in {each.strip() for each in said.splitlines()}
    ] == []


def findings(**where: int) -> Report:
    lines = Lines()
    lines.add("log", Status.REFUTED, "ledger/body-edited", "edited", **where)
    return lines.report("log")


@pytest.mark.parametrize(
    ("where", "is_named"),
    [
        ({"index": 9}, True),
        ({"index": 10, "previous_index": 9}, True),
        ({"index": 10}, False),
        ({"window_start": 7}, False),
    ],
    ids=["itself", "by-its-successor", "another", "a-window"],
)
def test_a_row_that_is_not_named_is_not_said_to_be(where: dict[str, int], is_named: bool) -> None:
    assert tamper._shown(findings(**where), 9) is is_named

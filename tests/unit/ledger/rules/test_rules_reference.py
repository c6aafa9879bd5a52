"""The pages are what the code says."""

import re
from pathlib import Path

import pytest

from ledger.records import registry
from tests.support import grid_codes_reference, records_reference, rules_reference, services_reference
from tests.support.vectors import REPOSITORY


@pytest.mark.parametrize(
    "source",
    [rules_reference, records_reference, services_reference, grid_codes_reference],
    ids=lambda m: m.__name__,
)
def test_a_reference_page_is_what_its_source_writes(source: object) -> None:
    name = str(getattr(source, "__name__", "")).rpartition(".")[2].removesuffix("_reference").replace("_", "-")
    page = (REPOSITORY / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")
    written = source.page()  # type: ignore[attr-defined]
    assert page == written, (
        f"run: python -m tests.support.{name.replace('-', '_')}_reference > docs/reference/{name}.md"
    )


def test_every_rule_stands_on_the_page_under_its_number_and_code() -> None:
    page = rules_reference.page()
    for rule in rules_reference.rules():
        assert page.count(f"| {rule.number} | `{rule.code}` |") == 1


def test_every_record_type_stands_in_one_row_of_the_streams_page() -> None:
    rows = Path(REPOSITORY / "docs" / "spec" / "streams.md").read_text(encoding="utf-8").splitlines()
    places = {
        name: row.split("|")[1].strip() for row in rows if row.startswith("|") for name in _types(row.split("|")[3])
    }
    wanted = {"*": "any", "directive": "none"}
    for kind in registry.kinds():
        place = places.pop(kind.TYPE)
        if kind.STREAM in wanted:
            assert place == wanted[kind.STREAM], kind.TYPE
        else:
            assert place.startswith(f"`{kind.STREAM}/"), kind.TYPE
    assert places == {}


def _types(cell: str) -> list[str]:
    return re.findall(r"`([a-z]+\.[a-z-]+)`", cell)

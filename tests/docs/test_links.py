"""Every page can be reached, and no link leads nowhere."""

import re

import pytest

from tests.support.pages import Page, pages
from tests.support.vectors import REPOSITORY

MAX_LINES = 400
MAX_README_LINES = 150
GENERATED = ("docs/reference/",)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Page) -> None:
    broken = []
    for target in page.links():
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.path.parent / path).resolve() if path else page.path
        if not found.exists() or (anchor and anchor not in Page(found).anchors()):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_page_has_one_title_and_is_short(page: Page) -> None:
    titles = [line for line in page.prose.splitlines() if line.startswith("# ")]
    assert len(titles) == 1
    if not page.name.startswith(GENERATED):
        assert len(page.text.splitlines()) <= MAX_LINES


def test_the_readme_can_be_read_in_two_minutes() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= MAX_README_LINES


def test_every_page_of_the_documentation_is_linked_from_its_index() -> None:
    index = Page(REPOSITORY / "docs" / "index.md")
    decisions = Page(REPOSITORY / "docs" / "adr" / "index.md")
    reached = {(page.path.parent / target).resolve() for page in (index, decisions) for target in page.links()}
    unreached = [page.name for page in pages() if page.path.resolve() not in reached | {index.path.resolve()}]
    assert unreached == []


def test_a_page_that_speaks_of_proof_of_work_says_that_it_is_not_mining() -> None:
    ours = ("README.md", "docs/index.md", "docs/tutorial/", "docs/explanation/", "docs/standard/", "docs/security/")
    silent = [
        page.name
        for page in pages()
        if page.name.startswith(ours) and "proof of work" in page.text.lower() and "mining" not in page.text
    ]
    assert silent == []


def test_every_threat_names_tests_that_exist_and_an_id_of_its_own() -> None:
    page = Page(REPOSITORY / "docs" / "security" / "threat-model.md").text
    rows = [line for line in page.splitlines() if line.startswith("| T-")]
    ids = [row.split("|")[1].strip() for row in rows]
    assert len(ids) > 30
    assert len(ids) == len(set(ids))
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"def (test_\w+)\(", tests))
    named = {row: re.findall(r"`(test_\w+)`", row) for row in rows}
    assert [row for row, names in named.items() if not names] == []
    assert {name for names in named.values() for name in names} - defined == set()


def test_every_record_route_and_rule_that_coverage_names_is_there() -> None:
    page = Page(REPOSITORY / "docs" / "standard" / "coverage.md").text
    reference = "".join(
        (REPOSITORY / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")
        for name in ("records", "rules", "services", "api")
    )
    records = re.findall(r"`([a-z]+\.[a-z-]+)`", page)
    assert len(records) > 15
    assert [name for name in records if f"`{name}`" not in reference] == []
    assert [rule for rule in re.findall(r"\bR-\d+", page) if f"| {rule} |" not in reference] == []


def test_decisions_have_a_status_a_date_and_a_row() -> None:
    folder = REPOSITORY / "docs" / "adr"
    index = (folder / "index.md").read_text(encoding="utf-8")
    decisions = sorted(path for path in folder.glob("*.md") if path.name != "index.md")
    assert [path.name[:4] for path in decisions] == [f"{number:04d}" for number in range(1, len(decisions) + 1)]
    for path in decisions:
        text = path.read_text(encoding="utf-8")
        assert re.search(r"^Status: (accepted|superseded by \d{4})\. Date: \d{4}-\d\d-\d\d\.$", text, re.MULTILINE)
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences", "Turned down"]
        assert f"]({path.name})" in index

"""Every page can be reached, and no link leads nowhere."""

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

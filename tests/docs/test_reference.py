"""The generated pages are what the code says, and say nothing that is not there."""

import ast
import dataclasses
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from api.web import problems
from ledger.audit.report import Code
from ledger.rules.rules_version import RULES_KNOWN
from tests.support import coverage, reference, topics
from tests.support.pages import Page, pages
from tests.support.vectors import REPOSITORY


@pytest.mark.parametrize("name", sorted(reference.PAGES))
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    page: Callable[[], str] = reference.PAGES[name]
    written = (REPOSITORY / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")
    assert written == page().rstrip() + "\n", "run: make docs"


def test_every_error_is_told_apart_by_its_code_and_has_a_meaning() -> None:
    classes = problems.error_classes()
    codes = [kind.code for kind in classes]
    assert len(codes) > 200
    assert len(codes) == len(set(codes))
    assert [kind.__qualname__ for kind in classes if not (kind.__doc__ or "").strip()] == []
    assert {code.partition("/")[0] for code in codes} == set(reference.FAMILIES)


def test_every_command_on_the_page_has_the_module_that_does_it() -> None:
    options = [REPOSITORY / "api" / "cli" / name for name in ("main.py", "pki_options.py")]
    source = "\n".join(path.read_text(encoding="utf-8") for path in options)
    called = [
        f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("api.cli")
        for alias in node.names
    ]
    assert len(called) >= 5
    assert [name for name in called if importlib.util.find_spec(name) is None] == []


def test_the_check_without_write_says_which_page_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "docs" / "reference"
    for made in (folder, folder.parent / "standard"):
        made.mkdir(parents=True)
    monkeypatch.setattr(reference, "REPOSITORY", tmp_path)
    monkeypatch.setattr(reference, "FOLDER", folder)
    assert reference.main([]) == 1
    assert "differs: docs/reference/errors.md" in capsys.readouterr().out
    assert reference.main(["--write"]) == 0
    assert reference.main([]) == 0
    (folder / "cli.md").write_text("another", encoding="utf-8")
    assert reference.main([]) == 1
    assert capsys.readouterr().out.endswith("differs: docs/reference/cli.md; run: make docs\n")


@pytest.mark.parametrize("cell", ["records", "rules", "routes", "tests"])
def test_a_topic_of_the_abstract_with_an_empty_or_stale_cell_is_refused(cell: str) -> None:
    routes = {f"{method.upper()} {path}" for path, item in reference.openapi()["paths"].items() for method in item}
    coverage.require_there(topics.TOPICS, routes)
    good = topics.TOPICS[0]
    for wrong in ((), ("gone",)):
        stale = dataclasses.replace(good, **{cell: wrong})
        with pytest.raises(coverage.Stale, match=cell):
            coverage.require_there((stale,), routes)


def test_every_record_and_rule_is_on_the_page_of_the_coverage() -> None:
    page = (REPOSITORY / "docs" / "standard" / "coverage.md").read_text(encoding="utf-8")
    assert [name for name in coverage.records() if f"`{name}`" not in page] == []
    assert [number for number in coverage.rules() if not re.search(rf"{number}\b", page)] == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_code_and_path_that_a_page_names_is_there(page: Page) -> None:
    codes = {kind.code for kind in problems.error_classes()} | RULES_KNOWN | set(Code)
    named = re.findall(r"`((?:pki|ledger|api|rules|tests|docs|devcerts)/[\w./-]+)`", page.prose)
    assert [name for name in named if name not in codes and not there(name)] == []


def there(name: str) -> bool:
    """Whether a path, or a module without its suffix, is in the repository."""
    path = REPOSITORY / name.rstrip("/")
    return path.exists() or path.with_name(path.name + ".py").exists()

"""The style that a machine can keep: sizes, docstrings, names, and words that do not belong here."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.vectors import REPOSITORY

PACKAGES = ("pki", "ledger", "api", "devcerts")
MAX_LINES = 600
LONGER = {
    "tests/security/test_bad_input.py": (1_100, "one table of everything wrong that can be sent"),
    "tests/support/world.py": (900, "one world in which every rule can be broken"),
    "tests/unit/ledger/privacy/test_erasure.py": (700, "every crash point of one protocol, side by side"),
    "tests/unit/ledger/privacy/test_exports.py": (700, "every way to forge one archive, side by side"),
}
"""Files that are longer for a reason, each with a bound of its own."""
UNDONE = re.compile(r"\bT[O]DO\b|\bFIX[M]E\b|#\s*X{3}\b|\bHAC[K]\b")
VERDICT = re.compile(r"^_?(verify|validate|check)(_|$)")
FOREIGN = re.compile(
    r"\bpypi[.]org\b|pythonh[o]sted|\bnpmjs[.]|proxy[.]golang|(?<![\w.*<>{}\-])/(home|root|Users|work|t[m]p)/"
)
"""Hosts of package registries, and absolute paths of somebody's machine; written so that this file passes."""
TEXT = {".py", ".md", ".toml", ".txt", ".asn1", ".go", ".json", ".cfg", ""}
ROOT_FILES = ("Makefile", ".importlinter", ".gitignore", ".ci/run", "pyproject.toml", "README.md", "CHANGELOG.md")


def sources(*folders: str) -> list[Path]:
    """The Python files of these folders."""
    found = [path for folder in folders for path in sorted((REPOSITORY / folder).rglob("*.py"))]
    return [path for path in found if "__pycache__" not in path.parts and "out" not in path.parts]


def texts() -> Iterator[tuple[str, str]]:
    """Every text file of the repository, by name."""
    folders = (*PACKAGES, "tests", "docs")
    inside = [path for folder in folders for path in sorted((REPOSITORY / folder).rglob("*")) if path.is_file()]
    roots = [REPOSITORY / name for name in ROOT_FILES] + sorted(REPOSITORY.glob("requirements*.txt"))
    for path in (*roots, *inside):
        if path.suffix in TEXT and "__pycache__" not in path.parts and "out" not in path.parts and path.exists():
            yield path.relative_to(REPOSITORY).as_posix(), path.read_text(encoding="utf-8")


def found(pattern: re.Pattern[str]) -> list[str]:
    """Where a pattern stands: file, line, match."""
    return [
        f"{name}:{number}: {match[0]}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), start=1)
        for match in pattern.finditer(line)
    ]


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    lengths = {
        path.relative_to(REPOSITORY).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in sources(*PACKAGES, "tests")
    }
    assert len(lengths) > 300
    assert {name: lines for name, lines in lengths.items() if lines > LONGER.get(name, (MAX_LINES, ""))[0]} == {}


def test_every_module_says_what_it_is() -> None:
    silent = [
        path.relative_to(REPOSITORY).as_posix()
        for path in sources(*PACKAGES, "tests/support", "tests/docs")
        if not (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").strip()
    ]
    assert silent == []


def test_a_package_says_what_it_is_and_does_nothing() -> None:
    doing = [
        path.relative_to(REPOSITORY).as_posix()
        for path in sources(*PACKAGES)
        if path.name == "__init__.py" and len(ast.parse(path.read_text(encoding="utf-8")).body) != 1
    ]
    assert doing == []


def test_nothing_that_verifies_answers_with_a_bool() -> None:
    """A bool can be ignored; a value or an error cannot."""
    bools = [
        f"{path.relative_to(REPOSITORY).as_posix()}:{node.lineno}: {node.name}"
        for path in sources(*PACKAGES)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and VERDICT.match(node.name)
        and isinstance(node.returns, ast.Name)
        and node.returns.id == "bool"
    ]
    assert bools == []


def test_nothing_is_left_for_later() -> None:
    assert found(UNDONE) == []


def test_no_stub_stands_where_something_should_be_done() -> None:
    stubs = [
        f"{path.relative_to(REPOSITORY).as_posix()}:{node.lineno}"
        for path in sources(*PACKAGES)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise) and "NotImplementedError" in ast.unparse(node)
    ]
    assert stubs == []


def test_no_file_names_a_registry_or_somebodys_machine() -> None:
    assert found(FOREIGN) == []


def test_no_test_is_skipped_for_good() -> None:
    assert found(re.compile(r"pytest[.]mark[.]skip\b(?!if)")) == []


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "manager", "misc"])
def test_no_module_is_named_after_nothing(name: str) -> None:
    assert [path.as_posix() for path in sources(*PACKAGES) if name in (path.stem, path.parent.name)] == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (UNDONE, "# " + "TO" + "DO: later"),
        (UNDONE, "# " + "X" * 3),
        (FOREIGN, "see /" + "home/somebody/x"),
        (FOREIGN, ".".join(("pypi", "org"))),
        (VERDICT, "verify_chain"),
        (VERDICT, "check"),
    ],
)
def test_the_patterns_find_what_they_are_for(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text) is not None


@pytest.mark.parametrize("name", ["checkpoint", "verified", "validation_time", "checked"])
def test_a_name_that_only_looks_like_a_verdict_is_none(name: str) -> None:
    assert VERDICT.search(name) is None

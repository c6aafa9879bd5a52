"""What the page about path validation counts is what the tables of differences hold."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support import vectors

PAGE = (vectors.REPOSITORY / "docs" / "standard" / "path-validation.md").read_text(encoding="utf-8")


def _table(name: str) -> dict[str, dict[str, Any]]:
    return tomllib.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))


def _row(suite: str) -> list[int]:
    """Cases; valid but refused; invalid but accepted by stage 1; invalid but accepted."""
    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| [{suite}]"))
    return [int(cell) for cell in row.strip("| ").split(" | ")[1:]]


def _cases(suite: str) -> int:
    read = [json.loads(path.read_text()) for path in vectors.files(suite, "*.json")]
    return sum(len(held["testcases"] if isinstance(held, dict) else held) for held in read)


def test_the_page_lists_every_group_of_pkits_with_its_number_of_cases_and_its_reason() -> None:
    section = PAGE.partition("### Valid by PKITS, refused here")[2].partition("###")[0]
    written = re.findall(r"^\| ([a-z-]+) \| (\d+) \| (.+) \| (.+) \|$", section, re.MULTILINE)
    groups = _table("pkits_differences.toml")
    held = {name: sum(len(names) for names in group["refused"].values()) for name, group in groups.items()}
    assert [(name, int(count), why, never) for name, count, why, never in written] == [
        (name, count, groups[name]["why"], groups[name]["never"]) for name, count in held.items()
    ]
    assert _row("PKITS")[1:] == [sum(held.values()), 0, 0]


def test_the_page_counts_the_differences_from_limbo() -> None:
    differences = _table("x509_limbo_differences.toml")
    assert _row("x509-limbo")[1:] == [len(differences["refused"]), len(differences["accepted"]), 0]


@pytest.mark.parametrize(("suite", "folder"), [("PKITS", "pkits"), ("x509-limbo", "x509-limbo")])
def test_the_page_claims_no_more_cases_than_there_are(suite: str, folder: str) -> None:
    """More may be there: then they were judged too."""
    assert 0 < _row(suite)[0] <= _cases(folder)

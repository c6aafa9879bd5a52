"""Every attack on persons' data has a test that tries it."""

import re

from tests.support.pages import Page
from tests.support.vectors import REPOSITORY

PAGE = Page(REPOSITORY / "docs" / "security" / "privacy-attacks.md").text
ATTACKS = 40


def test_every_attack_has_a_row_and_every_row_names_tests_that_exist() -> None:
    rows = re.findall(r"^\| (A\d+) \| ([^|]+) \| ([^|]+) \| ([^|]*) \|$", PAGE, re.MULTILINE)
    assert [row[0] for row in rows] == [f"A{number}" for number in range(1, ATTACKS + 1)]
    written = {
        name
        for path in (REPOSITORY / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    for number, _, _, cell in rows:
        named = re.findall(r"`(test_\w+)`", cell)
        assert named, f"{number} names no test"
        assert sorted(set(named) - written) == [], number

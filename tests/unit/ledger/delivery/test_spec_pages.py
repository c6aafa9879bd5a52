"""The worked numbers of the specification are what the code computes."""

import doctest
import re

import pytest

from ledger.delivery.verdicts import congestion, droop, embedded, ffr, informative, limit, reserve, setpoint, v2h
from tests.support.vectors import REPOSITORY

SPEC = REPOSITORY / "docs" / "spec"


@pytest.mark.parametrize("page", ["delivery", "samples", "ocmf"])
def test_the_worked_numbers_of_the_page_are_ours(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    text = (SPEC / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```pycon\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    example = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, page, f"{page}.md", 0)
    assert len(example.examples) > 5
    said: list[str] = []
    results = doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert results.failed == 0, "".join(said)


def test_every_algorithm_is_defined_on_the_page() -> None:
    text = (SPEC / "delivery.md").read_text(encoding="utf-8")
    modules = (congestion, limit, ffr, setpoint, reserve, v2h, informative, embedded)
    for name in [*(module.ALGORITHM for module in modules), *droop.ALGORITHMS.values()]:
        assert f"`{name}`" in text

"""The worked numbers of the specification are what the code computes."""

import doctest
import json
import re
from typing import get_args

import msgspec
import pytest

from ledger.delivery import work
from ledger.delivery.baselines import BaselineInputs
from ledger.delivery.verdicts import congestion, droop, embedded, ffr, informative, limit, reserve, setpoint, v2h
from ledger.delivery.verdicts.outcome import Exclusion, Period
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


def test_every_member_of_a_result_and_of_a_baselines_inputs_is_on_the_page() -> None:
    text = (SPEC / "delivery.md").read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    names = set(re.findall(r"[a-z][a-z0-9_]*", " ".join(re.findall(r"`([^`]+)`", prose))))
    structs = (work.WorkResult, work.ParticipationResult, Period, Exclusion, *get_args(BaselineInputs))
    members = {field.name for one in structs for field in msgspec.structs.fields(one)}
    assert len(members) > 40
    assert members - names == set()


def test_the_figures_of_the_golden_result_are_those_of_the_page() -> None:
    text = (SPEC / "delivery.md").read_text(encoding="utf-8")
    row = re.search(r"^\| CONGESTION \|.*$", text, flags=re.MULTILINE)
    golden = json.loads((REPOSITORY / "tests/unit/ledger/delivery/golden.json").read_text(encoding="utf-8"))
    assert row is not None
    assert set(re.findall(r"`([a-z_]+)`", row[0])) == set(json.loads(golden["result"])["figures"])

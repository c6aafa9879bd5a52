"""Generalisation: every step is coarser than the one before, and every limit has two sides."""

from typing import Any

import msgspec
import pytest

from ledger.privacy import errors
from ledger.privacy.exports import anonymity
from ledger.privacy.exports.generalise import ANY, ENERGY_BANDS_WH, TIME_STEPS, generalise, levels
from ledger.privacy.exports.policy import Column, Hierarchy, UnlinkablePolicy
from tests.support.crowd import Fact, anonymised

AT_MS = 1_795_012_232_000
"""2026-11-18T14:30:32Z, a Wednesday."""
PLACES = {"E1": ("site 1", "zone 1", "DE"), "E2": ("site 2", "zone 1", "DE"), "E3": ("site 3",)}


def policy(*columns: Column, k: int = 2, share: int = 0) -> UnlinkablePolicy:
    return UnlinkablePolicy(version=1, columns=columns, k=k, max_suppressed_permille=share)


ENERGY = Column(name="energy", path="e", hierarchy=Hierarchy.ENERGY)


def people(*energies: int) -> list[Fact]:
    return [(bytes([number]) * 16, {"energy": energy}) for number, energy in enumerate(energies)]


@pytest.mark.parametrize(
    ("step", "shown"),
    [
        ("quarter-hour", "2026-11-18T14:30Z"),
        ("hour", "2026-11-18T14:00Z"),
        ("four-hours", "2026-11-18T12:00Z"),
        ("day", "2026-11-18"),
        ("week", "week of 2026-11-16"),
        ("month", "2026-11"),
        ("year", "2026"),
        ("any", ANY),
    ],
)
def test_times_become_coarser(step: str, shown: str) -> None:
    assert generalise(AT_MS, Hierarchy.TIME, TIME_STEPS.index(step), {}) == shown


@pytest.mark.parametrize("at_ms", [2**48, -(2**53), 2**53])
def test_a_time_that_no_calendar_has_says_nothing(at_ms: int) -> None:
    assert {generalise(at_ms, Hierarchy.TIME, level, {}) for level in range(len(TIME_STEPS))} == {ANY}


def test_energies_become_coarser_and_export_is_negative() -> None:
    shown = [generalise(11_500, Hierarchy.ENERGY, level, {}) for level in range(levels(Hierarchy.ENERGY, {}))]
    assert shown == ["11000..11999 Wh", "10000..14999 Wh", "10000..19999 Wh", "0..24999 Wh", "0..49999 Wh", ANY]
    assert generalise(-1, Hierarchy.ENERGY, 0, {}) == "-1000..-1 Wh"
    assert len(shown) == len(ENERGY_BANDS_WH) + 1


def test_places_become_coarser_and_unknown_ones_say_nothing() -> None:
    assert [generalise("E1", Hierarchy.PLACE, level, PLACES) for level in range(4)] == ["site 1", "zone 1", "DE", ANY]
    assert [generalise("E3", Hierarchy.PLACE, level, PLACES) for level in range(4)] == ["site 3", ANY, ANY, ANY]
    assert generalise("elsewhere", Hierarchy.PLACE, 0, PLACES) == ANY
    assert generalise(7, Hierarchy.PLACE, 0, PLACES) == ANY


@pytest.mark.parametrize("value", [None, "text", True, ["list"]])
def test_what_does_not_fit_its_hierarchy_says_nothing(value: Any) -> None:
    assert generalise(value, Hierarchy.TIME, 1, {}) == ANY
    assert generalise(value, Hierarchy.ENERGY, 1, {}) == ANY


def test_an_exact_column_is_text_or_a_number() -> None:
    assert generalise("IN", Hierarchy.EXACT, 0, {}) == "IN"
    assert generalise(["a"], Hierarchy.EXACT, 0, {}) == ANY


def test_the_least_loss_that_hides_everyone_is_taken() -> None:
    found = anonymised(people(10_100, 10_900, 20_100, 20_900), policy(ENERGY), {})
    assert found.levels == {"energy": 0}
    found = anonymised(people(10_100, 11_900, 20_100, 21_900), policy(ENERGY), {})
    assert found.levels == {"energy": 1}
    assert found.suppressed == 0


def test_small_groups_are_left_out_as_far_as_the_policy_allows() -> None:
    facts = people(*[10_100] * 9, 70_000)
    assert anonymised(facts, policy(ENERGY, share=100), {}).suppressed == 1
    found = anonymised(facts, policy(ENERGY, share=99), {})
    assert (found.suppressed, found.levels) == (0, {"energy": 5})


def test_many_rows_of_one_person_are_one_person() -> None:
    """A18."""
    facts = [(b"a" * 16, {"energy": 1})] * 50
    with pytest.raises(errors.AnonymityUnreachable):
        anonymised(facts, policy(ENERGY), {})
    with pytest.raises(errors.AnonymityUnreachable):
        anonymised([], policy(ENERGY), {})


def test_rows_and_combinations_have_a_greatest_number(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = people(1, 1, 1)
    monkeypatch.setattr(anonymity, "MAX_ROWS", 3)
    monkeypatch.setattr(anonymity, "MAX_NODES", 6)
    assert len(anonymised(facts, policy(ENERGY), {}).rows) == 3
    with pytest.raises(errors.ExportTooLarge):
        anonymised([*facts, *facts], policy(ENERGY), {})
    with pytest.raises(errors.ExportPolicyInvalid):
        anonymised(facts, policy(ENERGY, msgspec.structs.replace(ENERGY, name="other")), {})

"""Identifiers with check characters: published examples, and every single slip of the pen."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.records import identifiers

CONTRACT_IDS = (
    "NN123ABCDEFGHIT",
    "FRXYZ1234567892",
    "ITA1B2C3E4F5G64",
    "ESZU8WOX834H1DR",
    "PT73902837ABCZZ",
    "DE83DUIEN83QGZD",
    "DE83DUIEN83ZGQM",
    "DE8AA0012345670",
)
"""Published with the algorithm."""
ALNUM = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.mark.parametrize("text", [*CONTRACT_IDS, "DE-83D-UIEN83QGZ-D", "DE-8AA-001234567-0"])
def test_a_published_contract_id_is_one(text: str) -> None:
    identifiers.require_contract_id(text)


@pytest.mark.parametrize(
    ("require", "good"),
    [
        (identifiers.require_contract_id, "DE83DUIEN83QGZD"),
        (identifiers.require_eic, "10X1001A1001A450"),
        (identifiers.require_eic, "10X1001A1001A39W"),
        (identifiers.require_gsrn, "871685900012636543"),
    ],
)
def test_one_wrong_character_is_noticed_wherever_it_is(require: Callable[[str], None], good: str) -> None:
    require(good)
    for at, right in enumerate(good):
        for wrong in "0123456789" if good.isdigit() else ALNUM:
            if wrong != right:
                with pytest.raises(ValueError, match=r"^no"):
                    require(good[:at] + wrong + good[at + 1 :])


@pytest.mark.parametrize(
    ("require", "bad"),
    [
        (identifiers.require_contract_id, ""),
        (identifiers.require_contract_id, "DE83DUIEN83QGZ"),
        (identifiers.require_contract_id, "de83duien83qgzd"),
        (identifiers.require_contract_id, "DE83DUIEN83QGZD\n"),
        (identifiers.require_contract_id, "DE--83DUIEN83QGZD"),
        (identifiers.require_eic, "10X1001A1001A45"),
        (identifiers.require_eic, "10x1001a1001a450"),
        (identifiers.require_gsrn, "87168590001263654"),
        (identifiers.require_gsrn, "8716859000126365430"),
        (identifiers.require_gsrn, "٨71685900012636543"),
        (identifiers.require_currency, "EURO"),
        (identifiers.require_currency, "eur"),
        (identifiers.require_currency, "XXX"),
        (identifiers.require_currency, "DEM"),
    ],
)
def test_what_has_another_form_is_refused(require: Callable[[str], None], bad: str) -> None:
    with pytest.raises(ValueError, match=r"^no"):
        require(bad)


def test_currencies_are_codes() -> None:
    assert len(identifiers.CURRENCIES) == 154
    assert all(re.fullmatch("[A-Z]{3}", one) for one in identifiers.CURRENCIES)
    for one in ("EUR", "SEK", "GBP", "CHF"):
        identifiers.require_currency(one)


@given(st.text(ALNUM, min_size=14, max_size=14), st.integers(0, 12))
def test_two_neighbours_of_a_contract_id_that_changed_places_are_noticed(first: str, at: int) -> None:
    swapped = first[:at] + first[at + 1] + first[at] + first[at + 2 :]
    if swapped != first:
        assert identifiers.contract_check(swapped) != identifiers.contract_check(first)

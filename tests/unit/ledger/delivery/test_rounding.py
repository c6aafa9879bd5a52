import pytest

from ledger.delivery.errors import WorkRefused
from ledger.delivery.rounding import apportion, half_even, ppm, up


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [(1, 2, 0), (3, 2, 2), (5, 2, 2), (-1, 2, 0), (-3, 2, -2), (7, 3, 2), (8, 3, 3), (-7, 3, -2), (10, 5, 2)],
)
def test_a_tie_goes_to_the_even_neighbour(numerator: int, denominator: int, expected: int) -> None:
    assert half_even(numerator, denominator) == expected


def test_rounding_up_never_goes_below_the_ratio() -> None:
    assert (up(7, 3), up(6, 3), up(-7, 3)) == (3, 2, -2)


def test_a_score_is_rounded_down_and_stays_between_nothing_and_all() -> None:
    assert (ppm(2, 3), ppm(4, 3), ppm(-1, 3)) == (666_666, 1_000_000, 0)


def test_shares_add_up_exactly_and_the_largest_remainders_get_the_rest() -> None:
    assert apportion(100, [1, 1, 1]) == (34, 33, 33)
    assert apportion(10, [1, 2, 3]) == (2, 3, 5)
    assert apportion(-100, [1, 1, 1]) == (-34, -33, -33)


def test_weights_of_nothing_count_as_equal_ones() -> None:
    assert apportion(5, [0, 0]) == (3, 2)


@pytest.mark.parametrize("weights", [[], [1, -1]])
def test_no_weights_or_negative_ones_are_refused(weights: list[int]) -> None:
    with pytest.raises(WorkRefused) as caught:
        apportion(1, weights)
    assert caught.value.code == "ledger/work-inputs"

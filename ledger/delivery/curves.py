"""Piecewise-linear curves over integers, exact: straight between corners, flat beyond the ends."""

import itertools
from collections.abc import Sequence

import msgspec

from ledger.delivery.errors import BaselineRefused

MAX_CURVE_POINTS = 20
MAX_VALUE = 1_000_000_000


class Corner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One corner; x and y are in the units that the curve's user names."""

    x: int
    y: int


def require(corners: Sequence[Corner]) -> None:
    """Raises BaselineRefused unless 2 to 20 corners with rising x, and y within +-10^9."""
    if not 2 <= len(corners) <= MAX_CURVE_POINTS:
        raise BaselineRefused("number of curve points", expected=f"2..{MAX_CURVE_POINTS}", found=len(corners))
    if any(later.x <= earlier.x for earlier, later in itertools.pairwise(corners)):
        raise BaselineRefused("x of the curve does not rise")
    for corner in corners:
        if abs(corner.y) > MAX_VALUE:
            raise BaselineRefused("a value beyond the limit", expected=f"|y| <= {MAX_VALUE}", found=corner.y)


def ratio(corners: Sequence[Corner], base: int, x: int, x_over: int) -> tuple[int, int]:
    """`base` + the curve at `x / x_over`, exact, as (numerator, denominator > 0)."""
    if x <= corners[0].x * x_over:
        return base + corners[0].y, 1
    if x >= corners[-1].x * x_over:
        return base + corners[-1].y, 1
    place = next(place for place, corner in enumerate(corners) if x <= corner.x * x_over)
    left, right = corners[place - 1], corners[place]
    run = (right.x - left.x) * x_over
    rise = (right.y - left.y) * (x - left.x * x_over)
    return (base + left.y) * run + rise, run

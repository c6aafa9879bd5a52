"""Exact division with one rounding rule, so that everyone gets the same integer."""

from collections.abc import Sequence

from ledger.delivery.errors import WorkRefused

PPM = 1_000_000


def half_even(numerator: int, denominator: int) -> int:
    """`numerator / denominator` to the nearest integer, a tie to the even one. `denominator` > 0."""
    quotient, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1):
        return quotient + 1
    return quotient


def up(numerator: int, denominator: int) -> int:
    """The smallest integer that is not below `numerator / denominator`. `denominator` > 0."""
    return -(-numerator // denominator)


def ppm(part: int, whole: int) -> int:
    """`part / whole` in parts per million, rounded down and kept within 0 and 1,000,000: never flattering."""
    return max(0, min(PPM, part * PPM // whole))


def apportion(total: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Share `total` by `weights` so that the shares add up exactly.

    Largest remainder: each share is first rounded towards zero, then what is left goes, one by one, to the largest
    remainders; a tie goes to the earlier place. All-zero weights count as equal ones.

    Raises WorkRefused for no weights or a negative one.
    """
    if not weights or min(weights) < 0:
        raise WorkRefused("cannot share by these weights", expected="one or more weights >= 0")
    if sum(weights) == 0:
        weights = [1] * len(weights)
    whole, sign = sum(weights), -1 if total < 0 else 1
    parts = [divmod(abs(total) * weight, whole) for weight in weights]
    left = abs(total) - sum(share for share, _ in parts)
    order = sorted(range(len(parts)), key=lambda place: (-parts[place][1], place))
    lucky = set(order[:left])
    return tuple(sign * (share + (place in lucky)) for place, (share, _) in enumerate(parts))

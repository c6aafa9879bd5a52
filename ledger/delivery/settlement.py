"""What a score is worth: pay and penalty per interval in micro currency, exact until one rounding per line."""

from collections.abc import Sequence

import msgspec

from ledger.delivery.errors import WorkRefused
from ledger.delivery.rounding import half_even
from ledger.delivery.verdicts.outcome import Period

WATT_MS_PER_KWH = 3_600_000_000
WATT_MS_PER_MILLIWH = 3_600
MAX_PRICE_MICRO = 2**40
MAX_LINES = 2_976


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices per kWh in 1e-6 of the currency: 0.30 EUR/kWh is 300,000."""

    price_micro_per_kwh: int
    penalty_micro_per_kwh: int
    currency: str
    availability_micro_per_kw_h: int = 0
    """For each kW that was ordered and not missing, for an hour, whatever energy it delivered."""


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One interval."""

    start_at_ms: int
    duration_ms: int
    delivered_milliwh: int
    deficiency_milliwh: int
    pay_micro: int
    penalty_micro: int
    net_micro: int
    availability_micro: int = 0


class Settlement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lines and their sums; a sum is always the sum of its rounded lines."""

    currency: str
    lines: tuple[Line, ...]
    delivered_milliwh: int
    deficiency_milliwh: int
    pay_micro: int
    penalty_micro: int
    net_micro: int
    availability_micro: int = 0


def settle(periods: Sequence[Period], terms: Terms) -> Settlement:
    """One line per period: price x delivered energy - penalty x deficient energy + availability.

    Raises WorkRefused.
    """
    for price in (terms.price_micro_per_kwh, terms.penalty_micro_per_kwh, terms.availability_micro_per_kw_h):
        if not 0 <= price <= MAX_PRICE_MICRO:
            raise WorkRefused("a price out of range", expected=f"0..{MAX_PRICE_MICRO} micro", found=price)
    if not (len(terms.currency) == 3 and terms.currency.isascii() and terms.currency.isupper()):
        raise WorkRefused("a currency", expected="three letters of ISO 4217", found=terms.currency[:8])
    if len(periods) > MAX_LINES:
        raise WorkRefused("too many periods", expected=f"at most {MAX_LINES}", found=len(periods))
    lines = tuple(_line(period, terms) for period in periods)
    return Settlement(
        currency=terms.currency,
        lines=lines,
        delivered_milliwh=sum(line.delivered_milliwh for line in lines),
        deficiency_milliwh=sum(line.deficiency_milliwh for line in lines),
        pay_micro=sum(line.pay_micro for line in lines),
        penalty_micro=sum(line.penalty_micro for line in lines),
        net_micro=sum(line.net_micro for line in lines),
        availability_micro=sum(line.availability_micro for line in lines),
    )


def _line(period: Period, terms: Terms) -> Line:
    delivered = period.delivered_w * period.duration_ms
    deficient = period.deficiency_w * period.duration_ms
    pay = half_even(delivered * terms.price_micro_per_kwh, WATT_MS_PER_KWH)
    penalty = half_even(deficient * terms.penalty_micro_per_kwh, WATT_MS_PER_KWH)
    # A kW for an hour is as many W ms as a kWh. What was excused was not ordered; what is missing did not stand by.
    stood_by_w = max(0, period.ordered_w - period.deficiency_w)
    availability = half_even(stood_by_w * period.duration_ms * terms.availability_micro_per_kw_h, WATT_MS_PER_KWH)
    return Line(
        start_at_ms=period.start_at_ms,
        duration_ms=period.duration_ms,
        delivered_milliwh=half_even(delivered, WATT_MS_PER_MILLIWH),
        deficiency_milliwh=half_even(deficient, WATT_MS_PER_MILLIWH),
        pay_micro=pay,
        penalty_micro=penalty,
        net_micro=pay - penalty + availability,
        availability_micro=availability,
    )

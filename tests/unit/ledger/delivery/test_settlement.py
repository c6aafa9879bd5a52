import pytest

from ledger.delivery import settlement
from ledger.delivery.errors import WorkRefused
from ledger.delivery.settlement import Terms
from ledger.delivery.verdicts import congestion
from ledger.delivery.verdicts.congestion import Actual
from ledger.delivery.verdicts.outcome import Period

START = 1_768_921_200_000
MICRO = 1_000_000


def periods(
    baseline: tuple[int, ...], ordered: tuple[int, ...], actual: tuple[int, ...], isp_ms: int
) -> tuple[Period, ...]:
    return congestion.score(
        start_at_ms=START,
        isp_ms=isp_ms,
        baseline_w=baseline,
        ordered_w=ordered,
        actual=[Actual(power_w=power) for power in actual],
        terms=congestion.Terms(),
    ).periods


def test_the_demo_days_order_is_worth_9_75_eur() -> None:
    rows = periods((88_113, 88_700, 87_801, 85_853), (40_000,) * 4, (51_313, 47_800, 44_301, 54_653), 900_000)
    settled = settlement.settle(rows, Terms(price_micro_per_kwh=300_000, penalty_micro_per_kwh=450_000, currency="EUR"))
    assert [line.pay_micro for line in settled.lines] == [2_760_000, 3_000_000, 3_000_000, 2_340_000]
    assert [line.penalty_micro for line in settled.lines] == [360_000, 0, 0, 990_000]
    assert (settled.pay_micro, settled.penalty_micro, settled.net_micro) == (11_100_000, 1_350_000, 9_750_000)
    assert (settled.delivered_milliwh, settled.deficiency_milliwh) == (37_000_000, 3_000_000)


@pytest.mark.parametrize(("allocation_mw", "net"), [(7, 14), (8, 14), (9, -4), (10, -22), (11, -33)])
def test_shapeshifters_table(allocation_mw: int, net: int) -> None:
    rows = periods((10 * MICRO,), (2 * MICRO,), (allocation_mw * MICRO,), 3_600_000)
    # 7 and 11 EUR per MWh.
    settled = settlement.settle(rows, Terms(price_micro_per_kwh=7_000, penalty_micro_per_kwh=11_000, currency="EUR"))
    assert settled.net_micro == net * MICRO


def test_a_sum_is_the_sum_of_its_rounded_lines() -> None:
    rows = periods((10, 10, 10), (1, 1, 1), (9, 9, 9), 1_800_000)
    settled = settlement.settle(rows, Terms(price_micro_per_kwh=1_000, penalty_micro_per_kwh=0, currency="EUR"))
    # Half a micro each: three times rounded to the even neighbour, 0.
    assert [line.pay_micro for line in settled.lines] == [0, 0, 0]
    assert settled.pay_micro == 0


def test_what_stood_by_is_paid_beside_what_was_delivered_and_what_is_missing_is_not() -> None:
    rows = periods((10_000,) * 2, (4_000,) * 2, (6_000, 9_000), 1_800_000)
    terms = Terms(
        price_micro_per_kwh=100_000, penalty_micro_per_kwh=0, currency="EUR", availability_micro_per_kw_h=50_000
    )
    settled = settlement.settle(rows, terms)
    # Half an hour each: 4 kW stood by, then 1 kW; 2 kWh and 0.5 kWh were delivered.
    assert [line.availability_micro for line in settled.lines] == [100_000, 25_000]
    assert (settled.pay_micro, settled.availability_micro, settled.net_micro) == (250_000, 125_000, 375_000)


def test_no_periods_are_worth_nothing() -> None:
    settled = settlement.settle((), Terms(price_micro_per_kwh=1, penalty_micro_per_kwh=1, currency="EUR"))
    assert settled.net_micro == 0


@pytest.mark.parametrize(
    "terms",
    [
        Terms(price_micro_per_kwh=-1, penalty_micro_per_kwh=0, currency="EUR"),
        Terms(price_micro_per_kwh=0, penalty_micro_per_kwh=0, currency="EUR", availability_micro_per_kw_h=-1),
        Terms(price_micro_per_kwh=2**40 + 1, penalty_micro_per_kwh=0, currency="EUR"),
        Terms(price_micro_per_kwh=0, penalty_micro_per_kwh=-1, currency="EUR"),
        Terms(price_micro_per_kwh=0, penalty_micro_per_kwh=0, currency="eur"),
        Terms(price_micro_per_kwh=0, penalty_micro_per_kwh=0, currency="EURO"),
    ],
)
def test_prices_and_currencies_out_of_range_are_refused(terms: Terms) -> None:
    with pytest.raises(WorkRefused):
        settlement.settle((), terms)


def test_too_many_periods_are_refused() -> None:
    row = periods((1,), (1,), (0,), 900_000)
    terms = Terms(price_micro_per_kwh=2**40, penalty_micro_per_kwh=0, currency="EUR")
    assert len(settlement.settle(row * 2_976, terms).lines) == 2_976
    with pytest.raises(WorkRefused):
        settlement.settle(row * 2_977, terms)

"""Services of reactive power: what is offered is var, an inverter follows one curve, and curves rise."""

import msgspec
import pytest

from ledger.records.requests import Answer, Offer
from ledger.records.services import (
    Params,
    PriceStep,
    Service,
    V2hParams,
    VoltVarParams,
    VoltVarPoint,
    VoltWattParams,
    VoltWattPoint,
    WattVarParams,
    WattVarPoint,
)
from ledger.rules import orders
from tests.support.parameters import at
from tests.support.rulebook import AURORA, EVSES, NORTHGATE, TERMS, Judge, answer, check, refused, request, tag


def volt_var(*corners: tuple[int, int]) -> VoltVarParams:
    points = corners or ((9_300, -4_800), (9_700, 0), (10_300, 0), (10_700, 4_000))
    return VoltVarParams(
        points=tuple(VoltVarPoint(volt_centipct=volt, power_var=var) for volt, var in points),
        reference_millivolt=230_000,
        response_time_ms=10_000,
        tolerance_var=200,
    )


def ready(*, max_var: int = 10_000) -> Judge:
    """Two requests for Q(U) that overlap, each checked, at 15:01."""
    judge = Judge()
    judge.site()
    terms = msgspec.structs.replace(TERMS, service=Service.VOLT_VAR, max_w=0, max_var=max_var)
    judge.contract(services=(terms,))
    judge.now_ms = at("15:01")
    for number in (1, 2):
        judge.admit(request(f"fsr-{number}", params=volt_var()), AURORA)
        what = check(f"chk-{number}", f"fsr-{number}", names=(f"p-{number}",), now_ms=judge.now_ms)
        judge.admit(msgspec.structs.replace(what, service=Service.VOLT_VAR), NORTHGATE)
    return judge


def offered(number: int, **powers: int) -> tuple[Offer, ...]:
    return (Offer(participation=f"p-{number}", fsc_id="fsc-1", **({"offered_w": 0} | powers)),)


def said(judge: Judge, number: int, evse: str = EVSES[0], *, admits: bool = False, **powers: int) -> None:
    what = answer(f"fsr-{number}", check_id=f"chk-{number}", offers=offered(number, **powers), answer=Answer.ACCEPTED)
    (judge.admit if admits else judge.try_it)(what, NORTHGATE, tags={f"p-{number}": tag(evse)})


def test_reactive_power_is_offered_in_var_and_nothing_else() -> None:
    judge = ready()
    said(judge, 1, offered_var=4_800)
    for powers in ({"offered_w": 4_800}, {"offered_w": 1, "offered_var": 4_800}, {"offered_var": 0}):
        with refused("answer-inconsistent"):
            said(judge, 1, **powers)


def test_active_power_is_not_offered_in_var() -> None:
    judge = Judge()
    judge.ready(1)
    what = answer(names=("p-1",), answer=Answer.PARTIAL)
    judge.try_it(what, NORTHGATE, tags={"p-1": tag(EVSES[0])})
    mixed = msgspec.structs.replace(what, offers=(msgspec.structs.replace(what.offers[0], offered_var=1),))
    with refused("answer-inconsistent"):
        judge.try_it(mixed, NORTHGATE, tags={"p-1": tag(EVSES[0])})


def test_a_contract_bounds_reactive_power_in_var() -> None:
    judge = ready(max_var=4_800)
    said(judge, 1, offered_var=4_800)
    with refused("contract-limit"):
        said(judge, 1, offered_var=4_801)


def test_an_inverter_follows_one_curve_of_reactive_power_at_a_time() -> None:
    judge = ready()
    said(judge, 1, offered_var=4_800, admits=True)
    said(judge, 2, EVSES[1], offered_var=1)
    with refused("double-selling"):
        said(judge, 2, offered_var=1)


@pytest.mark.parametrize(
    "params",
    [
        volt_var((9_700, 0), (9_700, 1)),
        VoltWattParams(
            points=tuple(VoltWattPoint(volt_centipct=volt, power_w=0) for volt in (9_500, 9_000)),
            reference_millivolt=230_000,
            response_time_ms=10_000,
            tolerance_w=200,
        ),
        WattVarParams(
            points=tuple(WattVarPoint(power_w=power, power_var=0) for power in (0, -1)),
            response_time_ms=10_000,
            tolerance_var=200,
        ),
    ],
)
def test_a_curve_of_an_inverter_rises(params: Params) -> None:
    judge = Judge()
    judge.site()
    judge.contract()
    judge.now_ms = at("15:00")
    with refused("curve-unordered"):
        judge.try_it(request(params=params), AURORA)


def test_a_house_has_prices_for_its_whole_window_of_one_length() -> None:
    judge = Judge()
    judge.site()
    judge.contract()
    judge.now_ms = at("15:00")
    for lengths in ((1_200_000, 2_400_000), (1_800_000, 1_700_000)):
        prices = (
            PriceStep(start_at_ms=at("17:00"), duration_ms=lengths[0], import_micro_per_kwh=1),
            PriceStep(start_at_ms=at("17:00") + lengths[0], duration_ms=lengths[1], import_micro_per_kwh=2),
        )
        home = V2hParams(
            tariff_ref="T-1", currency="EUR", series=prices, reserve_soc_permille=300, energy_budget_wh=5_000
        )
        with refused("series-outside"):
            judge.try_it(request(params=home), AURORA)


def test_what_is_asked_of_one_inverter_is_its_largest_corner_either_way() -> None:
    assert orders.most_var(volt_var()) == 4_800
    assert orders.is_reactive(volt_var())

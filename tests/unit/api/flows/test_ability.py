"""What a station says of itself, for each class of service."""

import pytest

from api.execution.port import Capabilities
from api.execution.simulator.plant import CURVES, MODES
from api.flows.ability import Ability, ability
from ledger.records.services import Service

EVERYTHING = Capabilities(modes=MODES, curves=CURVES)


@pytest.mark.parametrize("service", Service)
def test_a_station_that_can_do_everything_is_able_and_one_that_can_do_nothing_is_not(service: Service) -> None:
    assert ability(service, EVERYTHING) is Ability.ABLE
    assert ability(service, Capabilities(modes=frozenset(), curves=frozenset())) is Ability.UNABLE


@pytest.mark.parametrize("service", Service)
def test_silence_is_not_inability(service: Service) -> None:
    assert ability(service, None) is Ability.UNKNOWN


def test_what_the_standard_demands_of_every_v2x_station_is_no_local_frequency() -> None:
    least = Capabilities(modes=frozenset({"ChargingOnly", "CentralSetpoint", "CentralFrequency"}), curves=frozenset())
    able = {service for service in Service if ability(service, least) is Ability.ABLE}
    assert able == {Service.CONGESTION, Service.LIMIT_MANDATORY, Service.PRICE, Service.SETPOINT, Service.RESERVE}

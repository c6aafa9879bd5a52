"""What a station measures, in our units and signs; what is out of range or in a unit of something else is dropped."""

import msgspec
import pytest

from api.execution.ocpp import datatypes as t
from api.execution.ocpp.readings import Dropped, read_meter_values
from api.execution.port import EvseAddress, SampleReading

EVSE = EvseAddress(station_id="CS-1", evse_id=1)


def _value(measurand: str, value: float, **more: object) -> dict[str, object]:
    return {"measurand": measurand, "value": value, **more}


@pytest.mark.parametrize(
    ("sampled", "found"),
    [
        ([_value("Voltage", 229.5)], {"voltage_millivolt": 229_500}),
        (
            [_value("Voltage", volt, phase=phase) for volt, phase in ((229, "L1-N"), (230, "L2-N"), (232, "L3-N"))],
            {"voltage_millivolt": 230_333},
        ),
        # Between two phases it is another voltage.
        ([_value("Voltage", 400, phase="L1-L2")], {"voltage_millivolt": None}),
        ([_value("Voltage", -1)], {"voltage_millivolt": None}),
        ([_value("Power.Reactive.Import", 1.2, unitOfMeasure={"unit": "kvar"})], {"reactive_var": 1_200}),
        ([_value("Power.Reactive.Export", 1_200)], {"reactive_var": -1_200}),
        ([_value("Power.Reactive.Export", 1_200, unitOfMeasure={"unit": "W"})], {"reactive_var": None}),
        ([_value("Power.Active.Export", 700, location="Upstream")], {"upstream_w": -700}),
        ([_value("SoC", 64.5)], {"soc_permille": 645}),
        ([_value("SoC", 100.1)], {"soc_permille": None}),
        ([_value("Frequency", -50)], {"freq_millihertz": None}),
    ],
)
def test_what_a_station_measures_beside_power_is_read_in_our_units(
    sampled: list[dict[str, object]], found: dict[str, int | None]
) -> None:
    power = _value("Power.Active.Export", 500)
    value = msgspec.convert({"timestamp": "2026-01-20T15:00:00Z", "sampledValue": [power, *sampled]}, t.MeterValue)
    dropped = Dropped()
    (reading,) = read_meter_values(EVSE, (value,), received_at_ms=0, dropped=dropped)
    assert isinstance(reading, SampleReading)
    assert {name: getattr(reading, name) for name in found} == found
    # The connection of the building is never taken for the EVSE's own power.
    assert reading.power_w == -500
    # What was said and cannot be used is counted; a voltage between two phases is nothing of ours.
    is_ours = sampled[0].get("phase") != "L1-L2"
    assert dropped.values == (1 if None in found.values() and is_ours else 0)

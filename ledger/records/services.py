"""The flexibility-service classes and their parameters, as one tagged union (docs/reference/services.md).

A class stands here only when all six of its sides exist: bounds, what the CS and the EV must be able to do, timing,
resolution of evidence, verdict function, OCPP 2.1 mapping.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from ledger.records import identifiers
from ledger.records.fields import (
    CapacityVar,
    CapacityW,
    Currency,
    DurationMs,
    FreqMillihertz,
    Ms,
    Permille,
    PowerVar,
    PowerW,
    Ppm,
    VoltCentipct,
)
from ledger.records.record import Value


class Service(StrEnum):
    """The classes that this version understands."""

    SETPOINT = "SETPOINT"
    DROOP = "DROOP"
    VOLT_WATT = "VOLT_WATT"
    VOLT_VAR = "VOLT_VAR"
    WATT_VAR = "WATT_VAR"
    PRICE = "PRICE"
    FFR = "FFR"
    RESERVE = "RESERVE"
    V2H = "V2H"
    CONGESTION = "CONGESTION"
    LIMIT_MANDATORY = "LIMIT_MANDATORY"


PriceMicro = Annotated[int, msgspec.Meta(ge=-(2**40), le=2**40)]
"""Millionths of the currency for a kWh."""


class Direction(StrEnum):
    """UP: less import or more export. DOWN: more import or less export."""

    UP = "UP"
    DOWN = "DOWN"


class SetpointStep(Value, frozen=True, kw_only=True):
    """One step of a schedule."""

    start_at_ms: Ms
    duration_ms: DurationMs
    power_w: PowerW


class SetpointParams(Value, frozen=True, kw_only=True, tag_field="class", tag="SETPOINT"):
    """Follow a power value; the moving part comes as setpoint batches."""

    series: Annotated[tuple[SetpointStep, ...], msgspec.Meta(min_length=1, max_length=3600)]
    ramp_w_per_s: Annotated[int, msgspec.Meta(ge=1, le=10**7)]
    update_interval_s: Annotated[int, msgspec.Meta(ge=1, le=60)]


class CurvePoint(Value, frozen=True, kw_only=True):
    """A corner of a piecewise linear curve."""

    freq_millihertz: FreqMillihertz
    power_w: PowerW


class DroopParams(Value, frozen=True, kw_only=True, tag_field="class", tag="DROOP"):
    """Follow P(f): power relative to `base_w` for each EVSE, as a function of the frequency measured at the EVSE."""

    points: Annotated[tuple[CurvePoint, ...], msgspec.Meta(min_length=2, max_length=20)]
    response_time_ms: Annotated[int, msgspec.Meta(ge=10, le=60_000)]
    base_w: PowerW
    tolerance_w: CapacityW


CURVE_CORNERS = msgspec.Meta(min_length=2, max_length=10)
"""As many as a DER curve of OCPP 2.1 has."""
CurveResponseMs = Annotated[int, msgspec.Meta(ge=1_000, le=600_000)]
"""Time to 90 % of a change. EN 50549-1 lets Q(U) be set from 3 s to 60 s; ten minutes are slower than any use."""
ReferenceMillivolt = Annotated[int, msgspec.Meta(ge=1_000, le=100_000_000)]
"""The reference voltage between phase and neutral, such as 230,000."""


class VoltWattPoint(Value, frozen=True, kw_only=True):
    """A corner of P(U)."""

    volt_centipct: VoltCentipct
    power_w: PowerW


class VoltWattParams(Value, frozen=True, kw_only=True, tag_field="class", tag="VOLT_WATT"):
    """Follow P(U): the power of each EVSE as a function of the voltage measured at it."""

    points: Annotated[tuple[VoltWattPoint, ...], CURVE_CORNERS]
    reference_millivolt: ReferenceMillivolt
    response_time_ms: CurveResponseMs
    tolerance_w: CapacityW


class VoltVarPoint(Value, frozen=True, kw_only=True):
    """A corner of Q(U)."""

    volt_centipct: VoltCentipct
    power_var: PowerVar


class VoltVarParams(Value, frozen=True, kw_only=True, tag_field="class", tag="VOLT_VAR"):
    """Follow Q(U): the reactive power of each EVSE, > 0 absorbed, as a function of the voltage measured at it."""

    points: Annotated[tuple[VoltVarPoint, ...], CURVE_CORNERS]
    reference_millivolt: ReferenceMillivolt
    response_time_ms: CurveResponseMs
    tolerance_var: CapacityVar


class WattVarPoint(Value, frozen=True, kw_only=True):
    """A corner of Q(P)."""

    power_w: PowerW
    power_var: PowerVar


class WattVarParams(Value, frozen=True, kw_only=True, tag_field="class", tag="WATT_VAR"):
    """Follow Q(P): the reactive power of each EVSE, > 0 absorbed, as a function of its own power."""

    points: Annotated[tuple[WattVarPoint, ...], CURVE_CORNERS]
    response_time_ms: CurveResponseMs
    tolerance_var: CapacityVar


class PriceStep(Value, frozen=True, kw_only=True):
    """One published price: for a kWh of import and, where it is paid, of export; it may be negative."""

    start_at_ms: Ms
    duration_ms: DurationMs
    import_micro_per_kwh: PriceMicro
    export_micro_per_kwh: PriceMicro = 0


class PriceParams(Value, frozen=True, kw_only=True, tag_field="class", tag="PRICE"):
    """React to a published price; nothing is owed, the reaction is measured against a baseline."""

    tariff_ref: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{3,64}$(?!\n)")]
    currency: Currency
    series: Annotated[tuple[PriceStep, ...], msgspec.Meta(min_length=1, max_length=96)]
    floor_w_per_evse: CapacityW = 0
    """What each EVSE keeps even at the dearest price."""

    def __post_init__(self) -> None:
        """Raises `ValueError` for a currency that there is not."""
        identifiers.require_currency(self.currency)


class FfrParams(Value, frozen=True, kw_only=True, tag_field="class", tag="FFR"):
    """Fast frequency response: full power within `t_full_ms` of the trigger, held for `support_ms`."""

    f_trigger_millihertz: FreqMillihertz
    t_full_ms: Annotated[int, msgspec.Meta(ge=100, le=30_000)]
    support_ms: Annotated[int, msgspec.Meta(ge=1_000, le=600_000)]
    release_ppm_per_s: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    capacity_w: Annotated[int, msgspec.Meta(ge=1, le=10**9)]
    max_over_ppm: Ppm
    direction: Direction
    base_w: PowerW = 0
    """What each EVSE holds while it is armed and the frequency is quiet."""


class ReserveParams(Value, frozen=True, kw_only=True, tag_field="class", tag="RESERVE"):
    """Tertiary reserve that is activated: `capacity_w` off the baseline, from `full_ms` after the start to the end."""

    capacity_w: Annotated[int, msgspec.Meta(ge=1, le=10**9)]
    direction: Direction
    full_ms: Annotated[int, msgspec.Meta(ge=0, le=3_600_000)]
    interval_ms: Annotated[int, msgspec.Meta(ge=1_000, le=3_600_000)]
    """The window is judged in means of this; it is whole intervals, and the baseline has a value for each."""
    energy_budget_wh: Annotated[int, msgspec.Meta(ge=0, le=10**9)]
    """The most that each EVSE may export: beyond it the order was filled at the cost of a battery's owner."""


class V2hParams(Value, frozen=True, kw_only=True, tag_field="class", tag="V2H"):
    """Vehicle to home at a dynamic price: in dear periods the cars carry the house, in cheap ones they charge.

    Dear is above the time-weighted mean of `import_micro_per_kwh`. The house exports at most `max_export_w`; each
    battery keeps `reserve_soc_permille` and gives at most `energy_budget_wh`.
    """

    tariff_ref: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{3,64}$(?!\n)")]
    currency: Currency
    series: Annotated[tuple[PriceStep, ...], msgspec.Meta(min_length=1, max_length=96)]
    reserve_soc_permille: Permille
    energy_budget_wh: Annotated[int, msgspec.Meta(ge=1, le=10**9)]
    target_import_w: CapacityW = 0
    """What the house still draws from the grid in dear periods."""
    max_export_w: CapacityW = 0
    """What counts as no export, at the house's grid connection: a meter's noise is not a breach."""

    def __post_init__(self) -> None:
        """Raises `ValueError` for a currency that there is not."""
        identifiers.require_currency(self.currency)


class CongestionStep(Value, frozen=True, kw_only=True):
    """One settlement period: how much less (UP) or more (DOWN) than the baseline."""

    start_at_ms: Ms
    duration_ms: DurationMs
    ordered_w: CapacityW


class CongestionParams(Value, frozen=True, kw_only=True, tag_field="class", tag="CONGESTION"):
    """Relieve a congestion point against a baseline."""

    congestion_point: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{3,64}$(?!\n)")]
    direction: Direction
    series: Annotated[tuple[CongestionStep, ...], msgspec.Meta(min_length=1, max_length=96)]


class LimitMandatoryParams(Value, frozen=True, kw_only=True, tag_field="class", tag="LIMIT_MANDATORY"):
    """Keep the site's import at or below a cap, on a grid operator's directive."""

    import_cap_w: CapacityW
    floor_w_per_evse: CapacityW
    t_comply_ms: Annotated[int, msgspec.Meta(ge=0, le=3_600_000)]


CurveParams = VoltWattParams | VoltVarParams | WattVarParams
"""Curves of an inverter over voltage or power; P(f), which is a profile of its own, is `DroopParams`."""

Params = (
    SetpointParams
    | DroopParams
    | VoltWattParams
    | VoltVarParams
    | WattVarParams
    | PriceParams
    | FfrParams
    | ReserveParams
    | V2hParams
    | CongestionParams
    | LimitMandatoryParams
)


def service_of(params: Params) -> Service:
    """The class that these parameters belong to."""
    return Service(str(type(params).__struct_config__.tag))

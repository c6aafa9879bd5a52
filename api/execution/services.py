"""What an accepted request asks of a group of EVSEs, and what that makes each EVSE do: plain values.

A service says what the group owes; an instruction says what one EVSE has to do. Everything is in the load convention
(W > 0 import) and integers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from api.execution.port import ControlPoint, DerCurve, EvseAddress, FrequencyPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """One participation that is in: the EVSE, what it can do, and how much of the service it offered."""

    ref: str
    evse: EvseAddress
    max_charge_w: int
    max_discharge_w: int = 0
    min_charge_w: int = 0
    offered_w: int = 0
    max_inject_var: int = 0
    max_absorb_var: int = 0
    starts_at_ms: int = 0
    """It is told nothing before; what would have held then it is told at that moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value that holds from `start_at_ms` for `duration_ms`; what the value means is said by its user."""

    start_at_ms: int
    duration_ms: int
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetpointService:
    """Hold the group's total power at each interval's W, split in proportion to what the EVSEs can do.

    With `by_offer` it is split as they offered, the way in which each of them is judged; who offered more than it can
    do does what it can.
    """

    series: tuple[Interval, ...]
    by_offer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CongestionService:
    """Keep the group's total import at or under each interval's W."""

    series: tuple[Interval, ...]
    floor_w_per_evse: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceService:
    """React to prices: full power in intervals at or under the mean price, the least power in the dearer ones."""

    series: tuple[Interval, ...]
    floor_w_per_evse: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MandatoryLimitService:
    """Keep the group's total import (and export) at or under a cap, never pressing an EVSE under the floor."""

    start_at_ms: int
    import_cap_w: int | None
    export_cap_w: int | None = None
    floor_w_per_evse: int = 4200


@dataclass(frozen=True, slots=True, kw_only=True)
class FfrService:
    """Be armed: `capacity_w` less import (UP) or more (DOWN) within `full_ms` of crossing `trigger_millihertz`."""

    start_at_ms: int
    trigger_millihertz: int
    capacity_w: int
    full_ms: int
    support_ms: int
    release_permille_per_s: int = 200
    direction: str = "UP"
    dispatch_w: Mapping[EvseAddress, int] | None = None
    base_w: Mapping[EvseAddress, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DroopService:
    """Follow the same P(f) curve, given per EVSE, around `base_w`."""

    start_at_ms: int
    points: tuple[FrequencyPoint, ...]
    base_w: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveCorner:
    """One corner in the units of its curve: x in hundredths of a percent of the voltage or in W, y in W or var."""

    x: int
    y: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InverterCurveService:
    """Follow the same P(U), Q(U) or Q(P) at every EVSE; W > 0 is import, var > 0 absorbed."""

    start_at_ms: int
    curve_type: DerCurve
    points: tuple[CurveCorner, ...]
    reference_millivolt: int = 0
    response_ms: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactiveService:
    """Hold reactive power at every EVSE."""

    start_at_ms: int
    reactive_millipercent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveService:
    """V2G tertiary reserve: from `start_at_ms` the group discharges (UP) or charges (DOWN) `capacity_w`."""

    start_at_ms: int
    capacity_w: int
    direction: str = "UP"


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeService:
    """V2H: in intervals dearer than the mean price keep the building's import at `target_import_w` from the batteries,
    in the others charge; each battery keeps its reserve and gives no more than its budget."""

    series: tuple[Interval, ...]
    target_import_w: int = 0
    reserve_soc_permille: int = 0
    energy_budget_wh: int | None = None


Service = (
    SetpointService
    | CongestionService
    | PriceService
    | MandatoryLimitService
    | FfrService
    | DroopService
    | InverterCurveService
    | ReactiveService
    | ReserveService
    | HomeService
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Import at most `import_w`, export at most `export_w` if given."""

    import_w: int
    export_w: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setpoint:
    """Hold `power_w`."""

    power_w: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FrequencyCurve:
    """Arm a frequency response."""

    points: tuple[FrequencyPoint, ...]
    base_w: int
    hold_ms: int = 0
    release_permille_per_s: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class InverterCurve:
    """Arm an inverter curve."""

    curve_type: DerCurve
    points: tuple[ControlPoint, ...]
    response_ms: int
    reference_millivolt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reactive:
    """Hold reactive power."""

    reactive_millipercent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Carry `share_permille` of the building, down to an import of `target_import_w`."""

    target_import_w: int
    share_permille: int = 1000
    reserve_soc_permille: int = 0
    energy_budget_wh: int | None = None


Instruction = Limit | Setpoint | FrequencyCurve | InverterCurve | Reactive | Balance


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From `at_ms` on, each EVSE named has its instruction."""

    at_ms: int
    instructions: Mapping[EvseAddress, Instruction]

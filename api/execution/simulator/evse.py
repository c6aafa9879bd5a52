"""One simulated EVSE with its EV: what it is told, what it does, what its meter and its recorders keep.

Power is computed at moments and stands until the next; the meter integrates exactly that, so its registers and its
recorded samples agree to the last mWh unless a fault makes them disagree.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from api.execution.port import FrequencyPoint
from api.execution.simulator import noise
from api.execution.simulator.battery import Battery
from api.execution.simulator.demand import ConstantDemand, Demand
from api.execution.simulator.inverter import Curve, House, Voltage, steady_voltage
from api.execution.simulator.meter import Meter
from api.execution.simulator.response import Filtered, Latched, ResponseTraits
from ledger.delivery.samples import RECORD, WIDE_RECORD, Measured, Status

SECOND_MS = 1000
FAST_MS = 100
IDLE_MS = 60_000
SEQ_MODULUS = 1 << 16
MAX_RECORDED = 200_000


class Kind(Enum):
    """Where the inverter is: in the EVSE (DC) or in the EV (AC)."""

    AC = "AC"
    DC = "DC"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseConfig:
    """What the hardware can do, and how quickly."""

    evse_id: int
    kind: Kind = Kind.AC
    max_charge_w: int = 22_000
    max_discharge_w: int = 0
    min_charge_w: int = 0
    phases: int = 3
    ramp_w_per_s: int = 20_000
    dead_time_ms: int = 0
    noise_w: int = 0
    response: ResponseTraits = field(default_factory=ResponseTraits)
    house_w: int = 2000
    max_inject_var: int = 0
    max_absorb_var: int = 0

    @property
    def has_reactive(self) -> bool:
        """Its inverter can set reactive power."""
        return bool(self.max_inject_var or self.max_absorb_var)


class Mode(Enum):
    """OCPP's operation modes that the simulation knows."""

    FREE = "Idle"
    LIMIT = "ChargingOnly"
    EXTERNAL_LIMITS = "ExternalLimits"
    SETPOINT = "CentralSetpoint"
    FREQUENCY = "LocalFrequency"
    BALANCE = "LocalLoadBalancing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What an EVSE was told. It ends by itself at `until_ms`, or `max_offline_ms` after the connection was lost."""

    mode: Mode
    from_ms: int
    until_ms: int
    max_offline_ms: int = 300_000
    limit_w: int = 0
    export_limit_w: int | None = None
    setpoint_w: int = 0
    points: tuple[FrequencyPoint, ...] = ()
    hold_ms: int = 0
    release_permille_per_s: int = 1000
    share_permille: int = 1000
    reserve_soc_permille: int = 0
    budget_watt_ms: int | None = None


@dataclass(slots=True)
class Recorder:
    """Records of one EVSE at one interval, numbered on their own; the oldest go first."""

    layout: struct.Struct = RECORD
    records: bytearray = field(default_factory=bytearray)
    count: int = 0

    def keep(self, at_ms: int, power_w: int, millihertz: int, setpoint_w: int, status: int, *further: int) -> None:
        """One more record."""
        self.records += self.layout.pack(
            at_ms, power_w, millihertz, setpoint_w, status, self.count % SEQ_MODULUS, *further
        )
        self.count += 1
        if len(self.records) > 2 * MAX_RECORDED * self.layout.size:
            del self.records[: MAX_RECORDED * self.layout.size]

    def between(self, from_ms: int, to_ms: int) -> bytes:
        """The records with `from_ms` <= t <= `to_ms`."""
        width = self.layout.size
        return b"".join(
            bytes(self.records[at * width : (at + 1) * width])
            for at, fields in enumerate(self.layout.iter_unpack(self.records))
            if from_ms <= fields[0] <= to_ms
        )


class Evse:
    """The state of one EVSE; `step` moves it to a moment, `tell` gives it a service."""

    def __init__(
        self,
        config: EvseConfig,
        *,
        meter: Meter,
        battery: Battery,
        demand: Demand | None = None,
        house: House | None = None,
        seed: int = 0,
        start_ms: int = 0,
    ) -> None:
        self.config = config
        self.meter = meter
        self.house = house
        if house is not None:
            house.evses.append(self)
        self.battery = battery
        self.demand: Demand = demand or ConstantDemand(config.max_charge_w)
        self.at_ms = start_ms
        self._stepped_at_ms = start_ms
        self.power_w = 0
        self.setpoint_w = 0
        self.transaction_id: str | None = None
        self.service: Service | None = None
        self.override_w: int | None = None
        self.reactive_millipercent = 0
        self.curve: Curve | None = None
        self.reactive_var = 0
        self.recorders = {SECOND_MS: Recorder(), FAST_MS: Recorder()}
        self.wide_recorder = Recorder(WIDE_RECORD) if config.has_reactive or house is not None else None
        self._given_watt_ms = 0
        self._pending: tuple[int, Service | None] | None = None
        self._base_w = 0
        self._response: Latched | Filtered | None = None
        self._settled = False
        self._noise = noise.channel(seed, f"evse/{config.evse_id}")

    # ------------------------------------------------------------------ being told
    def tell(self, service: Service | None, at_ms: int) -> None:
        """From `dead_time_ms` after `at_ms` on, `service` holds (None: none)."""
        self._settled = False
        self._pending = (at_ms + self.config.dead_time_ms, service)
        if self.config.dead_time_ms == 0:
            self._adopt(at_ms)

    def plug_in(self, transaction_id: str) -> None:
        """An EV is there."""
        self.transaction_id = transaction_id
        self._settled = False

    def unplug(self) -> None:
        """The EV is gone, and with it what was told to its transaction."""
        self.transaction_id = None
        self.service, self._pending, self._response = None, None, None
        self.curve, self.reactive_millipercent = None, 0
        self.power_w = self._base_w = self.reactive_var = 0

    @property
    def has_control(self) -> bool:
        """A DER control is in force."""
        return self.curve is not None or self.reactive_millipercent != 0

    def arm(self, curve: Curve | None) -> None:
        """From now on the inverter follows `curve` (None: none)."""
        self._settled = False
        self.curve = curve

    def _adopt(self, at_ms: int) -> None:
        if self._pending is None or self._pending[0] > at_ms:
            return
        before, self.service = self.service, self._pending[1]
        self._pending = None
        if self.service is None:
            self._given_watt_ms = 0
        service = self.service
        if service is None or service.mode is not Mode.FREQUENCY:
            self._response = None
        elif before is None or (before.points, before.hold_ms) != (service.points, service.hold_ms):
            # The same curve sent again is the same response: re-sending must not disturb what runs.
            self._response = (
                Latched(service.points, self.config.response, service.hold_ms, service.release_permille_per_s)
                if service.hold_ms
                else Filtered(service.points)
            )

    def expired(self, at_ms: int, offline_since_ms: int | None) -> bool:
        """Whether the service has to end now, because nobody renewed it or nobody is there any more."""
        service = self.service
        if service is None:
            return False
        lost = offline_since_ms is not None and at_ms - offline_since_ms >= service.max_offline_ms
        return at_ms >= service.until_ms or lost

    # ------------------------------------------------------------------ physics
    def resolution_ms(self, at_ms: int, *, fast: bool) -> int:
        """How finely the next stretch has to be computed."""
        if self.service is None and self._pending is None and self.curve is None and self._settled:
            return IDLE_MS
        armed = self.service is not None and self.service.mode is Mode.FREQUENCY
        return FAST_MS if armed and fast else SECOND_MS

    def step(
        self,
        at_ms: int,
        frequency: Callable[[int], int],
        *,
        fast: bool,
        status: Status,
        shift_ms: int = 0,
        voltage: Voltage = steady_voltage,
    ) -> None:
        """Move to `at_ms`: integrate what flowed, adopt what is due, compute the power from now on, record it.

        Records are dated `shift_ms` later, as by a clock that is wrong by that much.
        """
        elapsed_ms = at_ms - self._stepped_at_ms
        self._stepped_at_ms = at_ms
        self.integrate(at_ms)
        self._adopt(at_ms)
        if self.curve is not None and at_ms >= self.curve.until_ms:
            self.curve = None
        if self.transaction_id is None:
            self.power_w = self.setpoint_w = 0
            self._settled = True
        else:
            self._move(at_ms, elapsed_ms, frequency, voltage)
            self.reactive_var = self._reactive(at_ms, voltage)
        shown_w = self.meter.shown_w(self.power_w)
        if self.override_w is not None:
            status |= Status.GRID_CODE_OVERRIDE
        record = (at_ms + shift_ms, shown_w, frequency(at_ms), self.setpoint_w, int(status))
        if at_ms % SECOND_MS == 0:
            self.recorders[SECOND_MS].keep(*record)
            if self.wide_recorder is not None:
                self.wide_recorder.keep(*record, *self._further(at_ms, voltage))
        if fast and at_ms % FAST_MS == 0 and self.service is not None and self.service.mode is Mode.FREQUENCY:
            self.recorders[FAST_MS].keep(*record)

    def integrate(self, at_ms: int) -> None:
        """Let the present power flow until `at_ms`."""
        elapsed_ms = at_ms - self.at_ms
        if elapsed_ms > 0:
            self.meter.pass_energy(self.meter.measured_w(self.power_w), elapsed_ms)
            self.battery.pass_energy(self.power_w, elapsed_ms)
            self._given_watt_ms += max(0, -self.power_w * elapsed_ms)
            self.at_ms = at_ms

    def upstream_w(self, at_ms: int) -> int | None:
        """At the building's grid connection; None where it is not measured."""
        return None if self.house is None else self.house.connection_w(at_ms)

    def _further(self, at_ms: int, voltage: Voltage) -> tuple[int, int, int, int, int]:
        """What a wide record has beyond a plain one. Without an EV there is no state of charge."""
        upstream_w = self.upstream_w(at_ms)
        measured = Measured.VOLTAGE | Measured.REACTIVE
        measured |= Measured(0) if upstream_w is None else Measured.UPSTREAM
        soc = 0
        if self.transaction_id is not None:
            measured |= Measured.SOC
            soc = self.battery.permille()
        return voltage(at_ms), self.reactive_var, upstream_w or 0, soc, int(measured)

    def _reactive(self, at_ms: int, voltage: Voltage) -> int:
        """What the inverter absorbs (> 0) or injects: by its curve, or a share of what it can."""
        if self.curve is not None and not self.curve.is_of_power:
            return self.curve.at(at_ms, voltage, self.power_w)
        share = self.reactive_millipercent
        return share * (self.config.max_absorb_var if share >= 0 else self.config.max_inject_var) // 100_000

    def _move(self, at_ms: int, elapsed_ms: int, frequency: Callable[[int], int], voltage: Voltage) -> None:
        wanted_w, exact = self.demand.at(at_ms)
        self._settled = True
        if self.override_w is not None:
            self.power_w = self.setpoint_w = self._able(self.override_w)
            return
        if exact:
            self._base_w = self.power_w = max(-self.config.max_discharge_w, min(self.config.max_charge_w, wanted_w))
            self.setpoint_w = self._asked(wanted_w, at_ms)
            return
        if self.curve is not None and self.curve.is_of_power:
            self.setpoint_w = self.curve.at(at_ms, voltage, self.power_w)
            self._base_w = self.power_w = self._able(self.setpoint_w)
            return
        service = self.service
        response_w = asked_w = 0
        if self._response is not None:
            response_w, asked_w = self._response.at(at_ms, frequency)
        target_w = self._target(wanted_w, at_ms)
        reach_w = self.config.ramp_w_per_s * elapsed_ms // SECOND_MS
        self._base_w += max(-reach_w, min(reach_w, target_w - self._base_w))
        self._settled = self._base_w == target_w
        self.setpoint_w = self._asked(wanted_w, at_ms) + asked_w
        power_w = self._base_w + response_w
        if power_w and self.config.noise_w:
            power_w += round(self.config.noise_w * noise.gauss(self._noise, at_ms // FAST_MS))
        power_w = self._able(power_w)
        if (
            service is not None
            and service.mode in (Mode.LIMIT, Mode.EXTERNAL_LIMITS)
            and self._base_w <= service.limit_w
        ):
            power_w = min(power_w, service.limit_w)
        self.power_w = power_w

    def _asked(self, wanted_w: int, at_ms: int) -> int:
        """What it is following: the record's setpoint."""
        match self.service:
            case None:
                return wanted_w
            case Service(mode=Mode.LIMIT | Mode.EXTERNAL_LIMITS, limit_w=limit_w):
                return limit_w
            case Service(mode=Mode.BALANCE):
                return self._target(wanted_w, at_ms)
            case Service(setpoint_w=setpoint_w):
                return setpoint_w

    def _target(self, wanted_w: int, at_ms: int) -> int:
        """Where the power is going, before ramp, response and what battery and hardware allow."""
        service = self.service
        if service is None:
            return wanted_w
        match service.mode:
            case Mode.LIMIT | Mode.EXTERNAL_LIMITS:
                limit_w = service.limit_w
                if limit_w < self.config.min_charge_w:
                    limit_w = 0  # under its least current an EV pauses
                floor_w = -(service.export_limit_w or 0) if service.mode is Mode.EXTERNAL_LIMITS else 0
                return max(floor_w, min(wanted_w, limit_w))
            case Mode.BALANCE:
                return self._carried_w(service, at_ms)
            case _:
                return service.setpoint_w

    def _carried_w(self, service: Service, at_ms: int) -> int:
        """Its share of what the building draws beyond the target; nothing once its reserve or its budget is reached."""
        draws_w = self.config.house_w if self.house is None else self.house.draws_w(at_ms)
        budget = service.budget_watt_ms
        if self.battery.permille() <= service.reserve_soc_permille:
            return 0
        carried_w = max(0, min(draws_w, draws_w - service.setpoint_w)) * service.share_permille // 1000
        if budget is not None and self._given_watt_ms + carried_w * SECOND_MS > budget:
            return 0
        return -carried_w

    def _able(self, power_w: int) -> int:
        """What battery and hardware allow of it."""
        highest_w = self.battery.charge_limit_w(self.config.max_charge_w)
        lowest_w = -self.battery.discharge_limit_w(self.config.max_discharge_w)
        return max(lowest_w, min(highest_w, power_w))

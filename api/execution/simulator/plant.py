"""A simulated station without a protocol: EVSEs, a clock of its own, faults, and what it would report.

Both the OCPP station and the in-process port drive the same plant, in jumps of any length: `advance` computes what
happened in between at the resolution it needs, and how the time was cut into jumps changes no byte.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypedDict

from api.execution import port as neutral
from api.execution.port import Command, EvseAddress, Outcome, Telemetry, Verdict
from api.execution.simulator import faults as f
from api.execution.simulator import noise
from api.execution.simulator.battery import WATT_MS_PER_WH
from api.execution.simulator.evse import SECOND_MS, Evse, Mode, Recorder, Service
from api.execution.simulator.frequency import Frequency
from api.execution.simulator.inverter import Curve, Voltage, steady_voltage
from ledger.delivery.samples import Status

MAX_OFFLINE_MS = 300_000
REPORT_MS = 60_000
MAX_OUTBOX = 200_000
MODES = frozenset(mode.value for mode in Mode)
CURVES = frozenset({"VoltWatt", "VoltVar", "WattVar", "FixedVar"})
"""What every plant can do; whether an EVSE can discharge is another question."""
BEGIN, CHARGING, END = "B", "C", "E"


class Plant:
    """The EVSEs of one station, and their common clock `at_ms`."""

    def __init__(
        self,
        station_id: str,
        evses: Sequence[Evse],
        *,
        frequency: Frequency,
        start_ms: int,
        seed: int = 0,
        faults: f.Faults | None = None,
        report_ms: int = REPORT_MS,
        voltage: Voltage = steady_voltage,
    ) -> None:
        self.station_id = station_id
        self.evses = {evse.config.evse_id: evse for evse in evses}
        self.at_ms = start_ms
        self.faults = faults or f.Faults()
        self.offline_since_ms: int | None = None
        self._frequency = frequency
        self._voltage = voltage
        self._report_ms = report_ms
        self._noise = noise.channel(seed, f"plant/{station_id}")
        self._transactions = 0
        self._outbox: list[Telemetry] = []
        self._fast = tuple(frequency.fast())

    def address(self, evse_id: int) -> EvseAddress:
        """Where an EVSE is."""
        return EvseAddress(station_id=self.station_id, evse_id=evse_id)

    def drain(self) -> list[Telemetry]:
        """What was to be reported since the last time, oldest first."""
        outbox, self._outbox = self._outbox, []
        return outbox

    def clock_ms(self, at_ms: int | None = None) -> int:
        """What the station believes the time is."""
        at_ms = self.at_ms if at_ms is None else at_ms
        wrong = self.faults.active(f.WrongClock, at_ms)
        return at_ms + (wrong.offset_ms if wrong else 0)

    # ------------------------------------------------------------------ transactions
    def start_transaction(self, evse_id: int) -> str:
        """An EV is plugged in; a signed begin reading and the start are reported."""
        evse = self.evses[evse_id]
        self._transactions += 1
        transaction_id = f"{self.station_id[:20]}-{evse_id}-{self._transactions}"
        evse.plug_in(transaction_id)
        at_ms = self.clock_ms()
        self._report(neutral.TransactionStarted(evse=self.address(evse_id), at_ms=at_ms, transaction_id=transaction_id))
        self._report_signed(evse, BEGIN, "Transaction.Begin")
        return transaction_id

    def end_transaction(self, evse_id: int, reason: str) -> None:
        """The EV leaves; a signed end reading and the end are reported. Nothing happens if none is there."""
        evse = self.evses[evse_id]
        if evse.transaction_id is None:
            return
        evse.integrate(self.at_ms)
        transaction_id = evse.transaction_id
        evse.unplug()
        at_ms = self.clock_ms()
        ended = neutral.TransactionEnded(
            evse=self.address(evse_id), at_ms=at_ms, transaction_id=transaction_id, reason=reason
        )
        self._report(ended)
        self._report_signed(evse, END, "Transaction.End")

    def _report_signed(self, evse: Evse, code: str, context: str) -> None:
        evse.integrate(self.at_ms)
        at_ms = self.clock_ms()
        text = evse.meter.sign_reading(at_ms, code)
        address = self.address(evse.config.evse_id)
        self._report(neutral.SignedReading(evse=address, at_ms=at_ms, ocmf=text, context=context))

    def _report(self, event: Telemetry) -> None:
        if len(self._outbox) < MAX_OUTBOX:
            self._outbox.append(event)

    # ------------------------------------------------------------------ commands
    def execute(self, command: Command, *, max_offline_ms: int = MAX_OFFLINE_MS) -> Outcome:
        """Carry out `command` now. Readings and modes that follow from it are in `drain`."""
        evse = self.evses.get(command.evse.evse_id)
        if evse is None:
            return Outcome(Verdict.REJECTED, "UnknownEvse")
        reason = self.faults.rejection(self.at_ms, command.evse.evse_id)
        if reason is not None:
            return Outcome(Verdict.REJECTED, reason)
        if command.transaction_id is not None and command.transaction_id != evse.transaction_id:
            return Outcome(Verdict.REJECTED, "TxNotFound")
        match command:
            case neutral.ReadMeter():
                self._report_signed(evse, CHARGING, "Trigger")
            case neutral.FetchLog():
                return neutral.ACCEPTED if self._recorder(command) is not None else _rejected("NoSuchInterval")
            case neutral.ClearService(curve=True):
                evse.arm(None)
                evse.reactive_millipercent = 0
            case neutral.ClearService():
                self._tell(evse, None)
            case neutral.HoldReactive() if not evse.config.has_reactive:
                return _rejected("NotSupported")
            case neutral.HoldReactive():
                evse.arm(None)
                evse.reactive_millipercent = command.reactive_millipercent
            case neutral.ArmInverterCurve():
                return self._arm(evse, command)
            case _:
                return self._serve(evse, command, max_offline_ms)
        return neutral.ACCEPTED

    def _arm(self, evse: Evse, command: neutral.ArmInverterCurve) -> Outcome:
        """An inverter without reactive power takes no such curve; PF(P) is not simulated."""
        if command.curve_type == "WattPF" or (command.curve_type != "VoltWatt" and not evse.config.has_reactive):
            return _rejected("NotSupported")
        if any(b.x_millipercent <= a.x_millipercent for a, b in pairwise(command.points)):
            return _rejected("InvalidCurve")
        evse.integrate(self.at_ms)
        evse.arm(Curve(command, evse.config, self.at_ms))
        return neutral.ACCEPTED

    def _recorder(self, command: neutral.FetchLog) -> Recorder | None:
        evse = self.evses[command.evse.evse_id]
        if command.wide:
            return evse.wide_recorder if command.interval_ms == SECOND_MS else None
        return evse.recorders.get(command.interval_ms)

    def _serve(
        self,
        evse: Evse,
        command: neutral.LimitCharging | neutral.FollowSetpoint | neutral.ArmFrequencyResponse | neutral.BalanceLocally,
        max_offline_ms: int,
    ) -> Outcome:
        frame = Service(
            mode=Mode.FREE,
            from_ms=self.at_ms,
            until_ms=self.at_ms + command.duration_s * SECOND_MS,
            max_offline_ms=max_offline_ms,
        )
        match command:
            case neutral.LimitCharging(limit_w=limit_w, export_limit_w=export_w):
                mode = Mode.LIMIT if export_w is None else Mode.EXTERNAL_LIMITS
                self._tell(evse, replace(frame, mode=mode, limit_w=limit_w, export_limit_w=export_w))
            case neutral.FollowSetpoint(setpoint_w=setpoint_w):
                if setpoint_w < 0 and not evse.config.max_discharge_w:
                    return _rejected("InvalidSchedule")
                self._tell(evse, replace(frame, mode=Mode.SETPOINT, setpoint_w=setpoint_w))
            case neutral.ArmFrequencyResponse():
                if len(command.curve) < 2:
                    return _rejected("NoFreqWattCurve")
                armed = replace(
                    frame,
                    mode=Mode.FREQUENCY,
                    setpoint_w=command.base_w,
                    points=command.curve,
                    hold_ms=command.hold_ms,
                    release_permille_per_s=command.release_permille_per_s,
                )
                self._tell(evse, armed)
            case neutral.BalanceLocally(energy_budget_wh=budget_wh):
                carrying = replace(
                    frame,
                    mode=Mode.BALANCE,
                    setpoint_w=command.target_import_w,
                    share_permille=command.share_permille,
                    reserve_soc_permille=command.reserve_soc_permille,
                    budget_watt_ms=None if budget_wh is None else budget_wh * WATT_MS_PER_WH,
                )
                self._tell(evse, carrying)
        return neutral.ACCEPTED

    def _tell(self, evse: Evse, service: Service | None) -> None:
        before = evse.service
        evse.integrate(self.at_ms)
        evse.tell(service, self.at_ms)
        self._mode(evse, before, service)

    def _mode(self, evse: Evse, before: Service | None, after: Service | None) -> None:
        old = Mode.FREE if before is None else before.mode
        new = Mode.FREE if after is None else after.mode
        if old is not new:
            address = self.address(evse.config.evse_id)
            self._report(neutral.OperationModeChanged(evse=address, at_ms=self.clock_ms(), mode=new.value))

    def log(self, command: neutral.FetchLog) -> bytes:
        """The records that `command` asks for, without a header, from and to as the station's own clock counts them."""
        recorder = self._recorder(command)
        return b"" if recorder is None else recorder.between(command.from_ms, command.to_ms)

    def reboot(self) -> None:
        """Power was lost: what was told is forgotten, registers and logs are kept."""
        for evse in self.evses.values():
            evse.integrate(self.at_ms)
            before = evse.service
            evse.service = None
            evse.tell(None, self.at_ms)
            evse.arm(None)
            evse.reactive_millipercent = 0
            self._mode(evse, before, None)

    # ------------------------------------------------------------------ time
    def advance(self, until_ms: int) -> None:
        """Compute everything up to `until_ms`; faults that begin on the way take effect at their moment."""
        for edge in self.faults.moments(self.at_ms, until_ms):
            self._run(edge)
            self._fault_edge(edge)

    def _fault_edge(self, at_ms: int) -> None:
        for leaves in self.faults.starting(f.EvLeaves, at_ms):
            for evse_id in self.evses:
                if leaves.evse_id in (None, evse_id):
                    self.end_transaction(evse_id, leaves.reason)
        if self.faults.starting(f.Reboot, at_ms):
            self.reboot()
        for override in self.faults.starting(f.GridCodeOverride, at_ms):
            self._override(override, override.power_w)
        for override in self.faults.ending(f.GridCodeOverride, at_ms):
            self._override(override, None)

    def _override(self, fault: f.GridCodeOverride, power_w: int | None) -> None:
        for evse_id, evse in self.evses.items():
            if fault.evse_id in (None, evse_id):
                evse.override_w = power_w
                self._report(
                    neutral.Alarm(
                        evse=self.address(evse_id),
                        at_ms=self.clock_ms(),
                        control=fault.control,
                        fault=fault.fault,
                        ended=power_w is None,
                    )
                )

    def _run(self, until_ms: int) -> None:
        for at_ms in iter(lambda: self._next(until_ms), None):
            self._step(at_ms)
        for evse in self.evses.values():
            evse.integrate(until_ms)
        self.at_ms = until_ms

    def _next(self, until_ms: int) -> int | None:
        """The next moment at which any EVSE has to be computed, on its grid; None if it is after `until_ms`."""
        fast = self._is_fast(self.at_ms)
        grid_ms = min(evse.resolution_ms(self.at_ms, fast=fast) for evse in self.evses.values())
        grid_ms = min(grid_ms, self._report_ms)
        at_ms = (self.at_ms // grid_ms + 1) * grid_ms
        opens = [start for start, _ in self._fast if self.at_ms < start < at_ms]
        at_ms = min([at_ms, *opens])
        return at_ms if at_ms <= until_ms else None

    def _is_fast(self, at_ms: int) -> bool:
        return any(start <= at_ms <= end for start, end in self._fast)

    def _step(self, at_ms: int) -> None:
        before_ms, self.at_ms = self.at_ms, at_ms
        shift_ms = self.clock_ms() - at_ms
        status = self._status(at_ms)
        frequency = self._frequency.millihertz
        fast = self._is_fast(at_ms)
        for evse_id, evse in self.evses.items():
            lie = self.faults.active(f.LyingMeter, at_ms, evse_id)
            evse.meter.lie_permille = 1000 if lie is None else lie.permille
            if evse.expired(at_ms, self.offline_since_ms):
                before, evse.service = evse.service, None
                evse.tell(None, at_ms)
                self._mode(evse, before, None)
            grid_ms = evse.resolution_ms(before_ms, fast=fast)
            if at_ms % grid_ms == 0:
                evse.step(at_ms, frequency, fast=fast, status=status, shift_ms=shift_ms, voltage=self._voltage)
        if at_ms % self._report_ms == 0:
            self._sample(at_ms)

    def _status(self, at_ms: int) -> Status:
        status = Status(0)
        wrong = self.faults.active(f.WrongClock, at_ms)
        if wrong is not None and wrong.honest:
            status |= Status.CLOCK_UNSYNCHRONISED
        if self.offline_since_ms is not None:
            status |= Status.OFFLINE
        return status

    def _sample(self, at_ms: int) -> None:
        """The periodic reading of each EVSE with a transaction, unless it is lost on the way."""
        for evse_id, evse in self.evses.items():
            if evse.transaction_id is None:
                continue
            loss = self.faults.active(f.PacketLoss, at_ms, evse_id)
            if loss is not None and noise.chance(self._noise + evse_id, at_ms // SECOND_MS, loss.permille):
                continue
            self._report(
                neutral.SampleReading(
                    evse=self.address(evse_id),
                    at_ms=self.clock_ms(at_ms),
                    power_w=evse.meter.shown_w(evse.power_w),
                    freq_millihertz=self._frequency.millihertz(at_ms),
                    setpoint_w=evse.setpoint_w,
                    **self._further(evse, at_ms),
                )
            )

    def _further(self, evse: Evse, at_ms: int) -> "_Further":
        """What an EVSE with an inverter of its own, or in a building, reads beside its power."""
        if evse.wide_recorder is None:
            return {}
        return {
            "voltage_millivolt": self._voltage(at_ms),
            "reactive_var": evse.reactive_var,
            "upstream_w": evse.upstream_w(at_ms),
            "soc_permille": evse.battery.permille(),
        }


class _Further(TypedDict, total=False):
    voltage_millivolt: int
    reactive_var: int
    upstream_w: int | None
    soc_permille: int


def _rejected(reason: str) -> Outcome:
    return Outcome(Verdict.REJECTED, reason)

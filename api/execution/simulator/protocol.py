"""A plant in the words of OCPP 2.1: requests of the backend become commands, what it reports becomes requests."""

import base64
import hashlib
from collections.abc import Iterator, Sequence

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from api.execution import port as neutral
from api.execution.ocpp import commands, readings
from api.execution.ocpp import datatypes as t
from api.execution.ocpp import messages as m
from api.execution.plan import Envelope
from api.execution.port import Command, Telemetry
from api.execution.simulator.evse import Evse, Kind, Mode, Service
from api.execution.simulator.plant import CURVES, MODES, Plant
from ledger.delivery import samples, station_root
from ledger.records.evidence import SampleSchema
from ledger.records.jws import encode_base64url

MAX_VALUES_PER_MESSAGE = 50
NEVER_MS = 2**53
DEFAULT_RESPONSE_MS = 10_000
VARIABLES = {
    ("V2XChargingCtrlr", "SupportedOperationModes"): ",".join(sorted(MODES)),
    ("DataCollector", "SamplingIntervals"): "100,1000",
    ("ACDERCtrlr", "ModesSupported"): ",".join(sorted(CURVES)),
    ("DCDERCtrlr", "ModesSupported"): ",".join(sorted(CURVES)),
    ("SampledDataCtrlr", "TxUpdatedInterval"): "60",
}
THRESHOLD = ("V2XChargingCtrlr", "LocalLoadBalancing")
WATT, HERTZ = t.UnitOfMeasure(unit="W"), t.UnitOfMeasure(unit="Hz")
VOLT, VAR, PERCENT = t.UnitOfMeasure(unit="V"), t.UnitOfMeasure(unit="var"), t.UnitOfMeasure(unit="Percent")


class Unsupported(Exception):
    """A profile asks for something the plant cannot do; `reason` is the reasonCode to answer."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


# ---------------------------------------------------------------------- from the backend
def command_of(request: m.SetChargingProfileRequest, station_id: str) -> tuple[Command, int]:
    """The command in a profile, and its `maxOfflineDuration` in ms. Raises `Unsupported`."""
    profile = request.charging_profile
    schedule = profile.charging_schedule[0]
    period = schedule.charging_schedule_period[0]
    if schedule.charging_rate_unit != "W" or len(schedule.charging_schedule_period) != 1:
        raise Unsupported("InvalidSchedule")
    offline_s = profile.max_offline_duration if profile.invalid_after_offline_duration else None
    command = _command(period, schedule.duration or 86_400, profile.transaction_id, station_id, request.evse_id)
    return command, NEVER_MS if offline_s is None else offline_s * 1000


def _command(
    period: t.SchedulePeriod, duration_s: int, transaction_id: str | None, station_id: str, evse_id: int
) -> Command:
    evse = neutral.EvseAddress(station_id=station_id, evse_id=evse_id)
    kw: Envelope = {
        "command_id": "",
        "evse": evse,
        "not_after_ms": NEVER_MS,
        "duration_s": duration_s,
        "transaction_id": transaction_id,
    }
    match period.operation_mode:
        case "ChargingOnly" | "ExternalLimits" | None if period.limit is not None:
            export = period.discharge_limit
            return neutral.LimitCharging(
                **kw, limit_w=round(period.limit), export_limit_w=None if export is None else round(-export)
            )
        case "CentralSetpoint" if period.setpoint is not None and period.limit is None:
            return neutral.FollowSetpoint(**kw, setpoint_w=round(period.setpoint))
        case "LocalFrequency":
            return _frequency(period, kw)
        case "LocalLoadBalancing":
            return _balance(period, kw)
        case "ChargingOnly" | "ExternalLimits" | "CentralSetpoint" | None:
            raise Unsupported("InvalidSchedule")
        case _:
            raise Unsupported("UnsupportedParam")


def _balance(period: t.SchedulePeriod, kw: Envelope) -> Command:
    """The threshold is a variable and stands apart; the reserve and the budget are vendor data."""
    custom = period.custom_data or {}
    ours = custom if custom.get("vendorId") == commands.VENDOR else {}
    share, reserve = ours.get("sharePermille", 1000), ours.get("reserveSocPermille", 0)
    budget = ours.get("energyBudgetWh")
    if not isinstance(share, int) or not isinstance(reserve, int) or not isinstance(budget, int | None):
        raise Unsupported("InvalidSchedule")
    return neutral.BalanceLocally(**kw, share_permille=share, reserve_soc_permille=reserve, energy_budget_wh=budget)


def _frequency(period: t.SchedulePeriod, kw: Envelope) -> Command:
    if not period.v2x_freq_watt_curve or len(period.v2x_freq_watt_curve) < 2:
        raise Unsupported("NoFreqWattCurve")
    custom = period.custom_data or {}
    ours = custom.get("vendorId") == commands.VENDOR
    hold, release = custom.get("holdMs", 0), custom.get("releasePermillePerS", 1000)
    return neutral.ArmFrequencyResponse(
        **kw,
        curve=tuple(
            neutral.FrequencyPoint(freq_millihertz=round(point.frequency * 1000), power_w=round(point.power))
            for point in period.v2x_freq_watt_curve
        ),
        base_w=round(period.v2x_baseline or 0),
        hold_ms=hold if ours and isinstance(hold, int) else 0,
        release_permille_per_s=release if ours and isinstance(release, int) else 1000,
    )


def updated(installed: m.SetChargingProfileRequest, update: t.ScheduleUpdate) -> m.SetChargingProfileRequest:
    """The profile with the update's values in its only period."""
    profile = installed.charging_profile
    schedule = profile.charging_schedule[0]
    period = schedule.charging_schedule_period[0]
    given = {
        name: getattr(update, name)
        for name in ("limit", "discharge_limit", "setpoint", "setpoint_reactive")
        if getattr(update, name) is not None
    }
    replace = msgspec.structs.replace
    schedule = replace(schedule, charging_schedule_period=(replace(period, **given),))
    return replace(installed, charging_profile=replace(profile, charging_schedule=(schedule,)))


def composite_period(evse: Evse) -> t.SchedulePeriod:
    """What is in force at an EVSE, as GetCompositeSchedule tells it."""
    match evse.service:
        case None:
            return t.SchedulePeriod(start_period=0, limit=evse.config.max_charge_w)
        case Service(mode=Mode.LIMIT | Mode.EXTERNAL_LIMITS, limit_w=limit_w):
            return t.SchedulePeriod(start_period=0, limit=limit_w, operation_mode="ChargingOnly")
        case Service(mode=Mode.SETPOINT, setpoint_w=setpoint_w):
            return t.SchedulePeriod(start_period=0, setpoint=setpoint_w, operation_mode="CentralSetpoint")
        case Service(mode=Mode.FREQUENCY, setpoint_w=base_w):
            return t.SchedulePeriod(start_period=0, v2x_baseline=base_w, operation_mode="LocalFrequency")
        case _:
            return t.SchedulePeriod(start_period=0, operation_mode="LocalLoadBalancing")


def der_command(request: m.SetDERControlRequest, station_id: str) -> Command | None:
    """The command in a DER control of ours, signs flipped back into the load convention, or None."""
    evse_id = commands.parse_control_id(request.control_id)
    if evse_id is None:
        return None
    envelope: Envelope = {
        "command_id": "",
        "evse": neutral.EvseAddress(station_id=station_id, evse_id=evse_id),
        "not_after_ms": NEVER_MS,
        "duration_s": 86_400,
        "transaction_id": None,
    }
    if request.fixed_var is not None:
        return neutral.HoldReactive(**envelope, reactive_millipercent=round(-request.fixed_var.setpoint * 1000))
    if request.curve is not None and request.control_type in ("VoltWatt", "VoltVar", "WattVar", "WattPF"):
        envelope["duration_s"] = round(request.curve.duration or 86_400)
        return _curve(request.control_type, request.curve, envelope)
    return None


def _curve(kind: neutral.DerCurve, curve: t.DerCurve, envelope: Envelope) -> Command:
    flip_x = -1 if kind in ("WattVar", "WattPF") else 1
    flip_y = 1 if kind == "WattPF" else -1
    corners = sorted((round(flip_x * p.x * 1000), round(flip_y * p.y * 1000)) for p in curve.curve_data)
    custom = curve.custom_data or {}
    reference = custom.get("referenceMillivolt", 0) if custom.get("vendorId") == commands.VENDOR else 0
    return neutral.ArmInverterCurve(
        **envelope,
        curve_type=kind,
        points=tuple(neutral.ControlPoint(x_millipercent=x, y_millipercent=y) for x, y in corners),
        response_ms=round((curve.response_time or 0) * 1000) or DEFAULT_RESPONSE_MS,
        reference_millivolt=reference if isinstance(reference, int) else 0,
    )


def log_command(request: m.GetLogRequest, station_id: str) -> neutral.FetchLog | None:
    """The log that is asked for, or None if it cannot be put where it shall go."""
    place = commands.parse_log_location(request.log.remote_location)
    if request.log_type != "DataCollectorLog" or place is None:
        return None
    oldest, latest = request.log.oldest_timestamp, request.log.latest_timestamp
    return neutral.FetchLog(
        command_id=str(request.request_id),
        evse=neutral.EvseAddress(station_id=station_id, evse_id=place[0]),
        not_after_ms=NEVER_MS,
        from_ms=0 if oldest is None else t.to_ms(oldest),
        to_ms=NEVER_MS if latest is None else t.to_ms(latest),
        interval_ms=place[1],
        wide=place[2],
    )


# ---------------------------------------------------------------------- to the backend
def log_blocks(request_id: int, records: bytes, *, wide: bool = False) -> Iterator[t.Wire]:
    """DataTransfer requests that carry `records` in blocks; at least one, so that an empty log is an answer too."""
    width = samples.record_bytes(SampleSchema.WIDE if wide else SampleSchema.NARROW)
    block_bytes = readings.MAX_BLOCK_BYTES // width * width
    blocks = max(1, -(-len(records) // block_bytes))
    for index in range(blocks):
        part = records[index * block_bytes : (index + 1) * block_bytes]
        yield m.DataTransferRequest(
            vendor_id=commands.VENDOR,
            message_id=commands.LOG_MESSAGE,
            data={
                "requestId": request_id,
                "block": index,
                "blocks": blocks,
                "records": base64.b64encode(part).decode(),
            },
        )


class RootSigner:
    """Signs the roots of the logs that a station hands over, with the key of its credential."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: bytes) -> None:
        """`certificate` is the credential's, DER."""
        self._key = key
        self._x5t = encode_base64url(hashlib.sha256(certificate).digest())
        self._count = 0

    def root(self, request_id: int, command: neutral.FetchLog, records: bytes, at_ms: int) -> m.SignedDataTransfer:
        """The signed message about `records`, which may not be empty, at `at_ms` of the station's clock."""
        schema = SampleSchema.WIDE if command.wide else SampleSchema.NARROW
        body = samples.body_of(records, schema)
        self._count += 1
        root = station_root.SignedRoot(
            request_id=request_id,
            station_id=command.evse.station_id,
            evse_id=command.evse.evse_id,
            schema=schema,
            root=samples.root(body).hex(),
            n=samples.count(body),
            from_ms=command.from_ms,
            to_ms=command.to_ms,
            seq=self._count,
            signed_at_ms=at_ms,
        )
        signed = station_root.sign(root, self._key, self._x5t)
        return m.SignedDataTransfer(payload=signed.payload, protected=signed.protected, signature=signed.signature)


class Reporter:
    """Turns what a plant reports into requests, numbering the events of each transaction without gaps."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._sequence: dict[str, int] = {}
        self._keyed: set[str] = set()

    def requests(self, events: Sequence[Telemetry], *, offline: bool = False) -> Iterator[t.Wire]:
        """The requests, oldest first; the samples of an EVSE between two other events share messages."""
        samples: dict[int, list[t.MeterValue]] = {}
        waiting: neutral.TransactionStarted | neutral.TransactionEnded | None = None
        for event in events:
            if isinstance(event, neutral.SampleReading):
                samples.setdefault(event.evse.evse_id, []).append(_meter_value(event))
                continue
            yield from _batches(samples)
            samples = {}
            if waiting is not None:
                signed = event if isinstance(event, neutral.SignedReading) and event.evse == waiting.evse else None
                yield self._transaction(waiting, signed, offline=offline)
                waiting = None
                if signed is not None:
                    continue
            if isinstance(event, neutral.TransactionStarted | neutral.TransactionEnded):
                waiting = event
            else:
                yield from self._other(event, offline=offline)
        yield from _batches(samples)
        if waiting is not None:
            yield self._transaction(waiting, None, offline=offline)

    def running(self, evse_id: int | None) -> Iterator[t.Wire]:
        """What runs at an EVSE, or at all, said once more because the backend asked."""
        for known_id, evse in self._plant.evses.items():
            if evse.transaction_id is not None and evse_id in (None, known_id):
                yield m.TransactionEventRequest(
                    event_type="Updated",
                    timestamp=t.from_ms(self._plant.clock_ms()),
                    trigger_reason="Trigger",
                    seq_no=self._next(evse.transaction_id),
                    transaction_info=m.Transaction(transaction_id=evse.transaction_id, charging_state="Charging"),
                    evse=t.Evse(id=known_id, connector_id=1),
                )

    def _next(self, transaction_id: str) -> int:
        number = self._sequence.get(transaction_id, -1) + 1
        self._sequence[transaction_id] = number
        return number

    def _transaction(
        self,
        event: neutral.TransactionStarted | neutral.TransactionEnded,
        signed: neutral.SignedReading | None,
        *,
        offline: bool,
    ) -> t.Wire:
        ended = event.reason if isinstance(event, neutral.TransactionEnded) else None
        config = self._plant.evses[event.evse.evse_id].config
        request = m.TransactionEventRequest(
            event_type="Started" if ended is None else "Ended",
            timestamp=t.from_ms(event.at_ms),
            trigger_reason="CablePluggedIn" if ended is None else "EVDeparted",
            seq_no=self._next(event.transaction_id),
            transaction_info=m.Transaction(
                transaction_id=event.transaction_id,
                charging_state="Charging" if ended is None else None,
                stopped_reason=ended,
            ),
            evse=t.Evse(id=event.evse.evse_id, connector_id=1),
            number_of_phases_used=config.phases if config.kind is Kind.AC else None,
            offline=offline or None,
            meter_value=None if signed is None else (self._signed_value(signed),),
        )
        if ended is not None:
            self._sequence.pop(event.transaction_id, None)
        return request

    def _other(self, event: Telemetry, *, offline: bool) -> Iterator[t.Wire]:
        match event:
            case neutral.SignedReading():
                yield m.MeterValuesRequest(evse_id=event.evse.evse_id, meter_value=(self._signed_value(event),))
            case neutral.OperationModeChanged():
                transaction_id = self._plant.evses[event.evse.evse_id].transaction_id
                if transaction_id is not None:
                    yield m.TransactionEventRequest(
                        event_type="Updated",
                        timestamp=t.from_ms(event.at_ms),
                        trigger_reason="OperationModeChanged",
                        seq_no=self._next(transaction_id),
                        transaction_info=m.Transaction(
                            transaction_id=transaction_id,
                            operation_mode=event.mode,  # type: ignore[arg-type]  # values of `Mode` are the enumeration's
                        ),
                        evse=t.Evse(id=event.evse.evse_id, connector_id=1),
                        offline=offline or None,
                    )
            case neutral.Alarm():
                yield m.NotifyDERAlarmRequest(
                    control_type=event.control,  # type: ignore[arg-type]  # the fault says which, from the enumeration
                    timestamp=t.from_ms(event.at_ms),
                    grid_event_fault=event.fault,  # type: ignore[arg-type]  # as above
                    alarm_ended=event.ended or None,
                    custom_data={"vendorId": commands.VENDOR, "evseId": event.evse.evse_id},
                )
            case _:
                pass

    def _signed_value(self, event: neutral.SignedReading) -> t.MeterValue:
        """The key goes along once per EVSE, as OCPP allows; a verifier that trusts it has understood nothing."""
        meter = self._plant.evses[event.evse.evse_id].meter
        key = None
        if meter.serial not in self._keyed:
            self._keyed.add(meter.serial)
            key = f"oca:base16:asn1:{meter.public_key_der().hex()}"
        value = t.SampledValue(
            value=meter.import_milliwh / 1000,
            measurand="Energy.Active.Import.Register",
            context=event.context,  # type: ignore[arg-type]  # the plant uses the enumeration's names
            unit_of_measure=t.UnitOfMeasure(unit="Wh"),
            signed_meter_value=t.SignedMeterValue(
                signed_meter_data=base64.b64encode(event.ocmf.encode()).decode(),
                encoding_method=readings.OCMF,
                public_key=key,
            ),
        )
        return t.MeterValue(timestamp=t.from_ms(event.at_ms), sampled_value=(value,))


def _meter_value(event: neutral.SampleReading) -> t.MeterValue:
    direction = "Power.Active.Import" if event.power_w >= 0 else "Power.Active.Export"
    values = [
        t.SampledValue(value=abs(event.power_w), measurand=direction, unit_of_measure=WATT),
        t.SampledValue(value=event.setpoint_w or 0, measurand="Power.Active.Setpoint", unit_of_measure=WATT),
    ]
    if event.freq_millihertz is not None:
        values.append(t.SampledValue(value=event.freq_millihertz / 1000, measurand="Frequency", unit_of_measure=HERTZ))
    values += _further_values(event)
    return t.MeterValue(timestamp=t.from_ms(event.at_ms), sampled_value=tuple(values))


def _further_values(event: neutral.SampleReading) -> Iterator[t.SampledValue]:
    if event.voltage_millivolt is not None:
        yield t.SampledValue(value=event.voltage_millivolt / 1000, measurand="Voltage", unit_of_measure=VOLT)
    if event.reactive_var is not None:
        way = "Power.Reactive.Import" if event.reactive_var >= 0 else "Power.Reactive.Export"
        yield t.SampledValue(value=abs(event.reactive_var), measurand=way, unit_of_measure=VAR)
    if event.upstream_w is not None:
        way = "Power.Active.Import" if event.upstream_w >= 0 else "Power.Active.Export"
        yield t.SampledValue(
            value=abs(event.upstream_w), measurand=way, location=readings.UPSTREAM, unit_of_measure=WATT
        )
    if event.soc_permille is not None:
        yield t.SampledValue(value=event.soc_permille / 10, measurand="SoC", unit_of_measure=PERCENT)


def _batches(samples: dict[int, list[t.MeterValue]]) -> Iterator[t.Wire]:
    for evse_id, values in samples.items():
        for first in range(0, len(values), MAX_VALUES_PER_MESSAGE):
            batch = tuple(values[first : first + MAX_VALUES_PER_MESSAGE])
            yield m.MeterValuesRequest(evse_id=evse_id, meter_value=batch)

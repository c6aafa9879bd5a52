"""The protocol-neutral port to charging stations: commands go in, outcomes and telemetry come out.

Load convention everywhere: W > 0 is import (charging), W < 0 is export. Adapters to a protocol flip signs where the
protocol differs. Commands carry absolute values, so sending one again changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class EvseAddress:
    """One EVSE of one station; `evse_id` counts from 1 as in OCPP."""

    station_id: str
    evse_id: int

    def __str__(self) -> str:
        return f"{self.station_id}/{self.evse_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandBase:
    """What every command carries.

    `not_after_ms`: from this moment on the command is dropped instead of sent (EXPIRED).
    `duration_s`: dead-man; without a newer command the EVSE leaves the service by itself after this many seconds.
    `transaction_id`: if given, the station applies the command to this charging transaction only.
    """

    command_id: str
    evse: EvseAddress
    not_after_ms: int
    duration_s: int = 3600
    transaction_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitCharging(CommandBase):
    """Import at most `limit_w`; export at most `export_limit_w` (both >= 0) if given."""

    limit_w: int
    export_limit_w: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowSetpoint(CommandBase):
    """Hold `setpoint_w`; a later one for the same EVSE replaces it."""

    setpoint_w: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FrequencyPoint:
    """One corner of a P(f) curve; `power_w` is added to the command's `base_w`."""

    freq_millihertz: int
    power_w: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFrequencyResponse(CommandBase):
    """Follow `base_w` plus the curve of the locally measured frequency, without any further message.

    With `hold_ms` > 0 a response once triggered is held that long and then released by `release_permille_per_s`, as
    fast frequency reserves ask; with 0 the curve has no memory, as a droop.
    """

    curve: tuple[FrequencyPoint, ...]
    base_w: int
    hold_ms: int = 0
    release_permille_per_s: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPoint:
    """One corner of a voltage or power curve, in thousandths of a percent of the axis' reference value.

    Of a power that is the EVSE's greatest in that direction: charging or discharging, absorbed or injected.
    """

    x_millipercent: int
    y_millipercent: int


DerCurve = Literal["VoltWatt", "VoltVar", "WattVar", "WattPF"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmInverterCurve(CommandBase):
    """Let the inverter follow P(U), Q(U), Q(P) or PF(P); powers > 0 are import or absorbed reactive power.

    `reference_millivolt` is what the percents of a voltage are of, 0 for curves over power.
    """

    curve_type: DerCurve
    points: tuple[ControlPoint, ...]
    response_ms: int = 10_000
    reference_millivolt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReactive(CommandBase):
    """Hold reactive power at `reactive_millipercent` of the maximum; > 0 is absorbed (load convention)."""

    reactive_millipercent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceLocally(CommandBase):
    """Keep the building's import at `target_import_w` with the EV's battery, never exporting beyond the house load.

    Several EVSEs of one building carry `share_permille` of it each. A battery stops giving at `reserve_soc_permille`
    of charge, and after `energy_budget_wh`, if given, since it was last told nothing.
    """

    target_import_w: int = 0
    share_permille: int = 1000
    reserve_soc_permille: int = 0
    energy_budget_wh: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearService(CommandBase):
    """Leave the service: the profile of this EVSE, or with `curve` its DER control, is removed."""

    curve: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadMeter(CommandBase):
    """Ask for one signed meter reading; it arrives as `SignedReading`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLog(CommandBase):
    """Ask for the station's own record of `from_ms`..`to_ms`, both included; it arrives as `LogUploaded`.

    `interval_ms` names the recorder (100 ms, 1 s); each numbers its own records, so a lost one leaves a hole. With
    `wide` the records are those of `samples/2`.
    """

    from_ms: int
    to_ms: int
    interval_ms: int = 1000
    wide: bool = False


Command = (
    LimitCharging
    | FollowSetpoint
    | ArmFrequencyResponse
    | ArmInverterCurve
    | HoldReactive
    | BalanceLocally
    | ClearService
    | ReadMeter
    | FetchLog
)


FOR_ONE_EV = (LimitCharging, FollowSetpoint, ArmFrequencyResponse, BalanceLocally)
"""Commands that a charging transaction may be named for: nothing of them is meant for the next EV."""


class Verdict(Enum):
    """What became of a command."""

    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class Outcome:
    """ACCEPTED; REJECTED with the station's reason; UNKNOWN: sent, no answer in time; EXPIRED: never sent."""

    verdict: Verdict
    reason: str = ""


ACCEPTED = Outcome(Verdict.ACCEPTED)
TIMED_OUT = Outcome(Verdict.UNKNOWN, "Timeout")
OTHER_TRANSACTION = Outcome(Verdict.EXPIRED, "TransactionChanged")
"""Never sent: it was for an EV that is no longer there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleReading:
    """What an EVSE measured at `at_ms` of its own clock; None is not measured.

    Reactive power > 0 is absorbed; `upstream_w` is the power at the building's grid connection, > 0 import.
    """

    evse: EvseAddress
    at_ms: int
    power_w: int
    freq_millihertz: int | None = None
    setpoint_w: int | None = None
    received_at_ms: int | None = None
    voltage_millivolt: int | None = None
    reactive_var: int | None = None
    upstream_w: int | None = None
    soc_permille: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedReading:
    """A meter-signed value as it came: `ocmf` is the verbatim text."""

    evse: EvseAddress
    at_ms: int
    ocmf: str
    context: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """The grid-code function of a station took over (or let go, `ended`)."""

    evse: EvseAddress
    at_ms: int
    control: str
    fault: str | None
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveSuperseded:
    """Another DER control took the place of the one that we armed; the station says which only by its id."""

    evse: EvseAddress
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationModeChanged:
    """The EVSE says which mode it is in now: the service has really started, or really ended."""

    evse: EvseAddress
    at_ms: int
    mode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionStarted:
    """An EV is connected and a charging transaction runs."""

    evse: EvseAddress
    at_ms: int
    transaction_id: str


TRANSACTION_REPLACED = "TransactionReplaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionEnded:
    """The charging transaction ended; `reason` is OCPP's stoppedReason, or that another one runs in its place."""

    evse: EvseAddress
    at_ms: int
    transaction_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CarSaid:
    """What an EV told its station of itself; None is not said. Energies of the battery; powers at the EVSE, >= 0."""

    evse: EvseAddress
    at_ms: int
    max_charge_w: int | None = None
    max_discharge_w: int | None = None
    usable_energy_wh: int | None = None
    soc_permille: int | None = None
    discharge_budget_wh: int | None = None
    departure_at_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A station is there; `at_ms` is our own clock."""

    station_id: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """A station is no longer there; `at_ms` is our own clock."""

    station_id: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogUploaded:
    """The record asked for by `FetchLog`: a body as `ledger.delivery.samples` describes, verbatim, b"" if empty.

    `station_jws` is what the station signed of it (`ledger.delivery.station_root`), not yet proven, or None.
    """

    evse: EvseAddress
    at_ms: int
    command_id: str
    samples: bytes
    station_jws: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFailed:
    """The station could not deliver the record asked for by `FetchLog`."""

    evse: EvseAddress
    at_ms: int
    command_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LateAnswer:
    """The answer to a command that had been reported UNKNOWN."""

    evse: EvseAddress
    at_ms: int
    command_id: str
    outcome: Outcome


Telemetry = (
    SampleReading
    | SignedReading
    | Alarm
    | CurveSuperseded
    | OperationModeChanged
    | CarSaid
    | TransactionStarted
    | TransactionEnded
    | Connected
    | Disconnected
    | LogUploaded
    | LogFailed
    | LateAnswer
)

Listener = Callable[[Telemetry], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a station says it can do: OCPP's operation modes, and the curves that its inverter follows."""

    modes: frozenset[str]
    curves: frozenset[str]


class ExecutionPort(Protocol):
    """Everything the adapter needs of a protocol."""

    async def send(self, command: Command) -> Outcome:
        """The outcome of `command`, at the latest when its answer is overdue. Raises `QueueFull`."""
        ...

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """From now on `listener` is called with every piece of telemetry; the returned callable ends that."""
        ...

    def connected(self) -> frozenset[str]:
        """The ids of the stations that are there now."""
        ...

    async def capabilities(self, evse: EvseAddress) -> Capabilities | None:
        """What the station of `evse` says it can do there; None where it is not there, or says nothing in time."""
        ...

    def transaction(self, evse: EvseAddress) -> str | None:
        """The id of the charging transaction that runs at `evse`, or None."""
        ...

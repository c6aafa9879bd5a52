"""Faults on demand: what goes wrong, and when; the rest of the simulation asks here.

Times are of the simulation's clock; delays of answers are real seconds over sockets and clock seconds without.
"""

from dataclasses import dataclass
from typing import TypedDict, TypeVar

NEVER_MS = 2**53


class When(TypedDict):
    """At whom, and from when to when."""

    from_ms: int
    to_ms: int
    evse_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultBase:
    """From `from_ms` up to `to_ms`; `evse_id` None means the whole station."""

    from_ms: int = 0
    to_ms: int = NEVER_MS
    evse_id: int | None = None


F = TypeVar("F", bound=FaultBase)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offline(FaultBase):
    """No connection; samples go on, and what was to be reported is queued and sent as late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateAnswer(FaultBase):
    """Commands are carried out at once and answered `delay_s` later."""

    delay_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowResponse(FaultBase):
    """Commands are carried out and answered `delay_s` later."""

    delay_s: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectCommands(FaultBase):
    """Commands are rejected with `reason`; with `times`, only so many."""

    reason: str = "InvalidSchedule"
    times: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongClock(FaultBase):
    """The station's clock is off by `offset_ms`, and says that it is not synchronised if `honest`."""

    offset_ms: int = 3_600_000
    honest: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LyingMeter(FaultBase):
    """Sampled powers are multiplied by `permille`/1000; the signed registers are not, so the two disagree."""

    permille: int = 1200


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketLoss(FaultBase):
    """`permille` of the reports never leave the station."""

    permille: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Reboot(FaultBase):
    """At `from_ms` the station restarts: transaction profiles are gone, the connection and the boot are new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvLeaves(FaultBase):
    """At `from_ms` the EV at `evse_id` is gone; `reason` is OCPP's stoppedReason."""

    reason: str = "EVDisconnected"


@dataclass(frozen=True, slots=True, kw_only=True)
class GridCodeOverride(FaultBase):
    """A grid-code function rules the inverter: power is held at `power_w` and alarms are sent at both ends."""

    power_w: int = 0
    control: str = "FreqDroop"
    fault: str = "UnderFrequency"


Fault = (
    Offline
    | LateAnswer
    | SlowResponse
    | RejectCommands
    | WrongClock
    | LyingMeter
    | PacketLoss
    | Reboot
    | EvLeaves
    | GridCodeOverride
)


class Faults:
    """The faults of one station."""

    def __init__(self, faults: tuple[Fault, ...] = ()) -> None:
        self._faults = faults
        self._rejected = 0

    def add(self, fault: Fault) -> None:
        """One more."""
        self._faults = (*self._faults, fault)

    def active(self, kind: type[F], at_ms: int, evse_id: int | None = None) -> F | None:
        """The first fault of `kind` that holds at a moment for an EVSE (None: for the station)."""
        for fault in self._faults:
            here = fault.evse_id is None or fault.evse_id == evse_id
            if here and isinstance(fault, kind) and fault.from_ms <= at_ms < fault.to_ms:
                return fault
        return None

    def rejection(self, at_ms: int, evse_id: int) -> str | None:
        """The reason to reject a command now, or None; counts against `times`."""
        fault = self.active(RejectCommands, at_ms, evse_id)
        if fault is None or (fault.times is not None and self._rejected >= fault.times):
            return None
        self._rejected += 1
        return fault.reason

    def moments(self, after_ms: int, until_ms: int) -> list[int]:
        """The moments in (after, until] at which a fault begins or ends, and `until` itself, each once, in order."""
        edges = {edge for fault in self._faults for edge in (fault.from_ms, fault.to_ms)} | {until_ms}
        return sorted(edge for edge in edges if after_ms < edge <= until_ms)

    def starting(self, kind: type[F], at_ms: int) -> list[F]:
        """The faults of `kind` that begin exactly now."""
        return [fault for fault in self._faults if isinstance(fault, kind) and fault.from_ms == at_ms]

    def ending(self, kind: type[F], at_ms: int) -> list[F]:
        """The faults of `kind` that end exactly now."""
        return [fault for fault in self._faults if isinstance(fault, kind) and fault.to_ms == at_ms]

"""A scenario file: what goes wrong with which simulated stations and when, the grid's events, a series of setpoints.

TOML, strictly read (`docs/how-to/simulate-a-fleet.md`): an unknown member, a value out of bounds or a station that is
not there is refused with its place, and nothing is started.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from api.execution.errors import ScenarioRefused
from api.execution.simulator import faults as f
from api.execution.simulator.frequency import LossEvent
from ledger import toml_text

MAX_SCENARIO_BYTES = 256 * 1024
MAX_FAULTS = 1000
MAX_LOSSES = 100
MAX_SETPOINTS = 10_000
MS_PER_S = 1000

Seconds = Annotated[int, Meta(ge=0, le=10_000_000)]
Delay = Annotated[float, Meta(ge=0, le=3600)]
Permille = Annotated[int, Meta(ge=0, le=1000)]
Reason = Annotated[str, Meta(pattern=r"^[A-Za-z]{1,20}$(?!\n)")]


class _Fault(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """What all have: at whom, and when, in whole seconds after the start. Without `to_s` it does not end."""

    stations: Annotated[tuple[str, ...], Meta(min_length=1, max_length=MAX_FAULTS)] | None = None
    every: Annotated[int, Meta(ge=1, le=100_000)] = 1
    """Of those stations, every n-th only, from the first on."""
    evse: Annotated[int, Meta(ge=1, le=64)] | None = None
    from_s: Seconds = 0
    to_s: Seconds | None = None


class Offline(_Fault, tag="offline", frozen=True, kw_only=True):
    """No connection."""


class LateAnswer(_Fault, tag="late-answer", frozen=True, kw_only=True):
    """Carried out at once, answered late."""

    delay_s: Delay = 2.0


class Slow(_Fault, tag="slow", frozen=True, kw_only=True):
    """Answered slowly."""

    delay_s: Delay = 0.5


class Reject(_Fault, tag="reject", frozen=True, kw_only=True):
    """Commands are rejected."""

    reason: Reason = "InvalidSchedule"
    times: Annotated[int, Meta(ge=1, le=100_000)] | None = None


class WrongClock(_Fault, tag="wrong-clock", frozen=True, kw_only=True):
    """The clock is off."""

    offset_ms: Annotated[int, Meta(ge=-(10**11), le=10**11)] = 3_600_000
    honest: bool = True


class LyingMeter(_Fault, tag="lying-meter", frozen=True, kw_only=True):
    """Sampled powers are not what the registers count."""

    permille: Annotated[int, Meta(ge=0, le=100_000)] = 1200


class PacketLoss(_Fault, tag="packet-loss", frozen=True, kw_only=True):
    """Reports are lost."""

    permille: Permille = 100


class Reboot(_Fault, tag="reboot", frozen=True, kw_only=True):
    """The station restarts at `from_s`."""


class EvLeaves(_Fault, tag="ev-leaves", frozen=True, kw_only=True):
    """The EV goes at `from_s`."""

    reason: Reason = "EVDisconnected"


class GridCode(_Fault, tag="grid-code", frozen=True, kw_only=True):
    """A grid-code function holds the power."""

    power_w: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] = 0
    control: Reason = "FreqDroop"
    fault: Reason = "UnderFrequency"


class Loss(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A loss of generation: the frequency falls, and recovers."""

    at_s: Seconds
    nadir_millihertz: Annotated[int, Meta(ge=47_000, le=49_900)] = 49_457
    rocof_millihertz_per_s: Annotated[int, Meta(ge=-5_000, le=-1)] = -330


class Setpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From `at_s` on the fleet as a whole holds this power; only where no server gives the orders."""

    at_s: Seconds
    power_w: Annotated[int, Meta(ge=-(10**9), le=10**9)]


AnyFault = Offline | LateAnswer | Slow | Reject | WrongClock | LyingMeter | PacketLoss | Reboot | EvLeaves | GridCode


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    fault: Annotated[tuple[AnyFault, ...], Meta(max_length=MAX_FAULTS)] = ()
    loss: Annotated[tuple[Loss, ...], Meta(max_length=MAX_LOSSES)] = ()
    setpoint: Annotated[tuple[Setpoint, ...], Meta(max_length=MAX_SETPOINTS)] = ()


def parse(data: bytes) -> Scenario:
    """The scenario in the bytes of a TOML file. Raises `ScenarioRefused`."""
    if len(data) > MAX_SCENARIO_BYTES:
        raise ScenarioRefused("the file is too long", expected=f"<= {MAX_SCENARIO_BYTES} bytes", found=len(data))
    try:
        found = toml_text.decode(data, Scenario)
    except UnicodeDecodeError as error:
        raise ScenarioRefused("not a scenario", expected="UTF-8") from error
    except msgspec.DecodeError as error:
        raise ScenarioRefused("not a scenario", found=str(error)[:200]) from error
    for place, one in enumerate(found.fault):
        if one.to_s is not None and one.to_s <= one.from_s:
            ends = f"> {one.from_s}"
            raise ScenarioRefused("a fault ends before it begins", expected=ends, found=one.to_s, fault=place)
    times = [one.at_s for one in found.setpoint]
    if times != sorted(set(times)):
        raise ScenarioRefused("setpoints are not in rising order of time")
    return found


def faults_of(scenario: Scenario, station_ids: Sequence[str], start_ms: int) -> dict[str, f.Faults]:
    """The faults of each station. Raises `ScenarioRefused` for a station that is not among them."""
    known = set(station_ids)
    found: dict[str, list[f.Fault]] = {station_id: [] for station_id in station_ids}
    for place, one in enumerate(scenario.fault):
        unknown = set(one.stations or ()) - known
        if unknown:
            raise ScenarioRefused("a station that is not there", found=min(unknown)[:48], fault=place)
        for station_id in list(one.stations or station_ids)[:: one.every]:
            found[station_id].append(_fault(one, start_ms))
    return {station_id: f.Faults(tuple(those)) for station_id, those in found.items()}


def losses_of(scenario: Scenario, start_ms: int) -> list[LossEvent]:
    """The grid's events."""
    return [
        LossEvent(
            at_ms=start_ms + one.at_s * MS_PER_S,
            before_millihertz=50_000,
            nadir_millihertz=one.nadir_millihertz,
            rocof_millihertz_per_s=one.rocof_millihertz_per_s,
        )
        for one in scenario.loss
    ]


def _fault(one: AnyFault, start_ms: int) -> f.Fault:
    from_ms = start_ms + one.from_s * MS_PER_S
    to_ms = f.NEVER_MS if one.to_s is None else start_ms + one.to_s * MS_PER_S
    when: f.When = {"from_ms": from_ms, "to_ms": to_ms, "evse_id": one.evse}
    match one:
        case Offline():
            return f.Offline(**when)
        case LateAnswer(delay_s=delay_s):
            return f.LateAnswer(**when, delay_s=delay_s)
        case Slow(delay_s=delay_s):
            return f.SlowResponse(**when, delay_s=delay_s)
        case Reject(reason=reason, times=times):
            return f.RejectCommands(**when, reason=reason, times=times)
        case WrongClock(offset_ms=offset_ms, honest=honest):
            return f.WrongClock(**when, offset_ms=offset_ms, honest=honest)
        case LyingMeter(permille=permille):
            return f.LyingMeter(**when, permille=permille)
        case PacketLoss(permille=permille):
            return f.PacketLoss(**when, permille=permille)
        case Reboot():
            return f.Reboot(**when)
        case EvLeaves(reason=reason):
            return f.EvLeaves(**when, reason=reason)
        case GridCode(power_w=power_w, control=control, fault=fault):
            return f.GridCodeOverride(**when, power_w=power_w, control=control, fault=fault)

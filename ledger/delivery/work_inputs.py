"""Everything that a proof of work is computed from, one struct per service class."""

import msgspec

from ledger.delivery.baselines import BaselineInputs
from ledger.delivery.samples import MAX_HOLD_MS
from ledger.delivery.verdicts import congestion, droop, ffr, limit, reserve, setpoint, v2h
from ledger.delivery.verdicts.outcome import Exclusion


class Participation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One EVSE or EV in the request; `ordered_w` is its share of the order, or its capacity."""

    participation_id: str
    ordered_w: int = 0


class Work(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="service_class"):
    """What all classes share. `bodies` are sample bodies in order of time, by participation id.

    A sample stands for at most `max_hold_ms` (60 s at most).
    """

    start_at_ms: int
    end_at_ms: int
    participations: tuple[Participation, ...]
    bodies: dict[str, tuple[bytes, ...]]
    exclusions: tuple[Exclusion, ...] = ()
    max_hold_ms: int = MAX_HOLD_MS


class CongestionWork(Work, frozen=True, kw_only=True, tag="CONGESTION"):
    """An order in W per ISP against a baseline of the group."""

    isp_ms: int
    baseline: BaselineInputs
    ordered_w: tuple[int, ...]
    terms: congestion.Terms = congestion.Terms()


class LimitWork(Work, frozen=True, kw_only=True, tag="LIMIT_MANDATORY"):
    """A cap for the group, `t_comply_ms` after the start, looked at in means of `interval_ms`."""

    t_comply_ms: int
    interval_ms: int = 60_000
    terms: limit.Terms


class FfrWork(Work, frozen=True, kw_only=True, tag="FFR"):
    """One frequency event; `frequency_of` is the participation whose samples are the group's frequency."""

    frequency_of: str
    terms: ffr.Terms


class DroopWork(Work, frozen=True, kw_only=True, tag="DROOP"):
    """P(f): the same curve for each EVSE, its own frequency."""

    terms: droop.Terms


class VoltWattWork(Work, frozen=True, kw_only=True, tag="VOLT_WATT"):
    """P(U): the same curve for each EVSE, the voltage that it measures itself."""

    terms: droop.Terms


class VoltVarWork(Work, frozen=True, kw_only=True, tag="VOLT_VAR"):
    """Q(U): the same curve for each EVSE, the voltage that it measures itself."""

    terms: droop.Terms


class WattVarWork(Work, frozen=True, kw_only=True, tag="WATT_VAR"):
    """Q(P): the same curve for each EVSE, over its own power."""

    terms: droop.Terms


class SetpointWork(Work, frozen=True, kw_only=True, tag="SETPOINT"):
    """The ordered setpoints by participation id."""

    setpoints: dict[str, tuple[setpoint.Setpoint, ...]]
    terms: setpoint.Terms


class ReserveWork(Work, frozen=True, kw_only=True, tag="RESERVE"):
    """V2G tertiary reserve, looked at in means of `interval_ms`."""

    interval_ms: int
    baseline: BaselineInputs
    ordered_w: tuple[int, ...]
    terms: reserve.Terms


class PriceWork(Work, frozen=True, kw_only=True, tag="PRICE"):
    """The reaction to a published price; nothing is owed."""

    isp_ms: int
    baseline: BaselineInputs


class EmbeddedWork(Work, frozen=True, kw_only=True, tag="EMBEDDED"):
    """What an embedded function did; nothing is requested, nothing is paid.

    From `start_at_ms` to `end_at_ms` it ruled; the `before_ms` up to the start are what it is compared with.
    """

    before_ms: int


class V2hWork(Work, frozen=True, kw_only=True, tag="V2H"):
    """`house` is the participation whose samples have the power at the house's grid connection, as `upstream_w`."""

    isp_ms: int
    house: str
    terms: v2h.Terms


WorkInputs = (
    CongestionWork
    | LimitWork
    | FfrWork
    | DroopWork
    | VoltWattWork
    | VoltVarWork
    | WattVarWork
    | SetpointWork
    | ReserveWork
    | PriceWork
    | EmbeddedWork
    | V2hWork
)

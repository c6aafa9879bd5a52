"""What changes of a configured site: some of its EVSEs or their parts, or its grid connection; all else stays."""

from typing import Annotated

import msgspec

from ledger.records.fields import CapacityVar, CapacityW, EvseId, Id, PublicSite
from ledger.records.marks import public
from ledger.records.record import Record, Value
from ledger.records.sites import Connector, CurrentKind, Evse, GridConnection, Meter, Operational
from ledger.records.statement_fields import Hash

MAX_CHANGES = 256
"""In one record. Whoever rebuilds more of a site configures it anew."""


class EvseAdded(Value, frozen=True, kw_only=True, tag_field="change", tag="EVSE_ADDED"):
    """Another EVSE stands there."""

    evse: Evse


class EvseReplaced(Value, frozen=True, kw_only=True, tag_field="change", tag="EVSE_REPLACED"):
    """Another device stands in the place of an EVSE, under its id."""

    evse: Evse


class EvseRemoved(Value, frozen=True, kw_only=True, tag_field="change", tag="EVSE_REMOVED"):
    """An EVSE is gone."""

    evse_id: EvseId


class ConnectorAdded(Value, frozen=True, kw_only=True, tag_field="change", tag="CONNECTOR_ADDED"):
    """An EVSE has another connector."""

    evse_id: EvseId
    connector: Connector


class ConnectorReplaced(Value, frozen=True, kw_only=True, tag_field="change", tag="CONNECTOR_REPLACED"):
    """A connector is another one, under its number."""

    evse_id: EvseId
    connector: Connector


class ConnectorRemoved(Value, frozen=True, kw_only=True, tag_field="change", tag="CONNECTOR_REMOVED"):
    """A connector is gone."""

    evse_id: EvseId
    connector_id: Annotated[int, msgspec.Meta(ge=1, le=64)]


class MeterReplaced(Value, frozen=True, kw_only=True, tag_field="change", tag="METER_REPLACED"):
    """An EVSE has another meter: from here on values count that are signed with its key."""

    evse_id: EvseId
    meter: Meter


class Inverter(Value, frozen=True, kw_only=True):
    """What the power electronics of an EVSE can do; members as of an EVSE."""

    kind: CurrentKind
    max_charge_w: CapacityW
    max_discharge_w: CapacityW
    services: Annotated[tuple[str, ...], msgspec.Meta(max_length=16)]
    response_time_ms: Annotated[int, msgspec.Meta(ge=0, le=3_600_000)]
    key_spki_sha256: Hash
    firmware_sha256: Hash
    max_inject_var: CapacityVar = 0
    max_absorb_var: CapacityVar = 0
    control_modes: Annotated[tuple[str, ...], msgspec.Meta(max_length=32)] = ()
    energy_transfer_modes: Annotated[tuple[str, ...], msgspec.Meta(max_length=16)] = ()
    min_charge_w: CapacityW = 0
    min_discharge_w: CapacityW = 0
    ramp_w_per_s: Annotated[int, msgspec.Meta(ge=1, le=10**7)] | None = None


class InverterReplaced(Value, frozen=True, kw_only=True, tag_field="change", tag="INVERTER_REPLACED"):
    """An EVSE has other power electronics; its place, its connectors and its meter stay."""

    evse_id: EvseId
    inverter: Inverter


class FirmwareReplaced(Value, frozen=True, kw_only=True, tag_field="change", tag="FIRMWARE_REPLACED"):
    """An EVSE runs another firmware: claims that name the one before cover it no more."""

    evse_id: EvseId
    firmware_sha256: Hash


class AvailabilityChanged(Value, frozen=True, kw_only=True, tag_field="change", tag="AVAILABILITY_CHANGED"):
    """An EVSE is out of service, or is in service again."""

    evse_id: EvseId
    operational: Operational


class GridReplaced(Value, frozen=True, kw_only=True, tag_field="change", tag="GRID_REPLACED"):
    """The site is connected with other limits, or at another place of the grid."""

    import_limit_w: CapacityW
    export_limit_w: CapacityW
    congestion_point: Id
    grid: GridConnection | None = None


SiteChange = (
    EvseAdded
    | EvseReplaced
    | EvseRemoved
    | ConnectorAdded
    | ConnectorReplaced
    | ConnectorRemoved
    | MeterReplaced
    | InverterReplaced
    | FirmwareReplaced
    | AvailabilityChanged
    | GridReplaced
)


class SiteChanged(Record, frozen=True, kw_only=True):
    """The CSO changes part of the configuration in force, which it names by its version; the result is the next one.

    Changes hold in their order and together, or not at all.
    """

    TYPE = "site.changed"
    STREAM = "site"

    site_id: PublicSite
    base_version: Annotated[int, msgspec.Meta(ge=1, le=10**6 - 1), public("the version that is changed")]
    changes: Annotated[
        tuple[SiteChange, ...],
        msgspec.Meta(min_length=1, max_length=MAX_CHANGES),
        public("infrastructure of an organisation; says nothing of a charging session"),
    ]


def evse_of(change: SiteChange) -> str | None:
    """The EVSE of which a change speaks; None for the grid connection."""
    match change:
        case EvseAdded() | EvseReplaced():
            return change.evse.evse_id
        case GridReplaced():
            return None
    return change.evse_id


def meters(record: SiteChanged) -> tuple[Meter, ...]:
    """The meters that are new."""
    found = []
    for change in record.changes:
        match change:
            case EvseAdded() | EvseReplaced():
                found.append(change.evse.meter)
            case MeterReplaced():
                found.append(change.meter)
    return tuple(found)


KINDS: tuple[type[Record], ...] = (SiteChanged,)

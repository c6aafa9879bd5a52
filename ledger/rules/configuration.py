"""A site's configuration, changed: what comes out, and which changes there cannot be."""

import msgspec
from msgspec.structs import replace

from ledger.records.site_changes import (
    AvailabilityChanged,
    ConnectorAdded,
    ConnectorRemoved,
    ConnectorReplaced,
    EvseAdded,
    EvseRemoved,
    EvseReplaced,
    FirmwareReplaced,
    GridReplaced,
    InverterReplaced,
    MeterReplaced,
    SiteChange,
    SiteChanged,
)
from ledger.records.sites import Connector, Evse, SiteConfigured
from ledger.rules.errors.checks import CapabilityContradicts, MagnitudeImplausible
from ledger.rules.errors.sites import ConnectorUnknown, EvseUnknown, SiteSize
from ledger.rules.errors.writing import AlreadyRecorded, VersionGap

MAX_EVSES = 512
MAX_CONNECTORS = 8
"""As many as a whole configuration may name (`records/sites.py`)."""
LEAST_W, MOST_W = 500, 10_000_000
"""6 A at 100 V is 600 W, the largest connectors for ships and lorries stay under 5 MW: kW or mW are noticed."""


def changed(base: SiteConfigured, record: SiteChanged) -> SiteConfigured:
    """The next version: `base` with every change, in their order.

    Raises `VersionGap` for changes of another version, `EvseUnknown`, `ConnectorUnknown`, `AlreadyRecorded`,
    `CapabilityContradicts` or `SiteSize` for one that there cannot be.
    """
    if record.base_version != base.version:
        raise VersionGap("another version is in force", expected=base.version, found=record.base_version)
    evses = {evse.evse_id: evse for evse in base.evses}
    site = base
    for change in record.changes:
        if isinstance(change, GridReplaced):
            site = _connected(site, change)
        else:
            _change(evses, change)
    if not 1 <= len(evses) <= MAX_EVSES:
        raise SiteSize("too few or too many EVSEs", expected=f"1 to {MAX_EVSES}", found=len(evses))
    made = replace(site, version=base.version + 1, evses=tuple(evses.values()))
    if msgspec.structs.astuple(replace(made, version=base.version)) == msgspec.structs.astuple(base):
        raise AlreadyRecorded("nothing changes", expected="a change", found=f"version {base.version} again")
    require_capabilities(made)
    return made


def require_capabilities(site: SiteConfigured) -> None:
    """Raises `MagnitudeImplausible` for a power that no EVSE has, `CapabilityContradicts` for one that contradicts
    itself: its least power above its greatest, or a connector twice.
    """
    for evse in site.evses:
        for most_w in (evse.max_charge_w, evse.max_discharge_w):
            if most_w and not LEAST_W <= most_w <= MOST_W:
                raise MagnitudeImplausible(
                    "no EVSE has this power",
                    expected=f"0, or {LEAST_W} to {MOST_W} W",
                    found=most_w,
                    evse_id=evse.evse_id,
                )
        if evse.min_charge_w > evse.max_charge_w or evse.min_discharge_w > evse.max_discharge_w:
            raise CapabilityContradicts("the least power is more than the greatest", evse_id=evse.evse_id)
        if len({one.connector_id for one in evse.connectors}) != len(evse.connectors):
            raise CapabilityContradicts("a connector is listed twice", evse_id=evse.evse_id)


def exchanged(before: Evse, after: Evse | None) -> bool:
    """Whether the EVSE is gone, or what measures it or proves who it is became another thing."""
    return after is None or (before.meter, before.key_spki_sha256) != (after.meter, after.key_spki_sha256)


def _connected(site: SiteConfigured, change: GridReplaced) -> SiteConfigured:
    return replace(
        site,
        import_limit_w=change.import_limit_w,
        export_limit_w=change.export_limit_w,
        congestion_point=change.congestion_point,
        grid=change.grid,
    )


def _change(evses: dict[str, Evse], change: SiteChange) -> None:
    match change:
        case EvseAdded():
            if change.evse.evse_id in evses:
                raise AlreadyRecorded("the EVSE stands there", evse_id=change.evse.evse_id)
            evses[change.evse.evse_id] = change.evse
        case EvseReplaced():
            _of(evses, change.evse.evse_id)
            evses[change.evse.evse_id] = change.evse
        case EvseRemoved():
            _of(evses, change.evse_id)
            del evses[change.evse_id]
        case ConnectorAdded() | ConnectorReplaced() | ConnectorRemoved():
            before = _of(evses, change.evse_id)
            evses[change.evse_id] = replace(before, connectors=_connectors(before, change))
        case MeterReplaced():
            evses[change.evse_id] = replace(_of(evses, change.evse_id), meter=change.meter)
        case InverterReplaced():
            parts = {name: getattr(change.inverter, name) for name in change.inverter.__struct_fields__}
            evses[change.evse_id] = replace(_of(evses, change.evse_id), **parts)
        case FirmwareReplaced():
            evses[change.evse_id] = replace(_of(evses, change.evse_id), firmware_sha256=change.firmware_sha256)
        case AvailabilityChanged():
            evses[change.evse_id] = replace(_of(evses, change.evse_id), operational=change.operational)


def _of(evses: dict[str, Evse], evse_id: str) -> Evse:
    if evse_id not in evses:
        raise EvseUnknown("no such EVSE in the version that is changed", evse_id=evse_id)
    return evses[evse_id]


def _connectors(evse: Evse, change: ConnectorAdded | ConnectorReplaced | ConnectorRemoved) -> tuple[Connector, ...]:
    number = change.connector_id if isinstance(change, ConnectorRemoved) else change.connector.connector_id
    is_there = any(one.connector_id == number for one in evse.connectors)
    if isinstance(change, ConnectorAdded):
        if is_there:
            raise AlreadyRecorded("the connector is there", evse_id=evse.evse_id, connector_id=number)
        if len(evse.connectors) == MAX_CONNECTORS:
            raise SiteSize("too many connectors", expected=f"at most {MAX_CONNECTORS}", evse_id=evse.evse_id)
        return (*evse.connectors, change.connector)
    if not is_there:
        raise ConnectorUnknown("no such connector", evse_id=evse.evse_id, connector_id=number)
    new = () if isinstance(change, ConnectorRemoved) else (change.connector,)
    return tuple(one for one in evse.connectors if one.connector_id != number) + new

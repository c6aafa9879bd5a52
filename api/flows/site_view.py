"""What a party may see of sites and stations: what their operator declared, and what was in force at any past time."""

from collections.abc import Iterator

import msgspec

from api.errors import Absent
from api.flows.desk import Desk
from api.flows.errors import NotConcerned
from api.flows.memory import Memory
from api.flows.standing import concerns_site
from api.principals import Principal
from ledger.records.sites import Evse, GridConnection, SiteConfigured
from ledger.rules.errors.absent import SiteAbsent
from ledger.rules.site_state import SiteState


class NothingInForce(Absent):
    """At the time that was asked about, nothing had been declared yet."""

    code = "api/nothing-in-force"
    title = "Nothing was in force"


class ForecastView(msgspec.Struct, frozen=True, kw_only=True):
    """What the whole site could give in that time, and for how long."""

    from_ms: int
    until_ms: int
    up_w: int
    down_w: int
    duration_s: int


class SiteView(msgspec.Struct, frozen=True, kw_only=True):
    """A site as its operator had declared it at `at_ms`."""

    site_id: str
    cso: str
    at_ms: int
    version: int
    declared_at_ms: int
    """When this version was recorded; it has been in force since."""
    latest_version: int
    region: str
    congestion_point: str
    import_limit_w: int
    export_limit_w: int
    grid: GridConnection | None
    evses: tuple[Evse, ...]
    forecasts: tuple[ForecastView, ...] = ()
    """What its operator then forecast of times to come, later words last; of the time before the newest forecast the
    site's stream tells."""


class StationView(msgspec.Struct, frozen=True, kw_only=True):
    """A charging station: the EVSEs that share its controller."""

    station_id: str
    site_id: str
    cso: str
    at_ms: int
    evses: tuple[Evse, ...]


def own(desk: Desk, memory: Memory, principal: Principal) -> Iterator[SiteState]:
    """The sites that concern the caller, in the order in which they were first declared."""
    for site in desk.state.sites():
        if concerns_site(desk, memory, site, principal):
            yield site


def require_own(desk: Desk, memory: Memory, site_id: str, principal: Principal) -> SiteState:
    """The site; raises `NotConcerned`, the same for one that is not there and one that is not the caller's."""
    try:
        site = desk.state.site(site_id)
    except SiteAbsent:
        site = None
    if site is None or not concerns_site(desk, memory, site, principal):
        raise NotConcerned("no such site of yours")
    return site


def view(site: SiteState, at_ms: int) -> SiteView:
    """The site as it was declared at `at_ms`; raises `NothingInForce` before its first version."""
    declared_at_ms, version = _at(site, at_ms)
    return SiteView(
        site_id=site.site_id,
        cso=site.cso,
        at_ms=at_ms,
        version=version.version,
        declared_at_ms=declared_at_ms,
        latest_version=site.configured.version,
        region=version.region,
        congestion_point=version.congestion_point,
        import_limit_w=version.import_limit_w,
        export_limit_w=version.export_limit_w,
        grid=version.grid,
        evses=version.evses,
        forecasts=tuple(
            ForecastView(
                from_ms=one.from_ms,
                until_ms=one.until_ms,
                up_w=one.up_w,
                down_w=one.down_w,
                duration_s=one.duration_s,
            )
            for one in site.forecasts(at_ms)
        ),
    )


def stations(site: SiteState, at_ms: int) -> Iterator[StationView]:
    """The stations that the site had at `at_ms`, by their ids; none before its first version."""
    version = site.at(at_ms)
    if version is None:
        return
    for station_id in sorted({evse.station_id for evse in version.evses}):
        evses = tuple(evse for evse in version.evses if evse.station_id == station_id)
        yield StationView(station_id=station_id, site_id=site.site_id, cso=site.cso, at_ms=at_ms, evses=evses)


def _at(site: SiteState, at_ms: int) -> tuple[int, SiteConfigured]:
    for declared_at_ms, version in reversed(site.versions):
        if declared_at_ms <= at_ms:
            return declared_at_ms, version
    raise NothingInForce("the site was not declared yet", expected=f"a time from {site.versions[0][0]} on", found=at_ms)

"""/v1/sites and /v1/stations: what their operator declares, cars that are plugged in, claims, energies by period."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from api import wire
from api.flows import energy, paging, site_view
from api.flows.desk import Opened
from api.flows.energy import EnergyReport
from api.flows.errors import NotConcerned, PersonalMissing
from api.flows.service import Service
from api.flows.site_view import SiteView, StationView
from api.flows.standing import require_evses, require_site
from api.principals import Principal
from api.web.identity import principal_of, require
from api.web.limits import DEFAULT_PAGE, After, AtMs, PageSize
from api.web.routes.taking import taking
from ledger.records.site_changes import SiteChanged
from ledger.records.sites import ClaimRegistered, InstallationLinked, SessionMirrored, SiteAvailable, SiteConfigured
from pki.roles import Role

READERS = (Role.CSO, Role.FO, Role.CSP, Role.AUD, Role.DPO)
ENERGY_READERS = (Role.CSO, Role.FO, Role.CSP, Role.AUD)

FromMs = Annotated[
    int, QueryParameter(name="from", ge=0, le=2**48, description="Unix ms; begins a quarter of an hour.")
]
ToMs = Annotated[
    int, QueryParameter(name="to", ge=0, le=2**48, description="Unix ms; a whole number of periods later.")
]
Period = Annotated[
    int, QueryParameter(ge=900, le=2_678_400, description="Length of a period in seconds, a multiple of 900.")
]
OfSite = Annotated[str | None, QueryParameter(max_length=64, description="Only stations of this site.")]


class SiteList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the sites that concern the caller, and the tree size for which it holds."""

    tree_size: int
    sites: tuple[SiteView, ...]
    next: str | None
    """For `after`, to have the next page; None on the last one."""


class StationList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the stations that concern the caller, and the tree size for which it holds."""

    tree_size: int
    stations: tuple[StationView, ...]
    next: str | None


async def _claim(service: Service, opened: Opened, principal: Principal) -> wire.Accepted:
    """A claim or link is taken from the site's operator only, and only if its attribute certificate is good now."""
    if isinstance(opened.whole, ClaimRegistered | InstallationLinked):
        require_site(service.desk, opened.whole.site_id, principal)
    service.memory.require_claim(opened)
    return await service.desk.admit(opened, principal)


async def _session(service: Service, opened: Opened, principal: Principal) -> wire.Accepted:
    """A session carries a person's consent, so a CSP mirrors only those at EVSEs that it has a contract for."""
    said = opened.whole
    if principal.role is Role.CSP and isinstance(said, SessionMirrored):
        evse_ids = (said.evse_id,) if isinstance(said.evse_id, str) else ()
        require_evses(service.desk, service.memory, said.site_id, evse_ids, principal)
        if not evse_ids:
            raise PersonalMissing("a session says at which EVSE", expected="a disclosure for evse_id")
    return await service.desk.admit(opened, principal)


@get("/v1/sites", operation_id="list_sites", tags=["sites"], guards=[require(*READERS)])
async def list_sites(
    request: Request[Any, Any, Any],
    service: NamedDependency[Service],
    limit: PageSize = DEFAULT_PAGE,
    after: After = None,
) -> SiteList:
    """The sites that concern the caller as they are declared now: its own, or those where it has a contract."""
    now_ms = service.desk.clock.now_ms()
    found, following = paging.page(
        site_view.own(service.desk, service.memory, principal_of(request.scope)),
        name=lambda one: one.site_id,
        after=after,
        limit=limit,
    )
    sites = tuple(site_view.view(one, now_ms) for one in found)
    return SiteList(tree_size=service.desk.appender.head.size, sites=sites, next=following)


@get("/v1/sites/{site_id:str}", operation_id="read_site", tags=["sites"], guards=[require(*READERS)])
async def read_site(
    request: Request[Any, Any, Any], service: NamedDependency[Service], site_id: FromPath[str], at_ms: AtMs = None
) -> SiteView:
    """One site with its EVSEs: what is in force, or was at a past time."""
    found = site_view.require_own(service.desk, service.memory, site_id, principal_of(request.scope))
    return site_view.view(found, service.desk.clock.now_ms() if at_ms is None else at_ms)


@get("/v1/sites/{site_id:str}/energy", operation_id="read_energy", tags=["sites"], guards=[require(*ENERGY_READERS)])
async def read_energy(
    request: Request[Any, Any, Any],
    service: NamedDependency[Service],
    site_id: FromPath[str],
    from_ms: FromMs,
    to_ms: ToMs,
    period: Period = 3_600,
) -> EnergyReport:
    """Energies that were measured while the site took part in requests that concern the caller, by period.

    Whoever is neither the operator nor an auditor is told of a period only if enough persons stand behind it.
    """
    principal = principal_of(request.scope)
    found = site_view.require_own(service.desk, service.memory, site_id, principal)
    return await energy.report(
        service.desk, service.memory, found, principal, from_ms=from_ms, to_ms=to_ms, period_ms=period * 1000
    )


@get("/v1/stations", operation_id="list_stations", tags=["sites"], guards=[require(*READERS)])
async def list_stations(
    request: Request[Any, Any, Any],
    service: NamedDependency[Service],
    limit: PageSize = DEFAULT_PAGE,
    after: After = None,
    at_ms: AtMs = None,
    site_id: OfSite = None,
) -> StationList:
    """The stations of the sites that concern the caller: what is in force, or was at a past time."""
    found, following = paging.page(
        _stations(request, service, at_ms),
        name=lambda one: one.station_id,
        after=after,
        limit=limit,
        wanted=lambda one: site_id in (None, one.site_id),
    )
    return StationList(tree_size=service.desk.appender.head.size, stations=found, next=following)


@get("/v1/stations/{station_id:str}", operation_id="read_station", tags=["sites"], guards=[require(*READERS)])
async def read_station(
    request: Request[Any, Any, Any], service: NamedDependency[Service], station_id: FromPath[str], at_ms: AtMs = None
) -> StationView:
    """One station with its EVSEs: what is in force, or was at a past time."""
    for one in _stations(request, service, at_ms):
        if one.station_id == station_id:
            return one
    raise NotConcerned("no such station of yours")


def _stations(request: Request[Any, Any, Any], service: Service, at_ms: int | None) -> Iterator[StationView]:
    at_ms = service.desk.clock.now_ms() if at_ms is None else at_ms
    for site in site_view.own(service.desk, service.memory, principal_of(request.scope)):
        yield from site_view.stations(site, at_ms)


HANDLERS = (
    taking(
        "/v1/sites/{site_id:str}/availability",
        SiteAvailable,
        name="forecast_availability",
        summary="Forecast what the site could give",
        roles=(Role.CSO,),
    ),
    taking(
        "/v1/sites",
        SiteConfigured,
        name="configure_site",
        summary="Declare a site: grid connection, EVSEs, meters",
        roles=(Role.CSO,),
    ),
    taking(
        "/v1/sites/{site_id:str}/changes",
        SiteChanged,
        name="change_site",
        summary="Change part of a site's configuration: an EVSE, its parts, its availability, the grid connection",
        roles=(Role.CSO,),
    ),
    taking(
        "/v1/sites/{site_id:str}/sessions",
        SessionMirrored,
        name="mirror_session",
        summary="Say which car is plugged in where, and whether its user allows discharging",
        roles=(Role.CSO, Role.CSP),
        flow=_session,
    ),
    taking(
        "/v1/sites/{site_id:str}/claims",
        ClaimRegistered,
        InstallationLinked,
        name="register_claim",
        summary="Register a conformity claim or an installation link with its attribute certificate",
        roles=(Role.CSO,),
        flow=_claim,
    ),
    list_sites,
    read_site,
    read_energy,
    list_stations,
    read_station,
)

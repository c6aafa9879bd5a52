"""/v1/sites: stations as their operator declares them, cars that are plugged in, claims that are made of things."""

from api import wire
from api.flows.desk import Opened
from api.flows.errors import PersonalMissing
from api.flows.service import Service
from api.flows.standing import require_evses, require_site
from api.principals import Principal
from api.web.routes.taking import taking
from ledger.records.sites import ClaimRegistered, InstallationLinked, SessionMirrored, SiteConfigured
from pki.roles import Role


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


HANDLERS = (
    taking(
        "/v1/sites",
        SiteConfigured,
        name="configure_site",
        summary="Declare a site: grid connection, EVSEs, meters",
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
)

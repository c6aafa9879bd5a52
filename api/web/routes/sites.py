"""/v1/sites: stations as their operator declares them, cars that are plugged in, claims that are made of things."""

from api import wire
from api.flows.desk import Opened
from api.flows.service import Service
from api.principals import Principal
from api.web.routes.taking import taking
from ledger.records.sites import ClaimRegistered, SessionMirrored, SiteConfigured
from pki.roles import Role


async def _claim(service: Service, opened: Opened, principal: Principal) -> wire.Accepted:
    """A claim is taken only if its attribute certificate is good now."""
    service.memory.require_claim(opened)
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
    ),
    taking(
        "/v1/sites/{site_id:str}/claims",
        ClaimRegistered,
        name="register_claim",
        summary="Register a conformity claim with its attribute certificate",
        roles=(Role.CSO,),
        flow=_claim,
    ),
)

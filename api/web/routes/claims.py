"""/v1/claims: registered conformity claims and installation links; to register one, see /v1/sites."""

from typing import Any, Final

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from api import wire
from api.flows import claims
from api.flows.claims import Found
from api.flows.desk import Opened
from api.flows.service import Service
from api.flows.standing import require_site
from api.principals import Principal
from api.web.identity import principal_of, require
from api.web.routes.taking import taking
from ledger.records.sites import ClaimRegistered, ClaimWithdrawn
from pki.roles import Role

READERS: Final = (Role.CSO, Role.CB, Role.AUD, Role.DPO)


class ClaimView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A registration as the log says it: which thing it is about stands in the document alone."""

    claim_id: str
    kind: str
    site_id: str
    subject: str
    issuer: str
    not_before_ms: int
    not_after_ms: int
    standard: str | None = None
    functions: tuple[str, ...] = ()
    region: str | None = None
    is_withdrawn: bool = False


class ClaimList(msgspec.Struct, frozen=True, kw_only=True):
    """The registrations that concern the caller, at a size of the log."""

    tree_size: int
    claims: tuple[ClaimView, ...]


class ClaimWhole(msgspec.Struct, frozen=True, kw_only=True):
    """A registration with its document (base64 of the DER), where the vault still has it."""

    claim: ClaimView
    document: bytes | None


class ClaimStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the document now; `valid_until_ms` is when that must be asked again."""

    claim_id: str
    status: str
    as_of_ms: int
    code: str | None
    valid_until_ms: int | None


@get("/v1/claims", operation_id="list_claims", tags=["claims"], guards=[require(*READERS)])
async def list_claims(
    request: Request[Any, Any, Any], service: NamedDependency[Service], site_id: FromQuery[str | None] = None
) -> ClaimList:
    """The claims and links that concern the caller, of one site if it is given."""
    found = claims.visible(service.desk, principal_of(request.scope), site_id)
    return ClaimList(tree_size=service.desk.appender.head.size, claims=tuple(_view(one) for one in found))


@get("/v1/claims/{claim_id:str}", operation_id="read_claim", tags=["claims"], guards=[require(*READERS)])
async def read_claim(
    request: Request[Any, Any, Any], service: NamedDependency[Service], claim_id: FromPath[str]
) -> ClaimWhole:
    """One claim or link, with its document."""
    found = claims.require_visible(service.desk, principal_of(request.scope), claim_id)
    held = service.memory.claim(claim_id)
    return ClaimWhole(claim=_view(found), document=None if held is None else held[1])


@get("/v1/claims/{claim_id:str}/status", operation_id="read_claim_status", tags=["claims"], guards=[require(*READERS)])
async def read_claim_status(
    request: Request[Any, Any, Any], service: NamedDependency[Service], claim_id: FromPath[str]
) -> ClaimStatus:
    """Whether the document is good now: withdrawn, revoked, over, or not to be known."""
    found = claims.require_visible(service.desk, principal_of(request.scope), claim_id)
    now_ms = service.desk.clock.now_ms()
    status, code, until_ms = claims.standing(service.desk, service.memory, found, now_ms)
    return ClaimStatus(claim_id=claim_id, status=status.value, as_of_ms=now_ms, code=code, valid_until_ms=until_ms)


async def _withdraw(service: Service, opened: Opened, principal: Principal) -> wire.Accepted:
    """What is registered at a site is withdrawn by its operator."""
    if isinstance(opened.whole, ClaimWithdrawn):
        require_site(service.desk, opened.whole.site_id, principal)
    return await service.desk.admit(opened, principal)


def _view(found: Found) -> ClaimView:
    one = found.registered
    said: dict[str, Any] = {}
    if isinstance(one, ClaimRegistered):
        said = {"standard": one.standard, "functions": one.functions, "region": one.region}
    return ClaimView(
        claim_id=one.claim_id,
        kind=claims.kind_of(one),
        site_id=one.site_id,
        subject=one.subject.value,
        issuer=one.issuer,
        not_before_ms=one.not_before_ms,
        not_after_ms=one.not_after_ms,
        is_withdrawn=one.claim_id in found.site.withdrawn,
        **said,
    )


HANDLERS = (
    taking(
        "/v1/claims/{claim_id:str}/withdrawal",
        ClaimWithdrawn,
        name="withdraw_claim",
        summary="Stop relying on a registered claim or link",
        roles=(Role.CSO,),
        flow=_withdraw,
    ),
    list_claims,
    read_claim,
    read_claim_status,
)

"""/v1/reidentifications: a privacy officer asks who is behind a pseudonym, the operator approves, one answer comes."""

from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Response

from api.flows.service import Service
from api.web import schema
from api.web.identity import principal_of, require
from api.web.routes import body
from ledger.privacy.reidentification import Asked
from ledger.records.fields import PartyId
from ledger.records.marks import Category, shown_personal
from ledger.records.privacy import Purpose, ReidentificationGround
from pki.roles import Role


class ReidentificationAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pseudonym, for whom and for what it was made, and why its person has to be known."""

    pseudonym: Annotated[
        str, msgspec.Meta(pattern=r"^P1[A-Z2-7]{32}$(?!\n)"), shown_personal(Category.IDENTITY, "direct")
    ]
    recipient: PartyId
    purpose: Purpose
    epoch: Annotated[str, msgspec.Meta(pattern=r"^(transaction|month):[A-Za-z0-9/._-]{1,128}$(?!\n)")]
    """`transaction:` and a stream such as `fsr/fsr-1`, or `month:` and a month."""
    ground: ReidentificationGround


class ReidentificationShown(msgspec.Struct, frozen=True, kw_only=True):
    """One open request; the pseudonym is not shown again."""

    request: str
    recipient: str
    purpose: str
    epoch: str
    ground: str
    officer: str
    approver: str | None
    asked_at_ms: int


class ReidentificationList(msgspec.Struct, frozen=True, kw_only=True):
    """Every request that is neither answered nor over."""

    requests: tuple[ReidentificationShown, ...]


class ReidentificationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The one answer; null where nobody whose data is here has that pseudonym."""

    subject: Annotated[str, shown_personal(Category.IDENTITY, "direct")] | None


class ReidentificationOver(msgspec.Struct, frozen=True, kw_only=True):
    """The request is closed."""

    request: str


@get(
    "/v1/reidentifications",
    operation_id="list_reidentifications",
    tags=["privacy"],
    guards=[require(Role.DPO, Role.OPS)],
)
async def list_open(service: NamedDependency[Service]) -> ReidentificationList:
    """The requests that wait for an approval or an answer."""
    return ReidentificationList(requests=tuple(map(_shown, service.privacy.reidentification.pending())))


@post(
    "/v1/reidentifications",
    operation_id="ask_reidentification",
    tags=["privacy"],
    guards=[require(Role.DPO)],
    status_code=201,
    opt={schema.OPT_BODY: ReidentificationAsked},
)
async def ask(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> ReidentificationShown:
    """Ask who is behind one pseudonym; the request is recorded, and open for a day."""
    service.witnessing.require_signing()
    asked = await body.read(request, ReidentificationAsked)
    made = await service.privacy.reidentification.ask(
        asked.pseudonym,
        recipient=asked.recipient,
        purpose=asked.purpose,
        epoch=asked.epoch,
        ground=asked.ground,
        officer=principal_of(request.scope).party,
    )
    return _shown(made)


@post(
    "/v1/reidentifications/{request_id:str}/approval",
    operation_id="approve_reidentification",
    tags=["privacy"],
    guards=[require(Role.OPS)],
    status_code=201,
)
async def approve(
    request: Request[Any, Any, Any], service: NamedDependency[Service], request_id: FromPath[str]
) -> ReidentificationShown:
    """Agree to a request, as somebody else in another role; recorded."""
    service.witnessing.require_signing()
    approver = principal_of(request.scope).party
    return _shown(await service.privacy.reidentification.approve(request_id, approver=approver))


@post(
    "/v1/reidentifications/{request_id:str}/refusal",
    operation_id="refuse_reidentification",
    tags=["privacy"],
    guards=[require(Role.DPO, Role.OPS)],
    status_code=201,
)
async def refuse(service: NamedDependency[Service], request_id: FromPath[str]) -> ReidentificationOver:
    """Close a request without an answer; recorded."""
    service.witnessing.require_signing()
    await service.privacy.reidentification.refuse(request_id)
    return ReidentificationOver(request=request_id)


@post(
    "/v1/reidentifications/{request_id:str}/answer",
    operation_id="answer_reidentification",
    tags=["privacy"],
    guards=[require(Role.DPO)],
    status_code=201,
)
async def answer(
    request: Request[Any, Any, Any], service: NamedDependency[Service], request_id: FromPath[str]
) -> Response[ReidentificationAnswer]:
    """The one answer to an approved request, for who asked; that it is given is recorded first."""
    service.witnessing.require_signing()
    found = await service.privacy.reidentify(request_id, principal_of(request.scope).party)
    shown = ReidentificationAnswer(subject=found.subject)
    return Response(shown, status_code=201, headers={"cache-control": "private, no-store"})


def _shown(one: Asked) -> ReidentificationShown:
    return ReidentificationShown(
        request=one.request,
        recipient=one.recipient,
        purpose=one.purpose.value,
        epoch=one.epoch,
        ground=one.ground.value,
        officer=one.officer,
        approver=one.approver,
        asked_at_ms=one.asked_at_ms,
    )


HANDLERS = (list_open, ask, approve, refuse, answer)

"""One handler for every resource that takes a signed statement: open it, match it with the path, hand it on."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.response import Response

from api import wire
from api.flows.desk import Opened
from api.flows.errors import TypeNotTaken
from api.flows.service import Service
from api.principals import Principal
from api.web import schema
from api.web.identity import principal_of, require
from api.web.routes import body
from ledger.records.record import Record
from ledger.tlog import checkpoint, proof
from ledger.tlog import note as tlog_note
from pki.roles import Role

Flow = Callable[[Service, Opened, Principal], Awaitable[wire.Accepted]]


@dataclass(frozen=True, slots=True)
class Taking:
    """Who may hand in statements of a kind, and what is done with them."""

    roles: tuple[Role, ...]
    flow: Flow


TAKEN: Final[dict[type[Record], Taking]] = {}
"""Every kind that a resource takes, for the resource that takes many at once: one way in, whichever the path."""


async def admit(service: Service, opened: Opened, principal: Principal) -> wire.Accepted:
    """The flow of statements that need nothing but the rules."""
    return await service.desk.admit(opened, principal)


def taking(
    path: str,
    *kinds: type[Record],
    name: str,
    summary: str,
    roles: tuple[Role, ...],
    flow: Flow = admit,
) -> HTTPRouteHandler:
    """A POST route for statements of these kinds; the body must repeat what the path names, such as `{fsr_id}`."""
    TAKEN.update((kind, Taking(roles, flow)) for kind in kinds)

    @post(
        path,
        name=name,
        operation_id=name,
        summary=summary,
        tags=["statements"],
        guards=[require(*roles)],
        status_code=201,
        opt={schema.OPT_BODY: wire.Submission, schema.OPT_RECORDS: kinds},
    )
    async def take(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Response[wire.Accepted]:
        principal = principal_of(request.scope)
        service.witnessing.require_signing()
        submitted = await body.read(request, wire.Submission)
        opened = service.desk.open(submitted, principal, *kinds)
        _require_path(opened.whole, dict(request.path_params))
        accepted = await flow(service, opened, principal)
        if wire.PREFER_RECEIPT in request.headers.get("prefer", ""):
            accepted = await with_receipt(service, accepted)
        return Response(accepted, status_code=200 if accepted.duplicate else 201)

    return take


async def with_receipt(service: Service, accepted: wire.Accepted) -> wire.Accepted:
    """The answer with a proof that leads to a checkpoint signed just now."""
    return msgspec.structs.replace(accepted, receipt=(await receipt(service, accepted.index)).decode())


async def receipt(service: Service, index: int, *, extra: bytes | None = None) -> bytes:
    """c2sp.org/tlog-proof of one entry, up to a checkpoint that covers it; `extra` travels along unauthenticated."""
    note = await service.witnessing.covering(index)
    size = checkpoint.parse(tlog_note.parse_text(note)).size
    return proof.encode(index, service.reader.inclusion(index, size), note, extra)


def _require_path(whole: Record, named: dict[str, Any]) -> None:
    for name, value in named.items():
        if getattr(whole, name, value) != value:
            raise TypeNotTaken("the path names another thing than the statement", field=name)

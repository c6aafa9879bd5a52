"""/v1/streams and what is read from streams alone: the log of one request, and which exports left the house."""

from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from api.flows import paging, stream_view
from api.flows.service import Service
from api.flows.standing import require_concerned
from api.flows.stream_view import LoggedEntry, StreamView
from api.web.identity import principal_of, require
from api.web.limits import DEFAULT_PAGE, After, Before, PageSize
from ledger.records.privacy import DataDisclosed
from pki.roles import Role

LISTENERS = (Role.FO, Role.CSO, Role.CSP, Role.EVU, Role.AUD, Role.DPO, Role.OPS)
REQUEST_READERS = (Role.FO, Role.CSO, Role.CSP, Role.AUD, Role.DPO)
RECIPIENTS = (Role.FO, Role.CSO, Role.CSP, Role.AUD, Role.DPO)
DISCLOSED = f"privacy/{DataDisclosed.TYPE.partition('.')[2]}"

Prefix = Annotated[str, QueryParameter(max_length=128, description="Only streams that begin so, such as `fsr/`.")]
OfRecipient = Annotated[str | None, QueryParameter(max_length=64, description="Only exports to this organisation.")]


class StreamList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the streams that concern the caller, and the tree size for which it holds."""

    tree_size: int
    streams: tuple[StreamView, ...]
    next: str | None
    """For `after`, to have the next page; None on the last one."""


class StreamWhole(msgspec.Struct, frozen=True, kw_only=True):
    """A page of one stream's entries, newest first, and the tree size for which it holds."""

    tree_size: int
    stream: StreamView
    entries: tuple[LoggedEntry, ...]
    next: int | None
    """For `before`, to have older ones; None on the last page."""


class DisclosureList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the exports that left the house, newest first; whose data was in one, only the vault knows."""

    tree_size: int
    disclosures: tuple[LoggedEntry, ...]
    next: int | None


@get("/v1/streams", operation_id="list_streams", tags=["log"], guards=[require(*LISTENERS)])
async def list_streams(
    request: Request[Any, Any, Any],
    service: NamedDependency[Service],
    limit: PageSize = DEFAULT_PAGE,
    after: After = None,
    prefix: Prefix = "",
) -> StreamList:
    """The streams that concern the caller, in order of name, a page at a time."""
    found, following = paging.page(
        stream_view.own(service.desk, service.memory, principal_of(request.scope), prefix),
        name=lambda stream: stream,
        after=after,
        limit=limit,
    )
    tree_size = service.desk.appender.head.size
    streams = tuple(stream_view.view(service.desk, stream) for stream in found)
    return StreamList(tree_size=tree_size, streams=streams, next=following)


@get("/v1/streams/{kind:str}/{name:str}", operation_id="read_stream", tags=["log"], guards=[require(*LISTENERS)])
async def read_stream(
    request: Request[Any, Any, Any],
    service: NamedDependency[Service],
    kind: FromPath[str],
    name: FromPath[str],
    limit: PageSize = DEFAULT_PAGE,
    before: Before = None,
) -> StreamWhole:
    """One stream's head, and its entries as the log holds them, newest first, a page at a time."""
    stream = f"{kind}/{name}"
    stream_view.require_own(service.desk, service.memory, stream, principal_of(request.scope))
    return _whole(service, stream, before, limit)


@get(
    "/v1/requests/{fsr_id:str}/log",
    operation_id="read_request_log",
    tags=["requests"],
    guards=[require(*REQUEST_READERS)],
)
async def read_request_log(
    request: Request[Any, Any, Any],
    service: NamedDependency[Service],
    fsr_id: FromPath[str],
    limit: PageSize = DEFAULT_PAGE,
    before: Before = None,
) -> StreamWhole:
    """Everything that was recorded of one request, refusals included, newest first, a page at a time."""
    require_concerned(service.desk, fsr_id, principal_of(request.scope))
    return _whole(service, f"fsr/{fsr_id}", before, limit)


@get("/v1/disclosures", operation_id="list_disclosures", tags=["privacy"], guards=[require(*RECIPIENTS)])
async def list_disclosures(
    request: Request[Any, Any, Any],
    service: NamedDependency[Service],
    limit: PageSize = DEFAULT_PAGE,
    before: Before = None,
    recipient: OfRecipient = None,
) -> DisclosureList:
    """Which exports left the house, to whom and for what: all for privacy officers and auditors, a party its own."""
    principal = principal_of(request.scope)
    whose = recipient if principal.role in (Role.AUD, Role.DPO) else principal.party

    def wanted(one: LoggedEntry) -> bool:
        return whose is None or one.event.get("recipient") == whose

    tree_size = service.desk.appender.head.size
    found, following = stream_view.page(service.desk, DISCLOSED, before=before, limit=limit, wanted=wanted)
    return DisclosureList(tree_size=tree_size, disclosures=found, next=following)


def _whole(service: Service, stream: str, before: int | None, limit: int) -> StreamWhole:
    tree_size = service.desk.appender.head.size
    entries, following = stream_view.page(service.desk, stream, before=before, limit=limit)
    return StreamWhole(
        tree_size=tree_size, stream=stream_view.view(service.desk, stream), entries=entries, next=following
    )


HANDLERS = (list_streams, read_stream, read_request_log, list_disclosures)

"""/v1/events: entries as they are written, as server-sent events that resume at the log's own index."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Response, ServerSentEvent
from litestar.response.sse import ServerSentEventMessage

from api.flows.service import Service
from api.web import problems
from api.web.errors import RequestMalformed
from api.web.identity import principal_of, require, still_good
from api.web.methods import STATE_METHOD
from api.wire import Event
from ledger.records.canonical import MAX_INT
from pki.roles import Role

HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
RETRY_MS = 1_000
MAX_DIGITS = len(str(MAX_INT))

After = Annotated[
    int | None,
    QueryParameter(
        ge=0, le=MAX_INT, description="Index of the last entry heard of; the header Last-Event-ID goes before it."
    ),
]
Stream = Annotated[str | None, QueryParameter(max_length=128, description="Only this stream, such as `fsr/...`.")]


@get(
    "/v1/events",
    operation_id="events",
    tags=["log"],
    guards=[require(Role.FO, Role.CSO, Role.CSP, Role.EVU, Role.AUD, Role.DPO, Role.OPS)],
)
async def events(
    request: Request[Any, Any, Any],
    service: NamedDependency[Service],
    after: After = None,
    stream: Stream = None,
) -> Response[Any]:
    """Entries that concern the caller, as they are written (text/event-stream).

    `id` is the entry's index: a client that reconnects sends it as `Last-Event-ID` and misses nothing. Without it the
    events begin with the next entry. They end with an event `refused` when the caller's certificate no longer is good.
    """
    principal = principal_of(request.scope)
    first = service.feed.start(principal, _last_heard(request, after))
    if request.scope.get("state", {}).get(STATE_METHOD) == "HEAD":
        return Response(b"", media_type="text/event-stream", headers=HEADERS)
    found = service.feed.follow(principal, first, stream=stream, still=still_good(request.scope))
    return ServerSentEvent(_messages(found), headers=HEADERS)


def _last_heard(request: Request[Any, Any, Any], after: int | None) -> int | None:
    header = request.headers.get("last-event-id")
    if not header:
        return after
    if not header.isdecimal() or not header.isascii() or len(header) > MAX_DIGITS or int(header) > MAX_INT:
        raise RequestMalformed(f"Last-Event-ID is not an index from 0 to {MAX_INT}")
    return int(header)


async def _messages(found: AsyncIterator[Event | None]) -> AsyncIterator[ServerSentEventMessage]:
    yield ServerSentEventMessage(data=None, retry=RETRY_MS)
    try:
        async for event in found:
            if event is None:
                yield ServerSentEventMessage(data=None, comment="still here")
            else:
                yield ServerSentEventMessage(id=event.index, event=event.type, data=msgspec.json.encode(event))
    except problems.ROOTS as error:
        _, problem = problems.to_problem(error)
        yield ServerSentEventMessage(event="refused", data=msgspec.json.encode(problem))


HANDLERS = (events,)

"""Is it alive, is it ready, how is it doing, and what is it: for those who watch it and those who start here."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.response import Response

from api import telemetry, wire
from api.web import problems
from api.web.asgi import Application, Receive, Scope, Send
from api.web.errors import MethodNotAllowed, NotReady, RouteUnknown

Probe = Callable[[], Awaitable[None]]
"""Returns when the part that it asks works, and raises when it does not."""

NO_STORE: Final = {"cache-control": "no-store"}
WELL_KNOWN_CACHE: Final = {"cache-control": "public, max-age=300"}


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a probe that succeeded; one that failed is answered with a problem."""

    status: str


def routes(
    *, probes: Mapping[str, Probe], about: Callable[[], Mapping[str, Any]]
) -> tuple[HTTPRouteHandler, HTTPRouteHandler, HTTPRouteHandler]:
    """The public handlers. `about` gives the document at /.well-known/flexledger, made anew for every request."""

    @get("/livez", operation_id="livez", tags=["health"])
    async def livez() -> Response[Health]:
        """The process answers."""
        return Response(Health(status="alive"), headers=NO_STORE)

    @get("/readyz", operation_id="readyz", tags=["health"])
    async def readyz() -> Response[Health]:
        """Every part that the service needs answers; 503 names those that do not."""
        await ready(probes)
        return Response(Health(status="ready"), headers=NO_STORE)

    @get("/.well-known/flexledger", operation_id="about", tags=["health"])
    async def well_known() -> Response[dict[str, Any]]:
        """Who this log is: origin, keys, and where its resources are."""
        return Response(dict(about()), headers=WELL_KNOWN_CACHE)

    return livez, readyz, well_known


async def ready(probes: Mapping[str, Probe]) -> None:
    """Asks every probe; raises `NotReady` with the names of those that failed, and logs why."""
    failed = []
    for name, probe in probes.items():
        try:
            await probe()
        except Exception as error:  # noqa: BLE001 -- whatever it is, the part does not work
            telemetry.log.warning("not ready", probe=name, **telemetry.failure(error))
            failed.append(name)
    if failed:
        raise NotReady("a part that the service needs does not answer", found=", ".join(failed))


def ops_app(probes: Mapping[str, Probe]) -> Application:
    """The application of the operations listener: /metrics, /livez, /readyz, and nothing else."""

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            media_type, body = await _ops_answer(scope["method"], scope["path"], probes)
        except problems.ROOTS as error:
            await problems.send_problem(error, scope, send)
            return
        headers = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return app


async def _ops_answer(method: str, path: str, probes: Mapping[str, Probe]) -> tuple[str, bytes]:
    if path not in {"/metrics", "/livez", "/readyz"}:
        raise RouteUnknown("no such resource", expected="/metrics, /livez or /readyz")
    if method not in {"GET", "HEAD"}:
        raise MethodNotAllowed("the resource does not take this method", allow=("GET", "HEAD"))
    if path == "/metrics":
        return telemetry.METRICS_CONTENT_TYPE, telemetry.render()
    if path == "/readyz":
        await ready(probes)
        return wire.JSON_MEDIA_TYPE, msgspec.json.encode(Health(status="ready"))
    return wire.JSON_MEDIA_TYPE, msgspec.json.encode(Health(status="alive"))

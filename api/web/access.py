"""One canonical log line and one count for each request. A line has the route's template, never the path."""

import time
from typing import Any, Final

from prometheus_client import Counter, Histogram

from api import telemetry
from api.principals import Principal
from api.web.asgi import Application, Message, Receive, Scope, Send
from api.web.identity import STATE_PRINCIPAL
from api.web.methods import STATE_METHOD
from api.web.problems import STATE_PROBLEM
from api.wire import Problem

NO_ROUTE: Final = "-"
"""What a path that no resource has is called: attackers invent paths, and paths can name people."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NS_PER_S: Final = 1_000_000_000
_QUIET: Final = frozenset({"/livez", "/readyz", "/metrics"})


class RequestLog:
    """Logs and counts what passes through it."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._meters: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on and, when it is answered or broken off, writes its line."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started_ns = time.monotonic_ns()
        telemetry.HTTP_OPEN.inc()
        try:
            await self._app(scope, receive, send_and_note)
        finally:
            telemetry.HTTP_OPEN.dec()
            self._write(scope, status, time.monotonic_ns() - started_ns)

    def _write(self, scope: Scope, status: int, duration_ns: int) -> None:
        state = scope.get("state", {})
        method = state.get(STATE_METHOD, scope["method"])
        method = method if method in _METHODS else NO_ROUTE
        route = scope.get("path_template") or NO_ROUTE
        count, duration = self._meter(method, route, status)
        count.inc()
        duration.observe(duration_ns / _NS_PER_S)
        if route in _QUIET and status == 200:
            return
        line: dict[str, Any] = {
            "method": method,
            "route": route,
            "status": status,
            "duration_ms": round(duration_ns / 1_000_000, 3),
        }
        principal: Principal | None = state.get(STATE_PRINCIPAL)
        if principal is not None:
            line["role"] = principal.role.value
            if principal.public_party is not None:
                line["party"] = principal.public_party
        problem: Problem | None = state.get(STATE_PROBLEM)
        if problem is not None:
            line["code"] = problem.code
            line["instance"] = problem.instance
        telemetry.log.info("request", **line)

    def _meter(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        """The metrics' children; looking them up by labels costs more than counting. Routes are few, so is this."""
        key = (method, route, status)
        meter = self._meters.get(key)
        if meter is None:
            meter = self._meters[key] = (
                telemetry.HTTP_REQUESTS.labels(method, route, str(status)),
                telemetry.HTTP_DURATION_S.labels(method, route),
            )
        return meter

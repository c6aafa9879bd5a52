"""The framework's application with everything that stands around it, in the one order that works."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ControllerRouterHandler, LifespanHook

from api.settings import Limits
from api.web import problems, schema
from api.web.access import RequestLog
from api.web.asgi import Application
from api.web.connections import Connections
from api.web.identity import Identity
from api.web.limits import Batches, BodyLimit, Gcra, RateLimit
from api.web.methods import HeadAsGet, NoCrossSite, Options
from api.web.transport import TLSExtension


@dataclass(frozen=True, slots=True)
class Assembly:
    """`framework` knows the routes and the OpenAPI document; `app` is what the server is given."""

    framework: Litestar
    app: Application
    connections: Connections
    """For the server to enter connections in; `review` closes those whose credential no longer holds."""


def assemble(
    route_handlers: Sequence[ControllerRouterHandler],
    *,
    identity: Identity,
    limits: Limits,
    version: str,
    dependencies: Mapping[str, Any] | None = None,
    state: Mapping[str, Any] | None = None,
    on_startup: Sequence[LifespanHook] = (),
    on_shutdown: Sequence[LifespanHook] = (),
    gcra: Gcra | None = None,
) -> Assembly:
    """The application: identified, limited, logged, and answering every failure with a problem.

    Around the framework, so that unknown paths are covered too: TLS extension, HEAD, log line, OPTIONS, pages of other
    sites, size of bodies.
    Inside it, once a route is known: identity, then the rate, which is counted for the party.
    """
    gcra = gcra or Gcra(limits.requests_per_s, limits.burst)
    batches = Batches(gcra)

    async def provide_batches() -> Batches:
        return batches

    framework = Litestar(
        route_handlers=[*route_handlers, schema.openapi],
        middleware=[identity, RateLimit(gcra)],
        exception_handlers=problems.handlers(),
        openapi_config=schema.config(version),
        dependencies={"batches": Provide(provide_batches), **(dependencies or {})},
        state=State(dict(state or {})),
        on_startup=list(on_startup),
        on_shutdown=list(on_shutdown),
        request_max_body_size=None,
        logging_config=None,
        debug=False,
    )
    app: Application = BodyLimit(framework, limits.max_body_bytes)
    app = Options(NoCrossSite(app), framework)
    app = RequestLog(app)
    app = HeadAsGet(app)
    return Assembly(framework=framework, app=TLSExtension(app), connections=Connections(identity.identify))

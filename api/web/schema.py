"""The OpenAPI document: 3.1, with the mutual-TLS scheme, problems as answers, and closed objects. No pages, no CDN."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from litestar import Litestar, Router, get
from litestar.connection import Request
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.response import Response
from litestar.routes import BaseRoute
from litestar.types import ControllerRouterHandler

from api import wire
from api.web import conditional
from api.web.identity import Require
from api.web.problems import TYPE_PREFIX

SCHEME: Final = "mutualTLS"
MEDIA_TYPE: Final = "application/vnd.oai.openapi+json"
OPT_BODY: Final = "request_body"
"""For `opt={OPT_BODY: Submission}` on a handler that reads the body itself: its schema still stands in the document."""

PERSONAL: Final = "x-personal-data"

_REF: Final = "#/components/schemas/{name}"

DESCRIPTION: Final = (
    "The flexibility port of the charging-station backend. Every failure is a problem document (RFC 9457) whose type "
    f"is `{TYPE_PREFIX}<code>`."
)


class _NoPages(Router):
    """Litestar would add its documentation pages, which load scripts from a CDN; here it adds nothing."""

    def register(self, value: ControllerRouterHandler) -> list[BaseRoute]:
        return []


def config(version: str) -> OpenAPIConfig:
    """For `Litestar(openapi_config=...)`; the document itself is served by `openapi`."""
    return OpenAPIConfig(
        title="flexledger",
        version=version,
        description=DESCRIPTION,
        use_handler_docstrings=True,
        components=Components(
            security_schemes={
                SCHEME: SecurityScheme(
                    type="mutualTLS", description="A client certificate of a party; TLS 1.3 only (RFC 8446)."
                )
            }
        ),
        render_plugins=[JsonRenderPlugin()],
        openapi_router=_NoPages("/openapi-pages", route_handlers=[], include_in_schema=False),
    )


def document(app: Litestar) -> dict[str, Any]:
    """The document of `app`, ready to be compared and published; the same app gives the same document."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(app.openapi_schema.to_schema()))
    # The framework keeps the paths of one handler in a set, whose order is another in every process.
    found["paths"] = dict(sorted(found.get("paths", {}).items()))
    schemas: dict[str, Any] = found.setdefault("components", {}).setdefault("schemas", {})
    (problem,), extra = msgspec.json.schema_components([wire.Problem], ref_template=_REF)
    schemas.update(extra)
    bodies = _bodies(app)
    body_schemas, extra = msgspec.json.schema_components(bodies.values(), ref_template=_REF)
    schemas.update(extra)
    body_of = dict(zip(bodies, body_schemas, strict=True))
    for kind in _structs(app):
        closed = schemas.get(kind.__name__)
        if closed is not None and kind.__struct_config__.forbid_unknown_fields:
            closed["additionalProperties"] = False
        if closed is not None:
            _mark_personal(kind, closed)
    roles = _guarded(app)
    for path, item in found.get("paths", {}).items():
        for method, operation in item.items():
            if isinstance(operation, dict) and "responses" in operation:
                place = (path, method.upper())
                _finish(operation, problem, roles.get(place))
                if place in body_of:
                    content = {wire.JSON_MEDIA_TYPE: {"schema": body_of[place]}}
                    operation["requestBody"] = {"required": True, "content": content}
    return found


@get("/openapi.json", include_in_schema=False, sync_to_thread=False, media_type=MEDIA_TYPE)
def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The OpenAPI document of this service."""
    app = request.app
    encoded: bytes | None = app.state.get("openapi_document")
    if encoded is None:
        encoded = app.state["openapi_document"] = msgspec.json.encode(document(app))
    return conditional.respond(request, encoded, media_type=MEDIA_TYPE, cache_control=conditional.REVALIDATE)


def _mark_personal(kind: type[msgspec.Struct], schema: dict[str, Any]) -> None:
    """The framework drops what a member's mark says of personal data; it is put back where the member is."""
    ours = msgspec.json.schema_components([kind], ref_template=_REF)[1][kind.__name__]["properties"]
    for name, member in schema.get("properties", {}).items():
        options = (ours.get(name, {}), *ours.get(name, {}).get("anyOf", ()))
        mark = next((one[PERSONAL] for one in options if PERSONAL in one), None)
        if mark is not None:
            member[PERSONAL] = mark


def _finish(operation: dict[str, Any], problem: dict[str, Any], guard: Require | None) -> None:
    responses: dict[str, Any] = operation["responses"]
    # Litestar describes its own error body, which nobody will ever see.
    for status in [name for name in responses if name.startswith(("4", "5"))]:
        del responses[status]
    responses["default"] = {
        "description": "A problem; `code` says which.",
        "content": {wire.PROBLEM_MEDIA_TYPE: {"schema": problem}},
    }
    if guard is not None:
        operation["security"] = [{SCHEME: []}]
        operation["x-roles"] = sorted(guard.roles) or ["any"]


def _guarded(app: Litestar) -> dict[tuple[str, str], Require]:
    found = {}
    for place, handler in _operations(app):
        guard = next((each for each in handler.resolve_guards() if isinstance(each, Require)), None)
        if guard is not None:
            found[place] = guard
    return found


def _bodies(app: Litestar) -> dict[tuple[str, str], type[msgspec.Struct]]:
    return {place: handler.opt[OPT_BODY] for place, handler in _operations(app) if OPT_BODY in handler.opt}


def _operations(app: Litestar) -> Iterator[tuple[tuple[str, str], Any]]:
    for route in app.routes:
        for handler in _handlers(route):
            for method in sorted(getattr(handler, "http_methods", ())):
                yield (route.path_format, str(method)), handler


def _handlers(route: Any) -> Iterator[Any]:
    handlers: Sequence[Any] = getattr(route, "route_handlers", ())
    yield from handlers


def _structs(app: Litestar) -> Iterator[type[msgspec.Struct]]:
    """Every Struct that a handler takes or gives, and every Struct inside one."""
    seen: set[type] = set()
    for route in app.routes:
        for handler in _handlers(route):
            for field in handler.parsed_fn_signature.parameters.values():
                yield from _inside(field.raw, seen)
            yield from _inside(handler.parsed_return_field.raw, seen)


def _inside(annotation: Any, seen: set[type]) -> Iterator[type[msgspec.Struct]]:
    for part in getattr(annotation, "__args__", ()):
        yield from _inside(part, seen)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct) and annotation not in seen:
        seen.add(annotation)
        yield annotation
        for field in msgspec.structs.fields(annotation):
            yield from _inside(field.type, seen)

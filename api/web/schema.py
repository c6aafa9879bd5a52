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

OPT_ANSWER: Final = "answer_body"
"""For `opt={OPT_ANSWER: Entry}` on a handler that answers with JSON bytes as they are kept: what is in them."""
OPT_MEDIA: Final = "media_types"
"""For `opt={OPT_MEDIA: ("text/plain",)}` on a handler that answers with other bytes: what they may be."""
OPT_RECORDS: Final = "records"
"""For `opt={OPT_RECORDS: (RequestIssued,)}`: the records whose statements the resource takes, marks and all."""

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
    body_of, answer_of = _named(app, OPT_BODY, schemas), _named(app, OPT_ANSWER, schemas)
    records_of = _records(app, schemas)
    media_of = {place: handler.opt[OPT_MEDIA] for place, handler in _operations(app) if OPT_MEDIA in handler.opt}
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
                if place in answer_of:
                    content = {wire.JSON_MEDIA_TYPE: {"schema": answer_of[place]}}
                    _answer(operation)["content"] = content
                if place in media_of:
                    _answer(operation)["content"] = {one: {"schema": dict(_BYTES)} for one in media_of[place]}
                if place in records_of:
                    operation["x-records"] = records_of[place]
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


_BYTES: Final = {"type": "string", "format": "binary"}


def _answer(operation: dict[str, Any]) -> dict[str, Any]:
    """The one answer of an operation that is no failure."""
    (found,) = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    answer: dict[str, Any] = found
    return answer


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


def _named(app: Litestar, option: str, schemas: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The schema of what an option names, by operation; those inside it go to `schemas`."""
    kinds = {place: handler.opt[option] for place, handler in _operations(app) if option in handler.opt}
    found, inside = msgspec.json.schema_components(kinds.values(), ref_template=_REF)
    schemas.update(inside)
    return dict(zip(kinds, found, strict=True))


def _records(app: Litestar, schemas: dict[str, Any]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The records that each operation takes statements of; every field of theirs says whether it is personal."""
    taken = {place: handler.opt[OPT_RECORDS] for place, handler in _operations(app) if OPT_RECORDS in handler.opt}
    kinds = sorted({kind for each in taken.values() for kind in each}, key=lambda kind: str(kind.__name__))
    found, inside = msgspec.json.schema_components(kinds, ref_template=_REF)
    schemas.update(inside)
    ref_of = dict(zip(kinds, found, strict=True))
    return {place: [ref_of[kind] for kind in each] for place, each in taken.items()}


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

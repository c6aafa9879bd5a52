"""Every failure as a problem document (RFC 9457), by one table.

A status follows from the kind of the error (Refused 400, Absent 404, Busy 503, Broken 500) unless `STATUS_OF_CODE`
names its code. `docs/reference/errors.md` lists all codes; a test walks the classes, so that none is without a status.
"""

import importlib
import pkgutil
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from litestar.connection import Request
from litestar.exceptions import HTTPException, ValidationException
from litestar.response import Response
from litestar.types import ExceptionHandlersMap

import api.errors
import ledger.errors
import pki.errors
from api import telemetry, wire
from api.errors import ApiError
from api.web.asgi import Scope, Send
from api.web.errors import (
    BodyTooLarge,
    CredentialMissing,
    Internal,
    MediaTypeUnsupported,
    MethodNotAllowed,
    RateLimited,
    RequestMalformed,
    RoleNotAllowed,
    RouteUnknown,
)
from api.wire import Invalid, Problem
from ledger.errors import LedgerError
from ledger.rules.errors.violated import RuleViolated
from pki.errors import PkiError

TYPE_PREFIX: Final = "https://flexledger.invalid/problems/"
"""`.invalid` never resolves (RFC 2606): the type identifies a problem, nobody fetches it."""

CodedError = ApiError | LedgerError | PkiError
KINDS: Final = tuple(root.__module__ for root in (ApiError, LedgerError, PkiError))
"""Modules of nothing but kinds."""
ROOTS: Final[tuple[type[CodedError], ...]] = (ApiError, LedgerError, PkiError)

PACKAGES: Final = ("pki", "ledger", "api")

RETRY_AFTER_S: Final = 1
"""What `Retry-After` says where an error names no better time."""
MAX_ERRORS: Final = 20
STATE_PROBLEM: Final = "problem"

_STATUS_OF_KIND: Final[tuple[tuple[type[Exception], int], ...]] = (
    # An authentic statement that a rule refuses conflicts with what the log already says.
    (RuleViolated, 409),
    *((module.Refused, 400) for module in (api.errors, ledger.errors, pki.errors)),
    *((module.Absent, 404) for module in (api.errors, ledger.errors, pki.errors)),
    *((module.Busy, 503) for module in (api.errors, ledger.errors, pki.errors)),
    *((module.Broken, 500) for module in (api.errors, ledger.errors, pki.errors)),
)

STATUS_OF_CODE: Final[dict[str, int]] = {
    "api/credential-missing": 401,
    "api/credential-refused": 401,
    "api/token-refused": 401,
    "api/scope-exceeded": 403,
    "api/cross-site": 403,
    "api/code-refused": 401,
    "api/renewal-refused": 403,
    "api/service-credential": 403,
    "api/role-not-allowed": 403,
    "api/method-not-allowed": 405,
    "api/body-too-large": 413,
    "api/media-type-unsupported": 415,
    "api/rate-limited": 429,
    "api/refusal-limit": 429,
    "api/party-mismatch": 403,
    "api/nothing-to-prove": 409,
    "api/events-ahead": 409,
    "api/gateway-secret": 401,
    "api/events-busy": 429,
    "api/remote-problem": 502,
    "api/webhook-limit": 429,
    "api/webhook-position": 409,
    "ledger/attachment-too-large": 413,
    "ledger/entry-too-large": 413,
    "ledger/erased": 410,
    "ledger/export-target-taken": 409,
    "ledger/export-too-large": 413,
    "ledger/jti-reused": 409,
    "ledger/kek-epoch-in-use": 409,
    "ledger/list-too-long": 413,
    "ledger/queue-full": 429,
    "ledger/restricted": 403,
    "ledger/statement-reordered": 409,
    "ledger/statement-too-large": 413,
    "ledger/stream-closed": 409,
    "ledger/reidentification-not-approved": 409,
    "ledger/reidentification-not-yours": 403,
    "ledger/reidentification-too-often": 429,
    "ledger/stream-miscounted": 409,
    "ledger/stream-moved": 409,
    "ledger/subject-held": 409,
    "ledger/subject-not-held": 409,
    "ledger/subject-not-restricted": 409,
    "pki/csr-oversize": 413,
    "pki/code-expired": 401,
    "pki/code-spent": 401,
    "pki/code-unknown": 401,
    "pki/handover-unproven": 403,
    "pki/key-reused": 409,
    "pki/role-not-allowed": 403,
    # Not known is not refused: the same again may be taken once newer evidence is there.
    "pki/status-indeterminate": 503,
}

_MISSING: Final = re.compile(r"Missing required (?P<source>query|header|cookie) parameter '(?P<name>[\w-]+)' for ")
"""The framework's words where nothing was sent for a parameter; the name is one of ours."""

_OF_HTTP_STATUS: Final[dict[int, type[ApiError]]] = {
    400: RequestMalformed,
    401: CredentialMissing,
    403: RoleNotAllowed,
    404: RouteUnknown,
    413: BodyTooLarge,
    415: MediaTypeUnsupported,
}

_encoder = msgspec.json.Encoder()


def status_of(error: CodedError | type[CodedError]) -> int:
    """The HTTP status of an error or of a class of errors."""
    status = STATUS_OF_CODE.get(error.code)
    if status is not None:
        return status
    kind = error if isinstance(error, type) else type(error)
    return next((status for base, status in _STATUS_OF_KIND if issubclass(kind, base)), 500)


def to_problem(error: CodedError) -> tuple[int, Problem]:
    """The status and the problem document; of our own broken evidence the caller learns the code alone."""
    status = status_of(error)
    instance = uuid.uuid4().urn
    base = Problem(type=TYPE_PREFIX + error.code, title=error.title, status=status, code=error.code, instance=instance)
    if status == 500:
        return status, base
    return status, msgspec.structs.replace(
        base,
        detail=error.detail,
        expected=error.expected,
        found=error.found,
        where=dict(error.where),
        errors=getattr(error, "errors", ()),
    )


def of_exception(error: Exception) -> CodedError:
    """The coded error that says of any exception what a caller may know."""
    if isinstance(error, ROOTS):
        return error
    if isinstance(error, HTTPException):
        return _of_http(error)
    return Internal("the request could not be answered")


def headers_of(error: Exception, status: int) -> dict[str, str]:
    """The headers that a status demands: WWW-Authenticate, Retry-After, Allow."""
    headers = {"cache-control": "no-store"}
    if status == 401:
        # RFC 9110 demands a challenge; no registered scheme says "with your certificate" better than this name.
        headers["www-authenticate"] = getattr(error, "challenge", 'Mutual realm="flexledger"')
    elif status in {429, 503}:
        headers["retry-after"] = str(getattr(error, "retry_after_s", RETRY_AFTER_S))
    elif isinstance(error, MethodNotAllowed):
        headers["allow"] = ", ".join(error.allow)
    return headers


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The handler of every exception: its problem as a response, counted, and kept for the request's log line."""
    coded, status, problem = _problem(error, request.scope.setdefault("state", {}))
    return Response(
        _encoder.encode(problem),
        status_code=status,
        media_type=wire.PROBLEM_MEDIA_TYPE,
        headers=headers_of(coded, status),
    )


async def send_problem(error: CodedError, scope: Scope, send: Send, *, more_body: bool = False) -> None:
    """Answers with the problem from outside the framework; with `more_body` the caller ends the answer itself."""
    coded, status, problem = _problem(error, scope.setdefault("state", {}))
    body = _encoder.encode(problem)
    headers = {
        **headers_of(coded, status),
        "content-type": wire.PROBLEM_MEDIA_TYPE,
        "content-length": str(len(body)),
    }
    if more_body:
        headers["connection"] = "close"
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": more_body})


def handlers() -> ExceptionHandlersMap:
    """For `Litestar(exception_handlers=...)`."""
    return {
        ApiError: answer,
        LedgerError: answer,
        PkiError: answer,
        HTTPException: answer,
        Exception: answer,
    }


def error_classes() -> tuple[type[CodedError], ...]:
    """Every class of errors in the three packages that is raised, all of whose modules are imported for that.

    Those are all but the kinds: the roots, what a caller can do about them, and "a rule refuses".
    """
    for name in PACKAGES:
        _import_all(name)
    found = {kind for root in ROOTS for kind in _raised(root)}
    return tuple(sorted(found, key=lambda kind: (kind.code, kind.__module__, kind.__qualname__)))


def _problem(error: Exception, state: dict[str, Any]) -> tuple[CodedError, int, Problem]:
    coded = of_exception(error)
    status, problem = to_problem(coded)
    telemetry.PROBLEMS.labels(problem.code).inc()
    state[STATE_PROBLEM] = problem
    if status == 500:
        telemetry.log.error("request failed", code=problem.code, instance=problem.instance, **telemetry.failure(error))
    return coded, status, problem


def _of_http(error: HTTPException) -> ApiError:
    """Litestar's texts repeat paths and values, so only the status and the schema's side of them are kept."""
    if error.status_code == 429:
        return RateLimited("too many requests", retry_after_s=RETRY_AFTER_S)
    if error.status_code == 405:
        return MethodNotAllowed("the resource does not take this method", allow=allowed(error.headers))
    kind = _OF_HTTP_STATUS.get(error.status_code)
    if kind is None:
        return (
            Internal("the request could not be answered")
            if error.status_code >= 500
            else RequestMalformed("the request was refused", found=f"status {error.status_code}")
        )
    if kind is not RequestMalformed:
        return kind(kind.title)
    return RequestMalformed("the request does not fit what the resource takes", errors=tuple(_invalids(error)))


def _invalids(error: HTTPException) -> Iterator[Invalid]:
    if not isinstance(error, ValidationException) or not isinstance(error.extra, list):
        missing = _MISSING.match(error.detail)
        if missing is not None:
            yield Invalid(detail="required", pointer=missing["name"], source=missing["source"])
        elif "JSON is malformed" in error.detail or "truncated" in error.detail:
            yield Invalid(detail="well-formed JSON")
        return
    for item in error.extra[:MAX_ERRORS]:
        if not isinstance(item, dict):
            continue
        source = item.get("source")
        source = str(getattr(source, "value", source or "body"))
        # Litestar names a place in the body after the handler's argument, `data`; we name it as a path from the body.
        key = str(item.get("key") or "")
        pointer = key if source != "body" else f".{key}" if key not in {"", "data"} else None
        detail = wire.invalid(str(item.get("message", ""))).detail
        yield Invalid(detail=detail, pointer=pointer, source=None if source == "body" else source)


def allowed(headers: Mapping[str, str] | None) -> tuple[str, ...]:
    """The methods in an Allow header of the framework, with those that we answer around it."""
    named = {name.strip() for name in (headers or {}).get("allow", "").split(",")} - {""}
    return tuple(sorted(named | {"OPTIONS"} | ({"HEAD"} if "GET" in named else set())))


def _import_all(name: str) -> None:
    package = importlib.import_module(name)
    for found in pkgutil.walk_packages(package.__path__, f"{name}."):
        if found.name.rpartition(".")[2] == "__main__":
            continue
        try:
            importlib.import_module(found.name)
        except ModuleNotFoundError as error:
            # An extra (PostgreSQL, PKCS#11) that is not installed; a module of our own that is missing is a bug.
            if (error.name or "").partition(".")[0] in {*PACKAGES, ""}:
                raise


def _raised(kind: type[CodedError]) -> Iterator[type[CodedError]]:
    # Not those that a test has made up.
    children = [child for child in kind.__subclasses__() if child.__module__.partition(".")[0] in PACKAGES]
    if not children or (kind.__module__ not in KINDS and kind is not RuleViolated):
        yield kind
    for child in children:
        yield from _raised(child)

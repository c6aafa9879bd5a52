"""/pki: revocation lists, authorities' certificates and OCSP, for anybody (RFC 5280, RFC 6960, RFC 5019)."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.params import FromPath
from litestar.response import Response
from litestar.types import ASGIApp
from litestar.types import Receive as Receiving
from litestar.types import Scope as Asked
from litestar.types import Send as Sending

from api.flows.service import Service
from api.flows.status import AuthorityUnknown, StatusDesk, encoded_certificate
from api.web import conditional, problems, schema
from api.web.asgi import Application, Receive, Scope, Send
from api.web.errors import MediaTypeUnsupported, RouteUnknown
from pki.responder import MAX_KEPT, MAX_KEPT_REQUEST_BYTES, REUSE_MS, Answer
from pki.tbs import moment

CRL: Final = "application/pkix-crl"
CERTIFICATE: Final = "application/pkix-cert"
OCSP_REQUEST: Final = "application/ocsp-request"
OCSP_RESPONSE: Final = "application/ocsp-response"
PATHS: Final = ("/pki/", "/crl/")
"""Everything that the plain listener serves; `/crl/` is what certificates name."""

_GET_PREFIX: Final = b"/pki/ocsp/"
_MS_PER_S: Final = 1000
_MAX_AGE_S: Final = REUSE_MS // _MS_PER_S
_CERTIFICATE_MAX_AGE_S: Final = 86_400
_NO_TRANSFORM: Final = "no-transform"
_CONDITIONS: Final = frozenset({b"if-none-match", b"if-modified-since"})

MAX_HEADS: Final = 4_096
"""Answers whose headers are remembered; some hundred octets each."""


@get("/pki/{file:str}", operation_id="authority_file", tags=["status"], opt={schema.OPT_MEDIA: (CRL, CERTIFICATE)})
async def authority_file(
    request: Request[Any, Any, Any], service: NamedDependency[Service], file: FromPath[str]
) -> Response[bytes]:
    """`<authority>.crl`: its newest revocation list (RFC 5280 section 5); `<authority>.crt`: its certificate (DER)."""
    name, _, kind = file.rpartition(".")
    if kind == "crt":
        der = encoded_certificate(service.status.certificate(name))
        cache = f"public, max-age={_CERTIFICATE_MAX_AGE_S}"
        return conditional.respond(request, der, media_type=CERTIFICATE, cache_control=cache)
    if kind != "crl":
        raise AuthorityUnknown("no such file of an authority", expected="<authority>.crl or <authority>.crt")
    return _list(request, service, name)


@get("/crl/{file:str}", operation_id="authority_list", tags=["status"], opt={schema.OPT_MEDIA: (CRL,)})
async def authority_list(
    request: Request[Any, Any, Any], service: NamedDependency[Service], file: FromPath[str]
) -> Response[bytes]:
    """`<authority>.crl`: its newest revocation list, at the address that certificates name."""
    name, _, kind = file.rpartition(".")
    if kind != "crl":
        raise AuthorityUnknown("no such file of an authority", expected="<authority>.crl")
    return _list(request, service, name)


@post("/pki/ocsp", operation_id="ocsp", tags=["status"], status_code=200, opt={schema.OPT_MEDIA: (OCSP_RESPONSE,)})
async def ocsp(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Response[bytes]:
    """An OCSP response (RFC 6960) to the request in the body; a nonce is given back (RFC 9654)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != OCSP_REQUEST:
        raise MediaTypeUnsupported("the body is no OCSP request", expected=OCSP_REQUEST)
    return _answered(request, service, await service.status.answer(await request.body()))


def _ocsp_get(desk: Callable[[], StatusDesk]) -> HTTPRouteHandler:
    @get(
        "/pki/ocsp/{encoded:path}",
        operation_id="ocsp_get",
        tags=["status"],
        opt={schema.OPT_MEDIA: (OCSP_RESPONSE,)},
        middleware=[GivenAgain(desk)],
    )
    async def ocsp_get(
        request: Request[Any, Any, Any], service: NamedDependency[Service], encoded: FromPath[str]
    ) -> Response[bytes]:
        """The same for a request in base64 in the path, with or without padding, escaped or not; caches may keep it."""
        raw = request.scope.get("raw_path") or encoded.encode()
        return _answered(request, service, await service.status.answer(_decoded(raw)))

    return ocsp_get


@dataclass(frozen=True, slots=True)
class _Head:
    """The headers of `answer` as they are in the second `at_s`."""

    answer: Answer
    at_s: int
    headers: tuple[tuple[bytes, bytes], ...]


class GivenAgain(ASGIMiddleware):
    """Around the route of GET alone: what was answered a moment ago is sent again before the framework takes it apart.

    The caller was identified and counted before. Whether the answer still stands is asked of the desk each time, so
    that a revocation is seen at once; only headers are remembered here, for the second that they tell. A request with a
    condition goes on to the handler.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(self, desk: Callable[[], StatusDesk]) -> None:
        self._desk = desk
        self._heads: dict[bytes, _Head] = {}

    async def handle(self, scope: Asked, receive: Receiving, send: Sending, next_app: ASGIApp) -> None:
        """Sends the answer, or goes on."""
        head = self._head(scope)
        if head is None:
            await next_app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": head.headers})
        await send({"type": "http.response.body", "body": head.answer.der, "more_body": False})

    def _head(self, scope: Asked) -> _Head | None:
        raw: bytes = scope.get("raw_path", b"")
        # Longer ones are not remembered by anybody. Without a path of octets, the handler knows where else to look.
        if not raw or len(raw) > MAX_KEPT_REQUEST_BYTES or any(name in _CONDITIONS for name, _ in scope["headers"]):
            return None
        desk = self._desk()
        now_ms = desk.now_ms()
        answer = desk.kept(_decoded(raw), now_ms)
        if answer is None or answer.this_update_ms is None or answer.next_update_ms is None:
            return None
        held = self._heads.get(raw)
        if held is not None and held.answer is answer and held.at_s == now_ms // _MS_PER_S:
            return held
        told = _times(answer.der, (answer.this_update_ms, answer.next_update_ms), now_ms, _NO_TRANSFORM)
        told |= {"content-type": OCSP_RESPONSE, "content-length": str(len(answer.der))}
        made = _Head(
            answer, now_ms // _MS_PER_S, tuple((name.encode(), value.encode()) for name, value in told.items())
        )
        if len(self._heads) >= MAX_HEADS:
            self._heads = {}
        self._heads[raw] = made
        return made


def _decoded(raw_path: bytes) -> bytes:
    """The request in a path (RFC 6960 appendix A.1), of which base64 may have any of `+`, `/` and `=` unescaped.

    What is not base64 is no request, and the responder says so.
    """
    written = raw_path.partition(b"?")[0].removeprefix(_GET_PREFIX)
    # Of a length that is asked again and again; longer ones are not remembered.
    return _short(written) if len(written) <= MAX_KEPT_REQUEST_BYTES else _unwritten(written)


def _unwritten(written: bytes) -> bytes:
    text = unquote_to_bytes(written).rstrip(b"=")
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


_short = lru_cache(maxsize=MAX_KEPT)(_unwritten)


def _answered(request: Request[Any, Any, Any], service: Service, answer: Answer) -> Response[bytes]:
    """The response; cacheable if it is the same for all (RFC 5019 section 6.2)."""
    if not answer.shared or answer.this_update_ms is None or answer.next_update_ms is None:
        return Response(answer.der, media_type=OCSP_RESPONSE, headers={"cache-control": "no-store"}, status_code=200)
    times_ms = (answer.this_update_ms, answer.next_update_ms)
    return _timed(request, service, answer.der, OCSP_RESPONSE, times_ms, _NO_TRANSFORM)


def _list(request: Request[Any, Any, Any], service: Service, name: str) -> Response[bytes]:
    found = service.status.crl(name)
    return _timed(request, service, found.der, CRL, (found.this_update_ms, found.next_update_ms))


def _timed(
    request: Request[Any, Any, Any],
    service: Service,
    der: bytes,
    media_type: str,
    times_ms: tuple[int, int],
    *directives: str,
) -> Response[bytes]:
    """`der` with the headers of its times, or 304."""
    told = _times(der, times_ms, service.status.now_ms(), *directives)
    if _is_unchanged(request, times_ms[0]):
        return Response(b"", status_code=304, media_type=media_type, headers=told)
    response = conditional.respond(
        request, der, media_type=media_type, cache_control=told["cache-control"], tag=told["etag"]
    )
    response.headers.update(told)
    return response


def _times(der: bytes, times_ms: tuple[int, int], now_ms: int, *directives: str) -> dict[str, str]:
    """What the headers tell of `der` and its times. A cache keeps it for a minute: a revocation is to be seen soon."""
    this_ms, next_ms = times_ms
    left_s = max(0, min(_MAX_AGE_S, (next_ms - now_ms) // _MS_PER_S))
    return {
        "etag": conditional.etag(der),
        "cache-control": ", ".join(("public", f"max-age={left_s}", "must-revalidate", *directives)),
        "last-modified": _http_date(this_ms // _MS_PER_S),
        "expires": _http_date(next_ms // _MS_PER_S),
    }


@lru_cache(maxsize=256)
def _http_date(at_s: int) -> str:
    """As HTTP writes a time (RFC 9110 section 5.6.7)."""
    return formatdate(at_s, usegmt=True)


def _is_unchanged(request: Request[Any, Any, Any], this_ms: int) -> bool:
    """Whether If-Modified-Since covers what there is; a tag, where one is given, says more (RFC 9110 13.1.3)."""
    since = request.headers.get("if-modified-since")
    if since is None or "if-none-match" in request.headers:
        return False
    try:
        return moment(this_ms) <= parsedate_to_datetime(since)
    except (ValueError, TypeError, OverflowError):
        return False


def plain_app(app: Application) -> Application:
    """`app` with nothing but the resources of this module, for a listener without TLS, and with no caller known."""

    async def only(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if not scope["path"].startswith(PATHS):
            await problems.send_problem(RouteUnknown("no such resource here", expected="/pki or /crl"), scope, send)
            return
        await app(scope, receive, send)

    return only


def routes(desk: Callable[[], StatusDesk]) -> tuple[HTTPRouteHandler, ...]:
    """The public handlers; `desk` gives that of the service, which knows what may be given again."""
    return authority_file, authority_list, ocsp, _ocsp_get(desk)

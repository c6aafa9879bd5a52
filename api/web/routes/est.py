"""/.well-known/est: enrolment over secure transport (RFC 7030): authorities, the first credential, the next ones.

A label in the path says for what: `tls-client` (where there is none), `tls-server`, `signing`, `attribute`. The first
credential is paid for with an enrolment code in HTTP Basic; the next ones with the credential of the connection.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.response import Response
from litestar.types import Method
from litestar.types.callable_types import OperationIDCreator
from litestar.types.internal_types import PathParameterDefinition

from api.errors import Busy
from api.flows.enrolment import Enrolled, Enrolment
from api.flows.office_errors import CodeRefused, OfficeAbsent
from api.flows.service import Service
from api.web import schema
from api.web.errors import BodyTooLarge, MediaTypeUnsupported, RequestMalformed, RouteUnknown
from api.web.identity import principal_of, require
from api.web.problems import RETRY_AFTER_S
from ledger.errors import Busy as LedgerBusy
from pki import handover
from pki.csr import MAX_CSR_BYTES
from pki.errors import Busy as PkiBusy
from pki.roles import Purpose

PREFIX: Final = "/.well-known/est"
PKCS7: Final = "application/pkcs7-mime"
CERTS_ONLY: Final = f"{PKCS7}; smime-type=certs-only"
PKCS10: Final = "application/pkcs10"
CSRATTRS: Final = "application/csrattrs"
MAX_BODY_BYTES: Final = 2 * MAX_CSR_BYTES
"""A request in base64 with line ends."""

LABELS: Final = {purpose.lower().replace("_", "-"): purpose for purpose in Purpose}

# CsrAttrs (RFC 7030 section 4.5.2): {id-ecPublicKey, {prime256v1}}, ecdsa-with-SHA256.
_ATTRIBUTES: Final = bytes.fromhex("3021301506072a8648ce3d0201310a06082a8648ce3d03010706082a8648ce3d040302")


def _named(operation: str) -> OperationIDCreator:
    """The operation's id in the OpenAPI document: one more for the path with a label."""

    def name(_handler: HTTPRouteHandler, _method: Method, parts: list[str | PathParameterDefinition]) -> str:
        return f"est_{operation}" if all(isinstance(part, str) for part in parts) else f"est_{operation}_labelled"

    return name


def _paths(operation: str) -> list[str]:
    return [f"{PREFIX}/{operation}", f"{PREFIX}/{{label:str}}/{operation}"]


@get(_paths("cacerts"), operation_id=_named("cacerts"), tags=["enrolment"], opt={schema.OPT_MEDIA: (PKCS7,)})
async def cacerts(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Response[bytes]:
    """The root and the issuing authorities, as certs-only PKCS#7 in base64."""
    _purpose(request)
    return _certificates(_office(service).authorities(), PKCS7)


@get(_paths("csrattrs"), operation_id=_named("csrattrs"), tags=["enrolment"], opt={schema.OPT_MEDIA: (CSRATTRS,)})
async def csrattrs(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Response[bytes]:
    """What a request should hold: a P-256 key, and nothing else that would be looked at."""
    _purpose(request)
    _office(service)
    return _base64(_ATTRIBUTES, CSRATTRS)


@post(
    _paths("simpleenroll"),
    operation_id=_named("simpleenroll"),
    tags=["enrolment"],
    status_code=200,
    opt={schema.OPT_BODY: bytes, schema.OPT_MEDIA: (PKCS7,)},
)
async def simpleenroll(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Response[bytes]:
    """The first credential, for an enrolment code in HTTP Basic and a PKCS#10 request in base64."""
    service.witnessing.require_signing()
    office, purpose = _office(service), _purpose(request)
    code = _code(request.headers.get("authorization", ""))
    body = await _pkcs10(request)
    try:
        return _enrolled(await office.enrol(code, purpose, body))
    except (Busy, PkiBusy, LedgerBusy):
        return _later()


@post(
    _paths("simplereenroll"),
    operation_id=_named("simplereenroll"),
    tags=["enrolment"],
    guards=[require()],
    status_code=200,
    opt={schema.OPT_BODY: bytes, schema.OPT_MEDIA: (PKCS7,)},
)
async def simplereenroll(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Response[bytes]:
    """The next credential after the one that the caller holds, under the same names, for the same key or another.

    Another key of another purpose than the connection's comes with `Key-Handover`: the old key's signature, in base64.
    """
    service.witnessing.require_signing()
    office, purpose = _office(service), _purpose(request)
    principal = principal_of(request.scope)
    body = await _pkcs10(request)
    try:
        return _enrolled(await office.renew(principal, purpose, body, proof=_proof(request)))
    except (Busy, PkiBusy, LedgerBusy):
        return _later()


def _office(service: Service) -> Enrolment:
    if service.enrolment is None:
        raise OfficeAbsent("this service issues no credentials")
    return service.enrolment


def _purpose(request: Request[Any, Any, Any]) -> Purpose | None:
    label = request.path_params.get("label")
    if label is None:
        return None
    if label not in LABELS:
        raise RouteUnknown("no such label", expected=", ".join(sorted(LABELS)))
    return LABELS[label]


def _code(header: str) -> str:
    """The user and the password of HTTP Basic (RFC 7617), which are the two halves of a code."""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "basic":
        raise CodeRefused("the first credential is for an enrolment code", expected="HTTP Basic")
    try:
        return base64.b64decode(token.strip(), validate=True).decode("ascii")
    except ValueError:  # not base64, or not ASCII before or after it
        raise CodeRefused("the enrolment code cannot be read", expected="HTTP Basic") from None


def _proof(request: Request[Any, Any, Any]) -> bytes | None:
    """What the old key signed for the new one (`pki.handover`)."""
    header = request.headers.get(handover.HEADER, "")
    if not header:
        return None
    try:
        return base64.b64decode(header, validate=True)
    except ValueError:
        raise RequestMalformed("the signature of the old key is not base64", found=handover.HEADER) from None


async def _pkcs10(request: Request[Any, Any, Any]) -> bytes:
    """The request in the body: base64 (RFC 8951 section 3), of at most what a request may have."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != PKCS10:
        raise MediaTypeUnsupported("the body is a certification request", expected=PKCS10)
    body = await request.body()
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge("the request is too large", expected=f"at most {MAX_BODY_BYTES} bytes")
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        raise RequestMalformed("the body is not base64") from None


def _enrolled(enrolled: Enrolled) -> Response[bytes]:
    """Only the certificate that was issued (RFC 7030 section 4.2.3); its issuers are in `cacerts`."""
    return _certificates((enrolled.certificate,), CERTS_ONLY)


def _certificates(certificates: Sequence[x509.Certificate], media_type: str) -> Response[bytes]:
    return _base64(pkcs7.serialize_certificates(list(certificates), Encoding.DER), media_type)


def _base64(data: bytes, media_type: str) -> Response[bytes]:
    headers = {"content-transfer-encoding": "base64", "cache-control": "no-store"}
    return Response(base64.encodebytes(data), media_type=media_type, headers=headers)


def _later() -> Response[bytes]:
    """The same request may be made again (RFC 7030 section 4.2.3)."""
    headers = {"retry-after": str(RETRY_AFTER_S), "cache-control": "no-store"}
    return Response(b"", status_code=202, media_type="text/plain", headers=headers)


HANDLERS = (cacerts, csrattrs, simpleenroll, simplereenroll)

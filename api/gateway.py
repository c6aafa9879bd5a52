"""`flexledger gateway`: plain JSON in, signed statements out, for those who do not want to sign in their own code.

A process of the party's own, beside its own program. It holds the party's keys, so it listens on a Unix socket that its
user alone may open, or on the loopback interface with a secret. It makes salts and signature, connects with mutual TLS,
tries again where that is safe, verifies every receipt, and hands problems back as they came.
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Meta

from api import wire
from api.client import client as clients
from api.client import receipts
from api.client.client import AsyncClient
from api.client.errors import RemoteProblem
from api.client.http import Request
from api.client.party import PartyFileUnfit
from api.errors import Refused
from api.web import problems
from api.web.asgi import Receive, Scope, Send
from api.web.errors import BodyTooLarge, MethodNotAllowed, RouteUnknown
from ledger.records import canonical, registry
from ledger.records.record import Record
from ledger.records.statement import Signed
from ledger.rules.streams import stream_of

STATE_PATH: Final = "/state"
EVENTS_PATH: Final = "/v1/events"
"""Never ends, so it is not for a process that answers whole."""
MAX_BODY_BYTES: Final = 4 << 20
MAX_AT_ONCE: Final = 1_000
_OF_THE_SERVICE: Final = ("/v1/", "/.well-known/", "/checkpoint", "/tile/", "/readyz", "/openapi.json")
_NO_PATH: Final = re.compile(r"[^!-~]|[?#\\]|/(\.{0,2})(/|$)")
"""What somebody on the way could read as another path: white space, another delimiter, empty and dotted segments."""
_PASSED_ON: Final = ("accept", "if-none-match", "last-event-id", "prefer")
_ANSWERED: Final = ("content-type", "etag", "retry-after", "flexledger-manifest-sha256")


class NoStream(Refused):
    """The record's own members name no stream, so the caller has to."""

    code = "api/gateway-stream"
    title = "Stream is missing"


class SecretMissing(Refused):
    """The gateway's secret was not shown: whoever may speak to it speaks for the party."""

    code = "api/gateway-secret"
    title = "The gateway's secret is missing"


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One record in clear. `subjects` says whom its personal members are about, by the member's name."""

    type: Annotated[str, Meta(max_length=48)]
    record: dict[str, Any]
    version: Annotated[int, Meta(ge=1, le=1000)] = 1
    stream: Annotated[str, Meta(max_length=128)] | None = None
    subjects: Annotated[dict[str, str], Meta(max_length=64)] = {}
    attachments: Annotated[tuple[wire.SubmittedAttachment, ...], Meta(max_length=wire.MAX_ATTACHMENTS)] = ()


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of it. `verified` is true once the receipt was checked against the log's key by this process."""

    status: int
    verified: bool = False
    accepted: wire.Accepted | None = None
    problem: wire.Problem | None = None


class Gateway:
    """The application; `secret` is demanded as a bearer token where it is given."""

    def __init__(self, client: AsyncClient, *, secret: str | None = None) -> None:
        self._client = client
        self._secret = secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; every failure is a problem document."""
        if scope["type"] != "http":
            return
        try:
            self._require_secret(scope)
            status, headers, body = await self._answer(scope, receive)
        except RemoteProblem as error:
            status, headers, body = error.status, {"content-type": wire.PROBLEM_MEDIA_TYPE}, error.body
        except problems.ROOTS as error:
            await problems.send_problem(error, scope, send)
            return
        await _send(send, status, headers, body)

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, Mapping[str, str], bytes]:
        method, path = scope["method"], scope["path"]
        if path == STATE_PATH:
            if method != "POST":
                raise MethodNotAllowed("a record is posted", allow=("POST",))
            return await self._state(await _body(receive))
        if path == EVENTS_PATH or not path.startswith(_OF_THE_SERVICE) or _NO_PATH.search(path):
            raise RouteUnknown("no such resource", expected=f"{STATE_PATH}, or a path of the service")
        if method not in {"GET", "POST"}:
            raise MethodNotAllowed("the gateway hands on GET and POST", allow=("GET", "POST"))
        query = scope.get("query_string", b"").decode("latin-1")
        body = await _body(receive) if method == "POST" else None
        asked = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        sent = {name: asked[name] for name in _PASSED_ON if name in asked}
        if body is not None:
            sent["content-type"] = wire.JSON_MEDIA_TYPE
        # As it came: what stands escaped in a path is part of a name, and stays so.
        target = (scope.get("raw_path") or quote(path).encode()).partition(b"?")[0].decode("ascii")
        answer = await self._client.transport.request(
            Request(method, f"{target}?{query}" if query else target, body, sent)
        )
        return answer.status, {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}, answer.body

    async def _state(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """One record, or up to a thousand: answered as it came, one or many."""
        many = body.lstrip()[:1] == b"["
        said: Sequence[Said] = wire.decode(body, list[Said]) if many else [wire.decode(body, Said)]
        if not 1 <= len(said) <= MAX_AT_ONCE:
            raise wire.BodyMalformed("wrong number of records", expected=f"1 to {MAX_AT_ONCE}", found=len(said))
        told = await self.state(said)
        document = msgspec.json.encode(told if many else told[0])
        return 200 if many else told[0].status, {"content-type": wire.JSON_MEDIA_TYPE}, document

    async def state(self, said: Sequence[Said]) -> list[Told]:
        """Signs them, sends them in one batch, and verifies each receipt; what became of each, in their order."""
        return await self._told([(one, self.sign(one)) for one in said])

    def sign(self, said: Said) -> Signed:
        """The statement; raises `PartyFileUnfit` without a signing key, `NoStream`, or what the record lacks."""
        signer = self._client.conversation.signer
        if signer is None:
            raise PartyFileUnfit("the party file names no signing key, so nothing can be stated")
        record: Record = canonical.convert(said.record, registry.kind(said.type, said.version), said.type)
        stream = said.stream or stream_of(record)
        if stream is None:
            raise NoStream("the record names no stream of its own", expected="the member stream", type=said.type)
        return signer.sign(record, stream, now_ms=self._client.conversation.clock.now_ms())

    async def _told(self, signed: Sequence[tuple[Said, Signed]]) -> list[Told]:
        signer = self._client.conversation.signer
        own = () if signer is None or signer.certificate is None else (signer.certificate,)
        statements = tuple(clients.submission(made, said.subjects, said.attachments) for said, made in signed)
        batch = wire.SubmissionBatch(statements=statements, certificates=own)
        answer = await self._client.transport.request(
            Request(
                "POST",
                "/v1/statements",
                msgspec.json.encode(batch),
                {"content-type": wire.JSON_MEDIA_TYPE},
                idempotent=True,
            )
        )
        outcomes = answer.decode(wire.BatchOutcome).outcomes
        return [await self._verified(one, made) for one, (_, made) in zip(outcomes, signed, strict=True)]

    async def _verified(self, outcome: wire.Outcome, signed: Signed) -> Told:
        if outcome.accepted is None:
            return Told(status=outcome.status, problem=outcome.problem)
        if self._client.conversation.checkpoints is None:
            return Told(status=outcome.status, accepted=outcome.accepted)
        await self._client.prove(receipts.unproven(outcome.accepted, signed), signed)
        return Told(status=outcome.status, verified=True, accepted=outcome.accepted)

    def _require_secret(self, scope: Scope) -> None:
        if self._secret is None:
            return
        found = next((value for name, value in scope["headers"] if name.lower() == b"authorization"), b"")
        if not hmac.compare_digest(found, f"Bearer {self._secret}".encode()):
            raise SecretMissing("the gateway wants its secret", expected="Authorization: Bearer, and the secret")


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge("the body is too large", expected=f"at most {MAX_BODY_BYTES} bytes")
        if message["type"] != "http.request" or not message.get("more_body", False):
            return bytes(body)


async def _send(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    raw += [(b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})

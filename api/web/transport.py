"""The one place that knows how the server learns the client's certificate.

uvicorn does not fill the ASGI TLS extension yet, so a mixin over its protocols does: it puts the verified leaf into the
state that uvicorn copies into the scope of every HTTP request and WebSocket of the connection, and `TLSExtension`, the
outermost ASGI application, moves it to where the extension says. When uvicorn fills it, this file can go.
"""

import asyncio
import ssl
from collections import deque
from typing import Any, Final, TypedDict

import msgspec

from api.web import problems
from api.web.asgi import Application, Receive, Scope, Send
from api.web.connections import Connections
from api.web.errors import RequestMalformed
from api.wire import PROBLEM_MEDIA_TYPE

_STATE_KEY: Final = "_tls"

MAX_HEAD_OCTETS: Final = 64 * 1024
"""Request line and headers of one request."""
HEAD_TIMEOUT_S: Final = 30.0
"""A head that is not complete after this closes its connection, at the latest after twice as long."""
REST_TIMEOUT_S: Final = 10.0
"""So long a body may go on after its answer was given."""
TAKING_TIMEOUT_S: Final = 60.0
"""A receiver for whom more waits than the transport holds, and who did not take most of it after this, is cut off."""

_VERSIONS: Final = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


class TLSInfo(TypedDict):
    """The ASGI TLS extension (asgi.readthedocs.io, "TLS Extension"); only `client_cert_chain` is ever read."""

    server_cert: str | None
    client_cert_chain: list[str]
    client_cert_name: str | None
    client_cert_error: str | None
    tls_version: int | None
    cipher_suite: int | None


def tls_info(transport: asyncio.BaseTransport) -> TLSInfo | None:
    """What the handshake of `transport` proved; None without TLS.

    The chain holds the leaf alone (PEM), or nothing when no certificate was sent: OpenSSL lets in no certificate that
    it did not verify.
    """
    connection = transport.get_extra_info("ssl_object")
    if connection is None:
        return None
    leaf: bytes | None = connection.getpeercert(binary_form=True)
    return TLSInfo(
        server_cert=None,
        client_cert_chain=[ssl.DER_cert_to_PEM_cert(leaf)] if leaf else [],
        client_cert_name=None,
        client_cert_error=None,
        tls_version=_VERSIONS.get(connection.version() or ""),
        cipher_suite=None,
    )


class _WithTLSInfo:
    """Mixed into a uvicorn HTTP protocol; an upgrade to WebSocket hands the same state on."""

    app_state: dict[str, Any]
    judged: Connections | None = None
    _own: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Reads the certificate once a connection."""
        info = tls_info(transport)
        self.app_state = {**self.app_state, _STATE_KEY: info}
        self._own = transport
        if self.judged is not None and info is not None and info["client_cert_chain"]:
            self.judged.opened(transport, ssl.PEM_cert_to_DER_cert(info["client_cert_chain"][0]))
        super().connection_made(transport)  # type: ignore[misc]

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody needs to judge it any more."""
        if self.judged is not None:
            self.judged.closed(self._own)
        super().connection_lost(error)  # type: ignore[misc]


class _WithBounds:
    """Mixed into uvicorn's protocol on httptools, which bounds neither a head, nor who sends or takes too slowly."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    pipeline: deque[Any]
    _head_since_s: float | None
    _head_octets: int
    _is_whole: bool
    _watch: asyncio.TimerHandle
    _rest: asyncio.TimerHandle | None
    _taking: asyncio.TimerHandle | None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """The client's time for its first head begins."""
        super().connection_made(transport)  # type: ignore[misc]
        self._head_octets = 0
        self._head_since_s = self.loop.time()
        self._is_whole = True
        self._rest = self._taking = None
        self._watch = self.loop.call_later(HEAD_TIMEOUT_S, self._close_if_slow)

    def connection_lost(self, error: Exception | None) -> None:
        """Stops watching."""
        for watch in (self._watch, self._rest, self._taking):
            if watch is not None:
                watch.cancel()
        super().connection_lost(error)  # type: ignore[misc]

    def pause_writing(self) -> None:
        """More waits for the receiver than the transport holds: its time to take it begins."""
        super().pause_writing()  # type: ignore[misc]
        self._taking = self.loop.call_later(TAKING_TIMEOUT_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The receiver took most of it."""
        if self._taking is not None:
            self._taking.cancel()
        super().resume_writing()  # type: ignore[misc]

    def on_message_begin(self) -> None:
        """A head begins."""
        self._head_octets = 0
        self._head_since_s = self.loop.time()
        self._is_whole = False
        super().on_message_begin()  # type: ignore[misc]

    def on_message_complete(self) -> None:
        """A request came to its end."""
        self._is_whole = True
        if self._rest is not None:
            self._rest.cancel()
        super().on_message_complete()  # type: ignore[misc]

    def on_response_complete(self) -> None:
        """The answer is given; the rest of a body that nobody reads holds the connection for a moment only."""
        is_of_another = bool(self.pipeline) or self._head_since_s is not None
        super().on_response_complete()  # type: ignore[misc]
        if not self._is_whole and not is_of_another and not self.transport.is_closing():
            self._rest = self.loop.call_later(REST_TIMEOUT_S, self.transport.close)

    def on_headers_complete(self) -> None:
        """The head is complete; what follows is a body, bounded elsewhere, or the wait for the next request."""
        self._head_since_s = None
        super().on_headers_complete()  # type: ignore[misc]

    def data_received(self, data: bytes) -> None:
        """Parses, and refuses a head that has grown too large without coming to its end."""
        super().data_received(data)  # type: ignore[misc]
        if self._head_since_s is not None:
            self._head_octets += len(data)
            if self._head_octets > MAX_HEAD_OCTETS and not self.transport.is_closing():
                self.send_400_response("The request's head is too large.")

    def send_400_response(self, msg: str) -> None:
        """What cannot be parsed is answered with a problem too, and the connection is closed."""
        self.transport.write(unparsed(msg))
        self.transport.close()

    def _close_if_slow(self) -> None:
        if self.transport.is_closing():
            # After an upgrade to WebSocket nobody tells this protocol that the connection is gone.
            return
        since_s = self._head_since_s
        if since_s is not None and self.loop.time() - since_s >= HEAD_TIMEOUT_S:
            self.transport.close()
        else:
            self._watch = self.loop.call_later(HEAD_TIMEOUT_S, self._close_if_slow)


def http_protocol(connections: Connections | None = None) -> type[asyncio.Protocol]:
    """uvicorn's protocol on httptools, or on h11 where httptools is not installed, that hands the certificate on.

    Connections with a certificate are entered in `connections` for as long as they are open.
    """
    members = {"judged": connections}
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        from uvicorn.protocols.http.h11_impl import H11Protocol

        return type("MutualTLSProtocol", (_WithTLSInfo, H11Protocol), members)
    return type("MutualTLSProtocol", (_WithTLSInfo, _WithBounds, HttpToolsProtocol), members)


def unparsed(detail: str) -> bytes:
    """The whole answer to what is no request, ready for the wire: a problem, after which the connection is closed."""
    _, problem = problems.to_problem(RequestMalformed(detail))
    body = msgspec.json.encode(problem)
    head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: {PROBLEM_MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"connection: close\r\n\r\n" + body


class TLSExtension:
    """The outermost application: what our protocol read is what `scope["extensions"]["tls"]` says, whoever set it."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Moves the connection's TLS information into the extension; without ours there is none."""
        if scope["type"] != "lifespan":
            info = scope.get("state", {}).pop(_STATE_KEY, None)
            extensions = {name: value for name, value in (scope.get("extensions") or {}).items() if name != "tls"}
            if info is not None:
                extensions["tls"] = info
            scope["extensions"] = extensions
        await self._app(scope, receive, send)

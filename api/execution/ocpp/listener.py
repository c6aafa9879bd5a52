"""A WebSocket server of our own for stations, because OCPP's security profile 3 needs the peer's certificate.

One connection per station; a newer one takes the place of an older. Calls from a station are answered in order; calls
to it go through its `Mailbox`, one at a time. Everything a station can make us hold is bounded.
"""

import asyncio
import contextlib
import ipaddress
import ssl
import time
from collections.abc import Iterable
from http import HTTPStatus
from types import TracebackType
from typing import Protocol, Self
from weakref import WeakValueDictionary

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from api import telemetry
from api.errors import ApiError
from api.execution.errors import (
    FrameRefused,
    ListenerFull,
    ListenerUnsafe,
    StationCrossSite,
    StationPathUnknown,
    StationRefused,
    StationUnknown,
)
from api.execution.ocpp import codec, messages
from api.execution.ocpp.access import Authenticate, CheckPassword, Doorkeeper
from api.execution.ocpp.datatypes import Wire
from api.execution.ocpp.limits import Counters, Limits, Pace
from api.execution.ocpp.mailbox import Letter, Mailbox, Reply
from api.execution.waiting import Clock
from pki.status import StatusIndeterminate

SUBPROTOCOL = Subprotocol("ocpp2.1")
DEFLATE = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    server_max_window_bits=11,
    client_max_window_bits=11,
    compress_settings={"memLevel": 4, "level": 1},
)
MAX_STATIONS_KNOWN = 20_000
STATION_ID_ATTRIBUTE = "flexledger_station_id"
TAKEN_OVER = "a newer connection of this station took over"


class StationHandler(Protocol):
    """What a listener's user does with what stations say."""

    async def on_call(self, station_id: str, action: str, request: Wire) -> Wire:
        """The response to a station's call. An `ApiError` becomes a CALLERROR."""
        ...

    def on_send(self, station_id: str, message: Wire) -> None:
        """A message that wants no answer."""
        ...

    def on_connected(self, station_id: str) -> None:
        """The station is there."""
        ...

    def on_disconnected(self, station_id: str) -> None:
        """The station is no longer there."""
        ...

    def on_late(self, station_id: str, reference: str, reply: Reply) -> None:
        """The answer to a call that was overdue."""
        ...


class StationListener:
    """The server. `authenticate` asks for profile 3; plain WebSocket is served on loopback only.

    Who says an `Origin` that is not among `origins` is a browser's page, and is refused.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        clock: Clock,
        ssl_context: ssl.SSLContext | None = None,
        authenticate: Authenticate | None = None,
        check_password: CheckPassword | None = None,
        origins: Iterable[str] = (),
        limits: Limits | None = None,
    ) -> None:
        if ssl_context is None and not _loopback(host):
            raise ListenerUnsafe("stations are served without TLS on loopback only", found=host)
        if authenticate is None and check_password is None and not _loopback(host):
            raise ListenerUnsafe("stations must prove who they are outside loopback", found=host)
        self._host, self._port = host, port
        self._clock = clock
        self._ssl = ssl_context
        self._door = Doorkeeper(authenticate=authenticate, check_password=check_password, origins=frozenset(origins))
        self._limits = limits or Limits()
        self._handler: StationHandler | None = None
        self._server: Server | None = None
        self._connections: dict[str, ServerConnection] = {}
        self._opening: set[ServerConnection] = set()
        self._delivering: dict[str, asyncio.Task[None]] = {}
        # Of each station that is just taking its place: its newest connection, and whose turn it is.
        self._newest: WeakValueDictionary[str, ServerConnection] = WeakValueDictionary()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._mailboxes: dict[str, Mailbox] = {}
        self.counters = Counters()
        self._reviewing: asyncio.Task[None] | None = None
        self._is_due = False

    def attach(self, handler: StationHandler) -> None:
        """`handler` hears what stations say from now on."""
        self._handler = handler

    # ------------------------------------------------------------------ life
    async def start(self) -> None:
        """Listen; `bound_port` is known afterwards."""
        self._server = await serve(
            self._serve,
            self._host,
            self._port,
            ssl=self._ssl,
            subprotocols=[SUBPROTOCOL],
            process_request=self._process_request,
            create_connection=self._connection_class(),
            # RFC 7692 for who offers it, with windows of 2 KiB that nobody keeps: 2,000 stations are to cost little.
            compression=None,
            extensions=[DEFLATE],
            max_size=codec.MAX_FRAME_BYTES,
            max_queue=8,
            ping_interval=self._limits.ping_interval_s,
            ping_timeout=self._limits.ping_timeout_s,
            open_timeout=self._limits.open_timeout_s,
            close_timeout=self._limits.close_timeout_s,
            ssl_handshake_timeout=None if self._ssl is None else self._limits.open_timeout_s,
        )

    def _connection_class(self) -> type[ServerConnection]:
        """Connections that are counted from their first byte on, so that who says nothing cannot fill the house."""
        listener = self

        class Counted(ServerConnection):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                if len(listener._opening) >= listener._limits.max_opening:
                    listener.counters.cut += 1
                    telemetry.STATION_CONNECTIONS.labels("cut").inc()
                    self.transport.abort()
                    return
                listener._opening.add(self)

            def connection_lost(self, exc: Exception | None) -> None:
                listener._opening.discard(self)
                super().connection_lost(exc)

        return Counted

    async def close(self) -> None:
        """Stop listening, send nothing more, close connections, drop what was not sent; `start` may follow."""
        delivering = tuple(self._delivering.values())
        for task in delivering:
            task.cancel()
        await asyncio.gather(*delivering, return_exceptions=True)
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        for mailbox in self._mailboxes.values():
            mailbox.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def bound_port(self) -> int:
        """The TCP port that is listened on."""
        if self._server is None:
            return self._port
        return int(next(iter(self._server.sockets)).getsockname()[1])

    @property
    def is_listening(self) -> bool:
        """Whether stations can connect."""
        return self._server is not None

    def connected(self) -> frozenset[str]:
        """The ids of the stations that are connected now."""
        return frozenset(self._connections)

    def queued(self, station_id: str) -> int:
        """How many commands wait for a station."""
        return len(self._mailboxes[station_id]) if station_id in self._mailboxes else 0

    async def disconnect(self, station_id: str) -> None:
        """Close a station's connection, as when its certificate was revoked. Raises `StationUnknown`."""
        connection = self._connections.get(station_id)
        if connection is None:
            raise StationUnknown("this station is not connected", station_id=station_id)
        await connection.close(1008, "credential no longer accepted")

    def evidence_moved(self) -> None:
        """Stations are judged anew, soon; those whose certificate no longer holds are disconnected."""
        self._is_due = True
        if self._reviewing is None or self._reviewing.done():
            self._reviewing = asyncio.get_running_loop().create_task(self._review(), name="stations")

    async def _review(self) -> None:
        while self._is_due:
            self._is_due = False
            ended = [one for one in tuple(self._connections.values()) if await self._is_refused(one)]
            self.counters.ended += len(ended)
            telemetry.CONNECTIONS_ENDED.labels("ocpp").inc(len(ended))
            await asyncio.gather(*(one.close(1008, "credential no longer accepted") for one in ended))

    async def _is_refused(self, connection: ServerConnection) -> bool:
        if self._door.authenticate is None or connection.request is None:
            return False
        try:
            await self._door.admit(connection, connection.request)
        except StationRefused as refused:
            # Where nobody can say, the station stays: its next connection is decided by better evidence.
            return refused.found != StatusIndeterminate.code
        return False

    # ------------------------------------------------------------------ calls to stations
    async def post(self, station_id: str, letter: Letter) -> Reply:
        """Queue `letter` and wait for what becomes of it. Raises `QueueFull`, `ListenerFull`."""
        mailbox = self._mailbox(station_id)
        mailbox.put(letter)
        try:
            return await asyncio.shield(letter.reply)
        except asyncio.CancelledError:
            mailbox.withdraw(letter)
            raise

    def _mailbox(self, station_id: str) -> Mailbox:
        mailbox = self._mailboxes.get(station_id)
        if mailbox is None:
            if len(self._mailboxes) >= MAX_STATIONS_KNOWN:
                raise ListenerFull("too many stations are known", found=MAX_STATIONS_KNOWN)
            mailbox = self._mailboxes[station_id] = Mailbox(station_id, self._clock, self._on_late)
        return mailbox

    def _on_late(self, station_id: str, reference: str, reply: Reply) -> None:
        if self._handler is not None:
            self._handler.on_late(station_id, reference, reply)

    # ------------------------------------------------------------------ connections
    async def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        if len(self._connections) >= self._limits.max_connections:
            self.counters.turned_away += 1
            telemetry.STATION_CONNECTIONS.labels(ListenerFull.code).inc()
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "too many stations\n")
        try:
            station_id = await self._door.admit(connection, request)
        except (StationCrossSite, StationRefused, StationPathUnknown) as refused:
            self.counters.refused += 1
            telemetry.STATION_CONNECTIONS.labels(refused.code).inc()
            status = HTTPStatus.NOT_FOUND if isinstance(refused, StationPathUnknown) else HTTPStatus.FORBIDDEN
            return connection.respond(status, f"{refused.code}\n")
        setattr(connection, STATION_ID_ATTRIBUTE, station_id)
        self._opening.discard(connection)
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        station_id: str = getattr(connection, STATION_ID_ATTRIBUTE)
        if connection.subprotocol != SUBPROTOCOL:
            await connection.close(1002, "subprotocol ocpp2.1 is required")
            return
        mailbox = self._mailbox(station_id)
        delivering = await self._take_place(station_id, mailbox, connection)
        if delivering is None:
            await connection.close(1008, TAKEN_OVER)
            return
        try:
            await self._listen(station_id, mailbox, connection)
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)
            if self._connections.get(station_id) is connection:
                self._forget(station_id)

    def _forget(self, station_id: str) -> None:
        del self._connections[station_id]
        del self._delivering[station_id]
        if self._handler is not None:
            self._handler.on_disconnected(station_id)

    async def _take_place(
        self, station_id: str, mailbox: Mailbox, connection: ServerConnection
    ) -> asyncio.Task[None] | None:
        """What delivers over this connection from now on; None if a newer one came while an older one was leaving."""
        self._newest[station_id] = connection
        turn = self._turns.setdefault(station_id, asyncio.Lock())
        async with turn:
            await self._replace(station_id)
            if self._newest.get(station_id) is not connection:
                return None
            self._connections[station_id] = connection
            self.counters.admitted += 1
            telemetry.STATION_CONNECTIONS.labels("admitted").inc()
            if self._handler is not None:
                self._handler.on_connected(station_id)
            delivering = asyncio.create_task(mailbox.deliver(lambda frame: connection.send(frame, text=True)))
            self._delivering[station_id] = delivering
            return delivering

    async def _replace(self, station_id: str) -> None:
        """End an older connection of this station first: two must not deliver from one mailbox."""
        older = self._connections.get(station_id)
        if older is not None:
            delivering = self._delivering[station_id]
            self._forget(station_id)
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)
            await older.close(1008, TAKEN_OVER)

    async def _listen(self, station_id: str, mailbox: Mailbox, connection: ServerConnection) -> None:
        pace = Pace(self._limits.frames_per_s, self._limits.burst)
        with contextlib.suppress(ConnectionClosed):
            while True:
                raw = await connection.recv(decode=False)
                self.counters.frames_in += 1
                wait_s = pace.wait_s(time.monotonic())
                if wait_s > 0:
                    self.counters.slowed += 1
                    telemetry.STATION_FRAMES.labels("slowed").inc()
                    await asyncio.sleep(wait_s)
                answer = await self._answer(station_id, mailbox, raw)
                if answer is not None:
                    await connection.send(answer, text=True)

    async def _answer(self, station_id: str, mailbox: Mailbox, raw: bytes) -> bytes | None:
        """What to send back for one frame, if anything."""
        try:
            frame = codec.decode(raw)
        except FrameRefused as refused:
            self.counters.frames_refused += 1
            telemetry.STATION_FRAMES.labels("refused").inc()
            return codec.encode_error(refused.message_id, refused.ocpp_code, refused.detail)
        match frame:
            case codec.Call():
                return await self._call(station_id, frame)
            case codec.CallResult() | codec.CallError():
                return self._result(mailbox, frame)
            case codec.Send():
                self._send(station_id, frame)
            case _:
                self.counters.frames_ignored += 1
                telemetry.STATION_FRAMES.labels("ignored").inc()
        return None

    def _result(self, mailbox: Mailbox, frame: codec.CallResult | codec.CallError) -> bytes | None:
        try:
            if not mailbox.answer(frame):
                self.counters.answers_unmatched += 1
                telemetry.STATION_FRAMES.labels("unmatched").inc()
        except FrameRefused as refused:
            self.counters.frames_refused += 1
            telemetry.STATION_FRAMES.labels("refused").inc()
            return codec.encode_result_error(frame.message_id, refused.ocpp_code, refused.detail)
        return None

    def _send(self, station_id: str, frame: codec.Send) -> None:
        if frame.action not in messages.SENDS or self._handler is None:
            self.counters.frames_ignored += 1
            telemetry.STATION_FRAMES.labels("ignored").inc()
            return
        try:
            message = codec.open_payload(frame.payload, messages.STREAM_DECODER, frame.message_id)
        except FrameRefused:
            # A SEND is never answered, not even with an error.
            self.counters.frames_refused += 1
            telemetry.STATION_FRAMES.labels("refused").inc()
            return
        self._handler.on_send(station_id, message)

    async def _call(self, station_id: str, call: codec.Call) -> bytes:
        action = messages.ACTIONS.get(call.action)
        if action is None or not action.from_station or self._handler is None:
            return codec.encode_error(call.message_id, "NotImplemented", "action is not known here")
        try:
            request = codec.open_payload(call.payload, action.request_decoder, call.message_id)
            response = await self._handler.on_call(station_id, call.action, request)
        except FrameRefused as refused:
            self.counters.frames_refused += 1
            telemetry.STATION_FRAMES.labels("refused").inc()
            return codec.encode_error(call.message_id, refused.ocpp_code, refused.detail)
        except ApiError as error:
            return codec.encode_error(call.message_id, "GenericError", error.code)
        return codec.encode_result(call.message_id, response)


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

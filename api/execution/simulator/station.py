"""A simulated charging station: an OCPP 2.1 client over WebSocket, with a plant behind it that is driven in jumps."""

import asyncio
import base64
import contextlib
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from api.execution import port as neutral
from api.execution.errors import FrameRefused
from api.execution.ocpp import codec
from api.execution.ocpp import datatypes as t
from api.execution.ocpp import messages as m
from api.execution.ocpp.listener import SUBPROTOCOL
from api.execution.simulator import faults as f
from api.execution.simulator import noise, protocol
from api.execution.simulator.answering import Answering
from api.execution.simulator.plant import Plant

CALL_TIMEOUT_S = 30.0
MAX_BACKLOG = 20_000
MAX_REFUSALS = 100
MODEL, VENDOR_NAME = "simulated", "flexledger"


class LineLost(Exception):
    """The connection ended before an answer came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOff:
    """How a station waits before it connects again (part 4, 5.4): a minimum and a random part, the whole doubling.

    Times are of the plant's clock. The default is not to wait, which suits a clock that jumps.
    """

    minimum_ms: int = 0
    random_ms: int = 0
    doublings: int = 5

    def wait_ms(self, key: int, attempt: int) -> int:
        """How long before the attempt, counted from 0; `key` makes stations differ, and a run repeatable."""
        spread = noise.bits(key, attempt) % (self.random_ms + 1)
        return (self.minimum_ms + spread) << min(attempt, self.doublings)


class SimulatedStation:
    """One station. `url` is the backend's, without the station's id, such as `wss://localhost:9443/ocpp`."""

    def __init__(
        self,
        plant: Plant,
        url: str,
        *,
        ssl_context: ssl.SSLContext | None = None,
        password: str | None = None,
        call_timeout_s: float = CALL_TIMEOUT_S,
        back_off: BackOff | None = None,
        compression: str | None = None,
        signer: protocol.RootSigner | None = None,
    ) -> None:
        self.plant = plant
        self.url = f"{url.rstrip('/')}/{plant.station_id}"
        self._ssl = ssl_context
        self._password = password
        self._call_timeout_s = call_timeout_s
        self._reporter = protocol.Reporter(plant)
        self._connection: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._working: asyncio.Task[None] | None = None
        self._orders: asyncio.Queue[codec.Call] = asyncio.Queue()
        self._uploads: set[asyncio.Task[None]] = set()
        self._answers: dict[str, asyncio.Future[codec.CallResult | codec.CallError]] = {}
        self._line = asyncio.Lock()
        self._reporting = asyncio.Lock()
        self._backlog: deque[t.Wire] = deque(maxlen=MAX_BACKLOG)
        self._answering = Answering(plant, self._reporter, self._backlog)
        self._count = 0
        self._back_off = back_off or BackOff()
        self._compression = compression
        self._signer = signer
        self._retry_key = noise.channel(0, f"retry/{plant.station_id}")
        self._retries = 0
        self._retry_at_ms: int | None = None
        self.refusals: list[str] = []

    @property
    def station_id(self) -> str:
        """Its id."""
        return self.plant.station_id

    @property
    def online(self) -> bool:
        """Connected now."""
        return self._connection is not None

    # ------------------------------------------------------------------ connection
    async def connect(self) -> None:
        """Connect, boot, and plug an EV in at every EVSE that has none. Raises what the handshake raises."""
        await self._open()
        self.plug_in()
        await self._report()

    def plug_in(self) -> None:
        """An EV is at every EVSE that had none; it is reported when there is a connection."""
        for evse_id, evse in self.plant.evses.items():
            if evse.transaction_id is None:
                self.plant.start_transaction(evse_id)

    async def close(self) -> None:
        """Disconnect for good."""
        for task in tuple(self._uploads):
            task.cancel()
        await self._hang_up()

    async def _open(self) -> None:
        headers = {}
        if self._password is not None:
            token = base64.b64encode(f"{self.station_id}:{self._password}".encode()).decode()
            headers["Authorization"] = f"Basic {token}"
        self._connection = await connect(
            self.url,
            ssl=self._ssl,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=self._compression,
            max_size=codec.MAX_FRAME_BYTES,
            additional_headers=headers,
            ping_interval=None,
            proxy=None,
            close_timeout=1,
        )
        await self._stop_working()
        self.plant.offline_since_ms = None
        self._orders = asyncio.Queue()
        self._reading = asyncio.create_task(self._read(self._connection))
        self._working = asyncio.create_task(self._work(self._connection, self._orders))
        await self._call(
            m.BootNotificationRequest(
                reason="PowerUp",
                charging_station=m.ChargingStation(
                    model=MODEL, vendor_name=VENDOR_NAME, serial_number=self.station_id[:25]
                ),
            )
        )
        now = t.from_ms(self.plant.clock_ms())
        for evse_id, evse in self.plant.evses.items():
            status = m.StatusNotificationRequest(
                timestamp=now,
                connector_status="Available" if evse.transaction_id is None else "Occupied",
                evse_id=evse_id,
                connector_id=1,
            )
            await self._call(status)

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        await self._stop_working()
        self._lost()

    async def _stop_working(self) -> None:
        """Nothing reads or carries out orders of an older connection any longer."""
        for task in (self._reading, self._working):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._reading = self._working = None

    def _lost(self) -> None:
        """The connection is gone: who waits for an answer hears that there is none, and the dead-man starts."""
        self._connection = None
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(LineLost())
        if self.plant.offline_since_ms is None:
            self.plant.offline_since_ms = self.plant.at_ms

    # ------------------------------------------------------------------ time
    async def advance_to(self, at_ms: int) -> None:
        """Everything up to `at_ms` has happened in the plant, and the backend has acknowledged the reports."""
        for edge in self.plant.faults.moments(self.plant.at_ms, at_ms):
            self.plant.advance(edge)
            await self._follow_connection()
            await self._report()

    async def _follow_connection(self) -> None:
        faults, at_ms = self.plant.faults, self.plant.at_ms
        if faults.active(f.Offline, at_ms) is not None:
            if self.online:
                await self._hang_up()
            return
        if self.online and faults.starting(f.Reboot, at_ms):
            self._answering.profiles.clear()
            await self._hang_up()
        if not self.online:
            await self._reconnect(at_ms)

    async def _reconnect(self, at_ms: int) -> None:
        """The backend may be gone: the plant goes on, the dead-man does its work, a later jump tries again."""
        if self._retry_at_ms is None:
            self._retry_at_ms = at_ms + self._back_off.wait_ms(self._retry_key, self._retries)
        if at_ms < self._retry_at_ms:
            return
        self._retry_at_ms = None
        self._retries += 1
        try:
            await self._open()
        except (OSError, WebSocketException, LineLost, TimeoutError) as error:
            self.refused(f"connect: {type(error).__name__}: {error}")
            return
        self._retries = 0

    async def _report(self) -> None:
        """Send what the plant has to report; what cannot be sent waits, and goes out marked as late."""
        async with self._reporting:
            events = self.plant.drain()
            self._backlog.extend(self._reporter.requests(events, offline=not self.online))
            while self._backlog and self.online:
                try:
                    await self._call(self._backlog[0])
                except LineLost:
                    return
                self._backlog.popleft()

    # ------------------------------------------------------------------ calls to the backend
    async def _call(self, request: t.Wire) -> codec.CallResult | codec.CallError:
        """One call at a time; the answer, whatever it says. Raises `LineLost`, or `TimeoutError`."""
        async with self._line:
            connection = self._connection
            if connection is None:
                raise LineLost
            self._count += 1
            message_id = f"{self.station_id[:20]}-{self._count}"
            answer: asyncio.Future[codec.CallResult | codec.CallError] = asyncio.get_running_loop().create_future()
            self._answers[message_id] = answer
            try:
                await connection.send(codec.encode_call(message_id, m.action_of(request).name, request), text=True)
                async with asyncio.timeout(self._call_timeout_s):
                    reply = await answer
            except ConnectionClosed as error:
                raise LineLost from error
            finally:
                self._answers.pop(message_id, None)
        if isinstance(reply, codec.CallError):
            self.refused(f"{m.action_of(request).name}: {reply.code}: {reply.description}")
        return reply

    def refused(self, what: str) -> None:
        """The backend refused something; the first `MAX_REFUSALS` are kept."""
        if len(self.refusals) < MAX_REFUSALS:
            self.refusals.append(what[:200])

    async def stream(self, events: Sequence[neutral.SampleReading]) -> None:
        """Send samples of one EVSE as a SEND (NotifyPeriodicEventStream): fast, and never acknowledged."""
        connection = self._connection
        if connection is None or not events:
            return
        first = events[0]
        message = m.NotifyPeriodicEventStream(
            id=first.evse.evse_id,
            pending=0,
            basetime=t.from_ms(first.at_ms),
            data=tuple(
                m.StreamElement(
                    t=(event.at_ms - first.at_ms) / 1000,
                    v=f"{event.power_w};{event.freq_millihertz or 0};{event.setpoint_w or 0}",
                )
                for event in events
            ),
        )
        self._count += 1
        frame = codec.encode_send(f"{self.station_id[:20]}-{self._count}", "NotifyPeriodicEventStream", message)
        await connection.send(frame, text=True)

    # ------------------------------------------------------------------ calls from the backend
    async def _read(self, connection: ClientConnection) -> None:
        try:
            async for raw in connection:
                frame_bytes = raw.encode() if isinstance(raw, str) else raw
                try:
                    frame = codec.decode(frame_bytes)
                except FrameRefused as refused:
                    await connection.send(codec.encode_error(refused.message_id, refused.ocpp_code), text=True)
                    continue
                if isinstance(frame, codec.Call):
                    self._orders.put_nowait(frame)
                elif isinstance(frame, codec.CallResult | codec.CallError):
                    answer = self._answers.get(frame.message_id)
                    if answer is not None and not answer.done():
                        answer.set_result(frame)
        except ConnectionClosed:
            pass
        finally:
            if self._connection is connection:
                self._lost()

    async def _work(self, connection: ClientConnection, orders: asyncio.Queue[codec.Call]) -> None:
        """Carry out orders one after another, as stations do: a slow answer delays the ones behind it."""
        while True:
            call = await orders.get()
            with contextlib.suppress(ConnectionClosed):
                frame, request = self._carry_out(call)
                delay_s = self._delay_s()
                if delay_s:
                    await asyncio.sleep(delay_s)
                await connection.send(frame, text=True)
                await self._follow_up(request)

    def _delay_s(self) -> float:
        late = self.plant.faults.active(f.LateAnswer, self.plant.at_ms)
        slow = self.plant.faults.active(f.SlowResponse, self.plant.at_ms)
        return max(late.delay_s if late else 0.0, slow.delay_s if slow else 0.0)

    def _carry_out(self, call: codec.Call) -> tuple[bytes, t.Wire | None]:
        action = m.ACTIONS.get(call.action)
        if action is None or action.from_station:
            return codec.encode_error(call.message_id, "NotImplemented"), None
        try:
            request = codec.open_payload(call.payload, action.request_decoder, call.message_id)
        except FrameRefused as refused:
            return codec.encode_error(call.message_id, refused.ocpp_code, refused.detail), None
        return codec.encode_result(call.message_id, self._answering.respond(request)), request

    async def _follow_up(self, request: t.Wire | None) -> None:
        """After the answer: report what follows from the order, and upload the log that was asked for."""
        work = self._upload(request) if isinstance(request, m.GetLogRequest) else self._report_changes()
        task = asyncio.create_task(work)
        self._uploads.add(task)
        task.add_done_callback(self._uploads.discard)

    async def _report_changes(self) -> None:
        with contextlib.suppress(TimeoutError):
            await self._report()

    async def _upload(self, request: m.GetLogRequest) -> None:
        command = protocol.log_command(request, self.station_id)
        if command is None:
            return
        with contextlib.suppress(LineLost, TimeoutError):
            records = self.plant.log(command)
            for block in protocol.log_blocks(request.request_id, records, wide=command.wide):
                await self._call(block)
            if self._signer is not None and records:
                clock_ms = self.plant.clock_ms()
                await self._call(self._signer.root(request.request_id, command, records, clock_ms))
            await self._call(m.LogStatusNotificationRequest(status="Uploaded", request_id=request.request_id))

"""Which charging transaction runs at each EVSE, and commands that are for that one only.

A command for one EV must not reach the next. So the first command to an EVSE over a connection waits until its station
has said what runs there; a station that does not say it by itself is asked (TriggerMessage, F06). Whoever answers that
it cannot say gets commands for the EVSE, as they were meant.
"""

import asyncio
import contextlib
from collections.abc import Iterator

import msgspec

from api.execution.ocpp import datatypes as t
from api.execution.ocpp import messages as m
from api.execution.ocpp.mailbox import Answered, Letter
from api.execution.port import Command, EvseAddress

MAX_EVSES = 50_000


class Bindings:
    """What stations said of their transactions. Nothing of it outlives the process; stations are asked again."""

    def __init__(self) -> None:
        """Nobody has said anything."""
        self._running: dict[str, dict[int, str]] = {}
        self._count = 0
        self._spoken: dict[str, set[int]] = {}
        self._asked: dict[EvseAddress, asyncio.Event] = {}

    def running(self, evse: EvseAddress) -> str | None:
        """The transaction that runs there, as far as its station said."""
        return self._running.get(evse.station_id, {}).get(evse.evse_id)

    def of_station(self, station_id: str) -> Iterator[EvseAddress]:
        """The EVSEs of a station at which a transaction runs."""
        for evse_id in self._running.get(station_id, {}):
            yield EvseAddress(station_id=station_id, evse_id=evse_id)

    def where(self, station_id: str, transaction_id: str) -> EvseAddress | None:
        """The EVSE of a station at which this transaction runs."""
        for evse_id, known in self._running.get(station_id, {}).items():
            if known == transaction_id:
                return EvseAddress(station_id=station_id, evse_id=evse_id)
        return None

    def begin(self, evse: EvseAddress, transaction_id: str) -> bool:
        """It runs from now on; False if so many are known that no other can be."""
        here = self._running.setdefault(evse.station_id, {})
        if evse.evse_id not in here:
            if self._count >= MAX_EVSES:
                return False
            self._count += 1
        here[evse.evse_id] = transaction_id
        return True

    def end(self, evse: EvseAddress) -> None:
        """Nothing runs there any longer."""
        here = self._running.get(evse.station_id, {})
        if here.pop(evse.evse_id, None) is not None:
            self._count -= 1

    def spoke(self, evse: EvseAddress) -> None:
        """The station said over its present connection what runs there, or that nothing does."""
        self._spoken.setdefault(evse.station_id, set()).add(evse.evse_id)
        asked = self._asked.get(evse)
        if asked is not None:
            asked.set()

    def connected(self, station_id: str) -> None:
        """A new connection: what was said over an older one may be over."""
        self._spoken.pop(station_id, None)

    def has_spoken(self, evse: EvseAddress) -> bool:
        """Whether the station said it over its present connection, or was asked."""
        return evse.evse_id in self._spoken.get(evse.station_id, ())

    @contextlib.contextmanager
    def asking(self, evse: EvseAddress) -> Iterator[asyncio.Event]:
        """Set as soon as the station speaks of what runs there."""
        asked = self._asked[evse] = asyncio.Event()
        try:
            yield asked
        finally:
            del self._asked[evse]
            # Once a connection is enough, whatever came of it.
            self._spoken.setdefault(evse.station_id, set()).add(evse.evse_id)


class Bound:
    """What is done before a command for an EV is sent (`mailbox.Before`)."""

    def __init__(self, bindings: Bindings, command: Command, *, patience_s: float) -> None:
        """`patience_s` is how long the answer to a question, and then the word that follows it, may take."""
        self._bindings = bindings
        self._command = command
        self._patience_s = patience_s

    def question(self) -> Letter | None:
        """To be asked first; None where the station has spoken."""
        evse = self._command.evse
        if self._bindings.has_spoken(evse):
            return None
        request = m.TriggerMessageRequest(requested_message="TransactionEvent", evse=t.Evse(id=evse.evse_id))
        return Letter(
            action=m.action_of(request),
            request=request,
            not_after_ms=self._command.not_after_ms,
            timeout_s=self._patience_s,
            reference=f"transaction at {evse}",
        )

    async def ask(self, letter: Letter, exchange: "asyncio.Future[None]") -> None:
        """Waits for the end of the exchange and, where the station says that it will speak, for its word."""
        with self._bindings.asking(self._command.evse) as spoke:
            await exchange
            reply = letter.reply.result()
            if isinstance(reply, Answered) and getattr(reply.response, "status", "") == "Accepted":
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._patience_s):
                        await spoke.wait()

    def fit(self, request: t.Wire) -> t.Wire | None:
        """The request as it may be sent now: for the transaction that runs; None if it was meant for another one."""
        running = self._bindings.running(self._command.evse)
        if running is None:
            return request
        if self._command.transaction_id not in (None, running):
            return None
        if isinstance(request, m.SetChargingProfileRequest):
            profile = request.charging_profile
            if profile.charging_profile_purpose == "TxDefaultProfile":
                bound = msgspec.structs.replace(profile, charging_profile_purpose="TxProfile", transaction_id=running)
                return msgspec.structs.replace(request, charging_profile=bound)
        return request

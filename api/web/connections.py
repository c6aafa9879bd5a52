"""Open connections that showed a certificate: when evidence moves, those whose credential no longer holds are closed.

Every request is judged by itself anyway (`identity`); this is for connections that are idle, or in the middle of an
answer that has no end.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from api import telemetry
from api.web.errors import CredentialRefused, CredentialUndecided

GRACE_S: Final = 0.2
"""How long a connection has to say goodbye before it is cut."""
JUDGED_AT_ONCE: Final = 64
"""Judging many connections must not hold up the requests of the others."""

Judge = Callable[[bytes], object]
"""Raises `CredentialRefused` for a DER leaf that is no credential any more."""


@dataclass(frozen=True, slots=True)
class _Open:
    transport: asyncio.Transport
    leaf: bytes


class Connections:
    """The connections of one listener; used on its event loop only."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._open: dict[int, _Open] = {}
        self._reviewing: asyncio.Task[None] | None = None
        self._is_due = False

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, transport: asyncio.Transport, leaf: bytes) -> None:
        """The connection was made with this certificate."""
        self._open[id(transport)] = _Open(transport, leaf)

    def closed(self, transport: asyncio.Transport) -> None:
        """The connection is gone."""
        self._open.pop(id(transport), None)

    def review(self) -> None:
        """Judges all anew, soon; asked again meanwhile, once more afterwards."""
        self._is_due = True
        if self._reviewing is None or self._reviewing.done():
            self._reviewing = asyncio.get_running_loop().create_task(self._review(), name="connections")

    async def _review(self) -> None:
        while self._is_due:
            self._is_due = False
            for number, one in enumerate(tuple(self._open.values()), start=1):
                if one.transport.is_closing():
                    # After an upgrade to WebSocket nobody told us.
                    self.closed(one.transport)
                elif not self._holds(one.leaf):
                    self._end(one.transport)
                if number % JUDGED_AT_ONCE == 0:
                    await asyncio.sleep(0)

    def _holds(self, leaf: bytes) -> bool:
        try:
            self._judge(leaf)
        except CredentialRefused:
            return False
        except CredentialUndecided:
            # Nobody can say now: requests are answered so, and the connection waits for better evidence.
            return True
        return True

    def _end(self, transport: asyncio.Transport) -> None:
        self.closed(transport)
        telemetry.CONNECTIONS_ENDED.labels("https").inc()
        transport.close()
        # The goodbye of TLS waits for the other side's; whoever lost its credential is not waited for.
        asyncio.get_running_loop().call_later(GRACE_S, transport.abort)

"""A bare WebSocket client of the listener for stations."""

import json
from typing import Any

from websockets.asyncio.client import ClientConnection


class Idle(ClientConnection):
    """A station at which no transaction runs, which it says when it is asked; tests see every other frame."""

    async def recv(self, *arguments: Any, **more: Any) -> Any:
        while True:
            raw = await super().recv(*arguments, **more)
            if b'"TriggerMessage"' not in (raw.encode() if isinstance(raw, str) else raw):
                return raw
            await self.send(json.dumps([3, json.loads(raw)[1], {"status": "Rejected"}]))

"""Bounds on what one caller can cost: the size of a body, the rate of requests, the length of a page."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Final

from litestar.middleware import ASGIMiddleware
from litestar.params import QueryParameter
from litestar.types import ASGIApp, Receive, Scope, Send

from api.principals import Principal
from api.web import asgi, problems
from api.web.errors import BodyTooLarge, RateLimited, RequestMalformed
from api.web.identity import STATE_PRINCIPAL
from ledger.records import canonical

MAX_BODY_BYTES: Final = 1 << 20
DRAIN_FACTOR: Final = 8
DRAIN_TIMEOUT_S: Final = 2.0
MAX_TRACKED: Final = 10_000

DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 1_000

PageSize = Annotated[int, QueryParameter(name="limit", ge=1, le=MAX_PAGE, description="Items on a page.")]
"""For `limit: PageSize = DEFAULT_PAGE`."""
After = Annotated[str | None, QueryParameter(max_length=128, description="What the page before named as `next`.")]
Before = Annotated[
    int | None, QueryParameter(ge=0, le=canonical.MAX_INT, description="What the page before named as `next`.")
]
AtMs = Annotated[
    int | None, QueryParameter(ge=0, le=canonical.MAX_INT, description="As at this time, Unix ms; now if left out.")
]

_NS_PER_S: Final = 1_000_000_000


class BodyLimit:
    """An ASGI application around another: no body is read beyond `max_bytes`, and no address holds a NUL.

    No id has one, and PostgreSQL refuses to look for it, which is no damage to the log.

    A `Content-Length` that says too much is answered before anything is read; a body that says nothing and grows too
    large raises `BodyTooLarge` from `receive`, inside the framework's error handling.
    """

    def __init__(self, app: asgi.Application, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Passes the request on, with a `receive` that counts."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if "\0" in scope.get("path", "") or b"%00" in scope.get("query_string", b""):
            await problems.send_problem(RequestMalformed("the address holds a NUL"), scope, send)
            return
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), None)
        if announced is not None:
            if not announced.isdigit():
                await problems.send_problem(RequestMalformed("Content-Length is not a number"), scope, send)
                return
            if int(announced) > self._max_bytes:
                await self._refuse(scope, receive, send)
                return
        await self._app(scope, _Counted(receive, self._max_bytes), send)

    async def _refuse(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """The whole answer goes out at once; then a bounded part of the body is read and thrown away.

        A connection that is closed with unread bytes is reset, and the client might never see the answer.
        """
        await problems.send_problem(_too_large(self._max_bytes), scope, send, more_body=True)
        drained = 0
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                while drained <= DRAIN_FACTOR * self._max_bytes:
                    message = await receive()
                    drained += len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        break
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Counted:
    __slots__ = ("_left", "_limit", "_receive")

    def __init__(self, receive: asgi.Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._left = limit

    async def __call__(self) -> asgi.Message:
        message: asgi.Message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise _too_large(self._limit)
        return message


class Gcra:
    """The generic cell rate algorithm (ITU-T I.371): `rate_per_s` sustained and `burst` at once, one number a key."""

    def __init__(self, rate_per_s: int, burst: int, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._step_ns = _NS_PER_S // rate_per_s
        self._slack_ns = self._step_ns * (burst - 1)
        self._now_ns = monotonic_ns
        self._due_ns: dict[str, int] = {}

    def admit(self, key: str, cost: int = 1) -> int | None:
        """None if the key may act now, and it is charged; else the nanoseconds until it may, and it is not charged."""
        now_ns = self._now_ns()
        due_ns = max(self._due_ns.get(key, now_ns), now_ns)
        wait_ns = due_ns - now_ns - self._slack_ns
        if wait_ns > 0:
            return wait_ns
        if key not in self._due_ns and len(self._due_ns) >= MAX_TRACKED:
            self._forget(now_ns)
        self._due_ns[key] = due_ns + cost * self._step_ns
        return None

    def charge(self, key: str, cost: int) -> None:
        """The key owes this much more, whether it may act now or not."""
        now_ns = self._now_ns()
        self._due_ns[key] = max(self._due_ns.get(key, now_ns), now_ns) + cost * self._step_ns

    def _forget(self, now_ns: int) -> None:
        """A key that is due in the past is as good as new. If all are busy, the least indebted go."""
        self._due_ns = {key: due for key, due in self._due_ns.items() if due > now_ns}
        excess = len(self._due_ns) - MAX_TRACKED // 2
        for key in sorted(self._due_ns, key=self._due_ns.__getitem__)[: max(0, excess)]:
            del self._due_ns[key]


class Batches:
    """Which parties have a batch under way: one each, so that nobody takes the log's queue for itself."""

    def __init__(self, gcra: Gcra) -> None:
        self._gcra = gcra
        self._busy: set[str] = set()

    @contextmanager
    def taking(self, principal: Principal, statements: int) -> Iterator[None]:
        """The party's only batch while the block runs; every statement counts for its rate as a request by itself.

        What the batch costs beyond the burst is owed: the party's next request waits for it. Raises `RateLimited`.
        """
        party = _party(principal)
        if party in self._busy:
            raise RateLimited("a batch of this party is being taken", retry_after_s=1)
        self._busy.add(party)
        try:
            # The request itself was charged as one when it came in.
            self._gcra.charge(party, statements - 1)
            yield
        finally:
            self._busy.discard(party)


class RateLimit(ASGIMiddleware):
    """Refuses with 429 what a party asks beyond its rate; a caller without certificate counts by its address."""

    def __init__(self, gcra: Gcra) -> None:
        self._gcra = gcra

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Charges the caller and goes on, or raises `RateLimited`."""
        principal: Principal | None = scope.get("state", {}).get(STATE_PRINCIPAL)
        client = scope.get("client")
        key = _party(principal) if principal else f"address/{client[0] if client else ''}"
        wait_ns = self._gcra.admit(key)
        if wait_ns is not None:
            raise RateLimited("too many requests", retry_after_s=-(-wait_ns // _NS_PER_S))
        await next_app(scope, receive, send)


def _party(principal: Principal) -> str:
    return f"{principal.role}/{principal.party}"


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge("the body is too large", expected=f"at most {limit} bytes")

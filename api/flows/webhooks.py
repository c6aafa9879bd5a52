"""Webhooks: entries that concern a party are posted to its own receiver, signed as the service signs its statements.

Each delivery is one signed token with up to a hundred event references, in the order of the log. What was answered with
2xx is never sent again by us; anything else is sent again later, so a receiver counts by index. A receiver first shows
that it wants to be told, by answering a signed challenge: nobody can point us at others.
"""

import asyncio
import secrets
from collections import Counter, OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple, Protocol

import structlog

from api import telemetry, webhook
from api.errors import Absent, ApiError, Refused
from api.flows.desk import Desk, Opened
from api.flows.events import event_of
from api.flows.memory import Memory
from api.flows.standing import concerns_stream
from api.principals import ORGANISATIONS, Principal
from api.settings import Webhooks as WebhookSettings
from api.subscriptions import State, Subscription, Subscriptions
from api.wire import Event
from ledger.clock import Clock, SystemClock
from ledger.errors import LedgerError
from ledger.records import canonical, jws
from pki.errors import PkiError
from pki.roles import Purpose, Role
from pki.status import StatusIndeterminate

MAX_SUBSCRIPTIONS: Final = 1_000
OF_PARTY: Final = 4
"""Deliveries of one party under way. Each party has its own: however slow its receivers are, nobody else waits."""
MAX_EVENTS: Final = 100
PAGE: Final = 256
REMEMBERED: Final = 4_096
"""Newest events that are kept as read, so that many receivers do not read one entry many times."""
UNTOLD: Final = 1_000
"""Entries that may pass a receiver by before its position is written down again."""
TICK_S: Final = 1.0
GATHER_S: Final = 0.02
"""How long after a new entry others are waited for, to be told together."""
FIRST_PAUSE_MS: Final = 1_000
MAX_PAUSE_MS: Final = 300_000
MAX_RETRY_AFTER_S: Final = 3_600
CONFIRM_WITHIN_MS: Final = 3_600_000
LEASE_MS: Final = 120_000
HOUR_MS: Final = 3_600_000
GONE: Final = 410
ROLES: Final = tuple(sorted(ORGANISATIONS - {Role.SO}))
"""Who may have webhooks: organisations. A person is told over `/v1/events`, and a station over its own protocol."""

log = structlog.get_logger()


class WebhooksAbsent(Absent):
    """This service posts to nobody: its settings have no table [webhooks]."""

    code = "api/webhooks-absent"
    title = "No webhooks here"


class WebhookUnknown(Absent):
    """The caller has no such subscription; somebody else's is told apart from none by nobody."""

    code = "api/webhook-unknown"
    title = "No such webhook"


class WebhookLimit(Refused):
    """The party or the service has as many subscriptions as it may."""

    code = "api/webhook-limit"
    title = "Too many webhooks"


class WebhookPosition(Refused):
    """The position is beyond the end of the log."""

    code = "api/webhook-position"
    title = "Position is not in the log"


class WebhookAnswer(Refused):
    """The receiver did not answer with 2xx, or did not repeat the challenge."""

    code = "api/webhook-answer"
    title = "Receiver did not accept"


class Answered(NamedTuple):
    """What a receiver answered."""

    status: int
    body: bytes
    retry_after: str | None = None


class Poster(Protocol):
    """How receivers are reached."""

    def require_url(self, url: str) -> None:
        """Raises a coded error for a URL that is never posted to."""
        ...

    async def post(self, url: str, body: bytes) -> Answered:
        """The receiver's answer; raises a coded error where there was none, or where the address is refused."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a party wants to be told, and where."""

    url: str
    types: tuple[str, ...] = ()
    stream: str = ""
    after: int | None = None


class Webhooks:
    """Subscriptions and their deliveries. `clock` is the machine's own: receivers do not live in business time."""

    def __init__(
        self,
        desk: Desk,
        memory: Memory,
        store: Subscriptions,
        settings: WebhookSettings,
        poster: Poster,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._desk = desk
        self._memory = memory
        self._store = store
        self._settings = settings
        self._poster = poster
        self._clock = clock or SystemClock()
        self._changed = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._busy: Counter[str] = Counter()
        """By party: deliveries under way."""
        self._turns: dict[str, int] = {}
        """By subscription: the number of the last delivery that was begun for it."""
        self._begun = 0
        self._seen: dict[str, int] = {}
        """By subscription: up to which index nothing concerns it that it was not told of."""
        self._events: OrderedDict[int, Event] = OrderedDict()
        desk.listen(self._heard)

    # What a party asks for

    def subscribe(self, principal: Principal, leaf: bytes, wanted: Wanted) -> Subscription:
        """The subscription is durable; its receiver is asked at once.

        Raises `WebhookLimit`, `WebhookPosition`, or what the poster has against the URL.
        """
        self._poster.require_url(wanted.url)
        one = Subscription(
            id=f"hook-{secrets.token_hex(10)}",
            party=principal.party,
            role=principal.role.value,
            leaf=leaf,
            url=wanted.url,
            types=wanted.types,
            stream=wanted.stream,
            challenge=secrets.token_urlsafe(24),
            position=self._position(wanted.after),
            state=State.UNCONFIRMED,
            attempts=0,
            failing_since_ms=0,
            next_at_ms=0,
            last_code="",
            created_at_ms=self._clock.now_ms(),
        )
        if not self._store.add(one, of_party=self._settings.per_party, at_all=MAX_SUBSCRIPTIONS):
            raise WebhookLimit("no more webhooks", expected=f"at most {self._settings.per_party} of a party")
        self._wake()
        return one

    def of(self, principal: Principal) -> list[Subscription]:
        """The caller's own, oldest first."""
        return self._store.of(principal.party, principal.role.value)

    def require(self, principal: Principal, name: str) -> Subscription:
        """The caller's subscription; raises `WebhookUnknown`."""
        found = self._store.get(name)
        if found is None or (found.party, found.role) != (principal.party, principal.role.value):
            raise WebhookUnknown("no such webhook of yours")
        return found

    def remove(self, principal: Principal, name: str) -> None:
        """It is told of nothing more; raises `WebhookUnknown`."""
        self._store.remove(self.require(principal, name).id)
        self._seen.pop(name, None)
        self._turns.pop(name, None)
        task = self._running.get(name)
        if task is not None:
            task.cancel()

    def resume(self, principal: Principal, leaf: bytes, name: str, after: int | None) -> Subscription:
        """It goes on under the caller's present certificate: from its position, or told again from after `after` on.

        Raises `WebhookUnknown`, `WebhookPosition`.
        """
        found = self.require(principal, name)
        position = found.position if after is None else self._position(after)
        is_confirmed = not found.challenge
        self._store.change(
            name,
            leaf=leaf,
            position=position,
            state=State.ACTIVE if is_confirmed else State.UNCONFIRMED,
            attempts=0,
            failing_since_ms=0,
            next_at_ms=0,
            last_code="",
        )
        self._seen.pop(name, None)
        task = self._running.get(name)
        if task is not None:
            # What it is sending now would move the position again.
            task.cancel()
        self._wake()
        return self.require(principal, name)

    def _position(self, after: int | None) -> int:
        size = self._desk.appender.head.size
        if after is not None and after >= size:
            raise WebhookPosition("the log does not reach that far", expected=f"at most {size - 1}", found=after)
        return size - 1 if after is None else after

    # Delivering

    async def watch(self) -> None:
        """Delivers until it is cancelled, and then lets go of what is under way: it is sent again later."""
        try:
            while True:
                changed = self._changed
                self._start()
                try:
                    async with asyncio.timeout(TICK_S):
                        await changed.wait()
                    await asyncio.sleep(GATHER_S)
                except TimeoutError:
                    continue
        finally:
            tasks = list(self._running.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self) -> None:
        """A delivery is under way for everyone who is due and has something to be told, within the party's share."""
        now_ms = self._clock.now_ms()
        last = self._desk.appender.head.size - 1
        for state, number in self._store.count().items():
            telemetry.WEBHOOKS.labels(state.value).set(number)
        # Of one party's, whose last turn is longest ago comes first: its slow receivers do not starve its quick ones.
        for one in sorted(self._store.due(now_ms), key=lambda due: self._turns.get(due.id, 0)):
            is_told = not one.challenge and max(one.position, self._seen.get(one.id, -1)) >= last
            if is_told or one.id in self._running or self._busy[one.party] >= OF_PARTY:
                continue
            if not self._store.lease(one.id, now_ms, now_ms + LEASE_MS):
                continue
            self._begun += 1
            self._turns[one.id] = self._begun
            self._busy[one.party] += 1
            task = asyncio.create_task(self._deliver(one), name="webhook")
            self._running[one.id] = task
            task.add_done_callback(partial(self._ended, one.id, one.party))

    def _ended(self, name: str, party: str, task: asyncio.Task[None]) -> None:
        if self._running.get(name) is task:
            del self._running[name]
        self._busy[party] -= 1
        if not self._busy[party]:
            del self._busy[party]
        self._store.release(name)
        if not task.cancelled() and task.exception() is not None:
            log.error("webhook delivery broke", **telemetry.failure(task.exception()))
        self._wake()

    async def _deliver(self, one: Subscription) -> None:
        """All that there is for one receiver, until it fails or knows everything; at most half of its lease long."""
        until_ms = self._clock.now_ms() + LEASE_MS // 2
        try:
            principal = self._principal(one)
            if one.challenge:
                await self._confirm(one)
            while self._clock.now_ms() < until_ms:
                told = self._next(one, principal)
                if not told:
                    return
                await self._send(one, told)
                known = self._told(one, told[-1].index)
                if known is None:
                    return
                one = known
        except StatusIndeterminate as error:
            self._failed(one, error, None)
        except PkiError as error:
            self._store.change(one.id, state=State.SUSPENDED, last_code=error.code)
            self._count(one, "suspended", error.code)
        except _NotAccepted as error:
            self._failed(one, error.why, error.answered)
        except (ApiError, LedgerError) as error:
            self._failed(one, error, None)

    def _principal(self, one: Subscription) -> Principal:
        """Who the receiver's party is, by its certificate, as of now; raises what is wrong with it."""
        credential = self._desk.directory.validate(one.leaf, self._clock.now_ms(), purpose=Purpose.TLS_CLIENT)
        return Principal.from_credential(credential)

    async def _confirm(self, one: Subscription) -> None:
        """The receiver has repeated the challenge: it wants to be told."""
        answered = await self._poster.post(one.url, self._token(one, (), challenge=one.challenge))
        if not 200 <= answered.status < 300 or answered.body.strip() != one.challenge.encode():
            wanted = "2xx and the challenge"
            why = WebhookAnswer("the challenge was not repeated", expected=wanted, found=answered.status)
            raise _NotAccepted(why, answered)
        self._store.change(
            one.id, state=State.ACTIVE, challenge="", attempts=0, failing_since_ms=0, last_code="", next_at_ms=0
        )
        self._count(one, "confirmed", "")

    async def _send(self, one: Subscription, told: list[Event]) -> None:
        answered = await self._poster.post(one.url, self._token(one, tuple(told)))
        if not 200 <= answered.status < 300:
            raise _NotAccepted(WebhookAnswer("it was not taken", expected="2xx", found=answered.status), answered)

    def _told(self, one: Subscription, index: int) -> Subscription | None:
        """Commit point: from here on these events are not sent again. None if it was removed meanwhile."""
        self._store.change(one.id, position=index, attempts=0, failing_since_ms=0, last_code="", next_at_ms=0)
        self._count(one, "delivered", "")
        return self._store.get(one.id)

    def _next(self, one: Subscription, principal: Principal) -> list[Event]:
        """The next events that concern the receiver, at most `MAX_EVENTS`; empty if it knows everything."""
        at = max(one.position, self._seen.get(one.id, -1)) + 1
        size = self._desk.appender.head.size
        found: list[Event] = []
        while at < size and len(found) < MAX_EVENTS:
            for event in self._read(at, min(size, at + PAGE)):
                at = event.index + 1
                if self._wants(one, principal, event):
                    found.append(event)
                    if len(found) == MAX_EVENTS:
                        break
        if not found:
            self._seen[one.id] = at - 1
            if at - 1 - one.position >= UNTOLD:
                self._store.change(one.id, position=at - 1)
        return found

    def _read(self, first: int, stop: int) -> list[Event]:
        known = [self._events[index] for index in range(first, stop) if index in self._events]
        if len(known) == stop - first:
            return known
        read = [event_of(row) for row in self._desk.engines.store.entries(first, stop)]
        for event in read:
            self._events[event.index] = event
        while len(self._events) > REMEMBERED:
            self._events.popitem(last=False)
        return read

    def _wants(self, one: Subscription, principal: Principal, event: Event) -> bool:
        if one.types and event.type not in one.types:
            return False
        return event.stream.startswith(one.stream) and concerns_stream(
            self._desk, self._memory, event.stream, principal
        )

    def _token(self, one: Subscription, events: tuple[Event, ...], challenge: str = "") -> bytes:
        """What is posted: a compact JWS under the service's own statement key."""
        me = self._desk.me
        claims = webhook.Claims(
            iss=me.party,
            aud=one.party,
            sub=one.id,
            log=self._desk.origin,
            iat=self._clock.now_ms() // 1000,
            events=events,
            challenge=challenge or None,
        )
        header = {"typ": webhook.TYP, "x5t#S256": me.x5t}
        return jws.sign(canonical.encode(claims), self._desk.engines.service_key.key, header).encode()

    def _failed(self, one: Subscription, error: ApiError | LedgerError | PkiError, answered: Answered | None) -> None:
        """It is tried again later, or given up."""
        now_ms = self._clock.now_ms()
        since_ms = one.failing_since_ms or now_ms
        attempts = one.attempts + 1
        patience_ms = self._settings.give_up_hours * HOUR_MS
        if one.challenge:
            patience_ms = min(patience_ms, CONFIRM_WITHIN_MS)
        is_gone = answered is not None and answered.status == GONE
        is_dead = is_gone or now_ms - since_ms >= patience_ms
        self._store.change(
            one.id,
            attempts=attempts,
            failing_since_ms=since_ms,
            last_code=error.code,
            next_at_ms=now_ms + _pause_ms(attempts, None if answered is None else answered.retry_after),
            **({"state": State.DEAD} if is_dead else {}),
        )
        self._count(one, "dead" if is_dead else "failed", error.code, attempts)

    def _count(self, one: Subscription, result: str, code: str, attempt: int = 0) -> None:
        telemetry.WEBHOOK_DELIVERIES.labels(result).inc()
        if code:
            log.warning("webhook not delivered", code=code, attempt=attempt, role=one.role, party=one.party)

    def _heard(self, _opened: Opened, _stream: str, _rec_ms: int) -> None:
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class _NotAccepted(Exception):
    """A receiver answered, and not as it should."""

    def __init__(self, why: WebhookAnswer, answered: Answered) -> None:
        super().__init__(why.code)
        self.why = why
        self.answered = answered


def _pause_ms(attempts: int, retry_after: str | None) -> int:
    """Doubling up to five minutes, a fifth more or less, so that not everybody comes back at once."""
    pause_ms: int = min(FIRST_PAUSE_MS << min(attempts - 1, 20), MAX_PAUSE_MS)
    spread_ms = pause_ms * 4 // 5 + secrets.randbelow(pause_ms * 2 // 5 + 1)
    if retry_after is not None and retry_after.isascii() and retry_after.isdigit() and len(retry_after) <= 6:
        return max(spread_ms, min(int(retry_after), MAX_RETRY_AFTER_S) * 1000)
    return spread_ms

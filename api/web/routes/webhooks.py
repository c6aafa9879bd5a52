"""/v1/webhooks: where a party wants to be told of entries, how that goes, and telling it again."""

from typing import Annotated, Any

import msgspec
from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.client.outbound import MAX_URL_CHARS
from api.flows.service import Service
from api.flows.webhooks import ROLES, Wanted, Webhooks, WebhooksAbsent
from api.subscriptions import State, Subscription
from api.web import schema
from api.web.errors import CredentialMissing
from api.web.identity import leaf_of, principal_of, require
from api.web.routes import body
from ledger.records import canonical, registry
from ledger.records.errors import RecordTypeUnknown

MAX_TYPES = 32

Index = Annotated[int, msgspec.Meta(ge=0, le=canonical.MAX_INT)]


class WebhookAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a party wants to be told, and of what."""

    url: Annotated[str, msgspec.Meta(min_length=8, max_length=MAX_URL_CHARS)]
    types: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=48)], ...], msgspec.Meta(max_length=MAX_TYPES)] = ()
    """Record types; all that concern the caller if empty."""
    stream: Annotated[str, msgspec.Meta(pattern=r"^[a-z]{0,16}(/[A-Za-z0-9._-]{0,80})?$")] = ""
    """Only streams that begin so, such as `fsr/`."""
    after: Index | None = None
    """Index of the last entry that was heard of; from now on if left out."""


class WebhookResumed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From where on it goes on."""

    after: Index | None = None
    """Told again from the entry behind this index; from where it stands if left out."""


class WebhookView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A subscription and how it stands. `UNCONFIRMED` until the receiver repeated the challenge that it was sent."""

    id: str
    url: str
    types: tuple[str, ...] = ()
    stream: str = ""
    state: State
    position: int
    """Index of the last entry that it need not be told of; -1 before the first."""
    behind: int
    """Entries after it, whether they concern the caller or not."""
    attempts: int = 0
    """Failures since the last success."""
    failing_since_ms: int | None = None
    next_attempt_ms: int | None = None
    last_code: str | None = None
    """Why the last attempt failed."""
    created_at_ms: int


class WebhookList(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's subscriptions, oldest first; a party has few, so they all come at once."""

    tree_size: int
    webhooks: tuple[WebhookView, ...]


@post(
    "/v1/webhooks",
    operation_id="subscribe",
    tags=["webhooks"],
    guards=[require(*ROLES)],
    status_code=201,
    opt={schema.OPT_BODY: WebhookAsked},
)
async def subscribe(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> WebhookView:
    """Be told of entries that concern the caller at a URL of its own, once that has repeated a signed challenge."""
    webhooks = _webhooks(service)
    asked = await body.read(request, WebhookAsked)
    for one in asked.types:
        if one not in _types():
            raise RecordTypeUnknown("no record has this type", expected="a registered type")
    wanted = Wanted(url=asked.url, types=asked.types, stream=asked.stream, after=asked.after)
    made = webhooks.subscribe(principal_of(request.scope), _leaf(request), wanted)
    return _view(service, made)


@get("/v1/webhooks", operation_id="list_webhooks", tags=["webhooks"], guards=[require(*ROLES)])
async def list_webhooks(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> WebhookList:
    """The caller's webhooks, and how they stand."""
    found = _webhooks(service).of(principal_of(request.scope))
    return WebhookList(tree_size=service.desk.appender.head.size, webhooks=tuple(_view(service, one) for one in found))


@get("/v1/webhooks/{webhook_id:str}", operation_id="read_webhook", tags=["webhooks"], guards=[require(*ROLES)])
async def read_webhook(
    request: Request[Any, Any, Any], service: NamedDependency[Service], webhook_id: FromPath[str]
) -> WebhookView:
    """One webhook: its position, and what its last attempt met."""
    return _view(service, _webhooks(service).require(principal_of(request.scope), webhook_id))


@post(
    "/v1/webhooks/{webhook_id:str}/resumption",
    operation_id="resume_webhook",
    tags=["webhooks"],
    guards=[require(*ROLES)],
    status_code=200,
    opt={schema.OPT_BODY: WebhookResumed},
)
async def resume_webhook(
    request: Request[Any, Any, Any], service: NamedDependency[Service], webhook_id: FromPath[str]
) -> WebhookView:
    """Go on with one that was given up or suspended, under the caller's present certificate; or tell it again."""
    webhooks = _webhooks(service)
    asked = await body.read(request, WebhookResumed)
    return _view(service, webhooks.resume(principal_of(request.scope), _leaf(request), webhook_id, asked.after))


@delete(
    "/v1/webhooks/{webhook_id:str}",
    operation_id="unsubscribe",
    tags=["webhooks"],
    guards=[require(*ROLES)],
    status_code=204,
)
async def unsubscribe(
    request: Request[Any, Any, Any], service: NamedDependency[Service], webhook_id: FromPath[str]
) -> None:
    """Be told no more."""
    _webhooks(service).remove(principal_of(request.scope), webhook_id)


def _webhooks(service: Service) -> Webhooks:
    if service.webhooks is None:
        raise WebhooksAbsent("this service posts to nobody")
    return service.webhooks


def _leaf(request: Request[Any, Any, Any]) -> bytes:
    leaf = leaf_of(request.scope)
    if leaf is None:
        raise CredentialMissing("the resource needs a client certificate", expected="mutual TLS")
    return leaf


def _types() -> frozenset[str]:
    return frozenset(kind.TYPE for kind in registry.kinds())


def _view(service: Service, one: Subscription) -> WebhookView:
    is_failing = one.attempts > 0
    return WebhookView(
        id=one.id,
        url=one.url,
        types=one.types,
        stream=one.stream,
        state=one.state,
        position=one.position,
        behind=service.desk.appender.head.size - 1 - one.position,
        attempts=one.attempts,
        failing_since_ms=one.failing_since_ms if is_failing else None,
        next_attempt_ms=one.next_at_ms if is_failing and one.state in (State.ACTIVE, State.UNCONFIRMED) else None,
        last_code=one.last_code or None,
        created_at_ms=one.created_at_ms,
    )


HANDLERS = (subscribe, list_webhooks, read_webhook, resume_webhook, unsubscribe)

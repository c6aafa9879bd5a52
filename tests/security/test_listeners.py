"""Listeners for events: no way around their number, and none outlives the token that opened it."""

import asyncio
import ssl
from typing import Any

import pytest

from api.cli.demo import cast
from api.flows import events
from api.flows.events import EventsBusy
from api.principals import Principal
from api.web import identity
from api.web.identity import Identity
from api.web.tokens import Scope, TokenRefused, Tokens
from ledger.clock import SetClock, SystemClock
from pki.roles import Purpose
from tests.support.house import House


def principal(house: House, who: str) -> Principal:
    leaf = house.issued(who, Purpose.TLS_CLIENT).chain[0]
    now_ms = SystemClock().now_ms()
    return Principal.from_credential(house.service.directory.validate(leaf, now_ms, purpose=Purpose.TLS_CLIENT))


async def test_listeners_that_come_all_at_once_are_no_more_than_a_party_may_have(door: House) -> None:
    feed, caller = door.service.feed, principal(door, cast.AUD)
    firsts = [feed.start(caller, 0) for _ in range(events.MAX_LISTENERS_OF_PARTY + 1)]
    open_ones: list[Any] = [feed.follow(caller, first, stream=None, still=lambda: None) for first in firsts]
    for one in open_ones[:-1]:
        assert await anext(one) is not None
    with pytest.raises(EventsBusy):
        await anext(open_ones[-1])
    await open_ones[0].aclose()
    late: Any = feed.follow(caller, feed.start(caller, 0), stream=None, still=lambda: None)
    assert await anext(late) is not None
    for one in (*open_ones[1:], late):
        await one.aclose()


async def test_an_answer_that_takes_long_ends_with_the_token_that_asked_for_it(door: House) -> None:
    leaf = door.issued(cast.FO, Purpose.TLS_CLIENT).chain[0]
    caller = principal(door, cast.FO)
    clock = SetClock(SystemClock().now_ms())
    tokens = Tokens(issuer="log.example", epoch=lambda: 1, clock=clock)
    known = Identity(lambda _leaf: caller.credential, epoch=lambda: 1, clock=clock, tokens=tokens)
    token = tokens.issue(caller, {Scope.READ}, 60)
    pem = ssl.DER_cert_to_PEM_cert(leaf)
    scope: Any = {
        "type": "http",
        "method": "GET",
        "headers": [(b"authorization", f"Bearer {token.text}".encode())],
        "extensions": {"tls": {"client_cert_chain": [pem]}},
    }
    asked: list[object] = []

    async def app(scope: Any, _receive: object, _send: object) -> None:
        still = identity.still_good(scope)
        asked.append(still())
        clock.set_ms(clock.now_ms() + 61_000)
        with pytest.raises(TokenRefused):
            still()
        asked.append(None)

    nowhere: Any = asyncio.sleep
    await known.handle(scope, nowhere, nowhere, app)
    assert len(asked) == 2

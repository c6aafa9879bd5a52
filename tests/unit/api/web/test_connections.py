"""Open connections are judged anew when evidence moves, and closed where the credential no longer holds."""

import asyncio
from typing import cast

import pytest

from api.web.connections import Connections
from api.web.errors import CredentialRefused, CredentialUndecided


class Transport:
    """What the registry asks of a transport."""

    def __init__(self) -> None:
        self.is_closed = False
        self.is_aborted = False

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True


class Court:
    """Which leaves are refused, which undecided; and how often anybody asked."""

    def __init__(self) -> None:
        self.refused: set[bytes] = set()
        self.undecided: set[bytes] = set()
        self.asked = 0

    def judge(self, leaf: bytes) -> object:
        self.asked += 1
        if leaf in self.refused:
            raise CredentialRefused("revoked")
        if leaf in self.undecided:
            raise CredentialUndecided("nobody can say")
        return leaf


@pytest.fixture
def court() -> Court:
    return Court()


def opened(registry: Connections, leaf: bytes) -> Transport:
    made = Transport()
    registry.opened(cast(asyncio.Transport, made), leaf)
    return made


async def reviewed(registry: Connections) -> None:
    registry.review()
    await asyncio.sleep(0.01)


async def test_a_connection_whose_credential_was_revoked_is_closed_and_the_others_stay(court: Court) -> None:
    registry = Connections(court.judge)
    good, bad = opened(registry, b"good"), opened(registry, b"bad")
    court.refused.add(b"bad")
    await reviewed(registry)
    assert (good.is_closed, bad.is_closed, len(registry)) == (False, True, 1)


async def test_who_does_not_say_goodbye_is_cut(court: Court) -> None:
    registry = Connections(court.judge)
    bad = opened(registry, b"bad")
    court.refused.add(b"bad")
    await reviewed(registry)
    await asyncio.sleep(0.25)
    assert bad.is_aborted


async def test_a_connection_stays_while_nobody_can_say(court: Court) -> None:
    registry = Connections(court.judge)
    waiting = opened(registry, b"waiting")
    court.undecided.add(b"waiting")
    await reviewed(registry)
    assert (waiting.is_closed, len(registry)) == (False, 1)


async def test_connections_that_ended_unheard_are_forgotten(court: Court) -> None:
    registry = Connections(court.judge)
    opened(registry, b"gone").close()
    await reviewed(registry)
    assert (len(registry), court.asked) == (0, 0)


async def test_many_reviews_at_once_are_few(court: Court) -> None:
    registry = Connections(court.judge)
    for number in range(200):
        opened(registry, str(number).encode())
    for _ in range(50):
        registry.review()
    await asyncio.sleep(0.05)
    assert court.asked == 200
    court.refused.add(b"7")
    await reviewed(registry)
    assert len(registry) == 199

"""One caller can cost so much and no more; both sides of every bound."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.principals import Principal
from api.web import limits
from api.web.errors import BodyTooLarge, RateLimited
from api.web.limits import Batches, BodyLimit, Gcra
from pki.roles import Role

S = 1_000_000_000


class Monotonic:
    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def test_a_burst_is_admitted_and_the_next_waits_one_step() -> None:
    now = Monotonic()
    gcra = Gcra(10, 3, now)
    assert [gcra.admit("a") for _ in range(3)] == [None, None, None]
    wait_ns = gcra.admit("a")
    assert wait_ns == S // 10
    now.now_ns += wait_ns - 1
    assert gcra.admit("a") == 1
    now.now_ns += 1
    assert gcra.admit("a") is None


def test_the_sustained_rate_is_the_rate() -> None:
    now = Monotonic()
    gcra = Gcra(10, 1, now)
    admitted = 0
    for _ in range(1000):
        admitted += gcra.admit("a") is None
        now.now_ns += S // 100
    assert admitted == 100


def test_keys_do_not_share() -> None:
    gcra = Gcra(1, 1, Monotonic())
    assert gcra.admit("a") is None
    assert gcra.admit("a") is not None
    assert gcra.admit("b") is None


def test_a_request_may_cost_more_than_one() -> None:
    gcra = Gcra(10, 10, Monotonic())
    assert gcra.admit("a", cost=10) is None
    assert gcra.admit("a") == S // 10


def test_memory_is_bounded_and_the_most_indebted_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_TRACKED", 4)
    gcra = Gcra(1, 100, Monotonic())
    gcra.admit("greedy", cost=200)
    for number in range(50):
        gcra.admit(f"other-{number}")
    assert len(gcra._due_ns) <= 4
    assert gcra.admit("greedy") is not None


def test_who_is_due_in_the_past_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_TRACKED", 4)
    now = Monotonic()
    gcra = Gcra(1, 1, now)
    for name in "abcd":
        gcra.admit(name)
    now.now_ns += 2 * S
    gcra.admit("e")
    assert set(gcra._due_ns) == {"e"}


async def _call(limit: int, chunks: list[bytes], length: bytes | None) -> tuple[list[Any], list[bytes]]:
    """What the client hears, and what the application has read."""
    sent: list[Any] = []
    read: list[bytes] = []
    waiting = list(chunks)

    async def receive() -> dict[str, Any]:
        body = waiting.pop(0) if waiting else b""
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(_scope: Any, inner: Any, _send: Any) -> None:
        more = True
        while more:
            message = await inner()
            read.append(message["body"])
            more = message["more_body"]

    headers = [] if length is None else [(b"content-length", length)]
    await BodyLimit(app, limit)({"type": "http", "headers": headers}, receive, send)
    return sent, read


async def test_a_body_of_exactly_the_limit_is_read() -> None:
    assert await _call(8, [b"1234", b"5678"], b"8") == ([], [b"1234", b"5678"])
    assert await _call(8, [b"1234", b"5678"], None) == ([], [b"1234", b"5678"])


async def test_a_body_that_announces_too_much_is_refused_before_it_is_read() -> None:
    sent, read = await _call(8, [b"1234", b"56789"], b"9")
    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]
    assert read == []


async def test_a_body_that_grows_too_large_raises_from_receive() -> None:
    with pytest.raises(BodyTooLarge) as caught:
        await _call(8, [b"1234", b"56789"], None)
    assert caught.value.expected == "at most 8 bytes"


async def test_of_a_refused_body_a_bounded_part_is_thrown_away() -> None:
    chunks = [b"12345678"] * (2 * limits.DRAIN_FACTOR)
    left = list(chunks)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": left.pop(), "more_body": True}

    async def send(_message: Any) -> None:
        return None

    async def app(*_: Any) -> None:
        raise AssertionError("never called")

    scope = {"type": "http", "headers": [(b"content-length", b"999")]}
    await BodyLimit(app, 8)(scope, receive, send)
    assert len(chunks) - len(left) == limits.DRAIN_FACTOR + 1


@pytest.mark.parametrize("length", [b"-1", b"x", b"1e3", b""])
async def test_a_length_that_is_no_number_is_refused(length: bytes) -> None:
    sent, read = await _call(8, [b"1"], length)
    assert (sent[0]["status"], read) == (400, [])


def _party(name: str) -> Principal:
    return cast(Principal, SimpleNamespace(role=Role.FO, party=name))


def test_each_statement_of_a_batch_counts_for_the_rate_and_what_is_beyond_the_burst_is_owed() -> None:
    now = Monotonic()
    gcra = Gcra(10, 5, now)
    batches = Batches(gcra)
    assert gcra.admit("FO/a") is None
    with batches.taking(_party("a"), 20):
        assert gcra.admit("FO/b") is None
    # 20 are charged, 5 were free: the next waits for those before it.
    assert gcra.admit("FO/a") == (20 - 4) * S // 10
    now.now_ns += (20 - 4) * S // 10
    assert gcra.admit("FO/a") is None


def test_a_party_has_one_batch_under_way_and_the_next_application_knows_nothing_of_it() -> None:
    first, second = Batches(Gcra(10, 5)), Batches(Gcra(10, 5))
    with first.taking(_party("a"), 1):
        with pytest.raises(RateLimited), first.taking(_party("a"), 1):
            pass
        with first.taking(_party("b"), 1), second.taking(_party("a"), 1):
            pass
    with first.taking(_party("a"), 1):
        pass


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [("/v1/requests/a\0b", b"", 400), ("/v1/contracts", b"after=a%00", 400), ("/v1/contracts", b"after=a%20", 204)],
)
async def test_an_address_with_a_nul_gets_no_further(path: str, query: bytes, status: int) -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "headers": [], "path": path, "query_string": query}
    await BodyLimit(app, 8)(scope, receive, send)
    assert sent[0]["status"] == status

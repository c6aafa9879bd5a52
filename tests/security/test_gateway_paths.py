"""The gateway hands on the path that was asked for, escaped as it came, and no other."""

import sys
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import unquote

import msgspec
import pytest

from api import wire
from api.client.client import AsyncClient
from api.client.http import Answer, Request
from api.gateway import Gateway


@dataclass
class Recorded:
    """A client whose transport remembers what it was asked, and its gateway."""

    asked: list[Request] = field(default_factory=list)

    @property
    def transport(self) -> "Recorded":
        return self

    async def request(self, wanted: Request) -> Answer:
        self.asked.append(wanted)
        return Answer(200, {"content-type": wire.JSON_MEDIA_TYPE, "set-cookie": "a=b"}, b"{}")

    async def send(self, method: str, target: str, body: bytes = b"", *headers: tuple[bytes, bytes]) -> tuple[int, Any]:
        """The status and the document that the gateway answers with."""
        raw, _, query = target.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": unquote(raw),
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "headers": list(headers),
        }
        told: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            told.append(message)

        await Gateway(cast("AsyncClient", self))(scope, receive, send)
        assert all(name in {b"content-type", b"content-length", b"cache-control"} for name, _ in told[0]["headers"])
        return told[0]["status"], msgspec.json.decode(told[1]["body"])


@pytest.mark.parametrize(
    "target",
    [
        "/metrics",
        "/v1/../metrics",
        "/v1/%2e%2e/metrics",
        "/v1/..%2fmetrics",
        "/v1/./events",
        "/v1//events",
        "/v1/events",
        "/v1/events/",
        "/v1/%65vents",
        "/v1/events%3Fafter=0",
        "/v1/requests%23",
        "/v1/requests%5c..%5cmetrics",
        "/v1/requests%20HTTP/1.1%0d%0ax-scope:%20write%0d%0a",
        "/v1/requests%00",
        "//other.example/v1/requests",
    ],
)
async def test_a_path_that_could_be_read_as_another_is_not_handed_on(target: str) -> None:
    gateway = Recorded()
    status, problem = await gateway.send("GET", target)
    assert (status, problem["code"], gateway.asked) == (404, "api/route-unknown", [])


async def test_a_path_is_handed_on_as_it_came() -> None:
    target = "/v1/sites/FI*NGC%2AE1/claims?after=%0a&x=%2F"
    gateway = Recorded()
    assert await gateway.send("GET", target) == (200, {})
    assert [one.path for one in gateway.asked] == [target]


async def test_a_header_of_the_connection_or_the_caller_is_not_handed_on() -> None:
    gateway = Recorded()
    sent = [b"authorization", b"host", b"content-length", b"transfer-encoding", b"connection", b"cookie", b"prefer"]
    await gateway.send("POST", "/v1/tokens", b"{}", *((name, b"1") for name in sent))
    assert [set(one.headers) for one in gateway.asked] == [{"prefer", "content-type"}]


@pytest.mark.parametrize(
    "depth",
    [
        pytest.param(1_000, marks=pytest.mark.skipif(sys.version_info >= (3, 12), reason="read by 3.12 and later")),
        100_000,
    ],
)
async def test_a_record_nested_without_end_is_refused_by_the_gateway(depth: int) -> None:
    nested = b'{"type":"fsr.issued","record":{"a":%s1%s}}' % (b"[" * depth, b"]" * depth)
    status, problem = await Recorded().send("POST", "/state", nested)
    assert (status, problem["code"]) == (400, "api/body-malformed")

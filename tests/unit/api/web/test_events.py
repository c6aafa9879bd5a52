"""Server-sent events: in order, by concern, resumable, bounded, and over when the listener's credential is."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from api.cli.demo import cast, story
from api.flows import events
from pki.ceremony import Ceremony
from pki.roles import Purpose, Role
from pki.store.records import Reason
from tests.support import house as houses
from tests.support import house_acts
from tests.support.house import House, require_problem

pytestmark = pytest.mark.slow  # takes seconds


@pytest.fixture(scope="module")
def made() -> Ceremony:
    return houses.perform()


@pytest_asyncio.fixture
async def house(tmp_path: Path, made: Ceremony) -> AsyncIterator[House]:
    async with House.open(tmp_path, made) as opened:
        await story.open_the_day(opened.play())
        yield opened


class Listener:
    """One open request for events, read as far as it goes."""

    def __init__(self, house: House, who: str, query: str = "", last_heard: int | None = None) -> None:
        leaf = house.issued(who, Purpose.TLS_CLIENT).chain[0]
        headers = [(b"host", b"localhost")]
        if last_heard is not None:
            headers.append((b"last-event-id", str(last_heard).encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "https",
            "path": "/v1/events",
            "raw_path": b"/v1/events",
            "root_path": "",
            "query_string": query.encode(),
            "headers": headers,
            "client": ("203.0.113.9", 4711),
            "server": ("localhost", 8443),
            "extensions": {},
            "state": {"_tls": {"client_cert_chain": [ssl.DER_cert_to_PEM_cert(leaf)]}},
        }
        self.text = ""
        self.status = 0
        self._gone = asyncio.Event()
        self._moved = asyncio.Event()
        self.task = asyncio.create_task(house.app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.status = message.get("status", self.status)
        self.text += message.get("body", b"").decode()
        self._moved.set()
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._gone.set()  # as a server does once the answer is complete

    async def until(self, count: int) -> list[dict[str, str]]:
        """The first `count` messages with data."""
        async with asyncio.timeout(10):
            while len(self.messages()) < count:
                self._moved.clear()
                await self._moved.wait()
        return self.messages()

    def messages(self) -> list[dict[str, str]]:
        found = [
            dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
            for block in self.text.replace("\r\n", "\n").split("\n\n")
        ]
        return [one for one in found if "data" in one]

    async def leave(self) -> None:
        self._gone.set()
        async with asyncio.timeout(10):
            await self.task


def _indices(messages: list[dict[str, str]]) -> list[int]:
    return [int(one["id"]) for one in messages]


async def test_an_auditor_hears_of_every_entry_and_resumes_where_it_was(house: House) -> None:
    size = house.size()
    first = Listener(house, cast.AUD, "after=0")
    told = await first.until(size - 1)
    await first.leave()
    assert _indices(told) == list(range(1, size))
    event = msgspec.json.decode(told[0]["data"])
    assert (event["type"], event["stream"]) == (house.entry(1).type, house.entry(1).stream)
    assert event["leaf_hash"] == house.service.engines.store.entry(1).leaf.hex()
    again = Listener(house, cast.AUD, "after=0", last_heard=size - 3)  # the header goes before the query
    assert _indices(await again.until(2)) == [size - 2, size - 1]
    await again.leave()


async def test_a_new_entry_is_told_at_once_to_whom_it_concerns_and_to_nobody_else(house: House) -> None:
    operator, stranger = Listener(house, cast.FO), Listener(house, cast.RIVAL)
    await asyncio.sleep(0)
    size = house.size()
    await house_acts.issued(house)
    told = await operator.until(1)
    assert _indices(told)[0] >= size
    assert told[0]["event"] == "fsr.issued"
    await operator.leave()
    await stranger.leave()
    assert [one for one in stranger.messages() if one["event"].startswith("fsr.")] == []


async def test_one_stream_alone_is_told_where_it_is_named(house: House) -> None:
    stream = house.entry(1).stream
    wanted = [n for n in range(house.size()) if house.entry(n).stream == stream and n > 0]
    listener = Listener(house, cast.AUD, f"after=0&stream={stream}")
    assert _indices(await listener.until(len(wanted))) == wanted
    await listener.leave()


async def test_a_listener_ends_within_two_seconds_of_its_revocation(tmp_path: Path) -> None:
    made = houses.perform()  # of its own: who is revoked stays so
    async with House.open(tmp_path, made) as house:
        listener = Listener(house, cast.FO)
        await asyncio.sleep(0.05)
        issued = house.issued(cast.FO, Purpose.TLS_CLIENT)
        now_ms = houses.SystemClock().now_ms()
        authority = made.hierarchy.authority_of(Role.FO)
        made.hierarchy.revoke(
            authority.key_sha256, issued.certificate.serial_number, Reason.KEY_COMPROMISE, now_ms - 1000
        )
        house.service.directory.status.add(authority.crl(now_ms))
        house.service.directory.evidence_moved()
        async with asyncio.timeout(2):
            await listener.task
        last = listener.messages()[-1]
        assert last["event"] == "refused"
        assert msgspec.json.decode(last["data"])["code"] == "api/credential-refused"


async def test_the_end_of_the_service_ends_the_events(house: House) -> None:
    listener = Listener(house, cast.AUD)
    await asyncio.sleep(0.05)
    house.service.feed.close()
    async with asyncio.timeout(1):
        await listener.task
    assert listener.status == 200


async def test_a_party_has_so_many_listeners_and_no_more(house: House) -> None:
    listeners = [Listener(house, cast.AUD, "after=0") for _ in range(events.MAX_LISTENERS_OF_PARTY)]
    for one in listeners:
        await one.until(1)
    require_problem(await house.ask(cast.AUD, "GET", "/v1/events"), 429, "api/events-busy")
    assert (await house.ask(cast.FO, "HEAD", "/v1/events")).status == 200
    for one in listeners:
        await one.leave()
    # A place is given back by whoever runs the loop next, after its listener was seen to go.
    async with asyncio.timeout(10):
        while True:
            late = Listener(house, cast.AUD, "after=0")
            (first,) = (await late.until(1))[:1]
            await late.leave()
            if "events-busy" not in first["data"]:
                return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("query", "header", "status", "code"),
    [
        ("after=100000", None, 409, "api/events-ahead"),
        ("after=-1", None, 400, "api/request-malformed"),
        ("after=x", None, 400, "api/request-malformed"),
        ("", "-5", 400, "api/request-malformed"),
        ("", "1e3", 400, "api/request-malformed"),
        ("", "9" * 30, 400, "api/request-malformed"),
    ],
)
async def test_a_cursor_that_is_none_is_refused(
    house: House, query: str, header: str | None, status: int, code: str
) -> None:
    headers = [("last-event-id", header)] if header is not None else []
    reply = await house.ask(cast.AUD, "GET", f"/v1/events?{query}", headers=headers)
    require_problem(reply, status, code)
    require_problem(await house.ask(None, "GET", "/v1/events"), 401, "api/credential-missing")

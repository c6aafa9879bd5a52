"""The auditor's pages over a whole service in one process: what they show, what they prove, and whom they refuse."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from typing import cast as typed
from urllib.parse import urljoin

import msgspec
import pytest
import pytest_asyncio

from api.cli.demo import cast, story
from api.client.checkpoints import Checkpoints, MemoryCheckpoints
from api.client.client import AsyncClient
from api.client.http import Answer, AsyncTransport, Request
from api.ui.asked import Asked
from api.ui.layout import CONTENT_SECURITY_POLICY
from api.ui.pages import Pages
from api.verification.bundle import open_bundle
from api.verification.bundle_policy import Policy, policy_of
from ledger.tlog import note
from tests.support import house as houses
from tests.support import house_acts
from tests.support.house import House, Reply, asgi
from tests.support.house_acts import FSR

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]  # opens a service and plays its morning

SECRET = "secret-of-the-pages"
HOST = "localhost"
MAX_PAGES = 150
"""Pages that a reader of links goes through."""
VOID = frozenset({"meta", "input", "br", "hr"})


class Reader(HTMLParser):
    """Reads a page strictly: every element that opens closes, in order; links and texts are kept."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs), attrs
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words += data


@dataclass
class Twisted:
    """The service's answers on their way, some of which somebody changed."""

    inner: Any
    twists: dict[str, Any] = field(default_factory=dict)

    async def request(self, wanted: Request) -> Answer:
        answer: Answer = await self.inner.request(wanted)
        twist = self.twists.get(wanted.path.partition("?")[0])
        return answer if twist is None else Answer(answer.status, answer.headers, twist(answer.body))

    async def close(self) -> None:
        """Nothing to close."""


@dataclass
class Desk:
    house: House
    pages: Pages
    twisted: Twisted

    async def get(self, path: str = "", *, secret: str = SECRET, host: str = HOST, method: str = "GET") -> Reply:
        return await self._ask(f"/{secret}/{path}", host, method)

    async def _ask(self, target: str, host: str, method: str) -> Reply:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["headers"] = [(b"host", host.encode())]
            await self.pages(scope, receive, send)

        return await asgi(app, None, method, target)

    async def read(self, path: str = "", status: int = 200) -> Reader:
        reply = await self.get(path)
        assert reply.status == status, reply.body.decode()
        assert reply.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert SECRET not in reply.body.decode()
        return Reader(reply.body.decode())


def pages(house: House, who: str, policy: Policy) -> tuple[Pages, Twisted]:
    inner = house.client(who)
    verifiers = [note.parse_vkey(vkey) for vkey in house.service.engines.log_keys.vkeys()]
    twisted = Twisted(inner.transport)
    checkpoints = Checkpoints(cast.ORIGIN, verifiers, MemoryCheckpoints())
    client = AsyncClient(typed("AsyncTransport", twisted), checkpoints=checkpoints, clock=house.clock)
    made = Pages(
        Asked(client, policy, None),
        secret=SECRET,
        hosts=frozenset((HOST,)),
        reader=f"{who} (reader)",
        service="https://service.example",
        origin=cast.ORIGIN,
    )
    return made, twisted


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with House.open(tmp_path_factory.mktemp("pages"), houses.perform()) as house:
        await story.open_the_day(house.play())
        await house_acts.accepted(house)
        yield house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def policy(house: House) -> Policy:
    record = await house.ask(cast.AUD, "GET", f"/v1/requests/{FSR}/record")
    return msgspec.structs.replace(policy_of(open_bundle(record.body)), development=True)


@pytest.fixture
def desk(house: House, policy: Policy) -> Desk:
    made, twisted = pages(house, cast.AUD, policy)
    return Desk(house, made, twisted)


async def test_the_first_page_shows_a_checkpoint_that_was_verified_here(desk: Desk) -> None:
    found = await desk.read()
    assert "VERIFIED" in found.words
    assert f"Entries{desk.house.size()}" in found.words.replace("\n", "")
    assert cast.ORIGIN in found.words


async def test_a_checkpoint_of_another_key_is_shown_as_what_is_wrong_and_not_as_a_log(desk: Desk) -> None:
    desk.twisted.twists["/checkpoint"] = lambda body: body.replace(b"\n\n", b"x\n\n", 1)
    found = await desk.read(status=400)
    assert "VERIFIED" not in found.words


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("requests", FSR),
        ("requests?status=ACCEPTED", "Next page|CONGESTION|nothing here"),
        ("contracts", "fsc-site"),
        ("sites", cast.SITE),
        ("checks", "CONGESTION"),
        ("claims", cast.SITE),
        ("credentials", "TLS_CLIENT"),
        ("streams", f"fsr/{FSR}"),
        ("disclosures", "nothing here"),
        (f"streams/fsr/{FSR}", "fsr.issued"),
        ("contracts/fsc-site", "fsc-site"),
        (f"sites/{cast.SITE}", "congestion_point"),
    ],
)
async def test_every_list_and_thing_has_a_page(desk: Desk, path: str, expected: str) -> None:
    assert re.search(expected, (await desk.read(path)).words)


async def test_a_request_is_shown_with_what_this_machine_found_of_its_record(desk: Desk) -> None:
    found = await desk.read(f"requests/{FSR}")
    assert "What this machine found" in found.words
    assert re.search("VERIFIED|INDETERMINATE", found.words)
    report = await desk.get(f"requests/{FSR}/report")
    assert report.status == 200
    assert "Audit report" in report.body.decode()
    record = await desk.get(f"requests/{FSR}/record")
    assert record.headers["content-disposition"].startswith("attachment")
    assert open_bundle(record.body).entries


async def test_a_record_that_was_changed_on_its_way_is_shown_as_refuted(desk: Desk) -> None:
    def spoilt(body: bytes) -> bytes:
        first = re.search(rb'"checkpoint":"[^"]*\\n([0-9]+)\\n', body)
        assert first is not None
        return body[: first.start(1)] + b"9" + body[first.end(1) :]

    desk.twisted.twists[f"/v1/requests/{FSR}/record"] = spoilt
    found = await desk.read(f"requests/{FSR}")
    assert "REFUTED" in found.words
    assert "by the operator's word" in found.words


async def test_a_record_that_is_none_is_said_first_and_hides_nothing_else(desk: Desk) -> None:
    desk.twisted.twists[f"/v1/requests/{FSR}/record"] = lambda _body: b"{}"
    found = await desk.read(f"requests/{FSR}")
    assert "The record could not be verified" in found.words
    assert "What was written" in found.words


async def test_an_entry_is_shown_with_the_proof_that_leads_to_the_signed_root(desk: Desk) -> None:
    found = await desk.read("entries/3")
    assert "PROVEN" in found.words
    assert (await desk.read("entries?index=3")).words == found.words
    receipt = await desk.get("entries/3/receipt")
    assert receipt.body.startswith(b"c2sp.org/tlog-proof@v1\n")


async def test_an_entry_that_was_changed_on_its_way_is_not_shown_as_proven(desk: Desk) -> None:
    other = await desk.house.ask(cast.AUD, "GET", "/v1/entries/2/receipt")
    desk.twisted.twists["/v1/entries/3/receipt"] = lambda _body: other.body
    found = await desk.read("entries/3", status=400)
    assert "PROVEN" not in found.words
    assert "api/receipt-mismatch" in found.words


@pytest.mark.parametrize(
    "answer",
    [
        b"[]",
        b'{"stream":{}}',
        b"not json",
        b'{"stream":{"entries":1,"is_closed":true}}',
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="nested more deeply than can be read"),
    ],
)
async def test_an_answer_that_is_no_answer_is_a_page_that_says_so(desk: Desk, answer: bytes) -> None:
    desk.twisted.twists[f"/v1/streams/fsr/{FSR}"] = lambda _body: answer
    found = await desk.read(f"streams/fsr/{FSR}", status=400)
    assert "api/answer-malformed" in found.words


async def test_an_answer_that_can_be_read_and_is_too_deep_to_be_shown_is_a_page_that_says_so(desk: Desk) -> None:
    desk.twisted.twists[f"/v1/sites/{cast.SITE}"] = lambda _body: b'{"a":' * 900 + b"1" + b"}" * 900
    found = await desk.read(f"sites/{cast.SITE}", status=400)
    assert "api/answer-malformed" in found.words


async def test_what_a_stranger_wrote_is_text_and_never_markup(desk: Desk) -> None:
    def hostile(body: bytes) -> bytes:
        found = msgspec.json.decode(body)
        for row in found["sites"]:
            row.update(
                region="<script>alert(1)</script>", cso='"><img src=x onerror=alert(1)>', site_id="../../x'\"<b>"
            )
        return msgspec.json.encode(found)

    desk.twisted.twists["/v1/sites"] = hostile
    found = await desk.read("sites")
    assert "<script>alert(1)</script>" in found.words
    assert found.tags.isdisjoint({"script", "img", "b"})
    assert all(urljoin("http://h/s/sites", link).startswith("http://h/s/") for link in found.links)


async def test_all_links_stay_below_the_secret_and_lead_to_pages(desk: Desk) -> None:
    seen: set[str] = set()
    left = [""]
    while left and len(seen) < MAX_PAGES:
        path = left.pop(0)
        if path in seen:
            continue
        seen.add(path)
        reply = await desk.get(path)
        assert reply.status == 200, (path, reply.body.decode()[:2000])
        if not reply.headers["content-type"].startswith("text/html") or path.endswith("/report"):
            continue
        for link in Reader(reply.body.decode()).links:
            target = urljoin(f"http://h/s/{path}", link)
            assert target.startswith("http://h/s/"), (path, link)
            if target != "http://h/s/entries":  # the form, which wants a number
                left.append(target.removeprefix("http://h/s/"))
    assert {"requests", f"requests/{FSR}", f"requests/{FSR}/report", "streams", "sites"} <= seen


@pytest.mark.parametrize("secret", ["", "secret-of-the-page", "SECRET-OF-THE-PAGES", "v1", ".."])
async def test_without_the_secret_nothing_is_said_not_even_whose_pages_these_are(desk: Desk, secret: str) -> None:
    reply = await desk.get("requests", secret=secret)
    houses.require_problem(reply, 404, "api/page-absent")
    assert cast.AUD.encode() not in reply.body


@pytest.mark.parametrize("host", ["attacker.example", "", "localhost:1", "127.0.0.1.attacker.example"])
async def test_a_name_that_somebody_else_pointed_here_is_refused(desk: Desk, host: str) -> None:
    reply = await desk.get(host=host)
    houses.require_problem(reply, 400, "api/page-host")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "CONNECT"])
async def test_pages_are_read_and_nothing_else(desk: Desk, method: str) -> None:
    houses.require_problem(await desk.get(method=method), 405, "api/method-not-allowed")


async def test_head_says_what_get_would_without_the_page(desk: Desk) -> None:
    head, whole = await desk.get("sites", method="HEAD"), await desk.get("sites")
    assert head.body == b""
    assert head.headers["content-length"] == str(len(whole.body))


@pytest.mark.parametrize(
    "path",
    [
        "nowhere",
        "requests/",
        "requests//x",
        "entries/-1",
        "entries/1e3",
        "entries/99999999999999999",
        "a/b/c/d",
        "x" * 1100,
    ],
)
async def test_a_path_that_leads_nowhere_is_a_page_that_says_so(desk: Desk, path: str) -> None:
    reply = await desk.get(path)
    assert reply.status == 404
    assert b"api/page-absent" in reply.body


@pytest.mark.parametrize(
    "path", ["requests/no-such-request", "requests/..%2F..%2Fv1", "contracts/%00", "entries/999999"]
)
async def test_what_the_service_does_not_know_is_its_own_answer_as_a_page(desk: Desk, path: str) -> None:
    found = Reader((await desk.get(path)).body.decode())
    assert re.search(r"(api|ledger)/[a-z-]+", found.words)


async def test_a_query_that_is_too_long_is_refused_and_unknown_members_are_not_handed_on(desk: Desk) -> None:
    assert (await desk.get(f"sites?{'x' * 1100}=1")).status == 404
    assert (await desk.get("sites?limit=100000&evil=1")).status == 200


async def test_another_party_sees_its_own_and_the_service_says_no_to_the_rest(house: House, policy: Policy) -> None:
    made, twisted = pages(house, cast.RIVAL, policy)
    rival = Desk(house, made, twisted)
    assert FSR not in (await rival.read("requests")).words
    assert "api/not-concerned" in (await rival.read(f"requests/{FSR}", status=404)).words

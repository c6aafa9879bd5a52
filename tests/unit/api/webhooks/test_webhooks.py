"""Webhooks: confirmed first, signed, in order, by concern, again after failures, lost by nothing, bounded."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from api import webhook
from api.cli.demo import cast, props, story
from api.client.errors import Unreachable
from api.client.outbound import Outbound
from api.flows import webhooks
from api.flows.webhooks import Answered
from ledger.records import jws
from ledger.records.errors import SignatureInvalid, StatementMalformed
from pki.ceremony import Ceremony
from pki.roles import Purpose, Role
from pki.store.records import Reason
from tests.support import house as houses
from tests.support import house_acts
from tests.support.house import House, require_problem

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]  # takes seconds

URL = "https://receiver.example/hook"


@dataclass
class Receivers:
    """Everybody's receivers: what they were sent, and how they answer."""

    outbound: Outbound = field(default_factory=lambda: Outbound(timeout_s=1.0))
    tokens: list[bytes] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    """The next answers: a status, or an error; 200 when there are no more."""
    open_token: Callable[[bytes], webhook.Claims] | None = None
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def require_url(self, url: str) -> None:
        self.outbound.require_url(url)

    async def post(self, url: str, body: bytes) -> Answered:
        assert url == URL
        self.tokens.append(body)
        self.came.set()
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Answered):
            return answer
        assert self.open_token is not None
        return Answered(answer, (self.open_token(body).challenge or "").encode())

    async def until(self, ready: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not ready():
                self.came.clear()
                await asyncio.wait({asyncio.ensure_future(self.came.wait())}, timeout=0.05)

    def told(self) -> list[int]:
        """The indices of all events so far, in the order in which they came."""
        assert self.open_token is not None
        return [event.index for token in self.tokens for event in self.open_token(token).events]


@pytest.fixture(scope="module")
def made() -> Ceremony:
    return houses.perform()


@pytest.fixture
def receivers() -> Receivers:
    """Of a house of the test's own."""
    return Receivers()


def _opener(house: House, who: str) -> Callable[[bytes], webhook.Claims]:
    signer = house.service.desk.me
    key = jws.load_key(signer.key_spki)

    def opened(token: bytes) -> webhook.Claims:
        now_s = houses.SystemClock().now_ms() // 1000
        return webhook.open_delivery(token, key, x5t=signer.x5t, party=who, log=cast.ORIGIN, now_s=now_s)

    return opened


@pytest.fixture(scope="module")
def hurried() -> Iterator[None]:
    """Nobody waits for seconds here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(webhooks, "FIRST_PAUSE_MS", 20)
        patch.setattr(webhooks, "MAX_PAUSE_MS", 40)
        patch.setattr(webhooks, "TICK_S", 0.02)
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_house(
    tmp_path_factory: pytest.TempPathFactory, made: Ceremony, hurried: None
) -> AsyncIterator[tuple[House, Receivers]]:
    heard = Receivers()
    async with House.open(tmp_path_factory.mktemp("webhooks"), made, poster=heard) as opened:
        await story.open_the_day(opened.play())
        yield opened, heard


@pytest_asyncio.fixture(loop_scope="module")
async def house(open_house: tuple[House, Receivers]) -> AsyncIterator[House]:
    """The service of this file; each test begins and ends without subscriptions."""
    opened, heard = open_house
    heard.tokens.clear()
    heard.answers.clear()
    heard.open_token = _opener(opened, cast.FO)
    yield opened
    for who in (cast.FO, cast.RIVAL):
        for one in (await opened.ask(who, "GET", "/v1/webhooks")).json()["webhooks"]:
            assert (await opened.ask(who, "DELETE", f"/v1/webhooks/{one['id']}")).status == 204


@pytest.fixture
def receivers_of_house(open_house: tuple[House, Receivers]) -> Receivers:
    return open_house[1]


def _fresh() -> str:
    return props.new_id("fsr")


async def _subscribe(house: House, who: str = cast.FO, **asked: Any) -> dict[str, Any]:
    reply = await house.post(who, "/v1/webhooks", {"url": URL, **asked})
    assert reply.status == 201, reply.body
    found: dict[str, Any] = reply.json()
    return found


async def _view(house: House, name: str, who: str = cast.FO) -> dict[str, Any]:
    reply = await house.ask(who, "GET", f"/v1/webhooks/{name}")
    assert reply.status == 200, reply.body
    found: dict[str, Any] = reply.json()
    return found


def _concerning(house: House, who: str, first: int = 0) -> list[int]:
    """What a listener to events is told, from the log itself."""
    return [
        index
        for index in range(first, house.size())
        if house.entry(index).stream.startswith(("fsc/", "fsr/", "log/", "discovery/"))
    ]


async def test_a_receiver_confirms_and_is_then_told_everything_in_order(
    house: House, receivers_of_house: Receivers
) -> None:
    receivers = receivers_of_house
    made = await _subscribe(house, after=0)
    assert (made["state"], made["position"]) == ("UNCONFIRMED", 0)
    wanted = _concerning(house, cast.FO, 1)
    await receivers.until(lambda: receivers.told() == wanted)
    assert receivers.open_token is not None
    first = receivers.open_token(receivers.tokens[0])
    assert (first.events, first.sub, first.iss) == ((), made["id"], cast.CSO)
    assert first.challenge
    await house_acts.issued(house, _fresh())
    wanted = _concerning(house, cast.FO, 1)
    await receivers.until(lambda: receivers.told() == wanted)
    for event in (event for token in receivers.tokens for event in receivers.open_token(token).events):
        row = house.service.engines.store.entry(event.index)
        assert (event.leaf_hash, event.stream) == (row.leaf.hex(), house.entry(event.index).stream)
    view = await _view(house, made["id"])
    assert (view["state"], view["position"], view.get("attempts", 0)) == ("ACTIVE", wanted[-1], 0)


async def test_only_the_wanted_types_and_streams_are_told_and_others_hear_nothing(
    house: House, receivers_of_house: Receivers
) -> None:
    receivers = receivers_of_house
    await _subscribe(house, after=0, types=["contract.offered"], stream="fsc/fsc-v")
    await receivers.until(lambda: bool(receivers.told()))
    (index,) = receivers.told()
    assert (house.entry(index).type, house.entry(index).stream) == ("contract.offered", "fsc/fsc-voltwise")
    receivers.tokens.clear()
    receivers.open_token = _opener(house, cast.RIVAL)
    await _subscribe(house, cast.RIVAL, after=0)
    public = [index for index in range(1, house.size()) if house.entry(index).stream.startswith("log/")]
    await receivers.until(lambda: receivers.told() == public)
    await house_acts.issued(house, _fresh())
    await asyncio.sleep(0.1)
    assert receivers.told() == public


async def test_a_receiver_that_does_not_repeat_the_challenge_is_told_nothing(
    house: House, receivers_of_house: Receivers
) -> None:
    receivers = receivers_of_house
    receivers.answers = [Answered(200, b"yes"), Answered(204, b""), Answered(404, b""), Unreachable("away")]
    made = await _subscribe(house, after=0)
    await receivers.until(lambda: len(receivers.tokens) >= 4)
    assert receivers.told() == []
    await receivers.until(lambda: bool(receivers.told()))
    assert (await _view(house, made["id"]))["state"] == "ACTIVE"


async def test_a_failure_is_seen_and_tried_again_and_nothing_is_lost_or_reordered(
    house: House, receivers_of_house: Receivers
) -> None:
    receivers = receivers_of_house
    made = await _subscribe(house)
    await receivers.until(lambda: len(receivers.tokens) == 1)
    await asyncio.sleep(0.05)
    receivers.answers = [500, 302, 429, Unreachable("away")]
    size = house.size()
    await house_acts.issued(house, _fresh())
    await receivers.until(lambda: len(receivers.tokens) >= 3)
    view = await _view(house, made["id"])
    assert (view["state"], view["last_code"]) == ("ACTIVE", "api/webhook-answer")
    assert view["attempts"] >= 1
    assert view["next_attempt_ms"] > view["failing_since_ms"]
    wanted = _concerning(house, cast.FO, size)
    await receivers.until(lambda: receivers.told()[-len(wanted) :] == wanted and not receivers.answers)
    await receivers.until(lambda: len(receivers.told()) == 5 * len(wanted))
    assert (await _view(house, made["id"])).get("attempts", 0) == 0


async def test_gone_is_given_up_at_once_and_resumed_where_it_stood(house: House, receivers_of_house: Receivers) -> None:
    receivers = receivers_of_house
    made = await _subscribe(house)
    await receivers.until(lambda: len(receivers.tokens) == 1)
    await asyncio.sleep(0.05)
    receivers.answers = [410]
    size = house.size()
    await house_acts.issued(house, _fresh())
    await receivers.until(lambda: len(receivers.tokens) == 2)
    await asyncio.sleep(0.1)
    view = await _view(house, made["id"])
    assert (view["state"], view["position"], view["last_code"]) == ("DEAD", size - 1, "api/webhook-answer")
    assert len(receivers.tokens) == 2
    receivers.tokens.clear()
    assert (await house.post(cast.FO, f"/v1/webhooks/{made['id']}/resumption", {})).status == 200
    await receivers.until(lambda: receivers.told() == _concerning(house, cast.FO, size))


async def test_patience_ends(house: House, receivers_of_house: Receivers, monkeypatch: pytest.MonkeyPatch) -> None:
    receivers = receivers_of_house
    monkeypatch.setattr(webhooks, "CONFIRM_WITHIN_MS", 0)
    receivers.answers = [500]
    made = await _subscribe(house)
    await receivers.until(lambda: len(receivers.tokens) == 1)
    await asyncio.sleep(0.1)
    assert (await _view(house, made["id"]))["state"] == "DEAD"


async def test_it_is_told_again_from_any_index(house: House, receivers_of_house: Receivers) -> None:
    receivers = receivers_of_house
    made = await _subscribe(house, after=0)
    everything = _concerning(house, cast.FO, 1)
    await receivers.until(lambda: receivers.told() == everything)
    receivers.tokens.clear()
    again = await house.post(cast.FO, f"/v1/webhooks/{made['id']}/resumption", {"after": everything[3]})
    assert (again.json()["state"], again.json()["position"]) == ("ACTIVE", everything[3])
    await receivers.until(lambda: receivers.told() == everything[4:])
    ahead = await house.post(cast.FO, f"/v1/webhooks/{made['id']}/resumption", {"after": house.size()})
    require_problem(ahead, 409, "api/webhook-position")


async def test_a_restart_loses_nothing(tmp_path: Path, made: Ceremony, receivers: Receivers) -> None:
    async with House.open(tmp_path, made, poster=receivers) as house:
        await story.open_the_day(house.play())
        receivers.open_token = _opener(house, cast.FO)
        receivers.answers = [200, *[500] * 100]
        made_ = await _subscribe(house)
        await receivers.until(lambda: len(receivers.tokens) == 1)
        size = house.size()
        await house_acts.issued(house, _fresh())
        await receivers.until(lambda: len(receivers.tokens) == 2)
        wanted = _concerning(house, cast.FO, size)
        settings, clock = house.settings, house.clock
    receivers.answers, receivers.tokens = [], []
    opened = houses.open_engines(settings, clock)
    assert opened.subscriptions is not None
    opened.subscriptions.change(made_["id"], next_at_ms=0)
    async with houses.open_service(settings, opened, None, poster=receivers):
        await receivers.until(lambda: receivers.told() == wanted)


async def test_who_is_revoked_is_told_no_more_and_resumes_with_another_certificate(
    tmp_path: Path, receivers: Receivers
) -> None:
    made = houses.perform()  # of its own: who is revoked stays so
    async with House.open(tmp_path, made, poster=receivers) as house:
        await story.open_the_day(house.play())
        receivers.open_token = _opener(house, cast.FO)
        hook = await _subscribe(house)
        await receivers.until(lambda: len(receivers.tokens) == 1)
        issued = house.issued(cast.FO, Purpose.TLS_CLIENT)
        now_ms = houses.SystemClock().now_ms()
        authority = made.hierarchy.authority_of(Role.FO)
        made.hierarchy.revoke(
            authority.key_sha256, issued.certificate.serial_number, Reason.KEY_COMPROMISE, now_ms - 1000
        )
        house.service.directory.status.add(authority.crl(now_ms))
        house.service.directory.evidence_moved()
        await house.post(cast.DPO, "/v1/exports", {"profile": "SETTLEMENT", "recipient": cast.RIVAL})
        store = house.service.engines.subscriptions
        assert store is not None

        def is_suspended() -> bool:
            found = store.get(hook["id"])
            return found is not None and found.state == "SUSPENDED"

        await receivers.until(is_suspended)
        assert len(receivers.tokens) == 1
        found = store.get(hook["id"])
        assert found is not None
        assert found.last_code == "pki/revoked"


async def test_bounds_and_foreign_subscriptions(house: House, receivers_of_house: Receivers) -> None:
    receivers = receivers_of_house
    receivers.answers = [500] * 1000
    made = [await _subscribe(house) for _ in range(8)]
    full = await house.post(cast.FO, "/v1/webhooks", {"url": URL})
    require_problem(full, 429, "api/webhook-limit")
    assert len((await house.ask(cast.FO, "GET", "/v1/webhooks")).json()["webhooks"]) == 8
    name = made[0]["id"]
    for who in (cast.RIVAL, cast.AUD):
        assert (await house.ask(who, "GET", "/v1/webhooks")).json()["webhooks"] == []
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/resumption")):
            reply = await house.ask(who, method, f"/v1/webhooks/{name}{path}", b"{}" if method == "POST" else b"")
            require_problem(reply, 404, "api/webhook-unknown")
    assert (await house.ask(cast.FO, "DELETE", f"/v1/webhooks/{name}")).status == 204
    require_problem(await house.ask(cast.FO, "GET", f"/v1/webhooks/{name}"), 404, "api/webhook-unknown")
    await _subscribe(house)


@dataclass
class Stuck(Receivers):
    """Receivers that keep some parties' deliveries open until they are let go."""

    parties: set[str] = field(default_factory=set)
    held: dict[str, list[str]] = field(default_factory=dict)
    """By party: the subscriptions whose deliveries are open."""
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    async def post(self, url: str, body: bytes) -> Answered:
        claims = msgspec.json.decode(jws.parse(body.decode()).payload, type=webhook.Claims)
        if claims.aud in self.parties:
            held = self.held.setdefault(claims.aud, [])
            held.append(claims.sub)
            self.came.set()
            await self.let_go.wait()
        return await super().post(url, body)


async def test_slow_receivers_of_one_party_delay_nobody_else_and_hold_no_more_than_its_share(
    tmp_path: Path, made: Ceremony, hurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = Stuck(parties={cast.FO})
    async with House.open(tmp_path, made, poster=stuck) as house:
        await story.open_the_day(house.play())
        slow = [await _subscribe(house) for _ in range(8)]
        await stuck.until(lambda: len(stuck.held.get(cast.FO, ())) == webhooks.OF_PARTY)
        stuck.open_token = _opener(house, cast.RIVAL)
        await _subscribe(house, cast.RIVAL)
        await stuck.until(lambda: bool(stuck.tokens))
        assert len(stuck.held[cast.FO]) == webhooks.OF_PARTY
        # Of its own receivers, who had no turn yet comes before who had one.
        first, stuck.held[cast.FO] = set(stuck.held[cast.FO]), []
        let_go, stuck.let_go = stuck.let_go, asyncio.Event()
        stuck.open_token = _opener(house, cast.FO)
        let_go.set()
        await stuck.until(lambda: len(stuck.held[cast.FO]) >= webhooks.OF_PARTY)
        rest = {one["id"] for one in slow} - first
        assert set(stuck.held[cast.FO][: webhooks.OF_PARTY]) == rest
        stuck.parties.clear()
        stuck.let_go.set()


async def test_who_removes_a_slow_receiver_has_its_share_again(tmp_path: Path, made: Ceremony, hurried: None) -> None:
    stuck = Stuck(parties={cast.FO})
    async with House.open(tmp_path, made, poster=stuck) as house:
        stuck.open_token = _opener(house, cast.FO)
        for turn in range(1, 4):
            made_now = [await _subscribe(house) for _ in range(webhooks.OF_PARTY)]
            wanted = turn * webhooks.OF_PARTY
            await stuck.until(lambda wanted=wanted: len(stuck.held.get(cast.FO, ())) >= wanted)  # type: ignore[misc]
            for one in made_now:
                assert (await house.ask(cast.FO, "DELETE", f"/v1/webhooks/{one['id']}")).status == 204
        stuck.parties.clear()


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://receiver.example/hook", "api/url-refused"),
        ("ftp://receiver.example/hook", "api/url-refused"),
        ("https://user:secret@receiver.example/", "api/url-refused"),
        ("https://receiver.example/#part", "api/url-refused"),
        ("https://receiver.example:0/", "api/url-refused"),
        ("https://receiver.example:99999/", "api/url-refused"),
        ("https:///hook", "api/url-refused"),
        ("https://receiver.example\\@127.0.0.1/", "api/url-refused"),
        ("https://127.0.0.1/hook", "api/address-refused"),
        ("https://10.1.2.3/hook", "api/address-refused"),
        ("https://169.254.169.254/latest/meta-data/", "api/address-refused"),
        ("https://[::1]/hook", "api/address-refused"),
        ("https://[::ffff:10.0.0.1]/hook", "api/address-refused"),
        ("https://[64:ff9b::a00:1]/hook", "api/address-refused"),
        ("https://[2002:a00:1::]/hook", "api/address-refused"),
        ("https://[fe80::1]/hook", "api/address-refused"),
    ],
)
async def test_a_url_that_leads_inside_is_refused_and_not_repeated(house: House, url: str, code: str) -> None:
    reply = await house.post(cast.FO, "/v1/webhooks", {"url": url})
    require_problem(reply, 400, code)
    assert url.encode() not in reply.body
    assert (await house.ask(cast.FO, "GET", "/v1/webhooks")).json()["webhooks"] == []


async def test_a_type_that_no_record_has_is_refused(house: House) -> None:
    reply = await house.post(cast.FO, "/v1/webhooks", {"url": URL, "types": ["fsr.invented"]})
    require_problem(reply, 400, "ledger/record-type-unknown")


async def test_without_the_table_there_are_none(tmp_path: Path, made: Ceremony) -> None:
    async with House.open(tmp_path, made) as house:
        require_problem(await house.post(cast.FO, "/v1/webhooks", {"url": URL}), 404, "api/webhooks-absent")


async def test_a_delivery_is_believed_by_its_party_for_its_log_and_for_five_minutes(
    house: House, receivers_of_house: Receivers
) -> None:
    receivers = receivers_of_house
    await _subscribe(house, after=0)
    await receivers.until(lambda: bool(receivers.told()))
    token = receivers.tokens[-1]
    me = house.service.desk.me
    key = jws.load_key(me.key_spki)
    now_s = houses.SystemClock().now_ms() // 1000
    good: dict[str, Any] = {"x5t": me.x5t, "party": cast.FO, "log": cast.ORIGIN, "now_s": now_s}
    assert webhook.open_delivery(token, key, **good).events
    for wrong in ({"party": cast.RIVAL}, {"log": "log.example/other"}, {"now_s": now_s + 400}, {"now_s": now_s - 400}):
        with pytest.raises(SignatureInvalid):
            webhook.open_delivery(token, key, **{**good, **wrong})
    other = jws.load_key(jws_key_of(house, cast.RIVAL))
    with pytest.raises(SignatureInvalid):
        webhook.open_delivery(token, other, **good)
    with pytest.raises(StatementMalformed):
        webhook.open_delivery(token, key, **{**good, "x5t": "A" * 43})
    statement = house.said(cast.FO, house_acts.request("fsr-x"), "fsr/fsr-x").statement
    with pytest.raises(StatementMalformed):
        webhook.open_delivery(statement.encode(), key, **good)


def jws_key_of(house: House, who: str) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = house.issued(who, Purpose.SIGNING).key.public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


async def test_pauses_double_to_a_bound_and_a_receiver_may_ask_for_longer() -> None:
    for attempt in range(1, 40):
        pause = webhooks._pause_ms(attempt, None)
        whole = min(webhooks.FIRST_PAUSE_MS * 2 ** (attempt - 1), webhooks.MAX_PAUSE_MS)
        assert whole * 4 // 5 <= pause <= whole * 6 // 5
    assert webhooks._pause_ms(1, "120") == 120_000
    assert webhooks._pause_ms(1, "999999") == webhooks.MAX_RETRY_AFTER_S * 1000
    for odd in ("-1", "1e9", "soon", "٣", "9" * 7):
        assert webhooks._pause_ms(1, odd) <= webhooks.FIRST_PAUSE_MS * 6 // 5


async def test_the_view_never_has_the_challenge() -> None:
    from api.web.routes.webhooks import WebhookView

    assert "challenge" not in {one.name for one in msgspec.structs.fields(WebhookView)}

"""Many statements at once, statements signed elsewhere, and lists a page at a time."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from api import wire
from api.cli.demo import cast, props, story
from ledger.records import jws, statement
from pki.ceremony import Ceremony
from pki.roles import Purpose
from tests.support import house as houses
from tests.support import house_acts
from tests.support.house import House, require_problem

pytestmark = pytest.mark.slow  # takes seconds


@pytest.fixture(scope="module")
def made() -> Ceremony:
    return houses.perform()


@pytest_asyncio.fixture
async def house(tmp_path: Path, made: Ceremony) -> AsyncIterator[House]:
    async with House.open(tmp_path, made, max_body_bytes=4 << 20) as opened:
        await story.open_the_day(opened.play())
        yield opened


@pytest_asyncio.fixture
async def door(tmp_path: Path, made: Ceremony) -> AsyncIterator[House]:
    """A service with nothing in its log yet: enough for what never gets there."""
    async with House.open(tmp_path, made) as opened:
        yield opened


def _request(house: House, name: str) -> wire.Submission:
    return house.said(cast.FO, house_acts.request(name), f"fsr/{name}")


async def _send(house: House, who: str, *statements: wire.Submission) -> list[dict[str, object]]:
    reply = await house.post(who, "/v1/statements", wire.SubmissionBatch(statements=statements))
    assert reply.status == 200, reply.body
    found: list[dict[str, object]] = reply.json()["outcomes"]
    assert reply.json()["accepted"] == sum("accepted" in one for one in found)
    return found


async def test_a_batch_is_taken_in_its_order_and_each_is_judged_by_itself(house: House) -> None:
    size = house.size()
    names = [f"fsr-b{n}" for n in range(40)]
    bad = house.said(cast.FO, house_acts.request("fsr-bad", start_at_ms=1), "fsr/fsr-bad")
    found = await _send(
        house,
        cast.FO,
        *(_request(house, name) for name in names[:20]),
        bad,
        *(_request(house, name) for name in names[20:]),
    )
    assert [one["status"] for one in found] == [201] * 20 + [409] + [201] * 20
    assert found[20]["problem"]["code"].startswith("rules/")  # type: ignore[index]
    taken = [one["accepted"]["index"] for one in found if "accepted" in one]  # type: ignore[index]
    assert taken == sorted(taken)
    streams = [house.entry(index).stream for index in taken]
    assert streams == [f"fsr/{name}" for name in names]
    assert house.size() == size + 41  # 40 requests and one refusal


async def test_a_batch_sent_again_gets_the_first_answers(house: House) -> None:
    statements = [_request(house, f"fsr-a{n}") for n in range(3)]
    first = await _send(house, cast.FO, *statements)
    size = house.size()
    again = await _send(house, cast.FO, *statements)
    assert [one["status"] for one in again] == [200] * 3
    assert [one["accepted"]["index"] for one in again] == [one["accepted"]["index"] for one in first]  # type: ignore[index]
    assert house.size() == size


async def test_what_no_resource_takes_from_this_role_is_not_taken_in_a_batch_either(house: House) -> None:
    mine = _request(house, "fsr-x")
    (foreign,) = await _send(house, cast.CSO, mine)
    assert (foreign["status"], foreign["problem"]["code"]) == (403, "api/role-not-allowed")  # type: ignore[index]
    (mixed,) = await _send(house, cast.RIVAL, mine)
    assert (mixed["status"], mixed["problem"]["code"]) == (403, "api/party-mismatch")  # type: ignore[index]
    garbled = msgspec.structs.replace(mine, statement="a.b")
    (malformed,) = await _send(house, cast.FO, garbled)
    assert malformed["status"] == 400


@pytest.mark.parametrize("count", [0, wire.MAX_STATEMENTS + 1])
async def test_a_batch_is_one_to_a_thousand(door: House, count: int) -> None:
    one = wire.Submission(statement="a.b.c")
    reply = await door.post(cast.FO, "/v1/statements", {"statements": [msgspec.to_builtins(one)] * count})
    require_problem(reply, 400, "api/body-malformed")


async def test_nobody_and_wrong_roles_send_no_batch(door: House) -> None:
    body = wire.SubmissionBatch(statements=(wire.Submission(statement="a.b.c"),))
    require_problem(await door.post(None, "/v1/statements", body), 401, "api/credential-missing")
    require_problem(await door.post(cast.DPO, "/v1/statements", body), 403, "api/role-not-allowed")


async def test_what_is_prepared_and_signed_elsewhere_is_taken(house: House) -> None:
    person = house.party(cast.BAYS[0].person)
    session = props.session(cast.BAYS[0], person, house.car_keys[cast.BAYS[0].name], cast.at(8), cast.at(23))
    issued = house.issued(cast.CSO, Purpose.SIGNING)
    asked = {
        "type": session.TYPE,
        "stream": f"site/{cast.SITE}",
        "record": msgspec.to_builtins(msgspec.structs.replace(session, session_id="session-by-hsm")),
        "x5t": props.thumbprint(issued.chain[0]),
    }
    size = house.size()
    prepared = (await house.post(cast.CSO, "/v1/statements/prepare", asked)).json()
    assert house.size() == size  # nothing is kept
    assert person not in prepared["signing_input"]
    assert person in [statement_value(one["text"]) for one in prepared["disclosures"]]
    r, s = utils.decode_dss_signature(issued.key.sign(prepared["signing_input"].encode(), ec.ECDSA(hashes.SHA256())))
    signature = jws.encode_base64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    submitted = {
        "statement": f"{prepared['signing_input']}.{signature}",
        "disclosures": [{"text": one["text"], "subject": person} for one in prepared["disclosures"]],
    }
    reply = await house.post(cast.CSO, f"/v1/sites/{cast.SITE}/sessions", submitted)
    assert reply.status == 201, reply.body
    assert statement.parse_statement(house.entry(reply.json()["index"]).stmt).claims.jti == prepared["jti"]


def statement_value(text: str) -> object:
    return msgspec.json.decode(jws.decode_base64url(text))[2]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"type": "no.such"}, 400, "ledger/record-type-unknown"),
        ({"record": {"fsr_id": "x"}}, 400, "ledger/record-malformed"),
        ({"x5t": "short"}, 400, "api/body-malformed"),
        ({"algorithm": "none"}, 400, "api/body-malformed"),
        ({"surplus": 1}, 400, "api/body-malformed"),
    ],
)
async def test_what_cannot_be_a_statement_is_not_prepared(
    door: House, change: dict[str, object], status: int, code: str
) -> None:
    asked = {
        "type": "fsr.issued",
        "stream": "fsr/fsr-p",
        "record": msgspec.to_builtins(house_acts.request("fsr-p")),
        "x5t": "A" * 43,
    }
    require_problem(await door.post(cast.FO, "/v1/statements/prepare", {**asked, **change}), status, code)


async def test_requests_are_listed_a_page_at_a_time_and_to_whom_they_concern(house: House) -> None:
    names = [f"fsr-l{n}" for n in range(5)]
    await _send(house, cast.FO, *(_request(house, name) for name in names))
    pages, after = [], ""
    while True:
        page = (await house.ask(cast.FO, "GET", f"/v1/requests?limit=2{after}")).json()
        pages.append([one["fsr_id"] for one in page["requests"]])
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert pages == [names[:2], names[2:4], names[4:]]
    issued = (await house.ask(cast.FO, "GET", f"/v1/requests?status=ISSUED&site_id={cast.SITE}")).json()
    assert len(issued["requests"]) == 5
    assert (await house.ask(cast.FO, "GET", "/v1/requests?status=SETTLED")).json()["requests"] == []
    assert (await house.ask(cast.RIVAL, "GET", "/v1/requests")).json()["requests"] == []
    foreign = await house.ask(cast.RIVAL, "GET", "/v1/requests?after=fsr-l0")
    require_problem(foreign, 404, "api/not-concerned")
    for query in ("limit=0", "limit=1001", "limit=x", "status=NOPE", "after=fsr-nope"):
        reply = await house.ask(cast.FO, "GET", f"/v1/requests?{query}")
        assert reply.status in (400, 404)

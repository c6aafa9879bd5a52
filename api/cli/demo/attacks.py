"""What an attacker tries at the open service; each attempt must be refused with the right code, and change nothing."""

import ssl
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from api.cli import init
from api.cli.demo import cast, office, props, story
from api.cli.demo.report import Report
from api.cli.demo.stage import connect_clients, credentials
from api.cli.demo.story import Play
from api.client.errors import HandshakeRefused
from api.client.http import Request
from api.client.tls import client_context
from api.errors import ApiError
from api.execution.ocpp.listener import SUBPROTOCOL
from ledger.clock import SystemClock
from ledger.records.contracts import BaselineMethod, HoldersAsked
from ledger.records.opt import Choice, OptActor, OptDecided
from ledger.records.services import Service
from pki import ceremony
from pki.roles import Purpose

FSR_A = "fsr-a-congestion"
FSR_C = "fsr-c-ffr"


async def run(play: Play, report: Report) -> None:
    """Every attack of the story, one line each."""
    report.scene("attacks", "what an attacker gets")
    tried: tuple[tuple[str, str, Awaitable[Any]], ...] = (
        ("the port signs as the operator", "ledger/signature-invalid", signs_as(play, cast.FO, by=cast.CSO)),
        ("the operator's words over the port's connection", "api/party-mismatch", foreign_words(play)),
        ("the port issues a request", "api/role-not-allowed", wrong_role(play)),
        ("an opt-out that is dated back", "api/statement-stale", dated_back(play)),
        ("a baseline that is swapped after the start", "rules/baseline-late", swapped_baseline(play)),
        ("another operator reads the request", "api/not-concerned", play.ask(cast.RIVAL, f"/v1/requests/{FSR_A}")),
        ("a proof of work handed in as a statement", "api/type-not-taken", foreign_proof(play)),
        ("the same statement id for other words", "ledger/jti-reused", other_words(play)),
        ("a body of 5 MiB", "api/body-too-large", raw(play, b" " * (5 << 20))),
        ("a body that is not JSON", "api/body-malformed", raw(play, b'{"statement": nonsense')),
    )
    for what, wanted, attempt in tried:
        found = await story.refused(attempt)
        report.expect(what, found == wanted, found, "attack")
    await replay(play, report)
    await rogue_authority(play, report)
    await other_station(play, report)
    await office.revoked(play, report)
    alive = await play.ask(cast.FO, f"/v1/requests/{FSR_A}")
    report.expect("the service after all that", alive["status"] == "SETTLED", alive["status"], "attack")


async def signs_as(play: Play, party: str, *, by: str) -> None:
    """A statement in another party's name, under one's own key, over one's own connection."""
    client = play.stage.clients[by]
    signer = client.conversation.signer
    assert signer is not None  # noqa: S101 -- organisations sign
    text = props.site(play.stage.made)
    signed = replace(signer, party=party).sign(text, f"site/{cast.SITE}", now_ms=play.stage.clock.now_ms())
    await client.submit("/v1/sites", signed)


def question() -> tuple[HoldersAsked, str]:
    """Some statement of an operator, and its stream."""
    query = props.new_id("query")
    asked = HoldersAsked(
        query_id=query,
        site_id=cast.SITE,
        service=Service.CONGESTION,
        start_at_ms=cast.at(17, day=2),
        end_at_ms=cast.at(18, day=2),
    )
    return asked, f"discovery/{query}"


async def foreign_words(play: Play) -> None:
    """What the operator really signed, handed in over the port's connection."""
    signer = play.stage.clients[cast.FO].conversation.signer
    assert signer is not None  # noqa: S101 -- organisations sign
    text = props.site(play.stage.made)
    signed = signer.sign(text, f"site/{cast.SITE}", now_ms=play.stage.clock.now_ms())
    await play.stage.clients[cast.CSO].submit("/v1/sites", signed)


async def wrong_role(play: Play) -> None:
    """A request by somebody who is no operator."""
    asked, stream = question()
    await play.post(cast.CSO, "/v1/contracts/discovery", asked, stream)


async def dated_back(play: Play) -> None:
    """E2's user pretends to have decided yesterday afternoon."""
    person = "EVU-E2"
    signer = play.stage.clients[person].conversation.signer
    assert signer is not None  # noqa: S101 -- persons sign
    names = {one["evse_id"]: one["participation"] for one in play.checked[FSR_A]["participations"]}
    record = OptDecided(
        opt_id=props.new_id("opt"),
        fsr_id=FSR_A,
        participation=names[cast.BAYS[1].evse_id],
        actor=OptActor.EVU,
        choice=Choice.OUT,
    )
    signed = signer.sign(record, f"fsr/{FSR_A}", now_ms=cast.at(16))
    await play.stage.clients[person].submit(f"/v1/requests/{FSR_A}/decisions", signed)


async def swapped_baseline(play: Play) -> None:
    """Another counterfactual, once the outcome is known."""
    names = [one["participation"] for one in play.checked[FSR_C]["participations"]]
    await story.commit_baseline(play, FSR_C, names, BaselineMethod.PRE_EVENT)


async def foreign_proof(play: Play) -> None:
    """A well-signed statement on the resource of another kind."""
    asked, stream = question()
    await play.post(cast.FO, f"/v1/requests/{FSR_A}/counter", asked, stream)


async def other_words(play: Play) -> None:
    """One id, two statements."""
    client = play.stage.clients[cast.FO]
    signer = client.conversation.signer
    assert signer is not None  # noqa: S101 -- organisations sign
    now_ms = play.stage.clock.now_ms()
    first, stream = question()
    signed = signer.sign(first, stream, now_ms=now_ms)
    await client.submit("/v1/contracts/discovery", signed)
    second, other = question()
    await client.submit("/v1/contracts/discovery", signer.sign(second, other, now_ms=now_ms, jti=signed.jti))


async def raw(play: Play, body: bytes) -> None:
    """Bytes that no client of ours would send."""
    request = Request("POST", "/v1/requests", body, {"content-type": "application/json"})
    await play.stage.clients[cast.FO].transport.request(request)


async def replay(play: Play, report: Report) -> None:
    """The same statement twice is one entry, and the same answer."""
    client = play.stage.clients[cast.FO]
    signer = client.conversation.signer
    assert signer is not None  # noqa: S101 -- organisations sign
    signed = signer.sign(*question(), now_ms=play.stage.clock.now_ms())
    first = await client.submit("/v1/contracts/discovery", signed)
    again = await client.submit("/v1/contracts/discovery", signed)
    held = again.duplicate and again.index == first.index
    report.expect("a replayed statement", held, f"entry {again.index} again, nothing new", "attack")


async def rogue_authority(play: Play, report: Report) -> None:
    """The same names under another root."""
    rogue = ceremony.perform(cast.ceremony(), tls_now_ms=SystemClock().now_ms(), signing_now_ms=cast.SIGNING_START_MS)
    folder = play.stage.folder / "rogue"
    init.lay_out(folder / "service", rogue, party=cast.CSO, origin=cast.ORIGIN)
    root = play.stage.folder / "service" / "pki" / "root.pem"
    (folder / "service" / "pki" / "root.pem").write_bytes(root.read_bytes())
    clients = connect_clients(folder, rogue, play.stage.server, play.stage.clock)
    try:
        await clients[cast.FO].get_json("/v1/requests")
        found = "let in"
    except HandshakeRefused as error:
        found = str(error.found)
    except ApiError as error:
        found = error.code
    finally:
        for client in clients.values():
            await client.close()
    refused = "UNKNOWN_CA" in found.upper().replace(" ", "_")
    report.expect("certificates of another authority", refused, found, "attack")


async def other_station(play: Play, report: Report) -> None:
    """A good certificate of another operator's station, at our door, under one of our names."""
    folder = play.stage.folder
    certificate, key = credentials(folder, "stations", "CS-OTHER", Purpose.TLS_CLIENT)
    context = client_context(folder / "service" / "pki" / "root.pem", certificate, key)
    found = await knock(f"wss://localhost:{play.stage.server.ocpp_port}/ocpp/CS-E1", context)
    report.expect("another operator's station as CS-E1", found == "403", found, "attack")


async def knock(url: str, context: ssl.SSLContext) -> str:
    """The HTTP status with which a station is turned away."""
    try:
        async with connect(url, ssl=context, subprotocols=[Subprotocol(SUBPROTOCOL)], proxy=None):
            return "let in"
    except InvalidStatus as refused:
        return str(refused.response.status_code)

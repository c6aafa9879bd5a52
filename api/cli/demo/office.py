"""The certificate office at work: a newcomer enrols with a code, and a credential is revoked in mid-day."""

import asyncio
import time
from pathlib import Path
from typing import Final

from api.cli import enroll
from api.cli.demo import cast, props, story
from api.cli.demo.report import Report
from api.cli.demo.story import Play
from api.client.client import AsyncClient
from api.client.errors import RemoteProblem, Unreachable
from api.client.http import AsyncTransport
from api.client.signer import StatementSigner
from api.flows.office_journal import serial_text
from ledger.records.contracts import HoldersAsked
from ledger.records.services import Service
from pki.roles import Purpose, Role

PURPOSES: Final = (Purpose.TLS_CLIENT, Purpose.SIGNING)
REASON: Final = {"reason": "keyCompromise"}
FOLDER: Final = "newcomer"
WITHIN_S: Final = 1.0


async def newcomer(play: Play, report: Report) -> None:
    """A code from operations gives both credentials once; with them the newcomer is as good as anybody."""
    stage = play.stage
    invitation = {
        "role": Role.FO,
        "party_id": cast.NEWCOMER,
        "organisation": "Cygnus Flex Oy",
        "purposes": PURPOSES,
        "services": (Service.CONGESTION,),
    }
    code = (await play.ask(cast.OPS, "/v1/credentials/invitations", invitation))["code"]
    folder = stage.folder / FOLDER
    party, role = await fetch(play, code, folder)
    report.expect("a code gives a newcomer its credentials", party == cast.NEWCOMER, f"{role} {party}")
    async with connected(play, folder) as client:
        asked = HoldersAsked(
            query_id=props.new_id("query"),
            site_id=cast.SITE,
            service=Service.CONGESTION,
            start_at_ms=cast.at(17, day=2),
            end_at_ms=cast.at(18, day=2),
        )
        accepted = await client.post_statement("/v1/contracts/discovery", asked, f"discovery/{asked.query_id}")
        report.expect("its statement is taken at once", accepted.index > 0, f"entry {accepted.index}")
    again = await story.refused(fetch(play, code, stage.folder / "thief"))
    report.expect("the same code once more", again == "api/code-refused", again)


async def fetch(play: Play, code: str, folder: Path) -> tuple[str, str]:
    """What `flexledger enroll` does: keys made here, certificates over EST."""
    root = play.stage.folder / "service" / "pki" / "root.pem"
    service = f"https://localhost:{play.stage.server.port}"
    return await asyncio.to_thread(enroll.fetch, code, service=service, ca=root, out=folder, purposes=PURPOSES)


def connected(play: Play, folder: Path) -> AsyncClient:
    """A client with the credentials in the folder."""
    transport = AsyncTransport(
        f"https://localhost:{play.stage.server.port}",
        ca=folder / "root.pem",
        cert=folder / "tls_client.crt.pem",
        key=folder / "tls_client.key.pem",
    )
    signer = StatementSigner.load(
        party=cast.NEWCOMER,
        key=folder / "signing.key.pem",
        certificate=folder / "signing.crt.pem",
        audience=cast.ORIGIN,
    )
    return AsyncClient(transport, signer=signer, clock=play.stage.clock)


async def revoked(play: Play, report: Report) -> None:
    """Operations revoke the rival's credential; the connection that it has open is over within a second."""
    await play.ask(cast.RIVAL, "/v1/requests")
    asked = time.monotonic()
    answer = await play.ask(cast.OPS, f"/v1/credentials/{name_of(play, cast.RIVAL)}/revocation", REASON)

    async def refused() -> bool:
        try:
            await play.ask(cast.RIVAL, "/v1/requests")
        except RemoteProblem as problem:
            return problem.code == "api/credential-refused" and problem.found == "pki/revoked"
        except Unreachable:
            return False
        return False

    await play.stage.until("the revoked credential is refused", refused)
    is_soon = time.monotonic() - asked < WITHIN_S
    found = "pki/revoked, within a second" if is_soon else "pki/revoked, too late"
    report.expect("a revoked credential on a live connection", is_soon, found, "attack")
    told = answer["reason"] == REASON["reason"]
    report.expect("what the office says of it", told, f"{answer['profile']} revoked, {answer['reason']}", "attack")


def name_of(play: Play, party: str) -> str:
    """What the office calls a party's certificate for connections."""
    issued = play.stage.made.parties[party].credentials[Purpose.TLS_CLIENT]
    issuer = play.stage.made.hierarchy.authority_of(Role.FO).key_sha256
    return f"{issuer}.{serial_text(issued.certificate.serial_number)}"

"""`flexledger dev-request`: one congestion request at the depot of a running `flexledger dev`, from word to bundle.

Three parties act, each through its own client: the flexibility operator, the port's operator, and an auditor.
"""

import asyncio
import contextlib
import shutil
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import typer

from api import wire
from api.cli import failures
from api.cli.demo import cast, props
from api.cli.demo.stage import StageBroken, credentials
from api.client.checkpoints import Checkpoints, MemoryCheckpoints
from api.client.client import AsyncClient
from api.client.http import AsyncTransport, Request
from api.client.signer import StatementSigner
from api.errors import ApiError
from api.execution.simulator.demand import shared
from api.verification import work
from ledger import plain_file
from ledger.clock import SystemClock
from ledger.delivery.baselines import Nomination
from ledger.errors import LedgerError
from ledger.records.contracts import BaselineMethod
from ledger.records.evidence import BaselineCommitted
from ledger.records.requests import Answer, Offer, RequestAnswered
from ledger.tlog import note
from pki.errors import PkiError
from pki.roles import Purpose

RUNNING_FILE: Final = "dev.json"
MIN_SECONDS: Final = 15
"""Below this, one sample more or less decides whether enough was measured."""
MAX_SECONDS: Final = 900
LEAD_MS: Final = 8_000
"""From the question to the start: time for the check, the answer and the baseline."""
DEADLINE_MS: Final = 1_000
"""Before the start, the last moment to answer and to opt out."""
RESOLUTION_MS: Final = 1_000
UNDER_WAY: Final = frozenset({"ISSUED", "ACCEPTED", "PARTIAL", "SCHEDULED", "ACTIVE", "SUPERSEDED"})
AFTERWARDS_S: Final = 60.0
POLL_S: Final = 0.5


class Running(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a running `flexledger dev` is, and what its depot is: the file `dev.json`."""

    origin: str
    vkey: str
    port: int
    ops_port: int
    fsc_id: str
    evse_w: int
    """What each EVSE draws when nobody asks for less."""
    persons: dict[str, str]
    """EVSE-ID -> pseudonym of its user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One request on its way."""

    fsr_id: str
    start_at_ms: int
    end_at_ms: int
    reduce_w: int

    @property
    def path(self) -> str:
        """Its resource."""
        return f"/v1/requests/{self.fsr_id}"

    @property
    def stream(self) -> str:
        """Its stream."""
        return f"fsr/{self.fsr_id}"


def run(directory: Path, *, reduce_w: int, seconds: int) -> int:
    """Exit code 0 when the work was proven, whatever the verdict; 1 when that failed; 2 for what cannot be asked."""
    try:
        running = msgspec.json.decode(plain_file.read(directory / RUNNING_FILE), type=Running)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return _not_asked("no `flexledger dev` runs here", f"the folder that it printed, with its {RUNNING_FILE}")
    most_w = running.evse_w * len(running.persons)
    if not MIN_SECONDS <= seconds <= MAX_SECONDS or not 0 < reduce_w <= most_w:
        return _not_asked(
            "the depot cannot do that",
            f"{MIN_SECONDS} to {MAX_SECONDS} seconds and 1 to {most_w} W",
            f"{seconds} seconds and {reduce_w} W",
        )
    try:
        bundle = asyncio.run(_ask(directory.resolve(), running, reduce_w, seconds))
    except (ApiError, LedgerError, PkiError, OSError) as error:
        typer.echo(f"failed: {failures.told(error)}", err=True)
        return 1
    typer.echo(f"bundle: {bundle}")
    typer.echo("Verify it, with nothing but the file and the policy that says whom you trust:")
    typer.echo(f"  {command()} verify {bundle} --policy {directory.resolve() / 'policy.json'}")
    return 0


def _not_asked(detail: str, expected: str, found: str | None = None) -> int:
    told = failures.told(failures.InputUnfit(detail, expected=expected, found=found))
    typer.echo(f"nothing was asked: {told}", err=True)
    return 2


def command() -> str:
    """How this program is called from where it was called: by its name, or by the place of its script."""
    if shutil.which("flexledger"):
        return "flexledger"
    script = Path(sys.executable).with_name("flexledger")
    return str(script) if script.exists() else f"{sys.executable} -m api"


async def _ask(folder: Path, running: Running, reduce_w: int, seconds: int) -> Path:
    """The request was made, answered, executed and proven; where its bundle is."""
    now_ms = SystemClock().now_ms()
    start_at_ms = -(-(now_ms + LEAD_MS) // 1000) * 1000
    asking = Asking(
        fsr_id=props.new_id("fsr"), start_at_ms=start_at_ms, end_at_ms=start_at_ms + seconds * 1000, reduce_w=reduce_w
    )
    async with (
        _client(folder, running, cast.FO) as fo,
        _client(folder, running, cast.CSO) as cso,
        _client(folder, running, cast.AUD) as auditor,
    ):
        await _require_idle(fo, now_ms)
        await _issue(fo, running, asking)
        typer.echo(f"{cast.FO} asks for {reduce_w} W less for {seconds} s: {asking.fsr_id}")
        checked = await _post(cso, "/v1/checks", {"fsr_id": asking.fsr_id, "evse_ids": list(running.persons)})
        passed = [one for one in checked["participations"] if one["overall"] == "PASS"]
        typer.echo(f"check: {len(passed)} of {len(checked['participations'])} EVSEs pass six dimensions")
        if not passed:
            raise StageBroken("nobody may take part", found=checked["participations"][0]["failed"])
        await _answer(cso, running, asking, checked, passed)
        await _commit_baseline(cso, running, asking, [one["participation"] for one in passed])
        typer.echo(f"{cast.CSO} accepts and commits the baseline: {running.evse_w * len(passed)} W, as nominated")
        await _watch(cso, asking, len(passed))
        await _post(cso, f"{asking.path}/proof", {})
        _show((await cso.get_json(asking.path))["proof"])
        bundle = folder / "bundles" / f"{asking.fsr_id}.json"
        bundle.parent.mkdir(exist_ok=True)
        bundle.write_bytes(await auditor.get_bytes(f"{asking.path}/record"))
        return bundle


@contextlib.asynccontextmanager
async def _client(folder: Path, running: Running, party: str) -> AsyncIterator[AsyncClient]:
    """A party's client, with its own certificates, keys and memory of checkpoints."""
    certificate, key = credentials(folder, "parties", party, Purpose.TLS_CLIENT)
    signing_certificate, signing_key = credentials(folder, "parties", party, Purpose.SIGNING)
    signer = None
    if signing_key.exists():
        signer = StatementSigner.load(
            party=party, key=signing_key, certificate=signing_certificate, audience=running.origin
        )
    client = AsyncClient(
        AsyncTransport(
            f"https://localhost:{running.port}",
            ca=folder / "service" / "pki" / "root.pem",
            cert=certificate,
            key=key,
        ),
        signer=signer,
        checkpoints=Checkpoints(running.origin, [note.parse_vkey(running.vkey)], MemoryCheckpoints()),
    )
    async with client:
        yield client


async def _post(client: AsyncClient, path: str, body: object) -> Any:
    """A party asks for something that is no statement."""
    headers = {"content-type": wire.JSON_MEDIA_TYPE}
    answer = await client.transport.request(Request("POST", path, msgspec.json.encode(body), headers))
    return answer.json()


async def _require_idle(fo: AsyncClient, now_ms: int) -> None:
    """Nothing else runs: two requests over the same cars would each count what the other saved, and end each other."""
    for one in (await fo.get_json("/v1/requests"))["requests"]:
        if one["end_at_ms"] > now_ms and one["status"] in UNDER_WAY:
            raise StageBroken("another request is under way", expected="one at a time", found=one["fsr_id"])


async def _issue(fo: AsyncClient, running: Running, asking: Asking) -> None:
    duration_ms = asking.end_at_ms - asking.start_at_ms
    text = props.request(
        asking.fsr_id,
        props.congestion(asking.start_at_ms, (asking.reduce_w,), step_ms=duration_ms),
        fsc_ids=(running.fsc_id,),
        start_at_ms=asking.start_at_ms,
        end_at_ms=asking.end_at_ms,
        respond_by_ms=asking.start_at_ms - DEADLINE_MS,
        opt_deadline_ms=asking.start_at_ms - DEADLINE_MS,
        resolution_ms=RESOLUTION_MS,
    )
    await fo.post_statement("/v1/requests", text, asking.stream)


async def _answer(
    cso: AsyncClient, running: Running, asking: Asking, checked: dict[str, Any], passed: list[dict[str, Any]]
) -> None:
    """Those who passed share the order evenly."""
    offers = tuple(
        Offer(
            participation=one["participation"],
            offered_w=power_w,
            up_w=power_w,
            evse_id=one["evse_id"],
            fsc_id=one["fsc_id"] or msgspec.UNSET,
        )
        for one, power_w in zip(passed, shared(asking.reduce_w, len(passed)), strict=True)
    )
    everybody = len(passed) == len(checked["participations"])
    record = RequestAnswered(
        fsr_id=asking.fsr_id,
        answer=Answer.ACCEPTED if everybody else Answer.PARTIAL,
        check_id=checked["check_id"],
        offers=offers,
    )
    await cso.post_statement(
        f"{asking.path}/response",
        record,
        asking.stream,
        subjects=lambda opened: running.persons.get(str(opened.value)),
    )


async def _commit_baseline(cso: AsyncClient, running: Running, asking: Asking, participants: list[str]) -> None:
    """The counterfactual is fixed before the start: what those who take part always draw."""
    inputs = Nomination(series_w=(running.evse_w * len(participants),))
    document = work.baseline_document(BaselineMethod.NOMINATION, inputs)
    record = BaselineCommitted(
        baseline_id=props.new_id("baseline"),
        fsr_id=asking.fsr_id,
        method=BaselineMethod.NOMINATION,
        version=1,
        participants=tuple(sorted(participants)),
        inputs_sha256=work.digest(document),
        baseline_w=work.baseline_series(inputs),
    )
    await cso.post_statement(f"{asking.path}/baseline", record, asking.stream, attachments=[props.attachment(document)])


async def _watch(cso: AsyncClient, asking: Asking, count: int) -> None:
    """Every participation has its service record; says what changes on the way. Raises StageBroken a minute late."""
    clock = SystemClock()
    give_up = time.monotonic() + (asking.end_at_ms - clock.now_ms()) / 1000 + AFTERWARDS_S
    said = ""
    while True:
        view = await cso.get_json(asking.path)
        executing = sum(part["status"] == "EXECUTING" for part in view["participations"])
        now = f"{view['status']}: {executing} of {count} executing, {view['service_records']} service records"
        if now != said:
            said = now
            left_s = (asking.end_at_ms - clock.now_ms()) // 1000
            typer.echo(f"{max(0, left_s):4} s left  {now}")
        if view["service_records"] >= count:
            return
        if time.monotonic() > give_up:
            raise StageBroken("waited in vain", expected=f"{count} service records", found=view["service_records"])
        await asyncio.sleep(POLL_S)


def _show(proof: dict[str, Any]) -> None:
    """The proof in words: of flexibility delivered, not of mining."""
    (period,) = msgspec.json.decode(proof["group"])["periods"]
    typer.echo(f"proof of work: {proof['verdict']}, score {proof['score_ppm']} ppm, {proof['delivered_wh']} Wh")
    typer.echo(
        f"  baseline {period['baseline_w']} W, drawn {period['actual_w']} W,"
        f" delivered {period['delivered_w']} of {period['ordered_w']} W"
    )

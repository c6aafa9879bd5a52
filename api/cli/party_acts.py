"""What a party does from the command line, through its `party.toml`: sign, state, ask, opt, prove, fetch evidence."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import typer

from api import wire
from api.cli import failures
from api.cli.claim_files import write_new
from api.cli.files import read_file
from api.cli.words import one_of, plain, told, utc
from api.client import party as parties
from api.client.client import AsyncClient, submission
from api.client.errors import AnswerMalformed, RemoteProblem, Unreachable
from api.client.http import Request
from api.client.party import PartyFile, PartyFileUnfit
from api.errors import ApiError
from api.gateway import Gateway, Said, Told
from ledger.clock import SystemClock
from ledger.errors import LedgerError
from ledger.records.opt import Choice, OptActor, OptDecided, OptReason
from ledger.records.record import Record
from ledger.records.requests import CancelReason, RequestCancelled
from pki.errors import PkiError

DONE: Final = 0
REFUSED: Final = 1
NOT_SENT: Final = 2
UNKNOWN: Final = 3
MAX_RECORD_BYTES: Final = 1 << 20

Act = Callable[[PartyFile, AsyncClient], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Attached:
    """Documents whose digests stand in a record, and whom they are about."""

    files: Sequence[Path] = ()
    subject: str | None = None


NOTHING_ATTACHED: Final = Attached()


def run(party_file: Path, act: Act, text: Callable[[Any], str], *, json: bool) -> int:
    """0 done, 1 refused by the service, 2 not sent, 3 nobody knows whether it was taken: look before asking again."""
    try:
        document = asyncio.run(_acted(parties.load(party_file), party_file.resolve().parent, act))
    except RemoteProblem as error:
        return _refused(error.code, str(error), error.body, json=json)
    except Unreachable as error:
        failures.say("unknown", error, json=json)
        return UNKNOWN
    except (ApiError, LedgerError, PkiError, OSError, ValueError) as error:
        failures.say("not sent", error, json=json)
        return NOT_SENT
    if isinstance(document, Told) and document.problem is not None:
        problem = document.problem
        said = f"{problem.detail or problem.title}" + (f"; expected {problem.expected}" if problem.expected else "")
        return _refused(problem.code, said, msgspec.json.encode(problem), json=json)
    try:
        typer.echo(msgspec.json.encode(document).decode() if json else told(text, document))
    except AnswerMalformed as error:
        failures.say("unknown", error, json=json)
        return UNKNOWN
    return DONE


async def _acted(party: PartyFile, folder: Path, act: Act) -> Any:
    async with parties.connect(party, folder / parties.CHECKPOINTS, clock=SystemClock()) as client:
        return await act(party, client)


def _refused(code: str, said: str, body: bytes, *, json: bool) -> int:
    typer.echo(body.decode() if json and body else plain(f"refused: {code}: {said}"), err=not json)
    return REFUSED


# Statements


def sign(
    party_file: Path,
    kind: str,
    record: Path,
    *,
    stream: str | None,
    subjects: Sequence[str],
    attached: Attached,
    out: Path | None,
) -> int:
    """Signs without sending; what is printed or written is the body for the resource of that kind."""

    async def act(_: PartyFile, client: AsyncClient) -> Any:
        said = said_in(kind, record, stream=stream, subjects=subjects, attached=attached)
        signed = Gateway(client).sign(said)
        signer = client.conversation.signer
        own = () if signer is None or signer.certificate is None else (signer.certificate,)
        made = submission(signed, said.subjects, said.attachments, own)
        if out is not None:
            write_new(out, msgspec.json.encode(made) + b"\n")
            return {"jti": signed.jti, "stream": signed.stream, "file": out.name}
        return made

    return run(party_file, act, lambda made: msgspec.json.encode(made).decode(), json=out is None)


def state(
    party_file: Path,
    kind: str,
    record: Path,
    *,
    stream: str | None = None,
    subjects: Sequence[str] = (),
    attached: Attached = NOTHING_ATTACHED,
    json: bool,
) -> int:
    """Signs, sends, and verifies the receipt."""
    return say(
        party_file,
        lambda _: said_in(kind, record, stream=stream, subjects=subjects, attached=attached),
        json=json,
    )


def state_record(party_file: Path, record: Record, *, json: bool) -> int:
    """The same of a record that a command's own arguments make."""
    return say(party_file, lambda _: whole(record), json=json)


def cancel(party_file: Path, fsr_id: str, *, reason: str, json: bool) -> int:
    """A flexibility operator no longer asks."""
    return state_record(party_file, RequestCancelled(fsr_id=fsr_id, reason=one_of(CancelReason, reason)), json=json)


def opt(
    party_file: Path, fsr_id: str, participation: str, *, choice: str, reason: str | None, revision: int, json: bool
) -> int:
    """The party exercises its own right: an EV user's for the EV, a CSP's for its holders, a CSO's for its EVSEs."""
    chosen = one_of(Choice, choice)
    why = None if reason is None else one_of(OptReason, reason)

    def said(party: PartyFile) -> Said:
        if party.role not in {one.value for one in OptActor}:
            raise PartyFileUnfit("this role has no right to opt", expected="EVU, CSP or CSO", found=party.role)
        record = OptDecided(
            opt_id=f"opt-{secrets.token_hex(8)}",
            fsr_id=fsr_id,
            participation=participation,
            actor=OptActor(party.role),
            choice=chosen,
            revision=revision,
            reason=msgspec.UNSET if why is None else why,
        )
        subjects = {"reason": party.party} if party.role == "EVU" and why is not None else {}
        return Said(type=record.TYPE, record=msgspec.to_builtins(record), subjects=subjects)

    return say(party_file, said, json=json)


def say(party_file: Path, said: Callable[[PartyFile], Said], *, json: bool) -> int:
    """Whatever the party's file makes of it is signed, sent, and its receipt verified."""

    async def make(party: PartyFile, _: AsyncClient) -> Said:
        return said(party)

    return say_after(party_file, make, json=json)


def say_after(party_file: Path, make: Callable[[PartyFile, AsyncClient], Awaitable[Said]], *, json: bool) -> int:
    """The same of what follows from what the service shows."""

    async def act(party: PartyFile, client: AsyncClient) -> Told:
        (told,) = await Gateway(client).state([await make(party, client)])
        return told

    def text(told: Told) -> str:
        taken = told.accepted
        if taken is None:
            return "taken"
        proven = "proven by the log" if told.verified else "taken by the port"
        return f"entry {taken.index} of {taken.stream}, {proven}" + (", as before" if taken.duplicate else "")

    return run(party_file, act, text, json=json)


def said_in(
    kind: str,
    record: Path,
    *,
    stream: str | None = None,
    subjects: Sequence[str] = (),
    attached: Attached = NOTHING_ATTACHED,
) -> Said:
    """The record that a file holds in clear; raises `InputUnfit` for what is too large."""
    return Said(
        type=kind,
        record=members_of(record),
        stream=stream,
        subjects=_named(subjects),
        attachments=tuple(
            wire.SubmittedAttachment(data=_read(path, "the attachment"), subject=attached.subject)
            for path in attached.files
        ),
    )


def members_of(record: Path) -> dict[str, Any]:
    """A record's members as a file holds them; raises `InputUnfit` for what is too large."""
    return wire.decode(_read(record, "the record"), dict[str, Any])


def whole(record: Record) -> Said:
    """A record without personal members."""
    return Said(type=record.TYPE, record=msgspec.to_builtins(record))


def _read(path: Path, what: str) -> bytes:
    data = read_file(path, MAX_RECORD_BYTES)
    if len(data) > MAX_RECORD_BYTES:
        raise failures.InputUnfit(f"{what} is too large", expected=f"at most {MAX_RECORD_BYTES} bytes")
    return data


def _named(subjects: Sequence[str]) -> dict[str, str]:
    """`member=id`, as options say it."""
    found = {}
    for one in subjects:
        name, equals, whose = one.partition("=")
        if not (name and equals and whose):
            raise failures.InputUnfit("not a subject", expected="MEMBER=ID")
        found[name] = whose
    return found


# Reading and what is no statement


def requests(party_file: Path, *, status: str | None, site: str | None, limit: int, json: bool) -> int:
    """The requests that concern the party, newest last."""
    query = "".join(f"&{name}={value}" for name, value in (("status", status), ("site_id", site)) if value)
    return read(party_file, f"/v1/requests?limit={limit}{query}", _requests, json=json)


def read(party_file: Path, path: str, text: Callable[[Any], str], *, json: bool) -> int:
    """A resource."""

    async def act(_: PartyFile, client: AsyncClient) -> Any:
        return await client.get_json(path)

    return run(party_file, act, text, json=json)


def show(party_file: Path, fsr_id: str, *, json: bool) -> int:
    """One request as it stands."""
    return read(party_file, f"/v1/requests/{fsr_id}", _request, json=json)


def log(party_file: Path, fsr_id: str, *, limit: int, json: bool) -> int:
    """What was recorded of one request, newest first."""
    return read(party_file, f"/v1/requests/{fsr_id}/log?limit={limit}", _log, json=json)


def prove(party_file: Path, fsr_id: str, *, json: bool) -> int:
    """The port makes the proof of work; not of mining, of flexibility delivered."""

    async def act(_: PartyFile, client: AsyncClient) -> Any:
        headers = {"content-type": wire.JSON_MEDIA_TYPE}
        answer = await client.transport.request(Request("POST", f"/v1/requests/{fsr_id}/proof", b"{}", headers))
        return answer.decode(wire.Accepted)

    return run(party_file, act, lambda taken: f"entry {taken.index} of {taken.stream}", json=json)


def bundle(party_file: Path, fsr_id: str, *, out: Path, json: bool) -> int:
    """Everything that verifies one request offline is in a new file."""

    async def act(_: PartyFile, client: AsyncClient) -> Any:
        data = await client.get_bytes(f"/v1/requests/{fsr_id}/record")
        write_new(out, data)
        return {"file": out.name, "size_bytes": len(data)}

    return run(party_file, act, lambda made: f"{made['size_bytes']} bytes in {made['file']}", json=json)


def _requests(page: Mapping[str, Any]) -> str:
    lines = [
        f"{one['fsr_id']}  {one['status']}  {one['service']}  {utc(one['start_at_ms'])}" for one in page["requests"]
    ]
    more = [f"more after {page['next']}"] if page["next"] else []
    return "\n".join([*(lines or ["no requests"]), *more])


def _request(view: Mapping[str, Any]) -> str:
    parts = [f"  {one['participation']}  {one['status']}  {one['offered_w']} W" for one in view["participations"]]
    proof = view["proof"]
    proven = (
        [] if proof is None else [f"{proof['pow_id']}  proof of work: {proof['verdict']}, {proof['delivered_wh']} Wh"]
    )
    window = f"{utc(view['start_at_ms'])} to {utc(view['end_at_ms'])}"
    return "\n".join([f"{view['fsr_id']}  {view['status']}  {view['service']}  {window}", *parts, *proven])


def _log(page: Mapping[str, Any]) -> str:
    return "\n".join(
        f"{one['index']:>8}  {utc(one['rec_ms'])}  {one['type']}  {one['party']}" for one in page["entries"]
    )

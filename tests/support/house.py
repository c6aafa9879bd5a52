"""The whole service in one process, behind its real application: what an attacker meets, without the sockets.

`House.open(tmp_path)` lays out a service of the demonstration's parties on SQLite with a vault, at nine in the morning
of its day. Requests go through ASGI with the caller's certificate where the transport puts it. `attack`
sends one and asserts what must hold of every refusal.
"""

import asyncio
import dataclasses
import hashlib
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import msgspec
import structlog

from api import engines, telemetry, wire
from api.app import create_app
from api.cli import init
from api.cli.demo import cast as people
from api.cli.demo import props, story
from api.cli.demo.stage import Server, Stage
from api.client import client as clients
from api.client.client import AsyncClient
from api.client.errors import RemoteProblem
from api.client.http import Answer, AsyncTransport, Request
from api.client.signer import StatementSigner
from api.engines import Engines
from api.execution.simulator.fleet import Fleet
from api.flows.service import Service, open_service
from api.flows.webhooks import Poster
from api.settings import Limits, Settings, Webhooks, load
from api.web.asgi import Application
from ledger.clock import SetClock, SystemClock
from ledger.privacy.vault import Vault
from ledger.records import entry as entries
from ledger.records import jws, statement
from ledger.records.log import Refused
from ledger.records.record import Record
from ledger.records.statement import Signed
from pki import ceremony, keys
from pki.ceremony import Ceremony, IssuedKey
from pki.roles import Purpose
from tests.support import canaries

CANARY = "canary5eed"
"""Stands in every attack where a caller's value can stand; nothing that leaves the service may repeat it."""
MINUTE_MS = 60_000


@dataclass(frozen=True)
class Reply:
    """What the application answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


@dataclass
class House:
    """An open service and everybody's keys."""

    made: Ceremony
    settings: Settings
    clock: SetClock
    service: Service
    app: Application
    lines: list[Any] = field(default_factory=list)
    """Every log line so far, before anything is withheld from it."""
    car_keys: dict[str, Any] = field(default_factory=dict)
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Each request's check, as the port was told."""
    begun: int = 0
    """Entries that the service wrote for itself before anybody came."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls, folder: Path, made: Ceremony, *, max_body_bytes: int = 1 << 20, poster: Poster | None = None
    ) -> AsyncIterator["House"]:
        """The service over an empty log; it is closed afterwards. With `poster` it has webhooks."""
        settings = lay_out(folder, made, max_body_bytes)
        if poster is not None:
            settings = msgspec.structs.replace(settings, webhooks=Webhooks())
        clock = SetClock(people.at(9))
        opened = open_engines(settings, clock)
        with structlog.testing.capture_logs() as lines:
            async with open_service(settings, opened, None, poster=poster) as service:
                house = cls(made, settings, clock, service, create_app(service).app, cast("list[Any]", lines))
                house.car_keys = {bay.name: keys.generate() for bay in people.BAYS}
                house.begun = house.size()
                yield house
            house.require_no_person_in_clear()

    def party(self, who: str) -> str:
        """The id in a party's certificates; a person's is a random pseudonym."""
        return self.made.parties[who].party_id

    def issued(self, who: str, purpose: Purpose) -> IssuedKey:
        """A party's key and certificate for one purpose."""
        return self.made.parties[who].credentials[purpose]

    # Asking

    async def ask(
        self,
        who: str | bytes | None,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
    ) -> Reply:
        """One request of a party, of whoever has this DER certificate, or of nobody."""
        leaf = self.issued(who, Purpose.TLS_CLIENT).chain[0] if isinstance(who, str) else who
        return await asgi(self.app, leaf, method, path, body, headers)

    async def post(self, who: str | bytes | None, path: str, body: Any) -> Reply:
        """A JSON body, posted."""
        return await self.ask(who, "POST", path, body if isinstance(body, bytes) else msgspec.json.encode(body))

    def client(self, who: str) -> AsyncClient:
        """The party's own client, over the application instead of a socket."""
        leaf = self.issued(who, Purpose.TLS_CLIENT).chain[0]
        signer = self.signer(who) if Purpose.SIGNING in self.made.parties[who].credentials else None
        return AsyncClient(cast("AsyncTransport", InProcess(self.app, leaf)), signer=signer, clock=self.clock)

    def play(self) -> story.Play:
        """The demonstration's scenes, played on this house; stations do not take part."""
        stage = Stage(
            folder=self.settings.data_dir,
            made=self.made,
            clock=self.clock,
            server=cast("Server", None),
            clients={who: self.client(who) for who, one in self.made.parties.items() if connects(one.credentials)},
            fleet=cast("Fleet", None),
            car_keys=self.car_keys,
        )
        return story.Play(stage=stage, say=lambda _text: None)

    # Saying

    def signer(self, who: str, *, party: str | None = None, audience: str = people.ORIGIN) -> StatementSigner:
        """The party's statement key; it may speak as another party or for another log."""
        issued = self.issued(who, Purpose.SIGNING)
        return StatementSigner(
            party=party or self.party(who),
            key=issued.key,
            x5t=props.thumbprint(issued.chain[0]),
            audience=audience,
            certificate=issued.chain[0],
        )

    def sign(self, who: str, record: Record, stream: str, **more: Any) -> Signed:
        """A statement of the party, said now unless `now_ms` says otherwise."""
        return self.signer(who).sign(record, stream, **{"now_ms": self.clock.now_ms(), **more})

    def submission(
        self, who: str, signed: Signed, *, subject: str | None = None, attachments: Sequence[Any] = ()
    ) -> wire.Submission:
        """What the party would send for it."""
        certificate = self.issued(who, Purpose.SIGNING).chain[0]
        return clients.submission(signed, lambda _opened: subject, attachments, (certificate,))

    def said(self, who: str, record: Record, stream: str, **more: Any) -> wire.Submission:
        """Signed and ready to send."""
        return self.submission(who, self.sign(who, record, stream), **more)

    def forged(self, who: str, payload: bytes, header: Mapping[str, str] | None = None) -> wire.Submission:
        """A statement whose payload is exactly these bytes, with a good signature over them."""
        issued = self.issued(who, Purpose.SIGNING)
        x5t = props.thumbprint(issued.chain[0])
        raw = jws.sign(payload, issued.key, dict(header or {"typ": statement.TYP, "x5t#S256": x5t}))
        return wire.Submission(statement=raw, certificates=(issued.chain[0],))

    # What must hold

    def size(self) -> int:
        """Entries in the log."""
        return self.service.desk.appender.head.size

    def entry(self, index: int) -> entries.Entry:
        """One entry."""
        return entries.decode(self.service.reader.entry(index))

    def vault_rows(self) -> dict[str, int]:
        """How much the vault and the papers beside the log hold."""
        vault = self.service.engines.vault.database
        tables = ("subject", "facet", "attachment", "undisclosed", "erased", "erasure", "disclosed")
        return {table: vault.scalar(f"SELECT count(*) FROM {table}") for table in tables}  # noqa: S608 -- constants

    @contextmanager
    def leaves(self, refusals: int = 0, code: str | None = None) -> Iterator[None]:
        """Inside this block nothing is written but refusal entries, and nothing of anybody stays in the vault."""
        size, rows = self.size(), self.vault_rows()
        yield
        written = [self.entry(index) for index in range(size, self.size())]
        assert [one.type for one in written] == [Refused.TYPE] * refusals
        for one in written:
            said = statement.parse_statement(one.stmt).record
            assert isinstance(said, Refused)
            assert said.code == code
        assert self.vault_rows() == rows

    def require_silent(self, *values: str) -> None:
        """No log line and no metric repeats a value of the caller, nor who any person is."""
        persons = [self.party(bay.person) for bay in people.BAYS]
        told = (repr(self.lines) + telemetry.render().decode()).casefold()
        for value in (CANARY, *persons, *values):
            assert value.casefold() not in told

    def require_no_person_in_clear(self) -> None:
        """No file of the service, closed by now, no line and no metric has what names a person (A26)."""
        needles = [self.party(bay.person) for bay in people.BAYS]
        needles += [props.spki(key) for key in self.car_keys.values()]
        folders = [self.settings.data_dir, self.settings.vault.dir]
        canaries.require_silent(folders, [repr(self.lines), telemetry.render().decode()], needles)

    async def attack(
        self,
        who: str | bytes | None,
        path: str,
        body: Any,
        *,
        status: int,
        code: str,
        refusals: int = 0,
        method: str = "POST",
        headers: Sequence[tuple[str, str]] = (),
    ) -> wire.Problem:
        """One request that must be refused so; everything that must hold of every refusal is asserted."""
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        with self.leaves(refusals, code):
            reply = await self.ask(who, method, path, data, headers)
        problem = require_problem(reply, status, code)
        self.require_silent()
        assert (await self.ask(None, "GET", "/readyz")).status == 200
        return problem


class InProcess:
    """The client's transport over an ASGI application."""

    def __init__(self, app: Application, leaf: bytes) -> None:
        self._app = app
        self._leaf = leaf

    async def request(self, wanted: Request) -> Answer:
        """The answer; raises `RemoteProblem` as the real transport does."""
        reply = await asgi(
            self._app, self._leaf, wanted.method, wanted.path, wanted.body or b"", list(wanted.headers.items())
        )
        if reply.status < 400:
            return Answer(reply.status, reply.headers, reply.body)
        problem = msgspec.json.decode(reply.body, type=wire.Problem)
        raise RemoteProblem(problem.detail, code=problem.code, status=reply.status, title=problem.title)

    async def close(self) -> None:
        """Nothing to close."""


async def asgi(
    app: Application,
    leaf: bytes | None,
    method: str,
    target: str,
    body: bytes = b"",
    headers: Sequence[tuple[str, str]] = (),
) -> Reply:
    """One HTTP request as the server would hand it on, with what the handshake proved."""
    path, _, query = target.partition("?")
    pem = [ssl.DER_cert_to_PEM_cert(leaf)] if leaf else []
    sent = [(b"host", b"localhost"), *((name.lower().encode(), value.encode()) for name, value in headers)]
    if body and all(name != b"content-type" for name, _ in sent):
        sent.append((b"content-type", b"application/json"))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": sent,
        "client": ("203.0.113.9", 4711),
        "server": ("localhost", 8443),
        "extensions": {},
        "state": {"_tls": {"client_cert_chain": pem}},
    }
    pieces = [{"type": "http.request", "body": body, "more_body": False}]
    told: list[dict[str, Any]] = []
    answered = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if pieces:
            return pieces.pop()
        # A caller that waits for the whole answer: it goes away when it has that.
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        told.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            answered.set()

    await app(scope, receive, send)
    start = told[0]
    named = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Reply(start["status"], named, b"".join(one.get("body", b"") for one in told[1:]))


def require_problem(reply: Reply, status: int, code: str) -> wire.Problem:
    """The answer is this problem (RFC 9457), and repeats nothing of the caller's."""
    found = reply.body.decode()
    assert (reply.status, reply.headers["content-type"]) == (status, wire.PROBLEM_MEDIA_TYPE), found
    problem = msgspec.json.decode(reply.body, type=wire.Problem)
    assert (problem.status, problem.code) == (status, code), found
    assert problem.type.endswith(code)
    assert CANARY not in found.casefold()
    return problem


def perform() -> Ceremony:
    """Fresh authorities and credentials: connections of now, statements of the day."""
    return ceremony.perform(
        people.ceremony(), tls_now_ms=SystemClock().now_ms(), signing_now_ms=people.SIGNING_START_MS
    )


def connects(credentials: Mapping[Purpose, Any]) -> bool:
    """Whether the party has a certificate for connections."""
    return Purpose.TLS_CLIENT in credentials


def lay_out(folder: Path, made: Ceremony, max_body_bytes: int = 1 << 20) -> Settings:
    """The files of a service; the rate is no matter here."""
    config = init.lay_out(folder / "service", made, party=people.CSO, origin=people.ORIGIN)
    limits = Limits(requests_per_s=100_000, burst=100_000, max_body_bytes=max_body_bytes)
    return msgspec.structs.replace(load(config, {}), limits=limits)


def open_engines(settings: Settings, clock: SetClock) -> Engines:
    """The engines of these settings at a time of ours."""
    opened = engines.open_engines(settings, create=not (settings.data_dir / engines.LOG_FILE).exists())
    opened.vault.close()
    vault = Vault.open(settings.vault.dir, clock=clock, kek_path=settings.vault.kek)
    return dataclasses.replace(opened, clock=clock, vault=vault)


def sha256(data: bytes) -> str:
    """In hex."""
    return hashlib.sha256(data).hexdigest()

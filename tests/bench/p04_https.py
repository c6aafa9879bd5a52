"""P4 and P5: signed statements over HTTPS with mTLS, to a service in a process of its own, on the loopback.

The client shares the machine with the server, and costs the same in an operation and in its floor, which brings their
ratio nearer to one. So P4 has a row for the server's processor time alone.
"""

import asyncio
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from pathlib import Path
from time import perf_counter

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api import wire
from api.cli.demo import cast as people
from api.cli.demo import props
from api.client.tls import client_context
from ledger.records import jws, statement
from ledger.records.sites import SiteAvailable
from pki.ceremony import Ceremony
from pki.roles import Purpose
from tests.bench import verifying
from tests.bench.frame import Pair, Row, Scale, speed
from tests.bench.ground import loop_factory
from tests.bench.https_server import FLOOR_PATH
from tests.support import house

CONNECTIONS = 64
A_LIST = 100
SITES = 16
"""Of each party; a site's forecasts are read together, so that they are spread."""
HOUR_MS = 3_600_000
PATIENCE_S = 60.0
WRITERS = (people.CSO, people.OTHER_CSO)
"""A party may have one batch under way, so that P5 has two of them."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Asking:
    """A running service, and who asks it."""

    made: Ceremony
    folder: Path
    port: int
    pid: int
    runner: asyncio.Runner
    numbers: Iterator[int] = field(default_factory=count)

    def context(self, who: str) -> ssl.SSLContext:
        """TLS with the party's own certificate."""
        own = self.folder / "credentials" / "parties" / who
        return client_context(own / "root.crt.pem", own / "tls_client.crt.pem", own / "tls_client.key.pem")

    async def connect(self, who: str, amount: int) -> list[Connection]:
        """So many connections of the party, each with its handshake behind it."""
        context = self.context(who)
        return [
            await asyncio.open_connection("localhost", self.port, ssl=context, limit=1 << 20) for _ in range(amount)
        ]

    def forecast(self, who: str) -> str:
        """One signed `site.available` of the party, for one of its sites in turn."""
        issued = self.made.parties[who].credentials[Purpose.SIGNING]
        site_id, now_ms = site_of(who, number := next(self.numbers)), people.at(9)
        said = SiteAvailable(
            site_id=site_id, from_ms=now_ms, until_ms=now_ms + HOUR_MS, up_w=1_000, down_w=1_000, duration_s=900
        )
        return statement.sign(
            said,
            key=issued.key,
            x5t=props.thumbprint(issued.chain[0]),
            party=self.made.parties[who].party_id,
            audience=people.ORIGIN,
            stream=f"site/{site_id}",
            now_ms=now_ms,
            jti=statement.new_jti(now_ms + number),
        ).raw

    def server_s(self) -> float:
        """Processor time of the server so far, in seconds; Linux alone tells it."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def site_of(who: str, number: int) -> str:
    """The site of a party's forecast of this number."""
    return f"{who}-SITE-{number % SITES:02d}"


def request(path: str, body: object) -> bytes:
    """The octets of a POST."""
    data = msgspec.json.encode(body)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
    return head.encode() + b"\r\n\r\n" + data


async def exchange(connection: Connection, asked: bytes) -> tuple[int, bytes]:
    """Status and body of the answer to one request."""
    reader, writer = connection
    writer.write(asked)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    return int(head[9:12]), await reader.readexactly(length)


async def _ask_all(connections: Sequence[Connection], requests: Sequence[bytes], status: int) -> list[bytes]:
    """Every answer; each connection asks its next request once it was answered. Anything but this status is raised."""
    left = iter(requests)
    answers: list[bytes] = []

    async def one(connection: Connection) -> None:
        for asked in left:
            found, body = await exchange(connection, asked)
            if found != status:
                raise AssertionError(f"{found}: {body[:200]!r}")
            answers.append(body)

    async with asyncio.TaskGroup() as group:
        for connection in connections:
            group.create_task(one(connection))
    return answers


@contextmanager
def _asking(scale: Scale) -> Iterator[Asking]:
    made = scale.shared("house", house.perform)
    folder = scale.fresh()
    house.lay_out(folder, made)
    service, ready = folder / "service", folder / "ready"
    command = [sys.executable, "-m", "tests.bench.https_server", service / "flexledger.toml", ready]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        until_s = time.monotonic() + PATIENCE_S
        while not (ready.exists() and ready.read_text()):
            if process.poll() is not None or time.monotonic() > until_s:
                raise AssertionError((folder / "server.log").read_text()[-2_000:])
            time.sleep(0.05)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            asking = Asking(made, service, int(ready.read_text()), process.pid, runner)
            for who in WRITERS:
                runner.run(_configure(asking, who))
            yield asking
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


async def _configure(asking: Asking, who: str) -> None:
    """The party's sites, each with one EVSE."""
    (connection,) = await asking.connect(who, 1)
    issued = asking.made.parties[who].credentials[Purpose.SIGNING]
    whole = props.site(asking.made)
    for number in range(SITES):
        evse = msgspec.structs.replace(whole.evses[0], evse_id=f"FI*{who[-3:]}*E9{number:02d}")
        site = msgspec.structs.replace(whole, site_id=site_of(who, number), evses=(evse,))
        signed = statement.sign(
            site,
            key=issued.key,
            x5t=props.thumbprint(issued.chain[0]),
            party=asking.made.parties[who].party_id,
            audience=people.ORIGIN,
            stream=f"site/{site.site_id}",
            now_ms=people.at(9),
        )
        disclosed = tuple(wire.SubmittedDisclosure(text=one.text) for one in signed.disclosures)
        said = wire.Submission(statement=signed.raw, certificates=(issued.chain[0],), disclosures=disclosed)
        await _ask_all([connection], [request("/v1/sites", said)], HTTPStatus.CREATED)
    connection[1].close()


def _one_each(clock: Callable[[Asking], float]) -> Callable[[Scale], AbstractContextManager[Pair]]:
    @contextmanager
    def prepare(scale: Scale) -> Iterator[Pair]:
        with _asking(scale) as asking:
            connections = asking.runner.run(asking.connect(people.CSO, CONNECTIONS))
            times = scale.of(1_280, 256)

            def ask(path: Callable[[str], str]) -> float:
                said = [asking.forecast(people.CSO) for _ in range(times)]
                requests = [request(path(one), wire.Submission(statement=one)) for one in said]
                started = clock(asking)
                answers = asking.runner.run(_ask_all(connections, requests, HTTPStatus.CREATED))
                took = clock(asking) - started
                if len({msgspec.json.decode(one, type=wire.Accepted).leaf_hash for one in answers}) not in (1, times):
                    raise AssertionError("a statement was not appended once")
                return took / times

            yield Pair(lambda: ask(_path_of), lambda: ask(lambda _: FLOOR_PATH))
            for _, writer in connections:
                writer.close()

    return prepare


def _path_of(said: str) -> str:
    return f"/v1/sites/{statement.parse_statement(said).claims.stream.removeprefix('site/')}/availability"


@contextmanager
def _lists(scale: Scale) -> Iterator[Pair]:
    with _asking(scale) as asking, verifying.pool() as verify:
        connections = {who: asking.runner.run(asking.connect(who, 1)) for who in WRITERS}
        lists = scale.of(10, 2)
        said: dict[str, list[str]] = {}

        async def ask(dealt: dict[str, list[bytes]]) -> list[bytes]:
            done = await asyncio.gather(
                *(_ask_all(connections[who], requests, HTTPStatus.OK) for who, requests in dealt.items())
            )
            return [answer for answers in done for answer in answers]

        def operation() -> float:
            said.update({who: [asking.forecast(who) for _ in range(A_LIST * lists)] for who in WRITERS})
            dealt = {
                who: [_list(all_[at : at + A_LIST]) for at in range(0, len(all_), A_LIST)] for who, all_ in said.items()
            }
            started = perf_counter()
            answers = asking.runner.run(ask(dealt))
            took = perf_counter() - started
            accepted = sum(msgspec.json.decode(one, type=wire.BatchOutcome).accepted for one in answers)
            if accepted != len(WRITERS) * lists * A_LIST:
                raise AssertionError(f"{accepted} accepted")
            return took / accepted

        def floor() -> float:
            checks = []
            for who, raws in said.items():
                public = asking.made.parties[who].credentials[Purpose.SIGNING].key.public_key()
                spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
                parsed = [jws.parse(raw) for raw in raws]
                checks += [verifying.es256(spki, one.signature, one.signing_input) for one in parsed]
            return verify(checks) / len(checks)

        yield Pair(operation, floor)
        for (_, writer), *_rest in connections.values():
            writer.close()


def _list(said: Sequence[str]) -> bytes:
    statements = tuple(wire.Submission(statement=one) for one in said)
    return request("/v1/statements", wire.SubmissionBatch(statements=statements))


FLOOR = "the same requests to a typed route of the same server that verifies the same signatures and stores nothing"
ROWS = (
    Row(
        id="P4",
        what="statement over HTTPS with mTLS, 64 connections",
        floor=FLOOR,
        goal=speed(0.70),
        prepare=_one_each(lambda _: perf_counter()),
    ),
    Row(
        id="P4",
        what="the server's processor time of it",
        floor=FLOOR,
        goal=speed(0.70),
        prepare=_one_each(Asking.server_s),
        in_quick=False,
    ),
    Row(
        id="P5",
        what="statements over HTTPS with mTLS, 100 a request",
        floor="bare verification of the same statements, a process on each core; two parties ask",
        goal=speed(0.60),
        prepare=_lists,
    ),
)

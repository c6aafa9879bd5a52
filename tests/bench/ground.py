"""What the rows stand on: an open service with a real hierarchy, statements in any number, and logs that grew."""

import asyncio
import atexit
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from api.verification.actors import thumbprint
from ledger.appender import Appended, Outcome, Submission
from ledger.records import canonical, jws, statement
from ledger.records.actor import Actor
from ledger.records.contracts import HoldersAsked
from ledger.records.entry import Submitter
from ledger.records.services import Service
from ledger.rules.fact import Evidence
from pki.roles import Purpose
from tests.bench.frame import Scale
from tests.bench.signers import Signers
from tests.support import world as stage

T = TypeVar("T")
A_LIST: Final = 500
"""Statements in one list while a log grows."""


@dataclass
class Ground:
    """A service with a configured site, on a loop of its own."""

    world: stage.World
    runner: asyncio.Runner
    numbers: Iterator[int]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns."""
        return self.runner.run(work)

    @property
    def asker(self) -> Actor:
        """The flexibility operator as the log sees it."""
        certificate = self.world.made.parties[stage.FO].credentials[Purpose.SIGNING].chain[0]
        return self.world.directory.actor(self.world.directory.add(certificate), self.world.clock.now_ms())

    def asked(self, amount: int) -> list[Submission]:
        """So many `discovery.asked` of the operator, signed (ES256), each in a stream of its own, ready to append.

        They are admissible under the whole rule book, in any order and number, and open a new stream each, which is
        the dearer case for the table of streams.
        """
        issued = self.world.made.parties[stage.FO].credentials[Purpose.SIGNING]
        actor, now_ms = self.asker, self.world.clock.now_ms()
        submitter = Submitter(cert=actor.tbs_sha256, party=actor.party, role=actor.role.value)
        made = []
        for _, number in zip(range(amount), self.numbers, strict=False):
            query_id = f"query-{number:012x}"
            asked = HoldersAsked(
                query_id=query_id,
                site_id=stage.SITE,
                service=Service.CONGESTION,
                start_at_ms=now_ms,
                end_at_ms=now_ms + stage.HOUR_MS,
            )
            signed = statement.sign(
                asked,
                key=issued.key,
                x5t=thumbprint(issued.chain[0]),
                party=actor.party,
                audience=stage.ORIGIN,
                stream=f"discovery/{query_id}",
                now_ms=now_ms,
                # Ids are ordered by time, and here the clock stands still.
                jti=statement.new_jti(now_ms + number),
            )
            opened = statement.parse_statement(signed.raw)
            made.append(
                Submission(statement=opened, actor=actor, submitter=submitter, now_ms=now_ms, evidence=Evidence())
            )
        return made

    def asked_unsigned(self, amount: int) -> list[Submission]:
        """As `asked`, with a signature that nobody made: a log in which only numbers and sizes matter grows faster so.

        The sequencer gets statements that were opened at the door, so it does the same with these.
        """
        (one,) = self.asked(1)
        head, signature = one.statement.raw.partition(".")[0], one.statement.raw.rpartition(".")[2]
        claims = one.statement.claims
        made = []
        for _, number in zip(range(amount), self.numbers, strict=False):
            query_id = f"query-{number:012x}"
            said = msgspec.structs.replace(
                claims,
                jti=statement.new_jti(one.now_ms + number),
                stream=f"discovery/{query_id}",
                event={**claims.event, "query_id": query_id},
            )
            raw = f"{head}.{jws.encode_base64url(canonical.encode(said))}.{signature}"
            made.append(
                Submission(
                    statement=statement.parse_statement(raw),
                    actor=one.actor,
                    submitter=one.submitter,
                    now_ms=one.now_ms,
                    evidence=Evidence(),
                )
            )
        return made


@contextmanager
def opened(scale: Scale, *, crl_every_ms: int | None = None, configured: bool = True) -> Iterator[Ground]:
    """A service in a new folder, with its site configured; on uvloop where it is installed, as the server runs."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        world = runner.run(stage.World.open(scale.fresh(), crl_every_ms=crl_every_ms))
        try:
            if configured:
                runner.run(stage.configure(world))
            yield Ground(world, runner, count(1))
        finally:
            runner.run(world.close())


def long(scale: Scale, size: int) -> Ground:
    """A service whose log has at least `size` entries, each a stream of its own; made once a run, and left open."""

    def fill(ours: Ground) -> None:
        while ours.world.desk.appender.head.size < size:
            for outcome in ours.run(ours.world.desk.appender.append_many(ours.asked_unsigned(1_000))):
                appended(outcome)

    return kept_open(scale, f"service with {size}", fill)


def kept_open(scale: Scale, name: str, fill: Callable[[Ground], None]) -> Ground:
    """A service that several rows share under this name: filled once a run, and left open."""

    def make() -> Ground:
        stack = ExitStack()
        atexit.register(stack.close)
        ours = stack.enter_context(opened(scale))
        fill(ours)
        return ours

    found: Ground = scale.shared(name, make)
    return found


def appended(outcome: Outcome) -> Appended:
    """What was appended; raises what refused it, for a row measures nothing that failed."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def loop_factory() -> Any:
    """uvloop's where it is installed, as the server has it."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


@dataclass(frozen=True, slots=True)
class Grown:
    """A closed log of many entries."""

    path: Path
    vkey: str
    size: int
    signers: Signers


def grown(scale: Scale) -> Grown:
    """A log of some thousand `discovery.asked` with a checkpoint each 500; made once a run."""
    made: Grown = scale.shared("grown", lambda: _grow(scale))
    return made


def _grow(scale: Scale) -> Grown:
    with opened(scale) as ground:
        world = ground.world
        for _ in range(scale.of(20_000, 3_000) // A_LIST):
            outcomes = ground.run(world.desk.appender.append_many(ground.asked(A_LIST)))
            refused = next((one for one in outcomes if isinstance(one, Exception)), None)
            if refused is not None:
                raise refused
            ground.run(world.desk.publisher.publish())
        actors = {one.x5t: one for one in (ground.asker, world.desk.me)}
        size = world.desk.appender.head.size
        vkey = world.engines.log_keys.vkeys()[-1]
        path = Path(world.engines.store.connection.execute("PRAGMA database_list").fetchone()[2])
    return Grown(path, vkey, size, Signers(actors))

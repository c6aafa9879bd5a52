"""The running service: everything opened in the one right order, and closed again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import structlog
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import UNSET

from api.engines import Engines, pem_blocks
from api.execution.adapter import Adapter
from api.execution.ocpp.listener import StationListener
from api.execution.ocpp.port import OcppPort
from api.execution.waiting import polling
from api.flows import office_start, succession
from api.flows.car import CarWatch
from api.flows.desk import Desk
from api.flows.embedded import EmbeddedWatch
from api.flows.enrolment import Enrolment
from api.flows.events import Feed
from api.flows.execute import Executions
from api.flows.log_keys import KeyWatch
from api.flows.memory import Memory
from api.flows.office import Office
from api.flows.office_adopt import Adoption
from api.flows.privacy import PrivacyOffice
from api.flows.roots import FOLDER as ROOT_PAPERS
from api.flows.roots import RootBook
from api.flows.self_audit import SelfAudit
from api.flows.stamping import AskAuthority, StampBook, Stamping
from api.flows.station_door import StationDoor
from api.flows.status import StatusDesk
from api.flows.suspensions import Suspensions
from api.flows.webhooks import Poster, Webhooks
from api.flows.witnessing import Witnessing
from api.settings import Settings
from api.verification.actors import Directory
from api.verification.bundle_policy import Policy
from ledger import plain_file
from ledger.appender import Appender, JtiReused
from ledger.errors import Broken, LedgerError
from ledger.reader import Reader
from ledger.records.log import POLICY_STREAM, PolicyAdopted
from ledger.rules.rules_version import RULES_VERSION
from ledger.rules.state import LogState
from ledger.store.errors import LogKeyMissing
from ledger.store.publisher import Publisher
from ledger.store.signer_state import SignerState
from ledger.tlog import policy as policies
from ledger.witness.gather import Post
from pki.errors import PkiError
from pki.profiles import HOUR_MS

PUBLISH_EVERY_S: Final = 1.0
WITNESS_TIMEOUT_MS: Final = 5_000
FIRST_POLICY: Final = "first-policy-of-this-log"
"""The id of the statement that begins a log."""

log = structlog.get_logger()


class Service:
    """What the routes and the command line work with.

    A plain class on purpose: the framework would take a dataclass apart to validate it.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        engines: Engines,
        directory: Directory,
        desk: Desk,
        memory: Memory,
        reader: Reader,
        publisher: Publisher,
        witnessing: Witnessing,
        executions: Executions | None,
        privacy: PrivacyOffice,
        feed: Feed,
        listener: StationListener | None,
        door: StationDoor | None,
        office: Office | None,
        enrolment: Enrolment | None,
        auditing: SelfAudit,
        status: StatusDesk,
        webhooks: Webhooks | None,
        stamps: StampBook,
    ) -> None:
        self.settings = settings
        self.engines = engines
        self.directory = directory
        self.desk = desk
        self.memory = memory
        self.reader = reader
        self.publisher = publisher
        self.witnessing = witnessing
        self.executions = executions
        self.privacy = privacy
        self.feed = feed
        self.listener = listener
        self.door = door
        self.office = office
        self.enrolment = enrolment
        self.auditing = auditing
        self.status = status
        self.webhooks = webhooks
        self.stamps = stamps

    @property
    def is_serving_stations(self) -> bool:
        """Whether stations connect to this very process; of several replicas one serves them."""
        return self.door is not None and self.door.is_open


@asynccontextmanager
async def open_service(
    settings: Settings,
    engines: Engines,
    listener: StationListener | None,
    *,
    directory: Directory | None = None,
    ask: Post | None = None,
    poster: Poster | None = None,
    stamp: AskAuthority | None = None,
) -> AsyncIterator[Service]:
    """The service with its log loaded, its vault in step with the log, and its checkpoint published.

    Order matters: tombstones are applied to a restored vault, and interrupted erasures finished, before anything is
    served; the signer refuses to go on over a log that is behind what it signed (`ledger/rolled-back`); log and store
    of the certificate office are in step before anybody is let in. `directory` is what the listener judges by, so that
    evidence moves for stations and parties at once. `ask` is how the witnesses of the settings are reached; without it
    nobody is asked. `poster` is how webhooks are; without it, or without their table, there are none.
    `stamp` is how time-stamping authorities are reached; without it none is asked.
    """
    directory = directory or directory_of(engines)
    for der in engines.certificates:
        directory.add(der)
    appender = await Appender.start(
        engines.store,
        origin=settings.origin,
        clock=engines.clock,
        rules=LogState(),
        queue_limit=settings.limits.queue,
        patience_s=settings.store.patience_s,
    )
    publisher = Publisher(
        engines.store,
        origin=settings.origin,
        keys=engines.log_keys,
        state=SignerState(settings.log_key.with_suffix(".state")),
        clock=engines.clock,
    )
    desk = Desk(engines, directory, appender, publisher, settings.origin)
    stamps = StampBook(Reader(engines.store))
    key_watch = KeyWatch(settings.log_key, engines.log_keys, desk)
    memory = Memory(desk)
    reader = Reader(engines.store)
    roots = RootBook(desk, reader, settings.data_dir / ROOT_PAPERS)
    office = open_office(settings, engines, desk)
    suspensions: Suspensions | None = None
    status = StatusDesk(directory, office, engines.clock)
    witnessing = _witnessing(settings, engines, publisher, reader, ask)
    enrolment = open_enrolment(settings, engines, office)
    privacy = PrivacyOffice(
        desk,
        memory,
        reader,
        also_forget=None if office is None else office.forget_person,
        own_policies=settings.privacy.policies,
    )
    auditing = _auditing(settings, engines)
    webhooks = _webhooks(settings, desk, memory, poster)
    sleep_until_ms = polling(engines.clock)
    tasks: list[asyncio.Task[None]] = []
    executions: Executions | None = None
    door: StationDoor | None = None
    try:
        if appender.head.size == 0:
            # Another replica may begin the log at the same moment: the first policy is one.
            with suppress(JtiReused):
                await desk.say(_policy(settings, engines), POLICY_STREAM, jti=FIRST_POLICY)
        roots.begin()
        await publisher.publish()
        await privacy.catch_up()
        is_frozen = desk.state.frozen_at is not None
        if office is not None and not is_frozen:
            adoption = Adoption(office)
            await office_start.catch_up(office, adoption)
            tasks.append(asyncio.create_task(office.watch(), name="office"))
            tasks.append(asyncio.create_task(adoption.watch(), name="office-store"))
        suspensions = None if is_frozen else await Suspensions.begin(desk, memory)
        # Who executes writes down what was done, so over a log that has ended nobody executes.
        if listener is not None and not is_frozen:
            port = OcppPort(listener, clock=engines.clock)
            adapter = Adapter(port, clock=engines.clock, sleep_until_ms=sleep_until_ms)
            executions = Executions(desk, memory, adapter, sleep_until_ms)
            executions.closes(EmbeddedWatch(desk, memory, port), CarWatch(desk, memory, port))
            door = StationDoor(engines.store.seat(), listener, executions)
            await door.open()
            tasks.append(asyncio.create_task(door.watch(), name="stations"))
            directory.on_evidence(listener.evidence_moved)
        if webhooks is not None:
            tasks.append(asyncio.create_task(webhooks.watch(), name="webhooks"))
        tasks.append(asyncio.create_task(status.watch(), name="ocsp"))
        tasks.append(asyncio.create_task(_publish(witnessing, key_watch, roots), name="publisher"))
        tasks += _stamping(settings, engines, desk, stamps, stamp)
        # Persons' data outlives the log's end, and so do the months after which it goes.
        tasks += [] if desk.state.is_sealed else _retention(settings, privacy)
        if settings.self_audit.every_hours:
            every_s = settings.self_audit.every_hours * 3600.0
            tasks.append(asyncio.create_task(auditing.watch(every_s), name="self-audit"))
        tasks.append(asyncio.create_task(_watch_status(settings.pki.crl_dir, directory), name="status"))
        yield Service(
            settings=settings,
            engines=engines,
            directory=directory,
            desk=desk,
            memory=memory,
            reader=reader,
            publisher=publisher,
            witnessing=witnessing,
            executions=executions,
            privacy=privacy,
            feed=Feed(desk, memory),
            listener=listener,
            door=door,
            office=office,
            enrolment=enrolment,
            auditing=auditing,
            status=status,
            stamps=stamps,
            webhooks=webhooks,
        )
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if executions is not None:
            await executions.close()
        if door is not None:
            await door.close()
        if office is not None:
            await office.close()
        if suspensions is not None:
            await suspensions.close()
        await appender.close()
        with suppress(LedgerError):
            await publisher.publish()
        privacy.leave()
        engines.close()


def _retention(settings: Settings, privacy: PrivacyOffice) -> list[asyncio.Task[None]]:
    """What lets months expire, where the settings ask for it."""
    if not settings.privacy.retention_every_hours:
        return []
    every_s = settings.privacy.retention_every_hours * 3600.0
    return [asyncio.create_task(privacy.expire_every(every_s), name="retention")]


def _auditing(settings: Settings, engines: Engines) -> SelfAudit:
    """Who audits the log, by the very roots that the service trusts."""
    roots = tuple(root.public_bytes(Encoding.PEM).decode() for root in engines.anchors.certificates)

    def policy() -> Policy:
        """Every key that the log ever had, for every checkpoint is looked at."""
        first, *later = engines.log_keys.vkeys()
        others = "".join(f"log {vkey}\n" for vkey in later) + "quorum none\n" if later else ""
        return Policy(vkey=first, roots=roots, development=settings.development, witnesses=others)

    return SelfAudit(
        settings.data_dir,
        policy=policy,
        state=settings.log_key.with_suffix(".state"),
        dsn_file=settings.store.dsn_file,
        schema=settings.store.schema,
    )


def _webhooks(settings: Settings, desk: Desk, memory: Memory, poster: Poster | None) -> Webhooks | None:
    """Who is posted to, where the settings want it and somebody says how."""
    if settings.webhooks is None or desk.engines.subscriptions is None or poster is None:
        return None
    return Webhooks(desk, memory, desk.engines.subscriptions, settings.webhooks, poster)


def _stamping(
    settings: Settings, engines: Engines, desk: Desk, book: StampBook, ask: AskAuthority | None
) -> list[asyncio.Task[None]]:
    """The task that has checkpoints stamped, where the settings name authorities and they can be reached."""
    if settings.timestamps is None or ask is None:
        return []
    stamping = Stamping(
        settings.timestamps, desk=desk, publisher=desk.publisher, book=book, roots=engines.timestamp_roots, ask=ask
    )
    return [asyncio.create_task(stamping.watch(), name="timestamps")]


def directory_of(engines: Engines) -> Directory:
    """What certificates prove, by the evidence that the engines were opened with."""
    return Directory(engines.anchors, engines.issuers, engines.status)


def open_office(settings: Settings, engines: Engines, desk: Desk) -> Office | None:
    """The certificate office, where the settings ask for one."""
    if settings.issuing is None or engines.issuing is None:
        return None
    return Office(desk, engines.issuing, crl_dir=settings.pki.crl_dir, queue=settings.issuing.queue)


def open_enrolment(settings: Settings, engines: Engines, office: Office | None) -> Enrolment | None:
    """The door of the office, where there is one."""
    if settings.issuing is None or engines.issuing is None or office is None:
        return None
    return Enrolment(office, engines.issuing.codes, lifetime_ms=settings.issuing.code_lifetime_hours * HOUR_MS)


def _policy(settings: Settings, engines: Engines) -> PolicyAdopted:
    return PolicyAdopted(
        predecessor=UNSET if settings.predecessor is None else succession.named(settings.predecessor, settings.origin),
        anchors=tuple(sorted(engines.root_digests())),
        rules=RULES_VERSION,
        development=settings.development,
    )


async def _watch_status(folder: Path, directory: Directory) -> None:
    """Revocation lists that appear in the folder count within a second; everything proven before is proven anew."""
    seen = {path.name for path in folder.glob("*.pem")}  # noqa: ASYNC240 -- a look at a small local folder
    while True:
        await asyncio.sleep(PUBLISH_EVERY_S)
        fresh = [path for path in sorted(folder.glob("*.pem")) if path.name not in seen]  # noqa: ASYNC240 -- as above
        for path in fresh:
            seen.add(path.name)
            try:
                for der in await asyncio.to_thread(_lists_in, path):
                    directory.status.add(der)
            except (PkiError, OSError, ValueError) as error:
                log.error("revocation list not taken", file=path.name, error=type(error).__name__)
        if fresh:
            directory.evidence_moved()


def _lists_in(path: Path) -> list[bytes]:
    """The lists in a file; of megabytes, so not on the event loop."""
    return pem_blocks(plain_file.read(path))


def _witnessing(
    settings: Settings, engines: Engines, publisher: Publisher, reader: Reader, ask: Post | None
) -> Witnessing:
    """The publisher with the witnesses of the settings; raises PolicyMalformed."""
    wanted = settings.witnesses
    return Witnessing(
        publisher,
        reader,
        origin=settings.origin,
        keys=engines.log_keys,
        policy=None if wanted is None else policies.parse(plain_file.read(wanted.policy)),
        post=ask,
        timeout_ms=WITNESS_TIMEOUT_MS if wanted is None else wanted.timeout_ms,
    )


async def _publish(witnessing: Witnessing, key_watch: KeyWatch, roots: RootBook) -> None:
    """Signs what grew, once a second, and asks the witnesses; a log that broke its promise stops the signing, not the
    reading.
    """
    is_missing = False
    while True:
        await asyncio.sleep(PUBLISH_EVERY_S)
        try:
            await key_watch.once()
            await roots.once()
            await witnessing.publish()
            is_missing = False
            await witnessing.round()
        except LogKeyMissing as error:
            # Another replica announced a key before this one had the file: it may come yet.
            if not is_missing:
                log.error("checkpoint not signed", code=error.code)
            is_missing = True
        except Broken as error:
            log.error("checkpoint not signed", code=error.code)
            return
        except LedgerError as error:
            log.warning("checkpoint not signed", code=error.code)

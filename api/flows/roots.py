"""The roots of the log while the service runs: which count when, and a root's word that was handed in is written down.

The service believes the roots of its settings, and whatever root is reached from these by the log's own records, each
verified here again: whoever could write into the database alone has not added one.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509

from api.errors import ApiError, Refused
from api.flows.desk import Desk, Opened
from api.verification import log_roots
from api.verification.log_roots import LogRoots
from ledger import plain_file
from ledger.appender import JtiReused
from ledger.errors import LedgerError
from ledger.reader import Reader
from ledger.records.log import POLICIES, POLICY_STREAM, RootAdopted, RootRetired
from ledger.rules.errors.violated import RuleViolated
from ledger.rules.fact import Evidence
from pki import trust, vouching
from pki.errors import PkiError
from pki.vouching import Paper

FOLDER: Final = "roots"
"""Below the data folder: papers that the log is to record."""
MAX_PAPERS: Final = 64

log = structlog.get_logger()


class PaperForeign(Refused):
    """The paper is for another log."""

    code = "api/paper-foreign"
    title = "Paper for another log"


class RootInUse(Refused):
    """The service's own statement certificate is under the root that is to end: it is renewed first."""

    code = "api/root-in-use"
    title = "The root is in use here"


class RootBook:
    """What counts in the directory is what the log says; papers in the folder are said once."""

    def __init__(self, desk: Desk, reader: Reader, folder: Path) -> None:
        """`folder` need not be there."""
        self._desk = desk
        self._reader = reader
        self._folder = folder
        self._done: set[str] = set()
        """Names of papers that stand in the log, or that were refused: each refusal is an entry."""
        desk.listen(self._hear)
        # Whoever reads what counts again makes good what a listener could not hear.
        desk.on_late(self._count)

    def begin(self) -> None:
        """Each root counts at its time, and no other; the service's own certificate is under one that does.

        Raises `RootUnknown` where the settings lack a root of the log, `RootNotInForce`, and what `Directory.actor`
        raises.
        """
        self._count()
        self._desk.directory.actor(self._desk.me.x5t, self._desk.clock.now_ms())

    async def once(self) -> None:
        """What lies in the folder and is not in the log is written down; a failure is logged and raises nothing."""
        if self._desk.state.frozen_at is not None:
            return
        for path in sorted(self._folder.glob("*.json"))[:MAX_PAPERS]:
            if path.name in self._done:
                continue
            try:
                await self._record(path)
            except LedgerError as error:
                # What a rule refuses would be refused again, and each refusal is an entry; all else is tried again.
                if isinstance(error, RuleViolated):
                    self._done.add(path.name)
                log.error("a change of roots is not in the log", file=path.name, code=error.code)
            except (ApiError, PkiError, OSError) as error:
                self._done.add(path.name)
                log.error("a change of roots is not taken", file=path.name, code=getattr(error, "code", "os"))

    async def _record(self, path: Path) -> None:
        paper = read_paper(path)
        record = log_roots.record_of(paper)
        jti = jti_of(record)
        if self._desk.said(jti) is None:
            own = x509.load_der_x509_certificate(self._desk.engines.service_key.certificate)
            roots = roots_of(self._reader, self._desk.origin, self._known())
            require_possible(paper, roots, own, self._desk.directory.issuers())
            evidence = log_roots.evidence_of(roots, record, self._desk.clock.now_ms())
            with suppress(JtiReused):  # another replica has the same paper
                await self._desk.say(record, POLICY_STREAM, evidence=Evidence(root=evidence), jti=jti)
            log.warning("the log changes its roots", key_id=record.root, type=record.TYPE)
        self._done.add(path.name)

    def _hear(self, opened: Opened, _stream: str, _rec_ms: int) -> None:
        if opened.statement.claims.type in POLICIES:
            self._count()

    def _count(self) -> None:
        told = log_roots.of_entries(self._reader.stream(POLICY_STREAM))
        roots = log_roots.folded(self._desk.origin, self._known(), told)
        self._desk.directory.count_roots(roots.windows(), told[-1].index)

    def _known(self) -> Sequence[x509.Certificate]:
        return self._desk.engines.anchors.certificates


def read_paper(path: Path) -> Paper:
    """The paper in a file of the folder; raises OSError, also for what is no file, and what `vouching.parse` raises."""
    with plain_file.opened(path) as file:
        return vouching.parse(file.read(vouching.MAX_PAPER_BYTES + 1))


def roots_of(reader: Reader, origin: str, known: Sequence[x509.Certificate]) -> LogRoots:
    """The roots of a log that has begun, by its records; raises `RootUnknown`, StreamAbsent, StoreDamaged."""
    return log_roots.folded(origin, known, log_roots.of_entries(reader.stream(POLICY_STREAM)))


def require_possible(paper: Paper, roots: LogRoots, own: x509.Certificate, issuers: Iterable[bytes]) -> None:
    """The paper is for this log, and does not end the root of the service's own certificate.

    Raises `PaperForeign`, `RootInUse`.
    """
    if paper.log != roots.origin:
        raise PaperForeign("it is for another log", expected=roots.origin, found=paper.log)
    if isinstance(paper, vouching.Adoption):
        return
    above = [one for one in map(x509.load_der_x509_certificate, issuers) if trust.issued_any(one, [own])]
    for life in roots.lives():
        if life.digest == paper.root and trust.issued_any(life.certificate, above):
            raise RootInUse("our own statements are under this root", expected="a certificate under the one that stays")


def jti_of(record: RootAdopted | RootRetired) -> str:
    """The id of the statement that writes it down: a change is said once, whoever says it."""
    return f"{record.TYPE.partition('.')[2]}-{record.root[:32]}"

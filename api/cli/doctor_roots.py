"""What the doctor looks at in the roots of the log: which count, what is about to change, what is only half done."""

from collections.abc import Iterator
from typing import Final

from cryptography import x509

from api import engines
from api.cli.doctor_checks import Finding, ok, warning
from api.engines import pem_blocks
from api.flows.roots import FOLDER, MAX_PAPERS, read_paper, roots_of
from api.settings import Settings
from api.verification import log_roots
from api.verification.log_roots import LogRoots
from ledger import plain_file
from ledger.reader import Reader
from ledger.store.errors import StoreAbsent
from pki import trust, vouching
from pki.errors import PkiError
from pki.trust import TrustAnchors

CHECK: Final = "roots"


def roots(settings: Settings) -> Iterator[Finding]:
    """The settings have every root of the log, the log every root of the settings, and every paper is written down."""
    anchors = TrustAnchors([plain_file.read(settings.pki.anchors)], allow_development=settings.development)
    try:
        store = engines.open_reader(settings)
    except StoreAbsent:
        yield ok(CHECK, "there is no log yet; it begins with the roots of the settings")
        return
    try:
        if not store.head().size:
            yield ok(CHECK, "the log is empty; it begins with the roots of the settings")
            return
        found = roots_of(Reader(store), settings.origin, anchors.certificates)
    finally:
        store.close()
    now_ms = engines.clock_of(settings).now_ms()
    for life in found.lives():
        words = f"{life.certificate.subject.rfc4514_string()} ({life.digest[:16]})"
        if life.from_ms > now_ms:
            yield ok(CHECK, f"{words} counts from {life.from_ms} on")
        elif life.until_ms is None:
            yield ok(CHECK, f"{words} counts")
        else:
            yield ok(CHECK, f"{words} {'counts' if now_ms < life.until_ms else 'counted'} until {life.until_ms}")
    yield from _not_adopted(settings, anchors, found)
    yield from _papers(settings, found)


def _not_adopted(settings: Settings, anchors: TrustAnchors, found: LogRoots) -> Iterator[Finding]:
    """Whatever is issued under a root that the log does not have is refused here."""
    known = {life.digest for life in found.lives()}
    issuing = [
        x509.load_der_x509_certificate(der)
        for file in sorted(settings.pki.issuers_dir.glob("*.pem"))
        for der in pem_blocks(plain_file.read(file))
    ]
    for root in anchors.certificates:
        if vouching.digest(root) in known:
            continue
        name = root.subject.rfc4514_string()
        issues = " and issuing authorities are under it" if trust.issued_any(root, issuing) else ""
        yield warning(
            CHECK,
            "doctor/root-not-adopted",
            f"{name} is in the settings{issues}, and the log has not adopted it: nothing under it is let in",
            "flexledger log change-roots, with what the ceremony wrote",
        )


def _papers(settings: Settings, found: LogRoots) -> Iterator[Finding]:
    known = {life.digest: life for life in found.lives()}
    for file in sorted((settings.data_dir / FOLDER).glob("*.json"))[:MAX_PAPERS]:
        try:
            said = read_paper(file)
            record = log_roots.record_of(said)
        except (PkiError, OSError) as error:
            yield warning(CHECK, "doctor/root-paper", f"{file.name}: {error}", "take it away")
            continue
        life = known.get(record.root)
        is_done = life is not None and (isinstance(said, vouching.Adoption) or life.until_ms is not None)
        if not is_done:
            advice = "start the service; if it runs, its log of messages says why the change is refused"
            yield warning(CHECK, "doctor/root-paper", f"{file.name} is not in the log", advice)

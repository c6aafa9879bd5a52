"""What the doctor looks at in the certificate office: keys, authorities, what it issued and what it never finished."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography import x509

from api import engines
from api.cli import pki_gaps
from api.cli.doctor_checks import OTHERS, VALIDITY_LEFT_PERCENT, Finding, failure, ok, warning
from api.issuing import database_of, read_password
from api.settings import Issuing, Settings
from ledger import plain_file
from ledger.clock import Clock
from ledger.errors import LedgerError
from pki import path, profiles
from pki.hierarchy import Hierarchy
from pki.journal import MemoryJournal
from pki.keys import KeyFileMode
from pki.store.listing import Listing, Sought
from pki.store.sqlite import SqliteStore

EXPIRY_WARNING_MS: Final = 7 * profiles.DAY_MS
CHECK: Final = "office"


def office(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """The office can sign, its authorities have life left, and what it began is finished; nothing without an office."""
    if settings.issuing is None:
        yield ok(CHECK, "this service issues nothing: there is no table [issuing]")
        return
    yield from _keys(settings.issuing)
    yield from _authorities(settings, settings.issuing, clock)
    yield from _issued(settings, clock)
    yield from _gaps(settings)


def _keys(issuing: Issuing) -> Iterator[Finding]:
    files = sorted(issuing.authorities.glob("*.key.pem"))
    if issuing.password_file is not None:
        files.append(issuing.password_file)
    exposed = [file for file in files if file.stat().st_mode & OTHERS]
    for file in exposed:
        found = f"{stat.S_IMODE(file.stat().st_mode):04o}"
        error = KeyFileMode("others may read the file", expected="0600", found=found)
        yield failure(CHECK, error, "chmod 600, and ask who could have read it", file.name)
    if (issuing.authorities / "root.key.pem").exists():
        yield warning(CHECK, "doctor/root-key-online", "the root's key lies beside those of the office", "lock it away")
    if not exposed:
        yield ok(CHECK, f"{len(files)} files with keys and their password are private")


def _authorities(settings: Settings, issuing: Issuing, clock: Clock) -> Iterator[Finding]:
    """Every key opens with the password and belongs to its certificate, under the root beside it."""
    store = SqliteStore()
    try:
        hierarchy = Hierarchy.load(
            issuing.authorities, read_password(issuing.password_file), store=store, journal=MemoryJournal()
        )
    finally:
        store.close()
    now_ms = clock.now_ms()
    for authority in hierarchy.authorities():
        start_ms, end_ms = path.not_before_ms(authority.certificate), path.not_after_ms(authority.certificate)
        percent = 100 * (end_ms - now_ms) // (end_ms - start_ms)
        text = f"{authority.certificate.subject.rfc4514_string()}: {percent} % of its life left"
        if percent < VALIDITY_LEFT_PERCENT:
            yield warning(CHECK, "doctor/authority-ending", text, "make its successor in a ceremony")
        else:
            yield ok(CHECK, text)
    yield from _believed(settings, hierarchy)


def _believed(settings: Settings, hierarchy: Hierarchy) -> Iterator[Finding]:
    """Whoever the office gives a credential gets in with it."""
    at_listener = _certificates(settings.listen.client_ca)
    known = {one for file in settings.pki.issuers_dir.glob("*.pem") for one in _certificates(file)}
    for authority in hierarchy.issuing.values():
        if authority.certificate not in known & at_listener:
            yield warning(
                CHECK,
                "doctor/authority-not-believed",
                f"{authority.certificate.subject.rfc4514_string()}: what it issues is refused here",
                "add its certificate to pki.issuers_dir and to the file listen.client_ca, and start again",
            )


def _certificates(file: Path) -> set[x509.Certificate]:
    return set(x509.load_pem_x509_certificates(plain_file.read(file)))


def _issued(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """How many stand, and how many of those end soon; a person's are renewed by the day and not counted."""
    database = database_of(settings)
    if not database.exists():
        yield warning(
            CHECK,
            "doctor/office-empty",
            f"{database.name} is not there: nothing that was issued before can be revoked by name",
            "restore it from the newest backup, if there was one",
        )
        return
    listing = Listing(database)
    try:
        standing = [one.issued for one in listing.all(Sought(is_revoked=False)) if one.issued.role is not None]
    finally:
        listing.close()
    now_ms = max(clock.now_ms(), engines.clock_of(settings).now_ms())
    lasting = [one for one in standing if one.not_after_ms - one.not_before_ms > profiles.SHORT_LIVED_MS * 2]
    alive = [one for one in lasting if one.not_after_ms >= now_ms]
    ending = [one for one in alive if one.not_after_ms < now_ms + EXPIRY_WARNING_MS]
    text = f"{len(alive)} credentials stand, {len(ending)} of them end within a week"
    if ending:
        yield warning(CHECK, "doctor/credentials-ending", text, "flexledger pki list shows them; their holders renew")
    else:
        yield ok(CHECK, text)


def _gaps(settings: Settings) -> Iterator[Finding]:
    try:
        gaps = pki_gaps.book_of(settings).gaps()
    except (LedgerError, OSError, ValueError):
        return  # what is wrong with the log is said where the log is looked at
    if gaps:
        yield warning(
            CHECK,
            "doctor/credential-gaps",
            f"{len(gaps)} certificates were intended and neither issued nor revoked",
            "flexledger pki gaps names them; a start settles all but those that its store lost",
        )
    else:
        yield ok(CHECK, "every intent was followed by an issuance")

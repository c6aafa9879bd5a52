"""What the doctor looks at, one function a subject; each changes nothing, and needs no running service."""

import stat
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography import x509

from api import engines
from api.engines import pem_blocks
from api.errors import ApiError, Refused
from api.key_files import KeyFileExposed, log_keys_in
from api.settings import Settings
from api.verification.actors import Directory
from ledger import plain_file
from ledger.clock import Clock
from ledger.privacy.errors import VaultAbsent
from ledger.privacy.vault import KEYS_FILE, VAULT_FILE
from ledger.store.errors import HistoryDiffers, RolledBack, SignerStateAbsent, StandbyMissing, StoreAbsent
from ledger.store.nodes import Nodes
from ledger.store.reads import SqlReads
from ledger.store.signer_state import SignerState
from ledger.tlog import checkpoint, merkle, note
from ledger.tlog.checkpoint import Checkpoint
from pki import keys
from pki.errors import PkiError
from pki.roles import Purpose, Role
from pki.status import Scope, StatusSet
from pki.trust import TrustAnchors

OTHERS: Final = 0o077
VALIDITY_LEFT_PERCENT: Final = 20
CRL_WARNING_MS: Final = 24 * 3_600_000
BUILT_AFTER_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00Z: no machine that runs this lives before."""
WAL_RESET_FROM: Final = (3, 7, 0)
WAL_RESET_TO: Final = (3, 51, 2)
FREE_LOW_BYTES: Final = 1 << 30
FREE_NONE_BYTES: Final = 64 << 20


class CredentialUnfit(Refused):
    """A certificate that proves somebody, but not whom the settings need."""

    code = "api/credential-unfit"
    title = "Credential does not fit"


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, what was found, and what to do about it; the code of a failure is that of its error."""

    level: Level
    check: str
    code: str
    detail: str
    advice: str = ""


def key_files(settings: Settings) -> Iterator[Finding]:
    """Nobody but the owner has any right to a file that holds a key."""
    files = {settings.log_key, settings.listen.key, settings.signing.key}
    if settings.vault.kek_token is None:
        files.add(settings.vault.kek)
    addresses = (settings.store.dsn_file, settings.vault.dsn_file, settings.vault.keys_dsn_file)
    files |= {path for path in addresses if path is not None}
    if settings.ocpp_listen is not None:
        files.add(settings.ocpp_listen.key)
    for path in sorted(files):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError as error:
            yield failure("keys", error, "the settings name a file that is not there, or not for us", path.name)
            continue
        if mode & OTHERS:
            exposed = KeyFileExposed("others can read the key file", expected="mode 0600", found=f"{mode:04o}")
            yield failure("keys", exposed, "chmod 600, and ask who could have read it", path.name)
        else:
            yield ok("keys", f"{path.name} has mode {mode:04o}")


def clocks(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """The machine lives in the present; the business has a time of its own in development only."""
    now_ms = clock.now_ms()
    if now_ms < BUILT_AFTER_MS:
        yield Finding(
            level=Level.FAILURE,
            check="clock",
            code="doctor/clock-past",
            detail=f"the machine's clock says {now_ms}, before 2026",
            advice="set the machine's clock, and keep it set with NTP",
        )
    else:
        yield ok("clock", "the machine's clock is after 2025")
    if settings.clock_file is not None:
        business_ms = engines.clock_of(settings).now_ms()
        yield warning("clock", "doctor/clock-file", f"business time is a file's, {business_ms}", "development only")


def credentials(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """Each certificate is for its key, is valid now by the configured evidence, and will be for a while."""
    directory = Directory(_anchors(settings), _pems(settings.pki.issuers_dir), StatusSet(_pems(settings.pki.crl_dir)))
    tls, business = clock, engines.clock_of(settings)
    wanted = [
        ("listen", settings.listen.certificate, settings.listen.key, Purpose.TLS_SERVER, tls),
        ("signing", settings.signing.certificate, settings.signing.key, Purpose.SIGNING, business),
    ]
    if settings.ocpp_listen is not None:
        ocpp = settings.ocpp_listen
        wanted.append(("ocpp_listen", ocpp.certificate, ocpp.key, Purpose.TLS_SERVER, tls))
    for name, certificate, key, purpose, of in wanted:
        try:
            yield from _credential(directory, settings, name, certificate, key, purpose, of.now_ms())
        except (ApiError, PkiError, OSError, ValueError) as error:
            yield failure("trust", error, "renew the credential, or correct [pki] and the file names", name)


def _credential(
    directory: Directory, settings: Settings, name: str, certificate: Path, key: Path, purpose: Purpose, now_ms: int
) -> Iterator[Finding]:
    blocks = pem_blocks(plain_file.read(certificate))
    if not blocks:
        raise CredentialUnfit("the file holds no certificate", expected="PEM", file=certificate.name)
    credential = directory.validate(blocks[0], now_ms, purpose=purpose, roles=(Role.CSO,))
    own = keys.load_private(key, None).public_key()
    if keys.spki_sha256(own) != credential.spki_sha256:
        raise CredentialUnfit("the certificate is for another key", file=key.name)
    if credential.party_id != settings.signing.party:
        raise CredentialUnfit(
            "the certificate is another party's", expected=settings.signing.party, found=credential.party_id
        )
    left_ms = credential.not_after_ms - now_ms
    percent = 100 * left_ms // (credential.not_after_ms - credential.not_before_ms)
    text = f"{name}: {credential.role} {credential.party_id}, {percent} % of its life left"
    if percent < VALIDITY_LEFT_PERCENT:
        yield warning("trust", "doctor/validity-low", text, "renew it now")
    else:
        yield ok("trust", text)


def revocation_lists(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """Every authority has a list in force, now and a day from now; without one nobody it vouches for is let in."""
    status = StatusSet(_pems(settings.pki.crl_dir))
    authorities = [(root, Scope.AUTHORITY) for root in _anchors(settings).certificates]
    authorities += [(x509.load_der_x509_certificate(der), Scope.USER) for der in _pems(settings.pki.issuers_dir)]
    for at_ms in sorted({clock.now_ms(), engines.clock_of(settings).now_ms()}):
        for authority, scope in authorities:
            name = authority.subject.rfc4514_string()
            try:
                crl = status.crl_for(authority, at_ms, scope)
            except PkiError as error:
                yield failure("crl", error, "fetch the authority's current list into crl_dir", name)
                continue
            hours = (crl.next_update_ms - at_ms) // 3_600_000
            text = f"{name}: number {crl.number}, {hours} h until the next"
            if crl.next_update_ms - at_ms < CRL_WARNING_MS:
                yield warning("crl", "doctor/crl-ending", text, "fetch the authority's next list into crl_dir")
            else:
                yield ok("crl", text)


def sqlite_version(version: tuple[int, ...]) -> Iterator[Finding]:
    """Versions with the WAL-reset bug do no harm here: one connection alone writes and checkpoints."""
    text = "SQLite " + ".".join(map(str, version[:3]))
    if WAL_RESET_FROM <= version[:3] <= WAL_RESET_TO:
        yield warning(
            "sqlite",
            "doctor/sqlite-wal-reset",
            f"{text} has the WAL-reset bug of 3.7.0 to 3.51.2",
            "harmless while only the service writes: let no other program write or checkpoint its files",
        )
    else:
        yield ok("sqlite", text)


def the_log(settings: Settings) -> Iterator[Finding]:
    """The log's last checkpoint is our key's, the log contains it, and it is not behind what the signer remembers."""
    verifiers = [one.verifier for one in log_keys_in(plain_file.read(settings.log_key).decode("ascii")).signers]
    signed = SignerState(settings.log_key.with_suffix(".state")).last(settings.origin, verifiers)
    try:
        reader = engines.open_reader(settings)
    except StoreAbsent:
        if signed is not None:
            raise RolledBack("the log is gone", expected=f"at least {signed.size} entries", found="no file") from None
        yield ok("log", "there is none yet; the first start makes it")
        return
    try:
        with reader.snapshot():
            yield from _last_checkpoint(reader, settings.origin, verifiers, signed)
    finally:
        reader.close()


def stations(settings: Settings) -> Iterator[Finding]:
    """Where several replicas may run: whether one of them serves the stations now."""
    if settings.store.dsn_file is None or settings.ocpp_listen is None:
        return
    reader = engines.primary_reader(settings.store.dsn_file, settings.store.schema)
    try:
        is_seated = reader.is_seated()
    finally:
        reader.close()
    if is_seated:
        yield ok("stations", "a replica serves the stations; others with [ocpp_listen] stand by")
    else:
        yield ok("stations", "no replica serves the stations now; the next one with [ocpp_listen] will")


def standby(settings: Settings) -> Iterator[Finding]:
    """Where the log is on a server: whether what is acknowledged survives the loss of that machine."""
    if settings.store.dsn_file is None:
        return
    reader = engines.primary_reader(settings.store.dsn_file, settings.store.schema)
    try:
        names = reader.standby_names()
    finally:
        reader.close()
    if names:
        yield ok("standby", "commits wait for a synchronous standby")
    elif settings.store.standby == "required":
        raise StandbyMissing("commits wait for no standby", expected="synchronous_standby_names")
    else:
        yield warning(
            "standby",
            "doctor/standby-none",
            "commits wait for no second machine",
            "set synchronous_standby_names at the server, then store.standby = required here",
        )
    if settings.vault.dsn_file is not None:
        yield ok("standby", "the vault and its keys are on servers too")
        return
    yield warning(
        "standby",
        "doctor/vault-local",
        "the vault stays on this machine",
        "run all replicas of one log on the machine of the vault, and back the vault up",
    )


def _last_checkpoint(
    reader: SqlReads, origin: str, verifiers: Sequence[note.Verifier], signed: Checkpoint | None
) -> Iterator[Finding]:
    head = reader.head()
    stored = reader.checkpoint()
    if stored is None:
        yield ok("log", f"{head.size} entries, nothing published yet")
        return
    published = checkpoint.open_checkpoint(stored.best, origin, verifiers).checkpoint
    if signed is None:
        raise SignerStateAbsent("checkpoints were signed, but the signer remembers none", found=stored.size)
    for one in (published, signed):
        if one.size > head.size:
            raise RolledBack("the log is shorter than what was signed", expected=one.size, found=head.size)
        if one.size and _root_at(reader, one.size) != one.root:
            raise HistoryDiffers("the log does not contain a tree that was signed", size=one.size)
    yield ok("log", f"{head.size} entries, checkpoint {published.size} verifies, signer at {signed.size}")


def _root_at(reader: SqlReads, size: int) -> bytes:
    return merkle.root_at(size, Nodes(reader).read)


def vault(settings: Settings) -> Iterator[Finding]:
    """The key ring opens, and what it wraps is there: private, where it is files; no row of the vault is read."""
    epochs = engines.ring_of(settings).epochs()
    yield ok("vault", f"the key ring holds {len(epochs)} epochs")
    if settings.vault.dsn_file is not None:
        try:
            engines.open_vault(settings, engines.clock_of(settings), create=False).close()
        except VaultAbsent:
            if engines.is_begun(settings):
                raise
            yield ok("vault", "the servers of the vault answer; the first start makes it")
        else:
            yield ok("vault", "the vault and its keys answer")
        return
    begun = engines.is_begun(settings)
    for name in (KEYS_FILE, VAULT_FILE):
        path = settings.vault.dir / name
        if not path.is_file():
            if begun:
                raise VaultAbsent("a file of the vault is missing beside a log that was begun", file=name)
            yield ok("vault", f"{name} is not there yet; the first start makes it")
        elif _is_exposed(path):
            yield failure(
                "vault", KeyFileExposed("others can read the vault", expected="mode 0600"), "chmod -R go= it", name
            )
        else:
            yield ok("vault", f"{name} is there, and private")


def _is_exposed(path: Path) -> bool:
    """Whether group or others have a right to the file and may pass through its folder."""
    file_mode, folder_mode = path.stat().st_mode, path.parent.stat().st_mode
    return bool(
        (file_mode & stat.S_IRWXG and folder_mode & stat.S_IXGRP)
        or (file_mode & stat.S_IRWXO and folder_mode & stat.S_IXOTH)
    )


def disk(settings: Settings, free: Callable[[Path], int]) -> Iterator[Finding]:
    """There is room to go on writing."""
    for folder in sorted({settings.data_dir, settings.vault.dir}):
        left = free(folder)
        text = f"{folder.name}: {left >> 20} MiB free"
        if left < FREE_NONE_BYTES:
            yield Finding(
                level=Level.FAILURE,
                check="disk",
                code="doctor/disk-full",
                detail=text,
                advice="make room before the service stops taking statements",
            )
        elif left < FREE_LOW_BYTES:
            yield warning("disk", "doctor/disk-low", text, "make room; a full medium stops writing, it loses nothing")
        else:
            yield ok("disk", text)


def _anchors(settings: Settings) -> TrustAnchors:
    return TrustAnchors([plain_file.read(settings.pki.anchors)], allow_development=settings.development)


def _pems(folder: Path) -> list[bytes]:
    return [der for path in sorted(folder.glob("*.pem")) for der in pem_blocks(plain_file.read(path))]


def ok(check: str, detail: str) -> Finding:
    """Nothing is wrong here."""
    return Finding(level=Level.OK, check=check, code="doctor/ok", detail=detail)


def warning(check: str, code: str, detail: str, advice: str) -> Finding:
    """It works, and somebody should know."""
    return Finding(level=Level.WARNING, check=check, code=code, detail=detail, advice=advice)


def failure(check: str, error: Exception, advice: str, place: str = "") -> Finding:
    """The error's own code and words; of an error without a code only its kind and the file's name, for it could
    repeat a path or a key."""
    code: Any = getattr(error, "code", "doctor/unreadable")
    text = str(error) if hasattr(error, "code") else getattr(error, "strerror", None) or type(error).__name__
    if not place and isinstance(error, OSError) and isinstance(error.filename, str | Path):
        place = Path(error.filename).name
    return Finding(
        level=Level.FAILURE, check=check, code=code, detail=f"{place}: {text}" if place else text, advice=advice
    )

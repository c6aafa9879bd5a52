"""Builds the stores, keys and trust material from settings; each store itself checks what it needs when it opens."""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509

from api.errors import Refused
from api.issuing import Issuing, open_issuing
from api.key_files import read_log_keys, secret_text
from api.settings import Settings
from api.settings import Vault as VaultSettings
from api.subscriptions import FILE as WEBHOOKS_FILE
from api.subscriptions import Subscriptions
from api.tokenring import TokenRing
from ledger import plain_file
from ledger.clock import Clock, SystemClock
from ledger.privacy import keys as keyring
from ledger.privacy import tables
from ledger.privacy.errors import KekEpochAbsent, VaultAbsent
from ledger.privacy.kekring import KekProvider, KekRingFile
from ledger.privacy.vault import KEYS_FILE, Vault
from ledger.records import jws
from ledger.store.errors import StoreAbsent
from ledger.store.log_keys import LogKeys
from ledger.store.postgres_address import require_address
from ledger.store.protocol import Store
from ledger.store.reads import SqlReads
from ledger.store.sqlite import SqliteReader, SqliteStore
from pki import keyplace, keys, vouching
from pki.status import StatusSet
from pki.trust import TrustAnchors

if TYPE_CHECKING:
    from ledger.audit.postgres_source import PostgresSource
    from ledger.store.postgres_reads import PostgresReader

LOG_FILE: Final = "ledger.db"
_PEM = re.compile(rb"-----BEGIN [A-Z0-9 ]+-----([A-Za-z0-9+/=\s]+)-----END [A-Z0-9 ]+-----")


class ClockUnreadable(Refused):
    """The development clock file does not hold a time."""

    code = "api/clock-unreadable"
    title = "Development clock cannot be read"


class CertificateUnreadable(Refused):
    """A file that should hold a PEM certificate holds none."""

    code = "api/certificate-unreadable"
    title = "Certificate file cannot be read"


class DriverMissing(Refused):
    """The settings name an engine whose driver is not installed."""

    code = "api/driver-missing"
    title = "Driver is not installed"


class FileClock:
    """Business time from a file of decimal milliseconds, so that another process can play a day in a minute.

    Development only: settings refuse a clock file otherwise. TLS credentials always live in the machine's own time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def now_ms(self) -> int:
        """What the file says now; raises `ClockUnreadable`."""
        try:
            return int(plain_file.read(self._path).decode("ascii"))
        except (OSError, ValueError) as error:
            raise ClockUnreadable("the clock file holds no time", expected="decimal milliseconds") from error


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """The service's own statement key and certificate: it speaks for the operator of the port."""

    key: jws.PrivateKey
    certificate: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """Everything that outlives a request."""

    clock: Clock
    store: Store
    vault: Vault
    log_keys: LogKeys
    service_key: ServiceKey
    anchors: TrustAnchors
    issuers: tuple[bytes, ...]
    certificates: tuple[bytes, ...]
    """Signing certificates that were handed over out of band, such as those of the site's stations."""
    status: StatusSet
    issuing: Issuing | None = None
    """The keys of the certificate office, where the service has one."""
    timestamp_roots: tuple[x509.Certificate, ...] = ()
    """The time-stamping authorities whose stamps the service keeps."""
    subscriptions: Subscriptions | None = None
    """Who is told of new entries where, if the service posts to anybody."""

    def close(self) -> None:
        """Everything is given back; nothing may be used afterwards."""
        self.vault.close()
        self.store.close()
        if self.subscriptions is not None:
            self.subscriptions.close()
        if self.issuing is not None:
            self.issuing.close()

    def root_digests(self) -> list[str]:
        """Hex SHA-256 of the to-be-signed part of each root."""
        return [vouching.digest(root) for root in self.anchors.certificates]


def open_engines(settings: Settings, *, create: bool = False) -> Engines:
    """Opens everything that the settings name; raises the coded error of whatever cannot be used.

    `create` makes an empty log and vault where there are none yet.
    """
    clock = clock_of(settings)
    anchors = TrustAnchors([plain_file.read(settings.pki.anchors)], allow_development=settings.development)
    status = StatusSet(_ders(settings.pki.crl_dir))
    log_keys = LogKeys(read_log_keys(settings.log_key).signers)
    return Engines(
        clock=clock,
        store=open_store(settings, create=create),
        vault=open_vault(settings, clock, create=create),
        log_keys=log_keys,
        service_key=_service_key(settings),
        anchors=anchors,
        issuers=tuple(_ders(settings.pki.issuers_dir)),
        certificates=tuple(_ders(settings.pki.issuers_dir / "known")),
        status=status,
        issuing=open_issuing(settings),
        timestamp_roots=_timestamp_roots(settings),
        subscriptions=None if settings.webhooks is None else Subscriptions.open(settings.data_dir / WEBHOOKS_FILE),
    )


def open_store(settings: Settings, *, create: bool) -> Store:
    """The log's store, to be written; with `create` an empty one where there is none.

    Raises `DriverMissing`, `KeyFileExposed`, AddressUnfit, StoreUnreachable, StoreAbsent, StoreLocked, StoreForeign.
    """
    if settings.store.dsn_file is None:
        return SqliteStore.open(settings.data_dir / LOG_FILE, create=create)
    with _driver():
        from ledger.store.postgres import PostgresStore
    return PostgresStore.open(
        server_address(settings.store.dsn_file),
        schema=settings.store.schema,
        create=create,
        needs_standby=settings.store.standby == "required",
    )


def open_vault(settings: Settings, clock: Clock, *, create: bool) -> Vault:
    """The vault, on either engine; with `create` an empty one where there is none.

    Raises `VaultAbsent`, `VaultMalformed`, `KekRingExposed`, `KekEpochAbsent`, `DriverMissing`, `KeyFileExposed`,
    AddressUnfit, StoreUnreachable.
    """
    where = settings.vault
    if where.dsn_file is None or where.keys_dsn_file is None:
        provider = None if where.kek_token is None else _token_ring(where, is_new=create and not _has_keys(where))
        return Vault.open(where.dir, clock=clock, kek_path=where.kek, create=create, provider=provider)
    with _driver():
        from ledger.privacy.postgres import PostgresDatabase
    dsn, keys_dsn = server_address(where.dsn_file), server_address(where.keys_dsn_file)
    # A new ring beside old keys could open nothing and would hide that the old ring is missing.
    is_new = create
    if create:
        with suppress(VaultAbsent):
            PostgresDatabase(keys_dsn, where.keys_schema, keyring.VERSIONS, create=False).close()
            is_new = False
    return Vault.over(
        lambda: PostgresDatabase(dsn, where.schema, tables.VERSIONS, create=create),
        lambda: PostgresDatabase(keys_dsn, where.keys_schema, keyring.VERSIONS, create=create),
        _ring(where, is_new=is_new),
        clock=clock,
        create=create,
    )


def ring_of(settings: Settings) -> KekProvider:
    """The key ring of the settings, which is there already. Raises `KekEpochAbsent`, `KekRingExposed`."""
    return _ring(settings.vault, is_new=False)


def _has_keys(where: VaultSettings) -> bool:
    return (where.dir / KEYS_FILE).exists()


def _ring(where: VaultSettings, *, is_new: bool) -> KekProvider:
    if where.kek_token is not None:
        return _token_ring(where, is_new=is_new)
    return KekRingFile.create(where.kek) if is_new and not where.kek.exists() else KekRingFile.open(where.kek)


def _token_ring(where: VaultSettings, *, is_new: bool) -> KekProvider:
    """The ring in the token; its first key is made with the vault. Raises `KekEpochAbsent` beside older keys."""
    ring = TokenRing(keyplace.parse(where.kek_token or ""))
    if not ring.epochs():
        if not is_new:
            raise KekEpochAbsent("the token holds no key of the vault")
        ring.new_epoch()
    return ring


def open_reader(settings: Settings) -> "SqliteReader | PostgresReader":
    """The log's store, to be read while a service may run; raises as `open_store`."""
    if settings.store.dsn_file is None:
        return SqliteReader.open(settings.data_dir / LOG_FILE)
    return postgres_reader(settings.store.dsn_file, settings.store.schema)


def postgres_reader(dsn_file: Path, schema: str) -> "PostgresReader":
    """A log on a server, to be read; raises as `open_store`, and `KeyFileExposed` if others can read the file."""
    with _driver():
        from ledger.store.postgres_reads import PostgresReader
    return PostgresReader.open(server_address(dsn_file), schema=schema)


def server_address(dsn_file: Path) -> str:
    """What the file says; raises AddressUnfit, `KeyFileExposed`, OSError."""
    return require_address(secret_text(dsn_file))


def primary_reader(dsn_file: Path, schema: str) -> "PostgresReader":
    """The host that takes writes, to be asked of locks and standbys; connects with the first question."""
    with _driver():
        from ledger.store.postgres_reads import PostgresReader
    return PostgresReader.of_primary(server_address(dsn_file), schema=schema)


def postgres_source(dsn_file: Path, schema: str) -> "PostgresSource":
    """The same, of one moment, for an audit."""
    with _driver():
        from ledger.audit.postgres_source import PostgresSource
    return PostgresSource(server_address(dsn_file), schema)


def is_begun(settings: Settings) -> bool:
    """Whether there is a log already, so that its vault has to be there too; raises StoreUnreachable."""
    if settings.store.dsn_file is None:
        return (settings.data_dir / LOG_FILE).exists()
    try:
        reader: SqlReads = open_reader(settings)
    except StoreAbsent:
        return False
    reader.close()
    return True


@contextmanager
def _driver() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise DriverMissing("the engine needs a driver", expected="pip install 'flexledger[postgres]'") from error


def clock_of(settings: Settings) -> Clock:
    """The clock of the business: the system's, or the development clock file's."""
    return FileClock(settings.clock_file) if settings.clock_file else SystemClock()


def pem_blocks(pem: bytes) -> list[bytes]:
    """The DER of every certificate or CRL in a PEM file, in order."""
    return [base64.b64decode(b"".join(body.split())) for body in _PEM.findall(pem)]


def _ders(folder: Path) -> list[bytes]:
    """Everything in the PEM files of a folder, in order of their names; nothing where there is no such folder."""
    return [der for path in sorted(folder.glob("*.pem")) for der in pem_blocks(plain_file.read(path))]


def _timestamp_roots(settings: Settings) -> tuple[x509.Certificate, ...]:
    """Raises `CertificateUnreadable`."""
    if settings.timestamps is None:
        return ()
    try:
        return tuple(x509.load_pem_x509_certificates(plain_file.read(settings.timestamps.trust)))
    except ValueError as error:
        raise CertificateUnreadable("no certificate in the file", file=settings.timestamps.trust.name) from error


def _service_key(settings: Settings) -> ServiceKey:
    key = keys.load_private(settings.signing.key, None)
    found = pem_blocks(plain_file.read(settings.signing.certificate))
    if not found:
        raise CertificateUnreadable("no certificate in the file", file=settings.signing.certificate.name)
    return ServiceKey(key, found[0])

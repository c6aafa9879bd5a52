"""The keys of the certificate office: the issuing authorities, without their root, and what they have issued."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.errors import Refused
from api.settings import Settings
from ledger import plain_file
from pki import blocklist
from pki.blocklist import Blocklist
from pki.hierarchy import Hierarchy
from pki.journal import MemoryJournal
from pki.store.codes import CodeStore
from pki.store.listing import Listing
from pki.store.records import CertificateStore
from pki.store.sqlite import SqliteStore

DATABASE_FILE: Final = "pki.db"
MAX_PASSWORD_BYTES: Final = 1024


class PasswordFileExposed(Refused):
    """Others can read the file with the password of the authorities' keys."""

    code = "api/password-file-exposed"
    title = "Password file is exposed"


class PasswordUnfit(Refused):
    """The file with the password of the authorities' keys has none in its first line, or one that is too long."""

    code = "api/password-unfit"
    title = "Password cannot be used"


@dataclass(frozen=True, slots=True)
class Issuing:
    """What the office works with. The root is offline: nothing here can sign for it."""

    hierarchy: Hierarchy
    store: CertificateStore
    listing: Listing
    codes: CodeStore
    database: Path
    blocked: Blocklist = blocklist.NOTHING

    def close(self) -> None:
        """Nothing is issued afterwards."""
        self.listing.close()
        self.codes.close()
        if isinstance(self.store, SqliteStore):
            self.store.close()


def database_of(settings: Settings) -> Path:
    """Where the office keeps what it has issued."""
    place = None if settings.issuing is None else settings.issuing.database
    return settings.data_dir / DATABASE_FILE if place is None else place


def open_issuing(settings: Settings) -> Issuing | None:
    """The office's keys and store; None where the settings ask for no office.

    Raises `PasswordFileExposed`, `PasswordUnfit`, `blocklist.BadBlocklist`, or what `Hierarchy.load` raises.
    """
    if settings.issuing is None:
        return None
    password = read_password(settings.issuing.password_file)
    blocked = read_blocked(settings.issuing.blocked_keys)
    database = database_of(settings)
    database.touch(mode=0o600)
    store = SqliteStore(database)
    try:
        # The log is not open yet; the office gives every authority its own journal.
        hierarchy = Hierarchy.load(settings.issuing.authorities, password, store=store, journal=MemoryJournal())
    except BaseException:
        store.close()
        raise
    return Issuing(
        hierarchy=hierarchy,
        store=store,
        listing=Listing(database),
        codes=CodeStore(database),
        database=database,
        blocked=blocked,
    )


def read_password(path: Path | None) -> bytes | None:
    """The first line of the file, without its end; None without a file.

    Raises `PasswordFileExposed`; `PasswordUnfit`, for without a password keys would lie there for all to read.
    """
    if path is None:
        return None
    if path.stat().st_mode & 0o077:
        raise PasswordFileExposed("others can read the password", expected="mode 0600", file=path.name)
    with plain_file.opened(path) as file:
        password = file.read(MAX_PASSWORD_BYTES + 1).split(b"\n", 1)[0].strip()
    if not 0 < len(password) <= MAX_PASSWORD_BYTES:
        wanted = f"1 to {MAX_PASSWORD_BYTES} octets in the first line"
        raise PasswordUnfit("no password that can be used", expected=wanted, found=len(password), file=path.name)
    return password


def read_blocked(path: Path | None) -> Blocklist:
    """The blocked keys in the file, none without a file; a list that cannot be read stops the service."""
    if path is None:
        return blocklist.NOTHING
    with plain_file.opened(path) as file:
        return blocklist.parse(file.read(blocklist.MAX_BYTES + 1))

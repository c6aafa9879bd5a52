"""Where the command `audit` finds a log, its key, and the certificates of those who signed in it."""

import base64
import contextlib
import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509

from api.cli.files import read_file
from api.cli.stored import DATA_FOLDER, LOG_FILE, Stored, stored
from api.verification.bundle_directory import BundleDirectory
from api.verification.bundle_policy import Policy
from api.verification.errors import BundleUnusable
from api.verification.log_roots import LogRoots
from ledger import plain_file
from ledger.audit.source import LogSource, SignedNote
from ledger.audit.static_source import CHECKPOINT_FILE, VKEY_FILE, StaticSource
from ledger.errors import LedgerError
from ledger.store.reads import SqlReads
from ledger.store.signer_state import MAX_STATE_BYTES
from ledger.tlog import checkpoint, note
from pki import trust, vouching
from pki.trust import TrustAnchors

KEY_FOLDER: Final = "keys"
STATE_SUFFIX: Final = ".state"
MAX_STATES: Final = 4
MAX_VKEYS: Final = 64
MAX_VKEY_OCTETS: Final = 65_536
TILE_FOLDER: Final = "tile"
CREDENTIAL_FOLDERS: Final = ("ca", "pki", "../ca", "../pki")
MAX_FILES: Final = 10_000
MAX_FILE_BYTES: Final = 16 * 1024 * 1024
_PEM: Final = re.compile(
    rb"-----BEGIN (?:CERTIFICATE|X509 CRL)-----([A-Za-z0-9+/=\s]+)-----END (?:CERTIFICATE|X509 CRL)-----"
)
_SUFFIXES: Final = frozenset({".pem", ".crt", ".cer", ".der", ".crl"})


@dataclass(slots=True)
class Place:
    """A log that can be audited, and what stands beside it."""

    folder: Path
    source: LogSource
    reader: SqlReads | None
    """The service's own database; None for a static log."""
    vkeys: tuple[str, ...]
    """The log's keys: one, or several where it changed its key."""
    origin: str
    bundles: tuple[Path, ...] = ()
    held: tuple[SignedNote, ...] = ()
    """What the signer remembers outside the database."""

    def close(self) -> None:
        """Lets go of it."""
        self.source.close()
        if self.reader is not None:
            self.reader.close()


@dataclass(slots=True)
class Credentials:
    """Certificates and CRLs found in files."""

    certificates: dict[str, bytes] = field(default_factory=dict)
    crls: dict[str, bytes] = field(default_factory=dict)

    def add(self, der: bytes) -> None:
        """Keeps what it is; anything else is passed over."""
        for kept, load in (
            (self.certificates, x509.load_der_x509_certificate),
            (self.crls, x509.load_der_x509_crl),
        ):
            try:
                load(der)
            except ValueError:
                continue
            kept[hashlib.sha256(der).hexdigest()] = der  # both are dictionaries by digest
            return

    def directory(self, policy: Policy | None, roots: LogRoots) -> BundleDirectory | None:
        """Who may be believed; None where there is no root to begin with, or no authority between it and the signers.

        Without those no path can be found, which says nothing against anybody. `roots` are the log's: they count, each
        at its time. Raises what reading them raises, and `RootsUnreached` if not all of them are trusted.
        """
        loaded = {name: x509.load_der_x509_certificate(der) for name, der in self.certificates.items()}
        own = {name: one for name, one in loaded.items() if one.issuer == one.subject}
        if policy is not None:
            anchors = policy.anchors()
        elif own:
            marked = any(trust.is_marked(root) for root in own.values())
            anchors = TrustAnchors([trust.encoded(root) for root in own.values()], allow_development=marked)
        else:
            return None
        roots.reached({vouching.digest(root) for root in anchors.certificates})
        others = [der for name, der in self.certificates.items() if name not in own]
        if not any(_is_authority(one) for name, one in loaded.items() if name not in own):
            return None
        return BundleDirectory(anchors, others, list(self.crls.values()), roots.windows())

    def own_roots(self) -> list[x509.Certificate]:
        """The self-signed among them."""
        loaded = map(x509.load_der_x509_certificate, self.certificates.values())
        return [one for one in loaded if one.issuer == one.subject]


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def locate(place: Path | Stored, policy: Policy | None) -> Place:
    """A stored log, or the log in a static directory or a demo's output.

    Raises `BundleUnusable`, or what opening raises.
    """
    if isinstance(place, Path):
        found = stored(place)
        return _static(place, policy) if found is None else _database(found, policy)
    return _database(place, policy)


def _static(place: Path, policy: Policy | None) -> Place:
    for inside in (place, place / "log"):
        if (inside / CHECKPOINT_FILE).is_file() and (inside / TILE_FOLDER).is_dir():
            return Place(
                folder=place,
                source=StaticSource(inside),
                reader=None,
                vkeys=_vkeys(inside, policy),
                origin=_origin(inside / CHECKPOINT_FILE),
                bundles=tuple(sorted((place / "bundles").glob("*.json"))) if inside != place else (),
            )
    raise BundleUnusable(
        "no log in this directory",
        expected=f"{LOG_FILE}, {DATA_FOLDER}/{LOG_FILE}, {CHECKPOINT_FILE} and {TILE_FOLDER}/, or a settings file",
        found=place.name,
    )


def _database(log: Stored, policy: Policy | None) -> Place:
    reader = log.reader()
    try:
        vkeys = _vkeys(log.folder, policy)
        # The signer goes on: what it remembers before the log is opened, the log must hold; and what the log shows of
        # its signatures then, the signer must remember afterwards.
        keys = log.keys or log.folder.parent / KEY_FOLDER
        before = tuple(_signer_states(keys, is_latest=False))
        source = log.source()
        return Place(
            folder=log.folder,
            source=source,
            reader=reader,
            vkeys=vkeys,
            origin=reader.head().origin,
            held=(*before, *_signer_states(keys, is_latest=True)),
        )
    except BaseException:
        reader.close()
        raise


def _signer_states(keys: Path, *, is_latest: bool) -> Iterator[SignedNote]:
    """What the keys beside the log signed last; an auditor who was given the data folder alone has none."""
    for path in sorted(keys.glob(f"*{STATE_SUFFIX}"))[:MAX_STATES]:
        if path.is_file():
            yield SignedNote(read_file(path, MAX_STATE_BYTES), None, path.name, is_latest=is_latest)


def credentials(folder: Path, reader: SqlReads | None) -> Credentials:
    """Every certificate and CRL beside the log, and the signers' certificates that a service's database keeps."""
    found = Credentials()
    for name in CREDENTIAL_FOLDERS:
        for path in _files(folder / name):
            for der in _ders(plain_file.read(path, MAX_FILE_BYTES)):
                found.add(der)
    if reader is not None:
        for der in reader.certificates():
            found.add(der)
    return found


def _files(folder: Path) -> Iterator[Path]:
    """The files that can hold a certificate or a CRL; keys are never opened."""
    if not folder.is_dir():
        return
    paths = list(itertools.islice(folder.rglob("*"), MAX_FILES + 1))
    if len(paths) > MAX_FILES:
        raise BundleUnusable("too many files", expected=f"at most {MAX_FILES}", found=folder.name)
    for path in sorted(paths):
        is_wanted = path.suffix in _SUFFIXES and not path.name.endswith(".key.pem") and path.is_file()
        if is_wanted and path.stat().st_size <= MAX_FILE_BYTES:
            yield path


def _ders(data: bytes) -> list[bytes]:
    """What the file holds in DER: the blocks of a PEM file that can be read, or the file itself."""
    if not data.lstrip().startswith(b"-----BEGIN"):
        return [data]
    found: list[bytes] = []
    for block in _PEM.findall(data):
        with contextlib.suppress(ValueError):  # base64 that is cut off
            found.append(base64.b64decode(block))
    return found


def _vkeys(folder: Path, policy: Policy | None) -> tuple[str, ...]:
    """The log's keys: the policy's, else what is published beside the log."""
    if policy is not None:
        return tuple(key.vkey for key in policy.log_keys())
    for place in (folder / VKEY_FILE, folder.parent / VKEY_FILE):
        if place.is_file():
            return tuple(read_file(place, MAX_VKEY_OCTETS).decode("utf-8", "replace").split("\n")[:-1][:MAX_VKEYS])
    raise BundleUnusable("nobody says which key signs this log", expected=f"--policy FILE, or a file {VKEY_FILE}")


def _origin(path: Path) -> str:
    try:
        return checkpoint.parse(note.parse(plain_file.read(path, note.MAX_NOTE_OCTETS)).text).origin
    except (LedgerError, OSError) as error:
        raise BundleUnusable("the checkpoint cannot be read", file=path.name) from error

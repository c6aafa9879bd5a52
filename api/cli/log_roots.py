"""`flexledger log roots` and `log change-roots`: the roots of a running log, and what a ceremony said of them."""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from api import engines
from api.cli import failures
from api.cli.files import read_file
from api.engines import pem_blocks
from api.errors import ApiError, Refused
from api.flows.roots import FOLDER, require_possible, roots_of
from api.settings import Settings, load
from api.verification import log_roots
from api.verification.log_roots import Life, LogRoots
from ledger import plain_file
from ledger.errors import LedgerError
from ledger.reader import Reader
from ledger.records.log import RootAdopted, RootRetired
from pki import durable, vouching
from pki.errors import PkiError
from pki.trust import TrustAnchors

UNUSABLE: Final = 2


class PaperLate(Refused):
    """The time from which the root was to count, or until when, is over: the ceremony gives another one."""

    code = "api/paper-late"
    title = "Paper comes too late"


def show(config: Path, *, json: bool) -> int:
    """Exit code 0 with the roots of the log, 2 if it cannot be read."""
    try:
        with _of_log(load(config, os.environ)) as roots:
            lives = roots.lives()
    except (ApiError, LedgerError, PkiError, OSError, ValueError) as error:
        return _unusable(error, json=json)
    if json:
        print(msgspec.json.encode([_document(one) for one in lives]).decode())
        return 0
    for one in lives:
        end = "" if one.until_ms is None else f" until {one.until_ms}"
        since = "from the beginning" if one.by is None else f"from {one.from_ms}, by the word of {one.by[:16]}"
        print(f"{one.digest}  {one.certificate.subject.rfc4514_string()}\n  {since}{end}")
    return 0


def change(config: Path, paper: Path) -> int:
    """Exit code 0 when the paper lies where the service finds it, or the log has it already; 2 when nothing changed."""
    try:
        settings = load(config, os.environ)
        data = read_file(paper, vouching.MAX_PAPER_BYTES)
        said = vouching.parse(data)
        record = log_roots.record_of(said)
        own = x509.load_der_x509_certificate(pem_blocks(plain_file.read(settings.signing.certificate))[0])
        with _of_log(settings) as roots:
            require_possible(said, roots, own, _issuers(settings))
            is_done = _is_done(roots, record)
            if not is_done:
                now_ms = engines.clock_of(settings).now_ms()
                roots.vouched(record, now_ms)
                _require_ahead(record, now_ms)
        if isinstance(said, vouching.Adoption):
            # The root first: once the log says that it counts, whoever has a credential under it must get in.
            _admit(settings, x509.load_der_x509_certificate(said.root))
        if is_done:
            print(f"{settings.origin} has this change already")
            return 0
        folder = settings.data_dir / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        durable.write(folder / f"{hashlib.sha256(data).hexdigest()[:16]}.json", data)
    except (ApiError, LedgerError, PkiError, OSError, ValueError) as error:
        print("nothing was changed", file=sys.stderr)
        return _unusable(error)
    if isinstance(record, RootAdopted):
        print(f"{record.root} counts from {record.from_ms} on")
    else:
        print(f"{record.root} counts until {record.until_ms}")
    print("  the running service writes it into the log within seconds, else at its start")
    print(f"  see it there: flexledger log roots {config}")
    return 0


@contextmanager
def _of_log(settings: Settings) -> Iterator[LogRoots]:
    """The roots of the settings' log, as it is now, service or no service."""
    anchors = TrustAnchors([plain_file.read(settings.pki.anchors)], allow_development=settings.development)
    store = engines.open_reader(settings)
    try:
        with store.moment():
            yield roots_of(Reader(store), settings.origin, anchors.certificates)
    finally:
        store.close()


def _is_done(roots: LogRoots, record: RootAdopted | RootRetired) -> bool:
    life = next((one for one in roots.lives() if one.digest == record.root), None)
    if isinstance(record, RootAdopted):
        return life is not None
    return life is not None and life.until_ms is not None


def _require_ahead(record: RootAdopted | RootRetired, now_ms: int) -> None:
    at_ms = record.from_ms if isinstance(record, RootAdopted) else record.until_ms
    if at_ms <= now_ms:
        raise PaperLate("its time has passed", expected=f"after {now_ms}", found=at_ms)


def _issuers(settings: Settings) -> list[bytes]:
    return [der for file in sorted(settings.pki.issuers_dir.glob("*.pem")) for der in pem_blocks(plain_file.read(file))]


def _admit(settings: Settings, root: x509.Certificate) -> None:
    """The root is among the anchors, and in the files by which TLS lets callers in."""
    pem = root.public_bytes(Encoding.PEM)
    listeners = [one.client_ca for one in (settings.listen, settings.ocpp_listen) if one is not None]
    for file in dict.fromkeys((settings.pki.anchors, *listeners)):
        known = plain_file.read(file)
        if pem not in known:
            durable.write(file, known + (b"" if known.endswith(b"\n") else b"\n") + pem)


def _document(life: Life) -> dict[str, str | int | None]:
    return {
        "root": life.digest,
        "subject": life.certificate.subject.rfc4514_string(),
        "from_ms": life.from_ms,
        "until_ms": life.until_ms,
        "by": life.by,
        "index": life.index,
    }


def _unusable(error: Exception, *, json: bool = False) -> int:
    failures.say("unusable", error, json=json)
    return UNUSABLE

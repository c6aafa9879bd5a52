"""`flexledger export verify`: what a recipient may rely on, with the exporter's certificate and the log's key alone."""

from contextlib import ExitStack
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519

from api.cli import failures
from api.cli.files import read_file
from api.cli.pki_offline import certificate_in, say
from api.cli.words import counted
from api.errors import ApiError, Refused
from ledger import plain_file
from ledger.clock import SystemClock
from ledger.errors import LedgerError
from ledger.privacy.errors import ExportLogUnnamed, SealingRefused
from ledger.privacy.export_verify import Verified, verify_parts
from ledger.privacy.exports import sealing
from ledger.privacy.exports.parts import FileOctets, InArchive, InFolder, Parts
from ledger.records import jws
from ledger.tlog import note
from pki import keys
from pki.errors import PkiError
from pki.keys import KeyFileMode

MAX_KEY_BYTES: Final = 16_384
REFUTED: Final = 1
UNUSABLE: Final = 2


class ExporterKeyUnfit(Refused):
    """The exporter's certificate has no key that signs statements."""

    code = "api/exporter-key"
    title = "Exporter's key cannot be used"


def run(file: Path, *, signer: Path, vkey: str, origin: str, key: Path | None, at_ms: int | None, json: bool) -> int:
    """Exit code 0 verified, 1 refuted, 2 unusable."""

    try:
        signer_key = _signer(certificate_in(signer))
        verifiers = [note.parse_vkey(vkey)] if vkey else []
        recipient = None if key is None else _private(key)
    except (ApiError, LedgerError, PkiError, OSError, ValueError) as error:
        failures.say("unusable", error, json=json)
        return UNUSABLE
    now_ms = SystemClock().now_ms() if at_ms is None else at_ms
    try:
        with ExitStack() as kept:
            files, header = _files(file, recipient, kept)
            found = verify_parts(files, signer_key=signer_key, vkeys=verifiers, origin=origin or None, now_ms=now_ms)
            if header is not None:
                sealing.require_named(header, manifest_sha256=found.manifest_sha256, recipient=found.manifest.recipient)
    except (SealingRefused, ExportLogUnnamed, OSError) as error:
        failures.say("unusable", error, json=json)
        return UNUSABLE
    except (ApiError, LedgerError) as error:
        say(
            {"outcome": "refuted", "code": error.code, "message": error.message()},
            f"refuted: {failures.told(error)}",
            json=json,
        )
        return REFUTED
    say(_document(found), _text(found), json=json)
    return 0


def _files(file: Path, key: sealing.PrivateKey | None, kept: ExitStack) -> tuple[Parts, sealing.Header | None]:
    """The files, and what the seal says, if there is one; read where they are until `kept` is closed."""
    if file.is_dir():
        return InFolder(file), None
    octets = FileOctets(kept.enter_context(plain_file.opened(file)))
    if not sealing.is_sealed(octets):
        return InArchive(octets), None
    if key is None:
        raise SealingRefused("the export is sealed", expected="--key, the recipient's private key")
    opened = sealing.Opened(octets, key)
    return InArchive(opened), opened.header


def _signer(certificate: x509.Certificate) -> jws.PublicKey:
    key = keys.key_of(certificate)
    if not isinstance(key, jws.PublicKey):
        raise ExporterKeyUnfit("another kind of key", expected="a statement key", found=type(key).__name__)
    return key


def _private(path: Path) -> sealing.PrivateKey:
    mode = path.stat().st_mode
    if mode & keys.OTHERS:
        raise KeyFileMode("others may read the private key", expected="0600", found=oct(mode & 0o777), file=path.name)
    key = serialization.load_pem_private_key(read_file(path, MAX_KEY_BYTES), None)
    if not isinstance(key, x25519.X25519PrivateKey):
        raise SealingRefused("another kind of key", expected="X25519 in PEM")
    return key


def _document(found: Verified) -> dict[str, object]:
    signed = found.manifest
    return {
        "outcome": "verified",
        "profile": signed.profile.value,
        "purpose": signed.purpose.value,
        "controller": signed.controller,
        "recipient": signed.recipient,
        "rows": signed.rows,
        "manifest_sha256": found.manifest_sha256,
        "tree_size": None if found.checkpoint is None else found.checkpoint.size,
        "delete_at_ms": signed.delete_at_ms,
    }


def _text(found: Verified) -> str:
    signed = found.manifest
    proven = (
        "generalised, nothing is proven of a row"
        if found.checkpoint is None
        else f"every row is in the log of {counted(found.checkpoint.size, 'entry', 'entries')}"
    )
    what = f"{signed.profile.value} export of {signed.controller} for {signed.purpose.value}"
    return (
        f"verified: {what}, {counted(signed.rows, 'row', 'rows')}\n{proven}\n"
        f"manifest {found.manifest_sha256}: look for it in a privacy.data-disclosed entry"
    )

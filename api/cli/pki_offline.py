"""What the commands of `flexledger pki` share: the office's files opened without its service, and how they answer."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from api.cli import failures
from api.cli.files import read_file
from api.cli.words import plain
from api.engines import clock_of, pem_blocks
from api.errors import ApiError, Refused
from api.flows import office_lists
from api.flows.office_journal import serial_text
from api.issuing import Issuing, open_issuing
from api.settings import Settings, load
from api.verification.actors import Directory
from ledger import plain_file
from ledger.clock import SystemClock
from ledger.errors import LedgerError
from pki import path
from pki.authority import Authority
from pki.errors import PkiError
from pki.roles import Purpose
from pki.status import StatusSet
from pki.store.records import Issued
from pki.trust import TrustAnchors

DONE: Final = 0
FOUND: Final = 1
UNDONE: Final = 2
MAX_FILE_BYTES: Final = 1 << 20
_NAME: Final = re.compile(r"[0-9a-f]{64}\.[0-9a-fA-F]{1,40}")
TLS: Final = frozenset({Purpose.TLS_CLIENT, Purpose.TLS_SERVER})


class NoOffice(Refused):
    """The settings name no authorities: nothing is issued with these files."""

    code = "api/no-office"
    title = "No certificate office"


class NoCertificate(Refused):
    """The file holds no certificate, or the name is none's."""

    code = "api/no-certificate"
    title = "No certificate"


@dataclass(frozen=True, slots=True)
class Offline:
    """The office's files; a service that runs beside adopts within seconds what was done here."""

    settings: Settings
    issuing: Issuing

    def now_ms(self, purpose: Purpose | None) -> int:
        """The time in which credentials of `purpose` live."""
        return (SystemClock() if purpose in TLS else clock_of(self.settings)).now_ms()

    def held(self, name: str) -> Issued:
        """The certificate called `issuer key.serial number`, or that is in the file of this name."""
        issuer, dot, serial = name.partition(".")
        if dot and _NAME.fullmatch(name) and not Path(name).exists():
            return self.issuing.store.get(issuer, int(serial, 16))
        certificate = certificate_in(Path(name))
        for authority in self.issuing.hierarchy.authorities():
            if authority.certificate.subject == certificate.issuer:
                return self.issuing.store.get(authority.key_sha256, certificate.serial_number)
        raise NoCertificate("it was issued by no authority of this office", file=Path(name).name)

    def publish(self, issuer_key_sha256: str) -> int:
        """New lists of one authority, as of now in each clock, are in the folder of the lists; how many."""
        moments = sorted({SystemClock().now_ms(), clock_of(self.settings).now_ms()})
        lists = [
            authority.crl(moment)
            for authority in self.authorities()
            for moment in moments
            if authority.key_sha256 == issuer_key_sha256
        ]
        office_lists.write(self.settings.pki.crl_dir, lists)
        return len(lists)

    def authorities(self) -> list[Authority]:
        """The issuing authorities of every generation: those that were followed sign lists as long as they live."""
        now_ms = SystemClock().now_ms()
        every = [one for one in self.issuing.hierarchy.authorities() if one.group is not None and one.online]
        return [one for one in every if not one.retired or path.not_after_ms(one.certificate) >= now_ms]

    def directory(self) -> Directory:
        """What certificates prove, by the evidence in the configured folders."""
        anchors = TrustAnchors(
            [plain_file.read(self.settings.pki.anchors)], allow_development=self.settings.development
        )
        issuers = [der for path in sorted(self.settings.pki.issuers_dir.glob("*.pem")) for der in ders_in(path)]
        return Directory(anchors, issuers, StatusSet(office_lists.read(self.settings.pki.crl_dir)))


@contextmanager
def opened(config: Path) -> Iterator[Offline]:
    """The office of a settings file; raises `NoOffice` or what opening it raises."""
    settings = load(config, os.environ)
    issuing = open_issuing(settings)
    if issuing is None:
        raise NoOffice("the settings have no table [issuing]", file=config.name)
    try:
        yield Offline(settings, issuing)
    finally:
        issuing.close()


def answered(act: Callable[[], int], *, json: bool) -> int:
    """The exit code of `act`; a coded failure is said, as JSON too, and is 2."""
    try:
        return act()
    except (ApiError, LedgerError, PkiError, OSError, ValueError) as error:
        failures.say("not done", error, json=json)
        return UNDONE


def say(document: object, text: str, *, json: bool) -> None:
    """One JSON document, or the text."""
    typer.echo(msgspec.json.encode(document).decode() if json else plain(text))


def ders_in(path: Path) -> list[bytes]:
    """The DER of everything in a PEM file."""
    return pem_blocks(read_file(path, MAX_FILE_BYTES))


def certificate_in(path: Path) -> x509.Certificate:
    """The first certificate in a PEM file; raises `NoCertificate`."""
    try:
        return x509.load_der_x509_certificate(ders_in(path)[0])
    except (IndexError, ValueError):
        raise NoCertificate("the file holds no certificate", expected="PEM", file=path.name) from None


def save_chain(path: Path, leaf: x509.Certificate, *above: x509.Certificate) -> None:
    """A PEM file from the leaf upwards, as TLS sends it."""
    path.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in (leaf, *above)))


def name_of(held: Issued) -> str:
    """What the other commands and the service call it."""
    return f"{held.issuer_key_sha256}.{serial_text(held.serial)}"

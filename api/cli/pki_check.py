"""`flexledger pki check`: a certificate against roots, authorities and lists in files; no settings, no office."""

from pathlib import Path

from api.cli.pki_offline import DONE, FOUND, answered, certificate_in, ders_in, say
from api.cli.words import utc
from api.verification.actors import Directory
from ledger import plain_file
from ledger.clock import SystemClock
from pki.credential import Credential
from pki.errors import PkiError
from pki.roles import Purpose
from pki.status import StatusSet
from pki.trust import TrustAnchors, encoded

_WRONG_PURPOSE = "pki/purpose"


def run(
    file: Path,
    *,
    anchors: Path,
    issuers: list[Path],
    lists: list[Path],
    development: bool,
    at_ms: int | None,
    json: bool,
) -> int:
    """Exit code 0 if it is a good credential at that time, 1 if not, 2 if a file cannot be used."""

    def act() -> int:
        status = StatusSet(der for path in lists for der in _all_in(path))
        above = [*ders_in(file)[1:], *(der for path in issuers for der in _all_in(path))]
        directory = Directory(TrustAnchors([plain_file.read(anchors)], allow_development=development), above, status)
        moment = SystemClock().now_ms() if at_ms is None else at_ms
        found = judge(directory, encoded(certificate_in(file)), moment)
        if isinstance(found, Credential):
            document = {
                "holds": True,
                "role": found.role,
                "party": found.party_id,
                "purpose": found.purpose,
                "organisation": found.organisation,
                "services": sorted(found.services),
                "not_after_ms": found.not_after_ms,
                "status_valid_until_ms": found.status_valid_until_ms,
            }
            text = f"holds: {found.role} {found.party_id} ({found.organisation or '-'}), {found.purpose.lower()}"
            say(document, f"{text}\n  until {utc(found.not_after_ms)}", json=json)
            return DONE
        document = {"holds": False, "code": found.code, "detail": found.message()}
        say(document, f"does not hold: {found.code}: {found.message()}", json=json)
        return FOUND

    return answered(act, json=json)


def judge(directory: Directory, der: bytes, at_ms: int) -> Credential | PkiError:
    """The credential, whatever it is for; or what is wrong with it for the purpose that it comes closest to."""
    wrong: PkiError | None = None
    for purpose in Purpose:
        try:
            return directory.validate(der, at_ms, purpose=purpose)
        except PkiError as error:
            if wrong is None or wrong.code == _WRONG_PURPOSE:
                wrong = error
    assert wrong is not None  # noqa: S101 -- there are purposes
    return wrong


def _all_in(path: Path) -> list[bytes]:
    """Of a PEM file, or of every PEM file in a folder."""
    files = sorted(path.glob("*.pem")) if path.is_dir() else [path]
    return [der for one in files for der in ders_in(one)]

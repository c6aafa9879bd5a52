"""What the doctor finds in the certificate office."""

import shutil
from pathlib import Path

import pytest

from api import engines
from api.cli import doctor_office, init
from api.cli.doctor_checks import Finding, Level
from api.flows.service import open_service
from api.settings import load
from ledger.clock import Clock, SetClock, SystemClock
from pki import ceremony
from pki.ceremony import CeremonySpec, PartySpec
from pki.journal import Intent
from pki.profiles import DAY_MS, YEAR_MS
from pki.roles import Role

pytestmark = pytest.mark.slow  # takes seconds

SPEC = CeremonySpec(
    organisation="Doctor test",
    development=True,
    parties=(PartySpec(id="FI-NGC", role=Role.CSO, organisation="Northgate", dns_names=("localhost",)),),
)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    now_ms = SystemClock().now_ms()
    made = ceremony.perform(SPEC, tls_now_ms=now_ms, signing_now_ms=now_ms)
    folder = tmp_path_factory.mktemp("doctor") / "pristine"
    init.lay_out(folder, made, party="FI-NGC", origin="ledger.example/doctor")
    return folder


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    shutil.copytree(pristine, tmp_path / "svc")
    return tmp_path / "svc"


def found(folder: Path, clock: Clock | None = None) -> list[Finding]:
    settings = load(folder / init.CONFIG, {})
    return list(doctor_office.office(settings, clock or SystemClock()))


def codes(folder: Path, *, days: int = 0) -> set[str]:
    clock = SetClock(SystemClock().now_ms() + days * DAY_MS)
    return {one.code for one in found(folder, clock) if one.level is not Level.OK}


def test_a_new_office_is_fine(folder: Path) -> None:
    assert codes(folder) == set()


@pytest.mark.parametrize("file", ["issuers/issuers.pem", "client-ca.pem"])
def test_an_authority_of_the_office_whose_credentials_the_service_would_refuse_is_warned_of(
    folder: Path, file: str
) -> None:
    fo = (folder / "issuing" / "fo.crt.pem").read_text()
    place = folder / "pki" / file
    assert fo in place.read_text()
    place.write_text(place.read_text().replace(fo, ""))
    (warned,) = [one for one in found(folder) if one.level is not Level.OK]
    assert warned.code == "doctor/authority-not-believed"
    assert "FO CA" in warned.detail


def test_a_service_without_an_office_is_fine_too(folder: Path) -> None:
    config = folder / init.CONFIG
    text = config.read_text()
    config.write_text(text[: text.index("[issuing]")] + text[text.index("[vault]") :])
    (one,) = found(folder)
    assert (one.level, "issues nothing" in one.detail) == (Level.OK, True)


@pytest.mark.parametrize("name", ["issuing/fo.key.pem", "keys/issuing.password"])
def test_a_key_or_password_that_others_can_read_is_found(folder: Path, name: str) -> None:
    (folder / name).chmod(0o640)
    settings = load(folder / init.CONFIG, {})
    first = next(doctor_office.office(settings, SystemClock()))
    assert (first.level, first.code) == (Level.FAILURE, "pki/key-file-mode")


def test_the_roots_key_among_those_of_the_office_is_warned_of(folder: Path) -> None:
    shutil.copy(folder / "credentials" / "root" / "root.key.pem", folder / "issuing" / "root.key.pem")
    assert codes(folder) == {"doctor/root-key-online"}


def test_credentials_near_their_end_are_counted(folder: Path) -> None:
    assert codes(folder, days=20) == set()
    assert codes(folder, days=25) == {"doctor/credentials-ending"}
    (one,) = [one for one in found(folder, SetClock(SystemClock().now_ms() + 25 * DAY_MS)) if one.advice]
    assert "2 of them end within a week" in one.detail


def test_an_authority_near_its_end_is_warned_of(folder: Path) -> None:
    assert "doctor/authority-ending" not in codes(folder, days=3 * YEAR_MS // DAY_MS)
    assert "doctor/authority-ending" in codes(folder, days=45 * YEAR_MS // DAY_MS // 10)


def test_a_store_that_is_gone_is_warned_of(folder: Path) -> None:
    for path in (folder / "data").glob("pki.db*"):
        path.unlink()
    assert codes(folder) == {"doctor/office-empty"}


async def test_a_gap_is_warned_of(folder: Path) -> None:
    settings = load(folder / init.CONFIG, {})
    async with open_service(settings, engines.open_engines(settings, create=True), None) as service:
        office = service.office
        assert office is not None
        authority = office.authority_of(Role.FO).key_sha256
        intent = Intent("ab" * 32, "FO/TLS_CLIENT/v1", authority, 7, SystemClock().now_ms())
        await office.work(lambda: office.journal.intent(intent))
    assert codes(folder) == {"doctor/credential-gaps"}

"""The doctor: each thing that can be wrong with a service is found, with its code, and nothing else is."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from api import engines
from api.cli import doctor, init
from api.cli import doctor_checks as checks
from api.cli.doctor_checks import Finding, Level
from api.flows import office_lists
from api.flows.service import open_service
from api.settings import load
from ledger.clock import SetClock, SystemClock
from ledger.tlog import checkpoint
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.note import NoteSigner
from pki import ceremony
from pki.ceremony import Ceremony, CeremonySpec, PartySpec
from pki.roles import Role

pytestmark = pytest.mark.slow  # takes seconds

ORIGIN = "ledger.example/doctor"
DAY_MS = 24 * 3_600_000
PLENTY = 1 << 40
SPEC = CeremonySpec(
    organisation="Testing",
    development=True,
    parties=(
        PartySpec(id="FI-NGC", role=Role.CSO, organisation="Northgate", dns_names=("localhost",)),
        PartySpec(id="FI-OTH", role=Role.CSO, organisation="Otherside", dns_names=("localhost",)),
        PartySpec(id="FI-AUR", role=Role.FO, organisation="Aurora"),
    ),
)


@dataclass(frozen=True)
class House:
    """A service that was laid out, for one test to break."""

    folder: Path
    made: Ceremony
    now_ms: int

    @property
    def config(self) -> Path:
        return self.folder / init.CONFIG

    def findings(self, *, later_ms: int = 0, free: int = PLENTY) -> list[Finding]:
        return list(doctor.examine(self.config, {}, SetClock(self.now_ms + later_ms), lambda _: free))

    def codes(self, level: Level, *, later_ms: int = 0, free: int = PLENTY) -> set[tuple[str, str]]:
        found = self.findings(later_ms=later_ms, free=free)
        return {(one.check, one.code) for one in found if one.level is level}

    def failures(self, *, later_ms: int = 0, free: int = PLENTY) -> set[tuple[str, str]]:
        return self.codes(Level.FAILURE, later_ms=later_ms, free=free)

    def warnings(self, *, later_ms: int = 0, free: int = PLENTY) -> set[tuple[str, str]]:
        """Those that do not hold for every development service on this machine."""
        usual = {("development", "doctor/development"), ("sqlite", "doctor/sqlite-wal-reset")}
        return self.codes(Level.WARNING, later_ms=later_ms, free=free) - usual

    def edit(self, old: str, new: str) -> None:
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    def credential(self, party: str, name: str) -> Path:
        return self.folder / "credentials" / "parties" / party / name

    def remember(self, size: int, root: bytes) -> None:
        """The signer has signed this, as far as it remembers."""
        signer = NoteSigner.load((self.folder / "keys" / "log.key").read_text().strip())
        state = self.folder / "keys" / "log.state"
        state.write_bytes(checkpoint.sign(Checkpoint(ORIGIN, size, root), [signer]))

    def signed(self) -> Checkpoint:
        return checkpoint.parse((self.folder / "keys" / "log.state").read_text().split("\n\n")[0] + "\n")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> House:
    now_ms = SystemClock().now_ms()
    made = ceremony.perform(SPEC, tls_now_ms=now_ms, signing_now_ms=now_ms)
    folder = tmp_path_factory.mktemp("doctor") / "pristine"
    init.lay_out(folder, made, party="FI-NGC", origin=ORIGIN)
    return House(folder, made, now_ms)


@pytest.fixture
def house(pristine: House, tmp_path: Path) -> House:
    shutil.copytree(pristine.folder, tmp_path / "svc")
    return House(tmp_path / "svc", pristine.made, pristine.now_ms)


@pytest.fixture
async def begun(house: House) -> House:
    """A service that ran once: its log has an entry and a signed checkpoint, its vault is there."""
    settings = load(house.config, {})
    async with open_service(settings, engines.open_engines(settings, create=True), None):
        pass
    return house


def test_a_new_service_is_fine(house: House) -> None:
    assert house.failures() == set()
    assert house.warnings() == set()
    assert {one.check for one in house.findings()} >= {"settings", "keys", "clock", "trust", "crl", "log", "vault"}


async def test_a_service_that_ran_is_fine(begun: House) -> None:
    assert begun.failures() == set()
    assert begun.warnings() == set()


async def test_looking_changes_nothing(begun: House) -> None:
    def contents() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted(begun.folder.rglob("*")) if path.is_file()}

    before = contents()
    begun.findings()
    assert {name: data for name, data in contents().items() if not name.endswith(("-shm", "-wal"))} == before


def test_settings_that_cannot_be_read_are_the_only_finding(tmp_path: Path) -> None:
    (found,) = doctor.examine(tmp_path / "absent.toml", {}, SystemClock(), lambda _: PLENTY)
    assert (found.level, found.code) == (Level.FAILURE, "api/settings-invalid")


@pytest.mark.parametrize("name", ["log.key", "tls_server.key.pem", "signing.key.pem", "kek.ring"])
@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_that_others_can_read_is_found(house: House, name: str, mode: int) -> None:
    (house.folder / "keys" / name).chmod(mode)
    assert ("keys", "api/key-file-exposed") in house.failures()


def test_a_key_that_is_not_there_is_found_without_its_path(house: House) -> None:
    (house.folder / "keys" / "signing.key.pem").unlink()
    assert {("keys", "doctor/unreadable"), ("trust", "pki/key-file-absent")} <= house.failures()
    assert not any(str(house.folder) in one.detail for one in house.findings())


def test_a_certificate_for_another_key_is_found(house: House) -> None:
    shutil.copy(house.folder / "keys" / "tls_server.key.pem", house.folder / "keys" / "signing.key.pem")
    assert house.failures() == {("trust", "api/credential-unfit")}


def test_a_file_without_a_certificate_is_found(house: House) -> None:
    (house.folder / "keys" / "signing.crt.pem").write_text("none")
    assert house.failures() == {("trust", "api/credential-unfit")}


def test_a_credential_of_another_party_is_found(house: House) -> None:
    for kind in ("key", "crt"):
        shutil.copy(house.credential("FI-OTH", f"signing.{kind}.pem"), house.folder / "keys" / f"signing.{kind}.pem")
    assert house.failures() == {("trust", "api/credential-unfit")}


def test_a_credential_of_another_role_is_found(house: House) -> None:
    for kind in ("key", "crt"):
        shutil.copy(house.credential("FI-AUR", f"signing.{kind}.pem"), house.folder / "keys" / f"signing.{kind}.pem")
    assert house.failures() == {("trust", "pki/role-not-allowed")}


def test_a_client_certificate_on_the_listener_is_found(house: House) -> None:
    for kind in ("key", "crt"):
        source = house.credential("FI-NGC", f"tls_client.{kind}.pem")
        shutil.copy(source, house.folder / "keys" / f"tls_server.{kind}.pem")
    assert house.failures() == {("trust", "pki/purpose")}


def test_a_root_that_did_not_vouch_is_found(house: House) -> None:
    other = ceremony.perform(SPEC, tls_now_ms=house.now_ms, signing_now_ms=house.now_ms)
    (house.folder / "pki" / "root.pem").write_bytes(other.hierarchy.root.certificate.public_bytes(Encoding.PEM))
    assert ("trust", "pki/untrusted") in house.failures()


def test_a_development_root_is_found_where_development_is_off(house: House) -> None:
    house.edit("development = true", "development = false")
    assert ("trust", "pki/development-credential") in house.failures()


def test_a_credential_near_its_end_is_warned_of_and_an_expired_one_fails(house: House) -> None:
    for days in (23, 25, 31):
        office_lists.write(house.folder / "pki" / "crl", house.made.crls_at(house.now_ms + days * DAY_MS))
    assert ("trust", "doctor/validity-low") not in house.warnings(later_ms=23 * DAY_MS)
    assert ("trust", "doctor/validity-low") in house.warnings(later_ms=25 * DAY_MS)
    assert house.failures(later_ms=25 * DAY_MS) == set()
    assert ("trust", "pki/expired") in house.failures(later_ms=31 * DAY_MS)


def test_a_list_near_its_end_is_warned_of_and_a_stale_one_fails(house: House) -> None:
    assert ("crl", "doctor/crl-ending") not in house.warnings(later_ms=6 * DAY_MS - 60_000)
    assert ("crl", "doctor/crl-ending") in house.warnings(later_ms=6 * DAY_MS + 60_000)
    stale = house.failures(later_ms=7 * DAY_MS + 60_000)
    assert stale == {("crl", "pki/status-indeterminate"), ("trust", "pki/status-indeterminate")}


def test_missing_lists_are_found(house: House) -> None:
    shutil.rmtree(house.folder / "pki" / "crl")
    assert {("crl", "pki/status-indeterminate"), ("trust", "pki/status-indeterminate")} == house.failures()


def test_a_list_that_cannot_be_read_is_found(house: House) -> None:
    (house.folder / "pki" / "crl" / "zz.pem").write_text("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
    assert house.failures() == {("crl", "pki/crl-malformed"), ("trust", "pki/crl-malformed")}


def test_a_machine_that_lives_in_the_past_is_found(house: House) -> None:
    early_ms = checks.BUILT_AFTER_MS - 1 - house.now_ms
    assert ("clock", "doctor/clock-past") in house.failures(later_ms=early_ms)
    assert ("clock", "doctor/clock-past") not in house.failures(later_ms=early_ms + 1)


def test_a_clock_file_is_warned_of_and_an_empty_one_fails(house: House) -> None:
    house.edit('log_key = "keys/log.key"', 'log_key = "keys/log.key"\nclock_file = "clock"')
    (house.folder / "clock").write_text(str(house.now_ms))
    assert house.warnings() == {("clock", "doctor/clock-file")}
    assert house.failures() == set()
    (house.folder / "clock").write_text("")
    assert ("clock", "api/clock-unreadable") in house.failures()


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ((3, 6, 23), Level.OK),
        ((3, 7, 0), Level.WARNING),
        ((3, 40, 1), Level.WARNING),
        ((3, 51, 2), Level.WARNING),
        ((3, 51, 3), Level.OK),
    ],
)
def test_sqlite_versions_with_the_wal_reset_bug_are_warned_of(version: tuple[int, ...], level: Level) -> None:
    (found,) = checks.sqlite_version(version)
    assert found.level is level


async def test_a_log_that_is_gone_is_found(begun: House) -> None:
    (begun.folder / "data" / engines.LOG_FILE).unlink()
    assert begun.failures() == {("log", "ledger/rolled-back")}


async def test_a_log_behind_its_signer_is_found(begun: House) -> None:
    begun.remember(begun.signed().size + 1, b"\x01" * 32)
    assert begun.failures() == {("log", "ledger/rolled-back")}


async def test_a_log_with_another_history_is_found(begun: House) -> None:
    begun.remember(begun.signed().size, b"\x01" * 32)
    assert begun.failures() == {("log", "ledger/history-differs")}


async def test_a_signer_that_forgot_is_found(begun: House) -> None:
    (begun.folder / "keys" / "log.state").unlink()
    assert begun.failures() == {("log", "ledger/signer-state-absent")}


async def test_another_log_key_is_found(begun: House) -> None:
    (begun.folder / "keys" / "log.state").unlink()
    (begun.folder / "keys" / "log.key").write_text(NoteSigner.generate(ORIGIN).dump())
    assert begun.failures() == {("log", "ledger/note-unverified")}


async def test_a_file_that_is_no_log_is_found(begun: House) -> None:
    (begun.folder / "data" / engines.LOG_FILE).write_bytes(b"not a database, but as long as the header of one" * 40)
    assert begun.failures() == {("log", "ledger/store-damaged"), ("roots", "ledger/store-damaged")}


@pytest.mark.parametrize("name", ["vault.db", "keys.db"])
async def test_a_vault_that_is_missing_beside_a_log_is_found(begun: House, name: str) -> None:
    (begun.folder / "vault" / name).unlink()
    assert begun.failures() == {("vault", "ledger/vault-absent")}


@pytest.mark.parametrize(
    ("folder_mode", "file_mode", "is_found"),
    [
        (0o700, 0o644, False),
        (0o755, 0o600, False),
        (0o744, 0o644, False),
        (0o710, 0o604, False),
        (0o711, 0o604, True),
        (0o710, 0o640, True),
        (0o755, 0o644, True),
    ],
)
async def test_a_vault_that_others_can_reach_is_found(
    begun: House, folder_mode: int, file_mode: int, is_found: bool
) -> None:
    (begun.folder / "vault" / "vault.db").chmod(file_mode)
    (begun.folder / "vault").chmod(folder_mode)
    assert begun.failures() == ({("vault", "api/key-file-exposed")} if is_found else set())


def test_a_key_file_of_foreign_bytes_is_found_without_them(house: House) -> None:
    (house.folder / "keys" / "log.key").write_bytes(b"\xf1secret\xf2")
    (found,) = [one for one in house.findings() if one.level is Level.FAILURE]
    assert (found.check, found.code, found.detail) == ("log", "doctor/unreadable", "UnicodeDecodeError")


def test_a_missing_key_ring_is_found(house: House) -> None:
    (house.folder / "keys" / "kek.ring").unlink()
    assert house.failures() == {("keys", "doctor/unreadable"), ("vault", "ledger/kek-epoch-absent")}


@pytest.mark.parametrize(
    ("free", "failures", "warnings"),
    [
        (checks.FREE_LOW_BYTES, set(), set()),
        (checks.FREE_LOW_BYTES - 1, set(), {("disk", "doctor/disk-low")}),
        (checks.FREE_NONE_BYTES, set(), {("disk", "doctor/disk-low")}),
        (checks.FREE_NONE_BYTES - 1, {("disk", "doctor/disk-full")}, set()),
    ],
)
def test_a_full_medium_is_found(
    house: House, free: int, failures: set[tuple[str, str]], warnings: set[tuple[str, str]]
) -> None:
    assert house.failures(free=free) == failures
    assert house.warnings(free=free) == warnings


def test_free_space_is_that_of_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    assert doctor.free_bytes(tmp_path / "not" / "yet") == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.05)


def test_development_is_always_reminded_of(house: House) -> None:
    assert ("development", "doctor/development") in house.codes(Level.WARNING)


@pytest.mark.parametrize("json", [True, False])
def test_the_exit_code_is_1_with_a_failure_and_0_without(
    house: House, capsys: pytest.CaptureFixture[str], json: bool
) -> None:
    def spoil() -> None:
        (house.folder / "keys" / "log.key").chmod(0o644)

    steps: list[tuple[Callable[[], None], int]] = [(lambda: None, 0), (spoil, 1)]
    for act, code in steps:
        act()
        assert doctor.run(house.config, json=json) == code
        shown = capsys.readouterr().out
        if json:
            assert msgspec.json.decode(shown)["failures"] == code
        else:
            assert f"{code} failures" in shown
            assert ("api/key-file-exposed" in shown) is bool(code)


def test_every_finding_but_a_good_one_has_a_code_and_advice(house: House) -> None:
    (house.folder / "keys" / "log.key").chmod(0o644)
    shutil.rmtree(house.folder / "pki" / "crl")
    bad = [one for one in house.findings() if one.level is not Level.OK]
    assert bad
    assert all(one.code != "doctor/ok" and one.advice and one.detail for one in bad)

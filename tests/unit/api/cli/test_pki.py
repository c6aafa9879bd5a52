"""`flexledger pki`: the certificate office on its own machine, from the command line."""

import asyncio
import json
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner

from api import engines
from api.cli import init, pki_issue, pki_revoke
from api.cli.audit_rules import GAP
from api.cli.main import app
from api.flows.office_journal import serial_text
from api.flows.service import open_service
from api.settings import load
from ledger.clock import SystemClock
from pki import ceremony, csr, keys
from pki.authority import Subscriber
from pki.ceremony import Ceremony, CeremonySpec, PartySpec
from pki.journal import Intent
from pki.roles import Purpose, Role
from pki.status import Revoked
from pki.store.codes import Invitation
from pki.store.records import Reason
from tests.support.enrolling import pkcs10

pytestmark = pytest.mark.slow  # takes seconds

ORIGIN = "ledger.example/office"
SPEC = CeremonySpec(
    organisation="Office test",
    development=True,
    parties=(
        PartySpec(id="FI-NGC", role=Role.CSO, organisation="Northgate", dns_names=("localhost",)),
        PartySpec(id="FI-AUR", role=Role.FO, organisation="Aurora"),
        PartySpec(id="EVU-1", role=Role.EVU),
    ),
)
CEREMONY = """
organisation = "Office test"
development = true
[[parties]]
id = "FI-AUR"
role = "FO"
organisation = "Aurora"
"""


@dataclass
class Place:
    """A service's folder, and what its commands say."""

    folder: Path
    made: Ceremony

    @property
    def config(self) -> Path:
        return self.folder / init.CONFIG

    def run(self, *arguments: str | Path, code: int = 0) -> Any:
        result = CliRunner().invoke(app, ["pki", *map(str, arguments), "--json"])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout) if code != 2 else result.output

    def certificate(self, party: str, purpose: Purpose = Purpose.TLS_CLIENT) -> Path:
        return self.folder / "credentials" / "parties" / party / f"{purpose.lower()}.crt.pem"

    def request(self, name: str = "request.der", subject: x509.Name | None = None) -> Path:
        path = self.folder / name
        path.write_bytes(pkcs10(keys.generate(), subject=subject))
        return path


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Place:
    now_ms = SystemClock().now_ms()
    made = ceremony.perform(SPEC, tls_now_ms=now_ms, signing_now_ms=now_ms)
    folder = tmp_path_factory.mktemp("office") / "pristine"
    init.lay_out(folder, made, party="FI-NGC", origin=ORIGIN)
    return Place(folder, made)


@pytest.fixture
def place(pristine: Place, tmp_path: Path) -> Place:
    shutil.copytree(pristine.folder, tmp_path / "svc")
    return Place(tmp_path / "svc", pristine.made)


def test_what_the_ceremony_made_is_listed_and_can_be_narrowed(place: Place) -> None:
    everything = place.run("list", place.config)["credentials"]
    mine = place.run("list", place.config, "--party", "FI-AUR", "--purpose", "tls-client")["credentials"]
    assert len(everything) > 8
    assert [one["profile"] for one in mine] == ["FO/TLS_CLIENT/v1"]
    assert place.run("list", place.config, "--revoked")["credentials"] == []


def test_a_certificate_holds_until_it_is_revoked_and_then_says_why_not(place: Place) -> None:
    name = place.run("list", place.config, "--party", "FI-AUR", "--purpose", "signing")["credentials"][0]["name"]
    assert place.run("status", place.config, name)["holds"] is True
    assert place.run("revoke", place.config, name, "--reason", "keyCompromise")["reason"] == "keyCompromise"
    found = place.run("status", place.config, name, code=1)
    assert (found["code"], found["reason"]) == ("pki/revoked", "keyCompromise")
    assert [one["name"] for one in place.run("list", place.config, "--revoked")["credentials"]] == [name]


def test_a_persons_certificate_is_on_no_list_and_its_status_is_known_all_the_same(place: Place) -> None:
    name = place.run("list", place.config, "--role", "evu", "--purpose", "tls-client")["credentials"][0]["name"]
    place.run("revoke", place.config, name)
    assert place.run("status", place.config, name, code=1)["code"] == "pki/revoked"


def test_a_certificate_is_named_by_its_file_too(place: Place) -> None:
    assert place.run("status", place.config, place.certificate("FI-AUR"))["party"] == "FI-AUR"
    assert "api/no-certificate" in place.run("status", place.config, place.config, code=2)
    assert "pki/certificate-absent" in place.run("status", place.config, f"{'ab' * 32}.{'1' * 40}", code=2)


def checked(place: Place, file: Path, *more: str | Path, code: int = 0) -> Any:
    pki = place.folder / "pki"
    asked = ("--anchors", pki / "root.pem", "--issuers", pki / "issuers", "--crl", pki / "crl", "--development")
    return place.run("check", file, *asked, *more, code=code)


def test_a_chain_is_checked_against_files_alone_and_says_what_is_wrong(place: Place) -> None:
    file = place.certificate("FI-AUR")
    found = checked(place, file)
    assert (found["role"], found["party"], found["purpose"]) == ("FO", "FI-AUR", "TLS_CLIENT")
    assert checked(place, file, "--at-ms", "1000", code=1)["code"] == "pki/not-yet-valid"
    later_ms = SystemClock().now_ms() + 400 * 86_400_000
    assert checked(place, file, "--at-ms", str(later_ms), code=1)["code"] == "pki/expired"
    place.run("revoke", place.config, file)
    assert checked(place, file, code=1)["code"] == "pki/revoked"
    strict = place.run("check", file, "--anchors", place.folder / "pki" / "root.pem", code=2)
    assert "pki/development-credential" in strict


def test_without_lists_nobody_can_say(place: Place) -> None:
    pki = place.folder / "pki"
    asked = ("--anchors", pki / "root.pem", "--issuers", pki / "issuers", "--development")
    assert place.run("check", place.certificate("FI-AUR"), *asked, code=1)["code"] == "pki/status-indeterminate"


def test_a_certificate_is_issued_for_a_request_and_followed_by_the_next(place: Place) -> None:
    first, second = place.folder / "first.pem", place.folder / "second.pem"
    who = ("--role", "fo", "--party", "FI-NEW", "--organisation", "Newcomer", "--purpose", "tls-client")
    issued = place.run("issue", place.config, place.request(), *who, "--out", first)
    assert issued["profile"] == "FO/TLS_CLIENT/v1"
    assert checked(place, first)["party"] == "FI-NEW"
    place.run("renew", place.config, first, place.request("next.der"), "--out", second)
    held, renewed = (x509.load_pem_x509_certificate(path.read_bytes()) for path in (first, second))
    assert (held.subject, held.public_key() == renewed.public_key()) == (renewed.subject, False)
    place.run("revoke", place.config, second)
    refused = place.run("renew", place.config, second, place.request("third.der"), "--out", first, code=2)
    assert "pki/revoked" in refused


def test_a_request_for_somebody_else_is_not_renewed(place: Place) -> None:
    other = x509.load_pem_x509_certificate(place.certificate("FI-NGC").read_bytes()).subject
    request = place.request(subject=other)
    refused = place.run(
        "renew", place.config, place.certificate("FI-AUR"), request, "--out", place.folder / "x", code=2
    )
    assert "api/renewal-refused" in refused


def test_an_invitation_is_a_code_that_is_shown_once(place: Place) -> None:
    who = ("--role", "fo", "--party", "FI-NEW", "--organisation", "Newcomer", "--purpose", "tls-client")
    invited = place.run("invite", place.config, *who, "--purpose", "signing", "--hours", "2")
    secret = invited["code"].partition(":")[2]
    assert (invited["purposes"], len(secret)) == (["TLS_CLIENT", "SIGNING"], 32)
    files = [path for path in (place.folder / "data").iterdir() if path.is_file()]
    assert [path.name for path in files if secret.encode() in path.read_bytes()] == []
    assert "api/invitation-unfit" in place.run("invite", place.config, "--role", "fo", "--purpose", "signing", code=2)


def test_an_open_code_is_listed_without_its_secret_and_withdrawn(place: Place) -> None:
    who = ("--role", "fo", "--party", "FI-NEW", "--organisation", "Newcomer", "--purpose", "signing")
    code = place.run("invite", place.config, *who)["code"]
    name, _, secret = code.partition(":")
    (mine,) = place.run("invitations", place.config)["invitations"]
    assert (mine["id"], mine["party_id"], mine["purposes"]) == (name, "FI-NEW", ["SIGNING"])
    assert secret not in str(mine)
    assert place.run("withdraw", place.config, code) == {"withdrawn": name}
    assert place.run("invitations", place.config) == {"invitations": []}
    assert "pki/code-unknown" in place.run("withdraw", place.config, name, code=2)


def test_a_revocation_by_command_withdraws_the_partys_open_codes(place: Place) -> None:
    who = ("--role", "fo", "--party", "FI-AUR", "--organisation", "Aurora Flex", "--purpose", "signing")
    place.run("invite", place.config, *who)
    place.run("revoke", place.config, place.certificate("FI-AUR"), "--reason", "superseded")
    assert len(place.run("invitations", place.config)["invitations"]) == 1
    second = place.folder / "second.pem"
    request = place.request("second.der")
    tls = ("--role", "fo", "--party", "FI-AUR", "--organisation", "Aurora Flex", "--purpose", "tls-client")
    name = place.run("issue", place.config, request, *tls, "--out", second)["name"]
    revoked = place.run("revoke", place.config, name, "--reason", "keyCompromise", "--invalid-from-ms", "1000")
    assert revoked["invalid_from_ms"] == 1000
    assert place.run("invitations", place.config) == {"invitations": []}


def test_lists_are_made_anew_on_demand(place: Place) -> None:
    before = len(list((place.folder / "pki" / "crl").glob("*.pem")))
    made = place.run("crl", place.config)
    assert len(made) == 7
    assert len(list((place.folder / "pki" / "crl").glob("*.pem"))) == before + sum(made.values())


async def test_what_was_intended_and_never_issued_is_a_gap(place: Place) -> None:
    assert place.run("gaps", place.config) == {"gaps": []}
    settings = load(place.config, {})
    async with open_service(settings, engines.open_engines(settings, create=True), None) as service:
        office = service.office
        assert office is not None
        authority = office.authority_of(Role.FO).key_sha256
        intent = Intent("ab" * 32, "FO/TLS_CLIENT/v1", authority, 7, SystemClock().now_ms())
        await office.work(lambda: office.journal.intent(intent))
    (gap,) = place.run("gaps", place.config, code=1)["gaps"]
    assert (gap["tbs_sha256"], gap["profile"]) == ("ab" * 32, "FO/TLS_CLIENT/v1")
    audited = CliRunner().invoke(app, ["audit", str(place.folder), "--json"])
    (line,) = [one for one in json.loads(audited.stdout)["lines"] if one["code"] == GAP]
    assert (line["status"], "FO/TLS_CLIENT/v1" in str(line)) == ("UNDECIDED", True)


async def test_what_is_done_beside_the_service_reaches_log_and_connections_while_it_runs(place: Place) -> None:
    settings = load(place.config, {})
    held = x509.load_pem_x509_certificate(place.certificate("FI-AUR").read_bytes()).public_bytes(Encoding.DER)
    wanted = Invitation(role=Role.FO, party_id="FI-NEW", organisation="Newcomer", purposes=(Purpose.TLS_CLIENT,))
    out, mine = place.folder / "new.pem", str(place.certificate("FI-AUR"))
    async with open_service(settings, engines.open_engines(settings, create=True), None) as service:
        directory, book = service.directory, service.desk.state.credentials
        credential = directory.validate(held, SystemClock().now_ms(), purpose=Purpose.TLS_CLIENT)
        ended = asyncio.Event()
        directory.on_evidence(ended.set)
        issue = partial(pki_issue.run, place.config, place.request(), wanted, out=out, json=True)
        revoke = partial(pki_revoke.run, place.config, mine, reason=Reason.CESSATION, invalid_from_ms=None, json=True)
        assert [await asyncio.to_thread(act) for act in (issue, revoke)] == [0, 0]
        issued = x509.load_pem_x509_certificate(out.read_bytes()).serial_number
        found = [(credential.issuer_key_sha256, serial_text(one)) for one in (issued, credential.serial)]
        for _ in range(400):
            adopted, revoked = (book.find(*one) for one in found)
            if adopted is not None and revoked is not None and revoked.revoked is not None:
                break
            await asyncio.sleep(0.05)
        assert adopted is not None
        assert revoked is not None
        assert revoked.revoked is not None
        await asyncio.wait_for(ended.wait(), 20)
        with pytest.raises(Revoked):
            directory.validate(held, SystemClock().now_ms(), purpose=Purpose.TLS_CLIENT)


async def test_what_was_done_without_the_service_is_adopted_at_its_next_start(place: Place) -> None:
    out = place.folder / "new.pem"
    who = ("--role", "fo", "--party", "FI-NEW", "--organisation", "Newcomer", "--purpose", "tls-client")
    name = place.run("issue", place.config, place.request(), *who, "--out", out)["name"]
    place.run("revoke", place.config, name)
    settings = load(place.config, {})
    async with open_service(settings, engines.open_engines(settings, create=True), None) as service:
        issuer, _, serial = name.partition(".")
        state = service.desk.state.credentials.find(issuer, serial)
        assert state is not None
        assert state.revoked is not None


def test_a_ceremony_makes_a_hierarchy_with_its_keys_under_a_password(tmp_path: Path) -> None:
    file, password, out = tmp_path / "c.toml", tmp_path / "password", tmp_path / "made"
    file.write_text(CEREMONY)
    password.touch(mode=0o600)
    password.write_text("correct horse\n")
    place = Place(tmp_path, None)  # type: ignore[arg-type]
    made = place.run("ceremony", file, out, "--password-file", password)
    assert made["parties"] == ["FI-AUR"]
    assert b"ENCRYPTED" in (out / "root" / "root.key.pem").read_bytes()
    assert not (out / "authorities" / "root.key.pem").exists()
    assert "api/init-target-taken" in place.run("ceremony", file, out, code=2)
    password.chmod(0o644)
    assert "api/password-file-exposed" in place.run(
        "ceremony", file, tmp_path / "b", "--password-file", password, code=2
    )
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("octets", [b"", b"\n", b"  \nsecond line", b"x" * 1025])
def test_a_password_file_without_a_password_leaves_no_key_unencrypted(tmp_path: Path, octets: bytes) -> None:
    file, password = tmp_path / "ceremony.toml", tmp_path / "password"
    file.write_text(CEREMONY)
    password.touch(mode=0o600)
    password.write_bytes(octets)
    place = Place(tmp_path, None)  # type: ignore[arg-type]
    assert "api/password-unfit" in place.run("ceremony", file, tmp_path / "out", "--password-file", password, code=2)
    assert not (tmp_path / "out").exists()


FOLLOW = """
ceremony = "2029 FO"
performed_by = ["Key holder 1"]
[[steps]]
act = "follow"
group = "FO"
[[steps]]
act = "root-list"
"""


def test_a_ceremony_that_is_done_twice_is_noticed(tmp_path: Path) -> None:
    file, store = tmp_path / "c.toml", tmp_path / "kept.db"
    file.write_text(f'ceremony = "2026 first"\n{CEREMONY}')
    place = Place(tmp_path, None)  # type: ignore[arg-type]
    place.run("ceremony", file, tmp_path / "a", "--store", store)
    assert store.stat().st_mode & 0o077 == 0
    assert "pki/ceremony-replayed" in place.run("ceremony", file, tmp_path / "b", "--store", store, code=2)
    assert not (tmp_path / "b").exists()


def test_a_later_ceremony_by_command_follows_what_the_first_one_made(tmp_path: Path) -> None:
    file, later, out = tmp_path / "c.toml", tmp_path / "later.toml", tmp_path / "made"
    file.write_text(CEREMONY)
    later.write_text(FOLLOW + '[[steps]]\nact = "follow-root"\n')
    place = Place(tmp_path, None)  # type: ignore[arg-type]
    place.run("ceremony", file, out)
    done = place.run("succession", later, out)
    assert set(done["made"]) == {"fo-g2", "root-g2"}
    assert (done["lists"], done["retired"]) == (["fo-g2", "root", "root-g2"], ["fo", "root"])
    assert (out / "root" / "root-g2.key.pem").stat().st_mode & 0o077 == 0
    assert not (out / "authorities" / "root-g2.key.pem").exists()
    root = x509.load_pem_x509_certificate((out / "root-g2.crt.pem").read_bytes())
    assert root.issuer == root.subject
    assert "pki/ceremony-replayed" in place.run("succession", later, out, code=2)
    (out / "issued.db").unlink()
    assert "api/ceremony-store-absent" in place.run("succession", later, out, code=2)


def test_without_the_roots_key_there_is_no_later_ceremony(place: Place) -> None:
    later = place.folder / "later.toml"
    later.write_text(FOLLOW)
    before = sorted(path.name for path in (place.folder / "issuing").iterdir())
    assert "pki/key-offline" in place.run("succession", later, place.config, code=2)
    assert sorted(path.name for path in (place.folder / "issuing").iterdir()) == before


async def test_a_service_issues_with_the_next_generation_of_an_authority(place: Place) -> None:
    later = place.folder / "later.toml"
    later.write_text(FOLLOW)
    root = place.folder / "credentials" / "root"
    done = place.run("succession", later, place.config, "--root", root)
    assert list(done["made"]) == ["fo-g2"]
    made = (place.folder / "issuing" / "fo-g2.crt.pem").read_bytes()
    assert (place.folder / "pki" / "client-ca.pem").read_bytes().count(made) == 1
    settings = load(place.config, {})
    async with open_service(settings, engines.open_engines(settings, create=True), None) as service:
        office = service.office
        assert office is not None
        key = keys.generate()
        who = Subscriber(party_id="FI-NEW", organisation="Newcomer")
        issued = await office.issue(csr.open_csr(pkcs10(key)), Role.FO, Purpose.TLS_CLIENT, who)
        assert office.authority_of(Role.FO).name == "fo-g2"
        der = issued.public_bytes(Encoding.DER)
        found = service.directory.validate(der, SystemClock().now_ms(), purpose=Purpose.TLS_CLIENT)
        assert found.issuer_key_sha256 == done["made"]["fo-g2"]
        # Those of the generation before hold as they did.
        old = x509.load_pem_x509_certificate(place.certificate("FI-AUR").read_bytes()).public_bytes(Encoding.DER)
        assert service.directory.validate(old, SystemClock().now_ms(), purpose=Purpose.TLS_CLIENT)


def test_settings_without_an_office_say_so(place: Place) -> None:
    text = place.config.read_text()
    start, end = text.index("[issuing]"), text.index("[vault]")
    place.config.write_text(text[:start] + text[end:])
    assert "api/no-office" in place.run("list", place.config, code=2)


def test_the_file_of_a_certificate_is_its_chain(place: Place) -> None:
    out = place.folder / "new.pem"
    who = ("--role", "cso", "--party", "FI-NGC", "--organisation", "Northgate", "--purpose", "tls-server")
    place.run("issue", place.config, place.request(), *who, "--host", "localhost", "--out", out)
    leaf, issuer = x509.load_pem_x509_certificates(out.read_bytes())
    leaf.verify_directly_issued_by(issuer)
    assert leaf.public_bytes(Encoding.DER) != issuer.public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("arguments", "offered"),
    [
        (["revoke", "absent.toml", "a.1", "--reason", "because"], "keyCompromise"),
        (["list", "absent.toml", "--role", "boss"], "CSO"),
        (["list", "absent.toml", "--purpose", "fun"], "TLS_CLIENT"),
        (["invite", "absent.toml", "--role", "fo", "--purpose", "signing", "--service", "tea"], "CONGESTION"),
    ],
)
def test_a_word_that_is_none_of_ours_is_answered_with_those_there_are(arguments: list[str], offered: str) -> None:
    result = CliRunner().invoke(app, ["pki", *arguments], terminal_width=1000)
    assert (result.exit_code, isinstance(result.exception, SystemExit)) == (2, True)
    assert offered in result.output
    assert "is none of" in result.output


def test_all_that_a_party_has_is_shown_and_revoked_also_what_was_renewed(place: Place) -> None:
    """After a renewal both certificates hold: to revoke the older one leaves the newer one good."""
    old = place.run("list", place.config, "--party", "FI-AUR", "--purpose", "tls-client")["credentials"][0]["name"]
    held = x509.load_pem_x509_certificate(place.certificate("FI-AUR").read_bytes())
    out = place.folder / "renewed.pem"
    renewed = place.run("renew", place.config, old, place.request(subject=held.subject), "--out", out)["name"]
    place.run("revoke", place.config, old)
    assert place.run("status", place.config, renewed)["holds"] is True

    shown = place.run("revoke", place.config, "--party", "FI-AUR", "--dry-run")
    assert {one["profile"] for one in shown["credentials"]} == {"FO/TLS_CLIENT/v1", "FO/SIGNING/v1"}
    assert renewed in {one["name"] for one in shown["credentials"]}
    assert place.run("status", place.config, renewed)["holds"] is True

    place.run(
        "invite", place.config, "--role", "fo", "--party", "FI-AUR", "--organisation", "Aurora", "--purpose", "signing"
    )
    done = place.run("revoke", place.config, "--party", "FI-AUR", "--reason", "keyCompromise")
    assert [one["name"] for one in done["credentials"]] == [one["name"] for one in shown["credentials"]]
    assert (done["codes"], done["lists"] > 0) == (1, True)
    assert place.run("list", place.config, "--party", "FI-AUR", "--standing")["credentials"] == []
    assert place.run("status", place.config, renewed, code=1)["reason"] == "keyCompromise"
    again = place.run("revoke", place.config, "--party", "FI-AUR")
    assert (again["credentials"], again["lists"]) == ([], 0)
    for typed_wrong in (
        ["--party", "FI-AUT"],
        ["--party", "FI-AUT", "--dry-run"],
        ["--party", "FI-AUR", "--role", "so"],
    ):
        assert "pki/certificate-absent" in place.run("revoke", place.config, *typed_wrong, code=2)
    # Others keep theirs.
    assert place.run("list", place.config, "--party", "FI-NGC", "--standing")["credentials"]


@pytest.mark.parametrize("words", [[], ["a.1", "--party", "FI-AUR"], ["a.1", "--dry-run"], ["a.1", "--role", "fo"]])
def test_either_one_certificate_is_revoked_or_a_party(place: Place, words: list[str]) -> None:
    assert "api/revocation-unclear" in place.run("revoke", place.config, *words, code=2)


def test_a_credential_of_an_authority_that_was_followed_is_revoked_on_a_list_of_its_own(place: Place) -> None:
    spec = place.folder / "later.toml"
    spec.write_text('ceremony = "2029 FO"\n[[steps]]\nact = "follow"\ngroup = "FO"\n')
    place.run("succession", spec, place.config, "--root", place.folder / "credentials" / "root")
    name = place.run("list", place.config, "--party", "FI-AUR", "--purpose", "signing")["credentials"][0]["name"]
    assert place.run("revoke", place.config, name)["lists"] > 0
    assert {"fo", "fo-g2"} <= set(place.run("crl", place.config))

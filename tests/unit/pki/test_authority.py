"""Nothing is signed that was not linted and recorded, and a key serves one party for one purpose."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pki import authority, csr, keys, names, path, profiles
from pki.asn1 import der
from pki.authority import Subscriber
from pki.hierarchy import BadHierarchy, Hierarchy
from pki.journal import Intent, MemoryJournal
from pki.lint.examine import LintFailed, examine
from pki.lint.rules import RULES
from pki.lint.subject import Examined
from pki.roles import Group, Purpose, Role
from pki.store.records import CertificateAbsent, Reason
from pki.store.sqlite import SqliteStore

NOW_MS = 1_767_225_600_000
FO = Subscriber(party_id="FI-AUR", organisation="Aurora Flex")


def _csr() -> csr.OpenedCsr:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return csr.open_csr(request.sign(keys.generate(), hashes.SHA256()).public_bytes(Encoding.DER))


def _hierarchy(journal: Any = None) -> Hierarchy:
    return Hierarchy.create(
        organisation="Test",
        zone="flexledger.example",
        now_ms=NOW_MS,
        store=SqliteStore(),
        journal=MemoryJournal() if journal is None else journal,
    )


def _issue(made: Hierarchy, **changes: Any) -> x509.Certificate:
    given: dict[str, Any] = {"subscriber": FO, "now_ms": NOW_MS, **changes}
    opened = given.pop("csr", None) or _csr()
    return made.issue(given.pop("role", Role.FO), given.pop("purpose", Purpose.TLS_CLIENT), opened, **given)


def test_intent_comes_before_issuance_and_names_the_very_bytes() -> None:
    journal = MemoryJournal()
    made = _hierarchy(journal)
    certificate = _issue(made)
    assert len(journal.intents) == len(journal.issuances) == 9  # root, seven authorities, the leaf
    assert journal.intents[-1].tbs_sha256 == journal.issuances[-1].tbs_sha256
    assert journal.intents[-1].serial == certificate.serial_number
    assert journal.gaps() == []


class _FailingJournal(MemoryJournal):
    def intent(self, intent: Intent) -> None:
        if intent.profile == "FO/TLS_CLIENT/v1":
            raise OSError("the disk is full")
        super().intent(intent)


def test_without_a_recorded_intent_nothing_is_issued() -> None:
    made = _hierarchy(_FailingJournal())
    with pytest.raises(OSError, match="full"):
        _issue(made)
    assert made.root.store.find(role=Role.FO) == []


def test_a_crash_between_intent_and_issuance_is_a_gap() -> None:
    class _Crashing(SqliteStore):
        def finish(self, issued: Any) -> None:
            if issued.role is not None:
                raise OSError("crash")
            super().finish(issued)

    journal = MemoryJournal()
    made = Hierarchy.create(
        organisation="Test", zone="flexledger.example", now_ms=NOW_MS, store=_Crashing(), journal=journal
    )
    with pytest.raises(OSError, match="crash"):
        _issue(made)
    assert [gap.profile for gap in journal.gaps()] == ["FO/TLS_CLIENT/v1"]


def test_a_lint_finding_blocks_before_anything_is_recorded() -> None:
    journal = MemoryJournal()
    made = _hierarchy(journal)
    with pytest.raises(LintFailed) as caught:
        _issue(made, subscriber=replace(FO, dns_names=("gw.cso.flexledger.example",)))
    assert caught.value.code == "pki/lint-failed"
    assert "subject-alternative-name" in str(caught.value)
    assert "gw.cso.flexledger.example" in str(caught.value)
    assert len(journal.intents) == 8
    assert made.root.store.find(role=Role.FO) == []


def test_every_rule_cites_a_source_and_finds_nothing_in_good_certificates(world: Any) -> None:
    assert all(rule.citation for rule in RULES)
    assert len({rule.name for rule in RULES}) == len(RULES)
    root = world.made.hierarchy.root.certificate
    examine(Examined(root, None, None, development=True))


def _findings(examined: Examined) -> set[str]:
    return {rule.name for rule in RULES for _ in rule.check(examined)}


def test_a_root_linted_as_an_authority_breaks_the_rules_that_differ(world: Any) -> None:
    root = world.made.hierarchy.root.certificate
    found = _findings(Examined(root, root, profiles.AUTHORITIES[Group.FO], development=False))
    assert {"key", "basic-constraints", "policies", "name-constraints", "extended-key-usage", "status"} <= found


def test_a_server_needs_a_host_and_an_evu_may_have_none() -> None:
    made = _hierarchy()
    with pytest.raises(LintFailed):
        _issue(made, role=Role.CSO, purpose=Purpose.TLS_SERVER)
    evu = Subscriber(party_id=names.new_pseudonym(), dns_names=("a.evu.flexledger.example",))
    with pytest.raises(LintFailed):
        _issue(made, role=Role.EVU, subscriber=evu)
    with pytest.raises(names.BadName):
        _issue(made, role=Role.EVU, subscriber=Subscriber(party_id="DE8AA1A2B3C4D5"))
    with pytest.raises(names.BadName):
        _issue(made, role=Role.EVU, subscriber=Subscriber(names.new_pseudonym(), organisation="Somebody"))


@pytest.mark.parametrize("host", ["*.fo.flexledger.example", "a.fo.flexledger.example.", "A.fo.example", "a\x00b", ""])
def test_a_host_name_in_another_form_is_refused(host: str) -> None:
    with pytest.raises(names.BadName):
        _issue(_hierarchy(), subscriber=replace(FO, dns_names=(host,)))


@pytest.mark.parametrize("organisation", ["", "a\x00b", "a\u202eb", "x" * 65, "e\u0301"])
def test_an_organisation_with_odd_characters_is_refused(organisation: str) -> None:
    with pytest.raises(der.MalformedDer):
        _issue(_hierarchy(), subscriber=replace(FO, organisation=organisation))


@pytest.mark.parametrize("party", ["", "-A", "a b", "x" * 65, "../x", "ä"])
def test_a_party_id_in_another_form_is_refused(party: str) -> None:
    with pytest.raises(names.BadName):
        _issue(_hierarchy(), subscriber=replace(FO, party_id=party))


def test_a_grid_operator_never_connects() -> None:
    with pytest.raises(profiles.NoProfile):
        _issue(_hierarchy(), role=Role.SO)


def test_an_authority_issues_only_its_own_profiles() -> None:
    made = _hierarchy()
    with pytest.raises(authority.WrongAuthority):
        made.issuing[Group.CSO].issue(
            _csr(), profile=profiles.get(Role.FO, Purpose.TLS_CLIENT), subscriber=FO, now_ms=NOW_MS
        )
    with pytest.raises(authority.WrongAuthority):
        replace(made.root, signer=keys.generate_root())


def test_a_key_may_be_renewed_but_not_moved() -> None:
    made, opened = _hierarchy(), _csr()
    first = _issue(made, csr=opened)
    assert _issue(made, csr=opened).serial_number != first.serial_number
    with pytest.raises(authority.KeyReused):
        _issue(made, csr=opened, purpose=Purpose.SIGNING)
    with pytest.raises(authority.KeyReused):
        _issue(made, csr=opened, subscriber=replace(FO, party_id="FI-OTHER"))
    made.issuing[Group.FO].revoke(first.serial_number, Reason.SUPERSEDED, NOW_MS)
    assert _issue(made, csr=opened)


def test_a_revoked_key_is_not_certified_again() -> None:
    made, opened = _hierarchy(), _csr()
    first = _issue(made, csr=opened)
    made.revoke(made.issuing[Group.FO].key_sha256, first.serial_number, Reason.KEY_COMPROMISE, NOW_MS)
    with pytest.raises(authority.KeyReused):
        _issue(made, csr=opened)
    with pytest.raises(authority.WrongAuthority):
        made.revoke("00" * 32, first.serial_number, Reason.KEY_COMPROMISE, NOW_MS)
    with pytest.raises(CertificateAbsent):
        made.issuing[Group.FO].revoke(12345, Reason.UNSPECIFIED, NOW_MS)


def test_the_end_is_within_profile_and_authority() -> None:
    made = _hierarchy()
    longest_ms = NOW_MS + profiles.get(Role.FO, Purpose.TLS_CLIENT).max_lifetime_ms
    assert path.not_after_ms(_issue(made, not_after_ms=longest_ms)) == longest_ms
    for end_ms in (longest_ms + 1, NOW_MS, NOW_MS - 1):
        with pytest.raises(authority.LifetimeRefused):
            _issue(made, not_after_ms=end_ms)


def test_an_authority_past_its_end_issues_nothing() -> None:
    made = _hierarchy()
    end_ms = path.not_after_ms(made.issuing[Group.FO].certificate)
    assert path.not_after_ms(_issue(made, now_ms=end_ms - 60_000)) == end_ms
    with pytest.raises(path.Expired):
        _issue(made, now_ms=end_ms + 1000)


def test_serial_numbers_are_long_and_differ() -> None:
    serials = {authority.new_serial() for _ in range(100)}
    assert len(serials) == 100
    assert all(serial.bit_length() == 159 for serial in serials)


@pytest.mark.parametrize("password", [None, b"secret"])
def test_a_hierarchy_survives_its_folder(tmp_path: Path, password: bytes | None) -> None:
    made = _hierarchy()
    made.save(tmp_path / "ca", password)
    store = SqliteStore(tmp_path / "certificates.sqlite3")
    loaded = Hierarchy.load(tmp_path / "ca", password, store=store, journal=MemoryJournal())
    assert loaded.anchors().roots == made.anchors().roots
    assert _issue(loaded).issuer == made.issuing[Group.FO].certificate.subject
    store.close()
    again = SqliteStore(tmp_path / "certificates.sqlite3")
    assert len(again.find(role=Role.FO, party_id="FI-AUR", valid_at_ms=NOW_MS)) == 1
    again.close()
    with pytest.raises(keys.KeyFileExists):
        made.save(tmp_path / "ca", password)
    (tmp_path / "ca" / "fo.key.pem").chmod(0o644)
    with pytest.raises(keys.KeyFileMode):
        Hierarchy.load(tmp_path / "ca", password, store=SqliteStore(), journal=MemoryJournal())
    foreign = _hierarchy().issuing[Group.FO].certificate.public_bytes(Encoding.PEM)
    for wrong in (b"nothing", foreign):
        (tmp_path / "ca" / "fo.crt.pem").write_bytes(wrong)
        with pytest.raises(BadHierarchy):
            Hierarchy.load(tmp_path / "ca", password, store=SqliteStore(), journal=MemoryJournal())


def test_a_service_works_without_the_key_of_its_root(tmp_path: Path) -> None:
    made = _hierarchy()
    made.save(tmp_path / "ca", b"secret", root_folder=tmp_path / "safe", root_password=b"other secret")
    assert not (tmp_path / "ca" / "root.key.pem").exists()
    store = SqliteStore()
    loaded = Hierarchy.load(tmp_path / "ca", b"secret", store=store, journal=MemoryJournal())
    assert not loaded.root.online
    assert _issue(loaded).issuer == made.issuing[Group.FO].certificate.subject
    assert set(loaded.crl(NOW_MS)) == {group.lower() for group in Group}
    with pytest.raises(keys.KeyOffline) as caught:
        loaded.root.crl(NOW_MS)
    assert caught.value.code == "pki/key-offline"
    with pytest.raises(keys.KeyOffline):
        authority.create_issuing(loaded.root, Group.FO, organisation="Test", now_ms=NOW_MS)
    assert store.find(role=None, spki_sha256=loaded.root.key_sha256) == []
    ceremony = Hierarchy.load(
        tmp_path / "ca",
        b"secret",
        store=SqliteStore(),
        journal=MemoryJournal(),
        root_folder=tmp_path / "safe",
        root_password=b"other secret",
    )
    assert "root" in ceremony.crl(NOW_MS)
    with pytest.raises(keys.BadKeyFile):
        Hierarchy.load(tmp_path / "ca", b"wrong", store=SqliteStore(), journal=MemoryJournal())


def test_the_root_of_a_folder_is_offline_unless_its_place_is_named(tmp_path: Path) -> None:
    made = _hierarchy()
    made.save(tmp_path, None)
    loaded = Hierarchy.load(tmp_path, None, store=SqliteStore(), journal=MemoryJournal())
    assert not loaded.root.online
    assert Hierarchy.load(
        tmp_path, None, store=SqliteStore(), journal=MemoryJournal(), root_folder=tmp_path
    ).root.online


def test_an_offline_key_neither_signs_nor_leaves() -> None:
    key = keys.OfflineKey(keys.generate().public_key())
    for act in (
        lambda: key.sign(b"", ec.ECDSA(hashes.SHA256())),
        lambda: keys.require_online(key),
    ):
        with pytest.raises(keys.KeyOffline):
            act()
    for act in (
        lambda: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        key.private_numbers,
        lambda: key.exchange(ec.ECDH(), key.public_key()),
    ):
        with pytest.raises(keys.KeyNotExportable):
            act()
    assert key.key_size == 256
    assert copy.deepcopy(copy.copy(key)) is key

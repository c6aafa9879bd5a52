"""Attacks and accidents around the keys that sign: the list "CA process" of the threat model, case by case."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pki import authority, bounded, certify, csr, issuance, keys, path, profiles
from pki.authority import Authority, Subscriber
from pki.blocklist import Blocklist, KeyBlocked
from pki.hierarchy import Hierarchy
from pki.journal import Intent, MemoryJournal
from pki.lint.examine import LintFailed
from pki.roles import Group, Purpose, Role
from pki.store.records import ClockWentBack, GapKind, OrderUnderWay, Reason, SerialReused
from pki.store.sqlite import SqliteStore

NOW_MS = 1_767_225_600_000
FO = Subscriber(party_id="FI-AUR", organisation="Aurora Flex")


def _csr() -> csr.OpenedCsr:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return csr.open_csr(request.sign(keys.generate(), hashes.SHA256()).public_bytes(Encoding.DER))


def _hierarchy(*, store: SqliteStore | None = None, journal: Any = None) -> Hierarchy:
    return Hierarchy.create(
        organisation="Test",
        zone="flexledger.example",
        now_ms=NOW_MS,
        store=store or SqliteStore(),
        journal=journal or MemoryJournal(),
    )


def _issue(made: Hierarchy, **changes: Any) -> x509.Certificate:
    given: dict[str, Any] = {"subscriber": FO, "now_ms": NOW_MS, **changes}
    return made.issue(Role.FO, Purpose.TLS_CLIENT, given.pop("csr", None) or _csr(), **given)


class _Outside(keys.OutsideKey):
    """A key elsewhere that does what a test wants."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, act: Any) -> None:
        super().__init__(key.public_key())
        self._key, self._act = key, act

    def sign(self, data: Any, signature_algorithm: Any) -> bytes:
        self._act()
        return self._key.sign(data, signature_algorithm)


def _with_signer(made: Hierarchy, act: Any, limit_ms: int = 50) -> Authority:
    held = made.issuing[Group.FO]
    return replace(held, signer=bounded.BoundedKey(_Outside(held.signer, act), limit_ms=limit_ms))


def _issue_by(held: Authority) -> x509.Certificate:
    return held.issue(_csr(), profile=profiles.get(Role.FO, Purpose.TLS_CLIENT), subscriber=FO, now_ms=NOW_MS)


def test_a_linter_finding_blocks() -> None:
    journal = MemoryJournal()
    made = _hierarchy(journal=journal)
    asked = []
    held = _with_signer(made, lambda: asked.append(1))
    with pytest.raises(LintFailed):
        held.issue(
            _csr(),
            profile=profiles.get(Role.FO, Purpose.TLS_CLIENT),
            subscriber=replace(FO, dns_names=("gw.cso.flexledger.example",)),
            now_ms=NOW_MS,
        )
    assert asked == []
    assert len(journal.intents) == 8
    assert made.root.store.gaps() == []


def test_issue_without_ledger_intent_is_impossible() -> None:
    class Refusing(MemoryJournal):
        def intent(self, intent: Intent) -> None:
            if intent.role is not None:
                raise OSError("the ledger does not answer")
            super().intent(intent)

    made = _hierarchy(journal=Refusing())
    asked: list[int] = []
    with pytest.raises(OSError, match="ledger"):
        _issue_by(_with_signer(made, lambda: asked.append(1)))
    assert asked == []
    assert made.root.store.find(role=Role.FO) == []


def test_a_crash_between_intent_and_issue_is_reported() -> None:
    class Crash(BaseException):
        pass

    def crash() -> None:
        raise Crash

    journal = MemoryJournal()
    made = _hierarchy(journal=journal)
    with pytest.raises(Crash):
        _issue_by(_with_signer(made, crash))
    (gap,) = made.root.store.gaps()
    assert gap.kind is GapKind.UNSIGNED
    assert [intent.serial for intent in journal.gaps()] == [gap.intent.serial]


@pytest.mark.parametrize("durable", [True, False])
def test_serial_uniqueness_under_concurrency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool) -> None:
    store = SqliteStore(tmp_path / "issued.db" if durable else None)
    made = _hierarchy(store=store)
    monkeypatch.setattr(authority, "new_serial", lambda: 1 << 158)  # a broken random source
    together = threading.Barrier(8)

    def one(_: int) -> x509.Certificate | None:
        opened = _csr()
        together.wait()
        try:
            return _issue(made, csr=opened)
        except SerialReused:
            return None

    with ThreadPoolExecutor(8) as pool:
        found = [made for made in pool.map(one, range(8)) if made is not None]
    assert len(found) == 1
    assert len(store.find(role=Role.FO)) == 1
    store.close()


def test_every_one_of_many_at_once_has_its_own_serial(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "issued.db")
    made = _hierarchy(store=store)
    requests = [_csr() for _ in range(24)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda opened: _issue(made, csr=opened), requests))
    assert len({certificate.serial_number for certificate in found}) == 24
    assert len(store.find(role=Role.FO)) == 24
    assert store.gaps() == []
    store.close()


def test_signer_timeout_is_busy_and_leaves_a_visible_gap() -> None:
    journal = MemoryJournal()
    made = _hierarchy(journal=journal)
    free = threading.Event()
    with pytest.raises(bounded.SignerTimeout) as caught:
        _issue_by(_with_signer(made, free.wait))
    free.set()
    assert caught.value.code == "pki/signer-timeout"
    (gap,) = made.root.store.gaps()
    repaired = issuance.repair(made.root.store, journal, now_ms=NOW_MS + 1, patience_ms=None)
    assert [one.serial for one in repaired.revoked] == [gap.intent.serial]
    crl = x509.load_der_x509_crl(made.issuing[Group.FO].crl(NOW_MS + 1000))
    assert crl.get_revoked_certificate_by_serial_number(gap.intent.serial) is not None


def test_a_signer_that_hangs_for_ever_holds_few_threads() -> None:
    free = threading.Event()
    key = bounded.BoundedKey(_Outside(keys.generate(), free.wait), limit_ms=1)
    for _ in range(bounded.MAX_AT_ONCE + 4):
        with pytest.raises(bounded.SignerTimeout):
            key.sign(b"", ec.ECDSA(hashes.SHA256()))
    assert sum(thread.name == "signer" for thread in threading.enumerate()) <= bounded.MAX_AT_ONCE
    free.set()


def test_what_the_signer_signs_is_what_was_linted() -> None:
    made = _hierarchy()
    held = made.issuing[Group.FO]

    class Other(keys.OutsideKey):
        """A signer on another curve than it says: the bytes to be signed name another algorithm."""

        curve = ec.SECP384R1()

        def sign(self, data: Any, signature_algorithm: Any) -> bytes:
            return held.signer.sign(bytes(data) + b"\0", signature_algorithm)

    with pytest.raises((certify.NotAsLinted, path.Untrusted)):
        _issue_by(replace(held, signer=Other(held.signer.public_key())))
    assert made.root.store.find(role=Role.FO) == []
    assert len(made.root.store.gaps()) == 1


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_ca_key_file_world_readable_refused(tmp_path: Path, mode: int) -> None:
    _hierarchy().save(tmp_path, b"secret")
    (tmp_path / "fo.key.pem").chmod(mode)
    with pytest.raises(keys.KeyFileMode):
        Hierarchy.load(tmp_path, b"secret", store=SqliteStore(), journal=MemoryJournal())


def test_key_export_refused() -> None:
    made = _hierarchy()
    held = _with_signer(made, lambda: None, limit_ms=1000)
    with pytest.raises(keys.KeyNotExportable) as caught:
        held.signer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert caught.value.code == "pki/key-not-exportable"
    with pytest.raises(keys.KeyNotExportable):
        held.signer.private_numbers()
    assert _issue_by(held).issuer == held.certificate.subject


def test_clock_step_backwards_is_refused() -> None:
    made = _hierarchy()
    later_ms = NOW_MS + 3_600_000
    assert _issue(made, now_ms=later_ms)
    assert _issue(made, now_ms=later_ms - issuance.CLOCK_TOLERANCE_MS)
    with pytest.raises(ClockWentBack) as caught:
        _issue(made, now_ms=later_ms - issuance.CLOCK_TOLERANCE_MS - 1)
    assert caught.value.code == "pki/clock-went-back"
    assert made.root.store.gaps() == []


def test_ca_over_its_not_after_refuses() -> None:
    journal = MemoryJournal()
    made = _hierarchy(journal=journal)
    end_ms = path.not_after_ms(made.issuing[Group.FO].certificate)
    with pytest.raises(path.Expired):
        _issue(made, now_ms=end_ms + 1000)
    with pytest.raises(path.Expired):
        authority.create_issuing(
            made.root, Group.FO, organisation="T", now_ms=path.not_after_ms(made.root.certificate) + 1000
        )
    assert len(journal.intents) == 8


def test_a_blocked_key_is_never_certified() -> None:
    made, opened = _hierarchy(), _csr()
    held = replace(made.issuing[Group.FO], blocked=Blocklist(frozenset({opened.spki_sha256})))
    with pytest.raises(KeyBlocked):
        held.issue(opened, profile=profiles.get(Role.FO, Purpose.TLS_CLIENT), subscriber=FO, now_ms=NOW_MS)
    assert _issue(made, csr=opened)


def test_an_intended_serial_can_be_revoked_as_a_precaution() -> None:
    def fail() -> None:
        raise OSError("gone")

    made = _hierarchy()
    with pytest.raises(OSError, match="gone"):
        _issue_by(_with_signer(made, fail))
    (gap,) = made.root.store.gaps()
    made.issuing[Group.FO].revoke(gap.intent.serial, Reason.UNSPECIFIED, NOW_MS)
    assert made.root.store.gaps() == []
    assert len(made.root.store.revocations(gap.intent.issuer_key_sha256, NOW_MS)) == 1


def test_an_order_under_way_is_not_begun_twice() -> None:
    made = _hierarchy()
    inside, free = threading.Event(), threading.Event()
    opened = _csr()

    def wait() -> None:
        inside.set()
        assert free.wait(5)

    held = _with_signer(made, wait, limit_ms=5000)
    given: dict[str, Any] = {
        "profile": profiles.get(Role.FO, Purpose.TLS_CLIENT),
        "subscriber": FO,
        "now_ms": NOW_MS,
        "order_id": "order-1",
    }
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(held.issue, opened, **given)
        assert inside.wait(5)
        with pytest.raises(OrderUnderWay):
            held.issue(opened, **given)
        free.set()
        made_first = first.result()
    assert held.issue(opened, **given) == made_first

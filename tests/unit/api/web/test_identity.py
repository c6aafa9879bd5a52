"""A cached answer is no better than the evidence behind it is now."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from api.principals import Principal
from api.web import identity
from api.web.errors import CredentialMissing, CredentialRefused, CredentialUndecided, RoleNotAllowed
from api.web.identity import Identity
from ledger.errors import Broken
from pki.clock import SetClock
from pki.credential import Credential
from pki.errors import Absent, Refused
from pki.roles import Role
from pki.status import StatusIndeterminate
from tests.support.tls_files import Authority, credential_of

HOUR_MS = 3_600_000


class House:
    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.leaf = self.der("FO-1", "FO")
        self.clock = SetClock(credential_of(self.leaf).not_before_ms + HOUR_MS)
        self.epoch = 0
        self.checks = 0
        self.answer: Callable[[bytes], Credential] = credential_of
        self.identity = Identity(self._authenticate, epoch=lambda: self.epoch, clock=self.clock)

    def der(self, party: str, role: str) -> bytes:
        pem = self.authority.client(party, role).cert.read_bytes()
        return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)

    def _authenticate(self, der: bytes) -> Credential:
        self.checks += 1
        return self.answer(der)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_second_request_is_answered_from_the_cache(house: House) -> None:
    first = house.identity.identify(house.leaf)
    assert house.identity.identify(house.leaf) is first
    assert (first.party, first.role, house.checks) == ("FO-1", Role.FO, 1)


def test_the_cache_dies_when_the_epoch_moves(house: House) -> None:
    house.identity.identify(house.leaf)
    house.epoch += 1
    house.identity.identify(house.leaf)
    assert house.checks == 2


def test_an_epoch_that_moves_during_the_check_leaves_nothing_cached(house: House) -> None:
    def revoked_meanwhile(der: bytes) -> Credential:
        house.epoch += 1
        return credential_of(der)

    house.answer = revoked_meanwhile
    house.identity.identify(house.leaf)
    house.answer = credential_of
    house.identity.identify(house.leaf)
    assert house.checks == 2


def test_a_certificate_that_expires_on_an_open_connection_is_refused(house: House) -> None:
    credential = credential_of(house.leaf)
    house.clock.set_ms(credential.not_after_ms)
    house.identity.identify(house.leaf)
    house.clock.set_ms(credential.not_after_ms + 1)
    with pytest.raises(CredentialRefused, match="outside its validity"):
        house.identity.identify(house.leaf)


def test_a_certificate_that_is_not_valid_yet_is_refused(house: House) -> None:
    credential = credential_of(house.leaf)
    house.clock.set_ms(credential.not_before_ms)
    house.identity.identify(house.leaf)
    house.clock.set_ms(credential.not_before_ms - 1)
    house.epoch += 1
    with pytest.raises(CredentialRefused):
        house.identity.identify(house.leaf)


def test_when_the_status_evidence_runs_out_the_certificate_is_checked_again(house: House) -> None:
    until_ms = house.clock.now_ms() + HOUR_MS
    house.answer = lambda der: credential_of(der, status_valid_until_ms=until_ms)
    house.identity.identify(house.leaf)
    house.clock.set_ms(until_ms - 1)
    house.identity.identify(house.leaf)
    assert house.checks == 1
    house.clock.set_ms(until_ms)
    house.identity.identify(house.leaf)
    assert house.checks == 2


@pytest.mark.parametrize(
    ("raised", "seen", "found"),
    [
        (Refused("revoked"), CredentialRefused, "pki/refused"),
        (Absent("unknown issuer"), CredentialRefused, "pki/absent"),
        (StatusIndeterminate("stale"), CredentialUndecided, "pki/status-indeterminate"),
        (Broken("our store"), Broken, None),
    ],
)
def test_refused_undecided_and_broken_are_told_apart(
    house: House, raised: Exception, seen: type[Exception], found: str | None
) -> None:
    def refuse(_der: bytes) -> Credential:
        raise raised

    house.answer = refuse
    with pytest.raises(seen) as caught:
        house.identity.identify(house.leaf)
    assert getattr(caught.value, "found", None) == found


def test_a_refusal_is_not_cached(house: House) -> None:
    def refuse(_der: bytes) -> Credential:
        raise Refused("revoked")

    house.answer = refuse
    with pytest.raises(CredentialRefused):
        house.identity.identify(house.leaf)
    house.answer = credential_of
    assert house.identity.identify(house.leaf).party == "FO-1"


def test_the_cache_is_bounded_and_forgets_the_longest_unused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "MAX_CACHED", 2)
    others = [house.der(f"FO-{number}", "FO") for number in (2, 3)]
    house.identity.identify(house.leaf)
    house.identity.identify(others[0])
    house.identity.identify(house.leaf)
    house.identity.identify(others[1])
    checks = house.checks
    house.identity.identify(house.leaf)
    assert house.checks == checks
    house.identity.identify(others[0])
    assert house.checks == checks + 1


def _scope(principal: Principal | None) -> dict[str, Any]:
    return {"type": "http", "state": {identity.STATE_PRINCIPAL: principal}}


def test_a_guard_names_what_it_takes_and_what_came(house: House) -> None:
    principal = house.identity.identify(house.leaf)
    assert identity.principal_of(_scope(principal)) is principal  # type: ignore[arg-type]
    assert identity.principal_of(_scope(principal), Role.FO, Role.CSO) is principal  # type: ignore[arg-type]
    with pytest.raises(RoleNotAllowed) as caught:
        identity.principal_of(_scope(principal), Role.DPO, Role.AUD)  # type: ignore[arg-type]
    assert (caught.value.expected, caught.value.found) == ("AUD, DPO", "FO")
    with pytest.raises(CredentialMissing):
        identity.principal_of(_scope(None))  # type: ignore[arg-type]


def test_a_header_or_a_chain_without_certificate_makes_nobody_somebody() -> None:
    headers = [(b"client-cert", b":AAAA:"), (b"x-ssl-client-cert", b"x")]
    shown: list[Any] = [None, {}, {"tls": None}, {"tls": {"client_cert_chain": []}}]
    for extensions in shown:
        scope: Any = {"type": "http", "headers": headers, "extensions": extensions}
        assert identity.leaf_of(scope) is None


@pytest.mark.parametrize(("role", "named"), [("FO", True), ("AUD", True), ("EVU", False), ("STATION", False)])
def test_only_organisations_are_named_in_logs(house: House, role: str, named: bool) -> None:
    principal = Principal.from_credential(credential_of(house.der("P-1", role)))
    assert (principal.public_party is not None) is named

"""A key ring in a token wraps for the vault, forgets for certain, and gives no key away (SoftHSM)."""

from pathlib import Path
from uuid import uuid4

import pytest

from api.tokenring import TokenRing
from ledger.clock import SetClock
from ledger.privacy import errors
from ledger.privacy.kekring import KekProvider
from ledger.privacy.opened import State
from ledger.privacy.vault import Vault
from pki import keyplace
from tests.support import softhsm
from tests.support.privacy import NOW_MS, digest_of, held


@pytest.fixture
def ring() -> TokenRing:
    label = f"r-{uuid4().hex[:12]}"
    softhsm.token(label)
    made = TokenRing(keyplace.parse(softhsm.uri(label, "kek")))
    made.new_epoch()
    return made


def test_a_wrapped_key_opens_only_where_it_was_wrapped(ring: TokenRing) -> None:
    provider: KekProvider = ring
    wrapped = provider.wrap(1, b"k" * 32, b"here")
    assert b"k" * 32 not in wrapped
    assert provider.unwrap(1, wrapped, b"here") == b"k" * 32
    assert provider.wrap(1, b"k" * 32, b"here") != wrapped
    for bad, place in ((wrapped, b"there"), (wrapped[:-1] + bytes([wrapped[-1] ^ 1]), b"here"), (b"", b"here")):
        with pytest.raises(errors.TamperedData):
            provider.unwrap(1, bad, place)
    assert provider.unwrap(1, wrapped, b"here") == b"k" * 32


def test_epochs_count_up_and_the_newest_stays(ring: TokenRing) -> None:
    old = ring.wrap(1, b"k" * 32, b"")
    assert ring.new_epoch() == 2
    assert ring.epochs() == (1, 2)
    ring.destroy(1)
    assert ring.epochs() == (2,)
    with pytest.raises(errors.KekEpochAbsent):
        ring.unwrap(1, old, b"")
    with pytest.raises(errors.KekEpochAbsent):
        ring.destroy(1)
    with pytest.raises(errors.KekEpochInUse):
        ring.destroy(2)
    assert ring.new_epoch() == 3


def test_a_vault_under_a_token_rotates_and_its_old_copies_are_dead(ring: TokenRing, tmp_path: Path) -> None:
    def opened(create: bool = False) -> Vault:
        return Vault.open(tmp_path / "vault", clock=SetClock(NOW_MS), provider=ring, create=create)

    vault = opened(create=True)
    one = held("x", "evu-1")
    vault.keep([one])
    copy = tmp_path / "keys.db"
    vault.keys.backup(copy)
    assert vault.keys.rotate() == 2
    vault.keys.destroy_epoch(1)
    vault.close()
    again = opened()
    assert again.open_digest(digest_of(one)) == one.text
    again.close()
    for left in (tmp_path / "vault").glob("keys.db*"):
        left.unlink()
    copy.rename(tmp_path / "vault" / "keys.db")
    with pytest.raises(errors.KekEpochAbsent):
        opened()
    assert not list(tmp_path.rglob("kek.ring"))
    assert State.LOST.value == "lost"


def test_the_ring_shows_its_place_and_no_pin(ring: TokenRing) -> None:
    assert "kek" in repr(ring)
    assert softhsm.PIN not in repr(ring)


def test_a_token_that_is_not_there_is_absent() -> None:
    softhsm.folder()
    ring = TokenRing(keyplace.parse(softhsm.uri("no-such-token", "kek")))
    with pytest.raises(Exception, match="token") as caught:
        ring.epochs()
    assert getattr(caught.value, "code", "") == "pki/token-key-absent"

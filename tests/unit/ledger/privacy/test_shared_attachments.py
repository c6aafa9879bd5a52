"""The same bytes about two persons: erasing one of them takes nothing from the other, and serves nothing of the erased."""

import hashlib

import pytest

from ledger.clock import SetClock
from ledger.privacy import errors, rights
from ledger.privacy.erasure import Eraser
from ledger.privacy.vault import Vault
from ledger.records.marks import Category
from ledger.records.privacy import ErasureBasis, RefusalGround, RestrictionGround
from tests.support.privacy import Log

BASIS = ErasureBasis.OBJECTION
BODY = b"two cars that stand still measure the same"
SHA256 = hashlib.sha256(BODY).hexdigest()
YEARS_MS = 5 * 366 * 86_400_000


def attach(vault: Vault, subject: str | None) -> str:
    return vault.attach(BODY, subject=subject, category=Category.METER, retention="P2Y")


def copies(vault: Vault) -> int:
    count: int = vault.database.scalar("SELECT count(*) FROM attachment")
    return count


def test_the_same_bytes_about_one_person_are_kept_once(vault: Vault) -> None:
    assert attach(vault, "evu-1") == attach(vault, "evu-1") == SHA256
    assert copies(vault) == 1


async def test_erasing_one_person_leaves_the_other_ones_copy(vault: Vault, eraser: Eraser) -> None:
    attach(vault, "evu-1")
    attach(vault, "evu-2")
    await eraser.erase("evu-1", basis=BASIS)
    assert copies(vault) == 1
    assert vault.attachment(SHA256) == BODY
    assert vault.attachments_of("evu-2") == (SHA256,)


async def test_after_both_are_erased_it_is_erased(vault: Vault, eraser: Eraser) -> None:
    attach(vault, "evu-1")
    attach(vault, "evu-2")
    first = await eraser.erase("evu-1", basis=BASIS)
    second = await eraser.erase("evu-2", basis=BASIS)
    assert copies(vault) == 0
    with pytest.raises(errors.ErasedData):
        vault.attachment(SHA256)
    found = vault.tombstone_of(SHA256)
    assert found is not None
    assert found.handle in {first.handle, second.handle}
    assert found.opening is not None


async def test_what_was_erased_is_not_taken_in_again(vault: Vault, eraser: Eraser) -> None:
    attach(vault, "evu-1")
    await eraser.erase("evu-1", basis=BASIS)
    attach(vault, "evu-1")
    assert copies(vault) == 0


async def test_a_restricted_copy_is_not_served_while_a_free_one_is(vault: Vault, log: Log) -> None:
    attach(vault, "evu-1")
    await rights.restrict(vault, log.record, "evu-1", ground=RestrictionGround.OBJECTION_PENDING)
    with pytest.raises(errors.RestrictedData):
        vault.attachment(SHA256)
    attach(vault, "evu-2")
    assert vault.attachment(SHA256) == BODY


async def test_an_expired_month_takes_the_copies_of_that_month_and_no_held_one(
    vault: Vault, eraser: Eraser, clock: SetClock, log: Log
) -> None:
    attach(vault, "evu-1")
    attach(vault, "evu-2")
    await rights.hold(vault, log.record, "evu-2", ground=RefusalGround.LEGAL_CLAIMS)
    clock.set_ms(clock.now_ms() + YEARS_MS)
    await eraser.expire()
    assert copies(vault) == 1
    assert vault.attachment(SHA256) == BODY

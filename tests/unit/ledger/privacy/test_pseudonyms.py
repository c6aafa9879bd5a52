"""Pseudonyms say nothing outside their recipient, purpose and epoch."""

import re

from ledger.privacy.pseudonyms import Pseudonyms, month_epoch, transaction_epoch
from ledger.privacy.vault import Vault

UID = b"u" * 16


def test_a_pseudonym_is_another_one_for_every_recipient_purpose_and_epoch(vault: Vault) -> None:
    """A12."""
    make = Pseudonyms(vault.keys)
    made = {
        make.of(uid, recipient=recipient, purpose=purpose, epoch=epoch)
        for uid in (UID, b"v" * 16)
        for recipient in ("fo-1", "fo-2")
        for purpose in ("SETTLEMENT", "AUDIT")
        for epoch in (transaction_epoch("fsr-1"), transaction_epoch("fsr-2"), month_epoch("2026-11"))
    }
    assert len(made) == 24
    assert all(re.fullmatch("P1[A-Z2-7]{32}", one) for one in made)


def test_where_one_part_ends_and_the_next_begins_matters(vault: Vault) -> None:
    """A12: lengths are framed: "fo-1"+"AUDIT" is not "fo-"+"1AUDIT"."""
    make = Pseudonyms(vault.keys)
    assert make.of(UID, recipient="fo-1", purpose="AUDIT", epoch="e") != make.of(
        UID, recipient="fo-", purpose="1AUDIT", epoch="e"
    )
    assert make.of(UID, recipient="a", purpose="", epoch="b") != make.of(UID, recipient="", purpose="a", epoch="b")


def test_a_pseudonym_is_the_same_again_and_survives_a_rotation(vault: Vault) -> None:
    make = Pseudonyms(vault.keys)
    first = make.of(UID, recipient="fo-1", purpose="AUDIT", epoch="e")
    vault.keys.rotate()
    assert Pseudonyms(vault.keys).of(UID, recipient="fo-1", purpose="AUDIT", epoch="e") == first


def test_pseudonyms_print_no_key(vault: Vault) -> None:
    """A38."""
    assert repr(Pseudonyms(vault.keys)) == "Pseudonyms()"


def test_many_pseudonyms_are_the_same_as_one_by_one(vault: Vault) -> None:
    pseudonyms = Pseudonyms(vault.keys)
    many = pseudonyms.of_many(recipient="fo-1", purpose="SETTLEMENT")
    for uid in (bytes([n]) * 16 for n in range(3)):
        for epoch in ("month:2026-11", "transaction:fsr/1"):
            one = pseudonyms.of(uid, recipient="fo-1", purpose="SETTLEMENT", epoch=epoch)
            assert many(uid, epoch) == many(uid, epoch) == one

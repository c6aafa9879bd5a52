"""Keys: two factors, epochs, a private ring; and nothing that prints shows one."""

import copy
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ledger.clock import SetClock
from ledger.privacy import disclosure_log, errors, keys
from ledger.privacy.kekring import FORMAT, MAX_RING_BYTES, KekRingFile
from ledger.privacy.keys import CACHE_TTL_MS, MAX_CACHED, Keys, framed
from ledger.privacy.vault import Vault
from tests.support.privacy import digest_of, held

pytestmark = pytest.mark.slow  # takes seconds


def ring_bytes(path: Path) -> list[bytes]:
    """The keys in a ring file, in every way in which they could be printed."""
    shown: list[bytes] = []
    for one in msgspec.json.decode(path.read_bytes())["keys"]:
        raw = msgspec.convert(one["key"], bytes)
        shown += [one["key"].encode(), raw, raw.hex().encode(), repr(raw).encode()]
    return shown


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o602, 0o700, 0o660])
def test_a_ring_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "kek.ring"
    KekRingFile.create(path)
    path.chmod(mode)
    with pytest.raises(errors.KekRingExposed):
        KekRingFile.open(path)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_ring_for_its_owner_alone_is_taken(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "kek.ring"
    KekRingFile.create(path)
    path.chmod(mode)
    assert KekRingFile.open(path).epochs() == (1,)


def test_a_ring_behind_a_link_or_in_a_folder_is_refused(tmp_path: Path) -> None:
    KekRingFile.create(tmp_path / "kek.ring")
    (tmp_path / "link").symlink_to(tmp_path / "kek.ring")
    (tmp_path / "folder").mkdir(mode=0o600)
    for name in ("link", "folder"):
        with pytest.raises(errors.KekRingExposed):
            KekRingFile.open(tmp_path / name)


def test_a_ring_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    KekRingFile.create(tmp_path / "kek.ring")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(errors.KekRingExposed):
        KekRingFile.open(tmp_path / "kek.ring")


def test_a_malformed_ring_is_refused_without_repeating_it(tmp_path: Path) -> None:
    path = tmp_path / "kek.ring"
    KekRingFile.create(path)
    good = msgspec.json.decode(path.read_bytes())
    short = {**good, "keys": [{"epoch": 1, "key": "AAAA"}]}
    for content in (b"canary", msgspec.json.encode(short), msgspec.json.encode({**good, "format": "other"})):
        path.write_bytes(content)
        with pytest.raises(errors.KekRingMalformed) as caught:
            KekRingFile.open(path)
        assert "canary" not in str(caught.value)
        assert "AAAA" not in str(caught.value)


def test_a_ring_has_a_greatest_size(tmp_path: Path) -> None:
    path = tmp_path / "kek.ring"
    KekRingFile.create(path)
    content = path.read_bytes()
    path.write_bytes(content.ljust(MAX_RING_BYTES))
    assert KekRingFile.open(path).epochs() == (1,)
    path.write_bytes(content.ljust(MAX_RING_BYTES + 1))
    with pytest.raises(errors.KekRingMalformed):
        KekRingFile.open(path)


def test_an_epoch_number_is_never_used_twice(tmp_path: Path) -> None:
    ring = KekRingFile.create(tmp_path / "kek.ring")
    assert ring.new_epoch() == 2
    ring.destroy(2)
    assert ring.new_epoch() == 3
    assert KekRingFile.open(tmp_path / "kek.ring").epochs() == (1, 3)
    with pytest.raises(errors.KekEpochAbsent):
        ring.destroy(2)


def test_a_destroyed_key_is_overwritten_in_the_old_file_too(tmp_path: Path) -> None:
    path = tmp_path / "kek.ring"
    ring = KekRingFile.create(path)
    ring.new_epoch()
    before = path.read_bytes()
    with path.open("rb") as old:
        ring.destroy(1)
        assert old.read() != before
    assert not set(ring_bytes(path)) & {before}
    assert [file.name for file in tmp_path.iterdir()] == ["kek.ring"]


def test_a_wrapped_key_opens_only_where_it_was_wrapped(tmp_path: Path) -> None:
    ring = KekRingFile.create(tmp_path / "kek.ring")
    ring.new_epoch()
    wrapped = ring.wrap(1, b"k" * 32, b"here")
    assert ring.unwrap(1, wrapped, b"here") == b"k" * 32
    assert ring.wrap(1, b"k" * 32, b"here") != wrapped
    for epoch, data, place in (
        (1, wrapped, b"there"),
        (2, wrapped, b"here"),
        (1, wrapped[:-1], b"here"),
        (1, b"", b""),
    ):
        with pytest.raises(errors.TamperedData):
            ring.unwrap(epoch, data, place)
    with pytest.raises(errors.KekEpochAbsent):
        ring.wrap(3, b"k" * 32, b"here")


def test_nothing_that_prints_shows_a_key(vault: Vault, tmp_path: Path) -> None:
    """A38: repr, str, errors and pickles of key holders hold no key."""
    ring = KekRingFile.open(tmp_path / "kek.ring")
    vault.keep([held("x", "evu-1")])
    shown = ring_bytes(tmp_path / "kek.ring")
    service = [vault.keys.service_key(name) for name in (keys.LOOKUP, keys.PSEUDONYM)]
    shown += [form for key in service for form in (key, key.hex().encode(), repr(key).encode())]
    cipher = vault.keys.facet_cipher(vault.uid_of("evu-1"), "P2Y", "2026-11")
    printed = " ".join(repr(one) + str(one) for one in (ring, ring._ring, *ring._ring.keys, vault.keys, vault, cipher))
    assert not [one for one in shown if one in printed.encode()]
    for holder in (ring, vault.keys):
        with pytest.raises(TypeError):
            pickle.dumps(holder)
        with pytest.raises(TypeError):
            copy.copy(holder)


def test_records_and_rows_do_not_print_values(vault: Vault) -> None:
    """A38: what holds a disclosure or an internal id keeps it out of its repr."""
    one = held("canary", "canary-subject")
    vault.keep([one])
    found = vault.open_many([digest_of(one)])
    printed = repr((one, found, vault.subjects(), disclosure_log.of(vault, "canary-subject")))
    assert "canary" not in printed
    assert one.text not in printed
    assert repr(vault.uid_of("canary-subject")) not in printed


def test_both_factors_are_needed(vault: Vault, clock: SetClock) -> None:
    """A22: the subject's key and the period's key are each enough to forget, and forget nothing else."""
    now = held("x", "evu-1")
    other = held("y", "evu-2")
    vault.keep([now, other])
    clock.set_ms(clock.now_ms() + 40 * 86_400_000)
    later = held("z", "evu-1")
    vault.keep([later])
    vault.keys.destroy_period_key("P2Y", "2026-11")
    found = vault.open_many([digest_of(one) for one in (now, other, later)])
    assert [one.state.value for one in found.values()] == ["lost", "lost", "text"]
    vault.keys.destroy_subject_key(vault.uid_of("evu-1"))
    assert vault.open_many([digest_of(later)])[digest_of(later)].state.value == "lost"


def test_an_expired_period_takes_no_more_writes_even_when_the_clock_is_set_back(vault: Vault, clock: SetClock) -> None:
    """A22, A34: the floor does not move with the clock."""
    vault.keep([held("x", "evu-1")])
    vault.keys.destroy_period_key("P2Y", "2026-11")
    with pytest.raises(errors.PeriodLapsed):
        vault.keep([held("y", "evu-1")])
    clock.set_ms(clock.now_ms() + 40 * 86_400_000)
    vault.keep([held("y", "evu-1")])


def test_derived_keys_live_a_minute(vault: Vault, clock: SetClock, reopen: Callable[[], Vault]) -> None:
    """A28: what another process destroyed is gone here after the cache's minute, and at once where it was done."""
    vault.keep([held("x", "evu-1")])
    uid, place = vault.uid_of("evu-1"), ("P2Y", "2026-11")
    assert vault.keys.facet_cipher(uid, *place) is not None
    reopen().keys.destroy_subject_key(uid)
    clock.set_ms(clock.now_ms() + CACHE_TTL_MS - 1)
    assert vault.keys.facet_cipher(uid, *place) is not None
    clock.set_ms(clock.now_ms() + 1)
    assert vault.keys.facet_cipher(uid, *place) is None


def test_a_clock_set_back_does_not_keep_derived_keys_alive(vault: Vault, clock: SetClock) -> None:
    """A34."""
    vault.keep([held("x", "evu-1")])
    uid, place = vault.uid_of("evu-1"), ("P2Y", "2026-11")
    first = vault.keys.facet_cipher(uid, *place)
    clock.set_ms(clock.now_ms() - 1)
    assert vault.keys.facet_cipher(uid, *place) is not first


def test_derived_keys_are_purged_and_bounded(vault: Vault) -> None:
    vault.keep([held("x", "evu-1"), held("y", "evu-2")])
    uid = vault.uid_of("evu-1")
    vault.keys.purge(uid)
    assert all(place[0] != uid for place in vault.keys._cache)
    assert vault.keys._cache
    for number in range(MAX_CACHED + 1):
        vault.keys._cache.setdefault((b"%d" % number, "", ""), next(iter(vault.keys._cache.values())))
    vault.keys.facet_cipher(uid, "P2Y", "2026-11")
    assert len(vault.keys._cache) <= MAX_CACHED
    vault.keys.purge()
    assert not vault.keys._cache


def test_rotation_while_another_process_writes_loses_nothing(vault: Vault, reopen: Callable[[], Vault]) -> None:
    """A27: a process that knows only the old epoch wraps under the new one, and the old one can go."""
    other = reopen()
    first, second = held("x", "evu-1"), held("y", "evu-2")
    vault.keep([first])
    other.keep([held("z", "evu-3")])
    old = vault.keys.epoch
    vault.keys.rotate()
    other.keep([second])
    vault.keys.destroy_epoch(old)
    assert reopen().open_digest(digest_of(second)) == second.text
    assert vault.open_digest(digest_of(first)) == first.text


def test_an_interrupted_rotation_is_finished_by_the_next(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """A27: half re-wrapped is as readable as before; no epoch in use is destroyed."""
    ones = [held(n, f"evu-{n}") for n in range(5)]
    vault.keep(ones)
    monkeypatch.setattr(keys, "REWRAP_BATCH", 2)
    whole = Keys._rewrap_subjects
    calls: list[int] = []

    def once(self: Keys, epoch: int) -> bool:
        if calls:
            raise OSError
        calls.append(epoch)
        return whole(self, epoch)

    monkeypatch.setattr(Keys, "_rewrap_subjects", once)
    with pytest.raises(OSError):  # noqa: PT011 -- raised above
        vault.keys.rotate()
    vault.keys.purge()
    assert all(vault.open_digest(digest_of(one)) == one.text for one in ones)
    with pytest.raises(errors.KekEpochInUse):
        vault.keys.destroy_epoch(1)
    monkeypatch.setattr(Keys, "_rewrap_subjects", whole)
    newest = vault.keys.rotate()
    for epoch in vault.keys.epochs():
        if epoch != newest:
            vault.keys.destroy_epoch(epoch)
    vault.keys.purge()
    assert all(vault.open_digest(digest_of(one)) == one.text for one in ones)


def test_nonces_are_random_and_never_repeat(vault: Vault) -> None:
    """GCM: 96 random bits a ciphertext."""
    vault.keep([held(n, "evu-1") for n in range(500)])
    nonces = {row[0] for row in vault.database.rows("SELECT substr(body, 1, 12) FROM facet")}
    assert len(nonces) == 500


def test_framing_tells_lists_of_parts_apart() -> None:
    assert framed(b"l", b"a", b"bc") != framed(b"l", b"ab", b"c")
    assert framed(b"l", b"") != framed(b"l")


def test_the_rings_format_is_named(tmp_path: Path) -> None:
    KekRingFile.create(tmp_path / "kek.ring")
    assert msgspec.json.decode((tmp_path / "kek.ring").read_bytes())["format"] == FORMAT
    with pytest.raises(FileExistsError):
        KekRingFile.create(tmp_path / "kek.ring")

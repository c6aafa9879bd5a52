"""The crash table: interrupted at any step, an issuance is visible and can be settled, and nobody got a certificate
that is not on record."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from pki import issuance
from pki.authority import Subscriber
from pki.csr import OpenedCsr
from pki.hierarchy import Hierarchy
from pki.journal import MemoryJournal
from pki.roles import Group, Purpose, Role
from pki.store.records import GapKind, IntentWithdrawn, OrderUnderWay, Reason
from pki.store.sqlite import SqliteStore

pytestmark = pytest.mark.slow  # takes seconds

NOW_MS = 1_767_225_600_000
FO = Subscriber(party_id="FI-AUR", organisation="Aurora Flex")
ORDER = "order-1"


class Crash(BaseException):
    """The process ends here: no handler of ours for ordinary errors may run."""


class House:
    """An authority whose process can be killed at a step and started again on the same store, journal and keys."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self.path = folder / "issued.db" if durable else None
        self.folder = folder / "ca"
        self.journal = MemoryJournal()
        self.store = SqliteStore(self.path)
        made = Hierarchy.create(
            organisation="Test", zone="flexledger.example", now_ms=NOW_MS, store=self.store, journal=self.journal
        )
        made.save(self.folder, None)
        self.hierarchy = made

    def restart(self) -> None:
        if self.path is not None:
            self.store.close()
            self.store = SqliteStore(self.path)
        self.hierarchy = Hierarchy.load(self.folder, None, store=self.store, journal=self.journal)

    def issue(self, csr: OpenedCsr, order_id: str | None = ORDER) -> x509.Certificate:
        return self.hierarchy.issue(Role.FO, Purpose.TLS_CLIENT, csr, subscriber=FO, now_ms=NOW_MS, order_id=order_id)

    @contextmanager
    def interrupted(self, place: object, name: str, *, after: bool, error: BaseException) -> Iterator[None]:
        whole = getattr(type(place), name)

        def broken(*given: Any, **named: Any) -> Any:
            if after:
                whole(*given, **named)
            raise error

        patch = pytest.MonkeyPatch()
        patch.setattr(type(place), name, broken)
        try:
            yield
        finally:
            patch.undo()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path, durable=False)  # a store that lives on: what it took is there, as in a file
    yield made
    made.store.close()


def _place(house: House, what: str) -> object:
    return {"store": house.store, "journal": house.journal, "check": house.hierarchy.root}[what]


BEFORE, AFTER = False, True
# What is interrupted, before or after it took effect; the gap that is left, and whether the repair revokes or records.
TABLE = [
    ("store", "plan", BEFORE, None, None),
    ("store", "plan", AFTER, GapKind.UNSIGNED, "revoked"),
    ("journal", "intent", BEFORE, GapKind.UNSIGNED, "revoked"),
    ("journal", "intent", AFTER, GapKind.UNSIGNED, "revoked"),
    ("check", "_require_own_check", BEFORE, GapKind.UNSIGNED, "revoked"),
    ("check", "_require_own_check", AFTER, GapKind.UNSIGNED, "revoked"),
    ("store", "finish", BEFORE, GapKind.UNSIGNED, "revoked"),
    ("store", "finish", AFTER, GapKind.UNRECORDED, "recorded"),
    ("journal", "issued", BEFORE, GapKind.UNRECORDED, "recorded"),
    ("journal", "issued", AFTER, GapKind.UNRECORDED, "recorded"),
    ("store", "recorded", BEFORE, GapKind.UNRECORDED, "recorded"),
    ("store", "recorded", AFTER, None, None),
]
IDS = [f"{place}.{name}-{'after' if after else 'before'}" for place, name, after, _, _ in TABLE]


@pytest.mark.parametrize(("place", "name", "after", "kind", "end"), TABLE, ids=IDS)
def test_interrupted_at_any_step_it_is_visible_and_repaired(
    house: House, opened_csr: OpenedCsr, place: str, name: str, after: bool, kind: GapKind | None, end: str | None
) -> None:
    with house.interrupted(_place(house, place), name, after=after, error=Crash()), pytest.raises(Crash):
        house.issue(opened_csr)
    house.restart()
    gaps = house.store.gaps()
    assert [gap.kind for gap in gaps] == ([] if kind is None else [kind])
    assert all(gap.order_id == ORDER and gap.intent.party_id == "FI-AUR" for gap in gaps)

    repaired = issuance.repair(house.store, house.journal, now_ms=NOW_MS + 1, patience_ms=None)
    assert (len(repaired.recorded), len(repaired.revoked)) == (end == "recorded", end == "revoked")
    assert house.store.gaps() == []
    assert house.journal.gaps() == []
    assert issuance.repair(house.store, house.journal, now_ms=NOW_MS + 2, patience_ms=None) == issuance.Repaired((), ())
    issued = house.store.find(role=Role.FO)
    assert {one.serial for one in issued} <= {one.serial for one in house.journal.issuances}
    if end == "revoked":
        serial = gaps[0].intent.serial
        crl = x509.load_der_x509_crl(house.hierarchy.issuing[Group.FO].crl(NOW_MS + 1000))
        assert crl.get_revoked_certificate_by_serial_number(serial) is not None
        assert issued == []
    # The party asks again, and gets one certificate for its order, however it went before.
    certificate = house.issue(opened_csr)
    assert house.issue(opened_csr) == certificate
    assert [one.serial for one in house.store.find(role=Role.FO)] == [certificate.serial_number]


@pytest.mark.parametrize(("place", "name", "after", "kind", "end"), TABLE, ids=IDS)
def test_an_error_at_any_step_leaves_the_order_open_to_be_given_again(
    house: House, opened_csr: OpenedCsr, place: str, name: str, after: bool, kind: GapKind | None, end: str | None
) -> None:
    broken = OSError("the disk is full")
    with house.interrupted(_place(house, place), name, after=after, error=broken), pytest.raises(OSError, match="full"):
        house.issue(opened_csr)
    if (name, after) == ("plan", AFTER):  # its answer was lost: to the store the order is under way
        with pytest.raises(OrderUnderWay):
            house.issue(opened_csr)
        issuance.repair(house.store, house.journal, now_ms=NOW_MS + 1, patience_ms=None)
    certificate = house.issue(opened_csr)
    issuance.repair(house.store, house.journal, now_ms=NOW_MS + 1, patience_ms=None)
    assert house.store.gaps() == house.journal.gaps() == []
    assert [one.serial for one in house.store.find(role=Role.FO)] == [certificate.serial_number]


REPAIR = [
    ("store", "withdraw", BEFORE),
    ("store", "withdraw", AFTER),
    ("journal", "intent", AFTER),
    ("journal", "revoked", BEFORE),
    ("journal", "revoked", AFTER),
    ("store", "revoke", BEFORE),
    ("store", "revoke", AFTER),
]


@pytest.mark.parametrize(("place", "name", "after"), REPAIR)
def test_a_repair_that_is_interrupted_is_finished_by_the_next(
    house: House, opened_csr: OpenedCsr, place: str, name: str, after: bool
) -> None:
    with house.interrupted(house.store, "finish", after=BEFORE, error=Crash()), pytest.raises(Crash):
        house.issue(opened_csr)
    house.restart()
    serial = house.store.gaps()[0].intent.serial
    with house.interrupted(_place(house, place), name, after=after, error=Crash()), pytest.raises(Crash):
        issuance.repair(house.store, house.journal, now_ms=NOW_MS + 1, patience_ms=None)
    house.restart()
    issuance.repair(house.store, house.journal, now_ms=NOW_MS + 2, patience_ms=None)
    assert house.store.gaps() == house.journal.gaps() == []
    revocations = house.store.revocations(house.hierarchy.issuing[Group.FO].key_sha256, NOW_MS + 2)
    assert [(one.serial, one.reason) for one in revocations] == [(serial, Reason.SUPERSEDED)]
    assert len(house.journal.revocations) == 1
    assert house.issue(opened_csr)


def test_a_repair_leaves_what_is_under_way_alone_until_its_patience_ends(house: House, opened_csr: OpenedCsr) -> None:
    with house.interrupted(house.store, "finish", after=BEFORE, error=Crash()), pytest.raises(Crash):
        house.issue(opened_csr)
    early = issuance.repair(house.store, house.journal, now_ms=NOW_MS + issuance.PATIENCE_MS)
    assert early == issuance.Repaired((), ())
    assert len(house.store.gaps()) == 1
    late = issuance.repair(house.store, house.journal, now_ms=NOW_MS + issuance.PATIENCE_MS + 1)
    assert len(late.revoked) == 1


def test_an_issuance_that_a_repair_took_for_interrupted_hands_nothing_out(house: House, opened_csr: OpenedCsr) -> None:
    finish: Callable[..., None] = house.store.finish

    def slow(issued: Any) -> None:
        issuance.repair(house.store, house.journal, now_ms=NOW_MS + 1, patience_ms=None)
        finish(issued)

    patch = pytest.MonkeyPatch()
    patch.setattr(house.store, "finish", slow)
    with pytest.raises(IntentWithdrawn) as caught:
        house.issue(opened_csr)
    patch.undo()
    assert caught.value.code == "pki/intent-withdrawn"
    assert house.store.find(role=Role.FO) == []
    assert house.store.gaps() == house.journal.gaps() == []
    assert house.issue(opened_csr)


def test_what_is_left_half_done_is_still_there_in_the_file(tmp_path: Path, opened_csr: OpenedCsr) -> None:
    house = House(tmp_path, durable=True)
    with house.interrupted(house.store, "finish", after=BEFORE, error=Crash()), pytest.raises(Crash):
        house.issue(opened_csr)
    house.restart()
    assert [gap.kind for gap in house.store.gaps()] == [GapKind.UNSIGNED]
    with pytest.raises(OrderUnderWay):
        house.issue(opened_csr)
    issuance.repair(house.store, house.journal, now_ms=NOW_MS + 1, patience_ms=None)
    assert house.issue(opened_csr)
    house.restart()
    assert house.store.gaps() == []
    house.store.close()

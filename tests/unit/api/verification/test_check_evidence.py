"""The six questions are answered from documents that are opened anew, and whoever has them gets the same answer."""

import asyncio
import base64
import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509

from api import wire
from api.flows import check
from api.flows.errors import DocumentOther
from api.flows.memory import Memory
from api.verification.actors import thumbprint
from api.verification.bundle import open_bundle
from api.verification.report import Exit
from ledger.records.credentials import CheckPurpose, CheckRecorded, Dimension, DimensionResult, Status
from ledger.records.record import Record
from ledger.records.sites import ClaimKind, ClaimRegistered, ClaimWithdrawn, InstallationLinked, Withdrawal
from pki import gridcode, regions
from pki.asn1 import attributecert
from pki.asn1.claims import Claim, ConformityClaims, DerFunction, Scheme, Thing, ThingKind, TypeRef, thing_digest
from pki.asn1.links import InstallationLink
from pki.attribute import AttributeAuthority
from pki.roles import Purpose
from pki.roles import Service as PkiService
from pki.status import StatusSet
from pki.store.records import Reason
from pki.tbs import Window
from tests.support import world as stage
from tests.support.bundles import changed, report_of

pytestmark = pytest.mark.slow  # takes seconds

DAY_MS = 86_400_000
STREAM = f"site/{stage.SITE}"
TESTED = TypeRef("Maker", "V2G-11", "H1", stage.FIRMWARE)
ITEM = Claim(
    standard="EN 50549-10",
    edition="2022",
    scheme=Scheme.TYPE_TEST,
    cert_number="T-1",
    services=frozenset({PkiService.DROOP}),
    regions=("FI",),
    max_charge_w=stage.CAN_W,
    max_discharge_w=stage.CAN_W,
    response_ms=1_000,
    functions=frozenset({DerFunction.FREQUENCY_WATT}),
)
TYPE_CLAIM = ConformityClaims((Thing(ThingKind.EVSE, None, TESTED),), (ITEM,))


def operator(world: stage.World) -> AttributeAuthority:
    signing = world.made.parties[stage.CSO].credentials[Purpose.SIGNING]
    return AttributeAuthority(signing.certificate, signing.key, world.made.store, world.made.hierarchy.root.journal)


def window(world: stage.World) -> Window:
    now_ms = world.clock.now_ms()
    return Window(now_ms, now_ms + 20 * DAY_MS)


async def register(world: stage.World, record: Record, der: bytes, subject: str) -> None:
    attachment = wire.SubmittedAttachment(data=der, subject=subject)
    opened = world.opened(stage.CSO, record, STREAM, subject=subject, attachments=[attachment])
    world.memory.require_claim(opened)
    await world.desk.admit(opened, world.principal(stage.CSO))


async def register_type(world: stage.World, **changes: Any) -> tuple[str, bytes]:
    """The laboratory's claim about the type, registered; its id and document."""
    span = window(world)
    der = stage.laboratory(world.made).issue_claim(TYPE_CLAIM, window=span, now_ms=world.clock.now_ms())
    record = ClaimRegistered(
        claim_id=stage.new_id("claim"),
        site_id=stage.SITE,
        subject=ClaimKind.TYPE,
        standard="EN 50549-10",
        functions=("DROOP",),
        region="FI",
        issuer=stage.LAB,
        not_before_ms=span.not_before_ms // 1000 * 1000,
        not_after_ms=span.not_after_ms // 1000 * 1000,
        claim_sha256=hashlib.sha256(der).hexdigest(),
        things=(thing_digest(TYPE_CLAIM.things[0]).hex(),),
    )
    await register(world, msgspec.structs.replace(record, **changes), der, stage.STATIONS[0])
    return record.claim_id, der


async def register_link(world: stage.World, station: str, firmware: str = stage.FIRMWARE) -> tuple[str, bytes]:
    """The operator's link of a station's EVSE to the type, registered; its id and document."""
    span = window(world)
    key = world.station_key(station)
    linked = InstallationLink(ThingKind.EVSE, key, TypeRef("Maker", "V2G-11", "H1", firmware))
    der = operator(world).issue_link(linked, window=span, now_ms=world.clock.now_ms())
    record = InstallationLinked(
        claim_id=stage.new_id("link"),
        site_id=stage.SITE,
        subject=ClaimKind.EVSE,
        issuer=stage.CSO,
        not_before_ms=span.not_before_ms // 1000 * 1000,
        not_after_ms=span.not_after_ms // 1000 * 1000,
        link_sha256=hashlib.sha256(der).hexdigest(),
        thing=key,
    )
    await register(world, record, der, station)
    return record.claim_id, der


class Stage:
    """A droop was asked for; claims and links are registered as each test wants."""

    def __init__(self, world: stage.World, fsr_id: str) -> None:
        self.world = world
        self.fsr_id = fsr_id

    async def check(self) -> CheckRecorded:
        _, found = await check.run(self.world.desk, self.world.memory, self.fsr_id, stage.EVSES, CheckPurpose.PRE_FSR)
        return found

    async def conformity(self) -> list[DimensionResult]:
        """The answer to the sixth question for each EVSE."""
        found = await self.check()
        return [
            one for subject in found.subjects for one in subject.dimensions if one.dimension is Dimension.CONFORMITY
        ]


Scene = Callable[[Stage], Any]


def play(folder: Path, scene: Scene) -> Any:
    async def run() -> Any:
        world = await stage.World.open(folder, crl_every_ms=stage.HOUR_MS)
        try:
            await stage.configure(world)
            await stage.plug_in(world)
            fsc_ids = (
                await stage.contract(world),
                await stage.contract(world, stage.PERSONS[0], stage.EVSES[0]),
                await stage.contract(world, stage.PERSONS[1], stage.EVSES[1]),
            )
            start_at_ms = stage.DAWN_MS + 11 * stage.HOUR_MS
            world.at(start_at_ms - 2 * stage.HOUR_MS)
            fsr_id = await stage.issue(world, fsc_ids, stage.droop(), start_at_ms, start_at_ms + stage.STEP_MS)
            return await scene(Stage(world, fsr_id))
        finally:
            await world.close()

    return asyncio.run(run())


def test_a_type_claim_and_a_link_answer_together_and_both_are_named(tmp_path: Path) -> None:
    async def scene(on: Stage) -> None:
        _, claim = await register_type(on.world)
        assert [one.code for one in await on.conformity()] == ["check/not-covered-no-link"] * 2
        _, link = await register_link(on.world, stage.STATIONS[0])
        found = await on.check()
        first, second = found.subjects
        assert [first.dimensions[5].status, second.dimensions[5].status] == [Status.PASS, Status.FAIL]
        assert isinstance(first.evidence, tuple)
        assert {hashlib.sha256(der).hexdigest() for der in (claim, link)} <= set(first.evidence)
        assert not set(first.evidence) & set(found.evidence)
        held = {hashlib.sha256(der).hexdigest() for der in on.world.engines.status.ders()}
        assert set(found.evidence) & held

    play(tmp_path, scene)


def test_a_guess_about_what_a_region_asks_of_a_claim_is_indeterminate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finland = regions.grid_codes()["FI"]
    guess = msgspec.structs.replace(finland.claims, status=gridcode.Status.UNCERTAIN, settled_by="the text")

    async def scene(on: Stage) -> None:
        await register_type(on.world)
        await register_link(on.world, stage.STATIONS[0])
        assert (await on.conformity())[0].status is Status.PASS
        monkeypatch.setattr(regions, "grid_codes", lambda: {"FI": msgspec.structs.replace(finland, claims=guess)})
        first, second = await on.conformity()
        assert (first.status, first.code) == (Status.INDETERMINATE, "check/not-covered-region-uncertain")
        assert (second.status, second.code) == (Status.FAIL, "check/not-covered-no-link")

    play(tmp_path, scene)


def test_a_link_of_another_firmware_does_not_cover(tmp_path: Path) -> None:
    async def scene(on: Stage) -> None:
        await register_type(on.world)
        await register_link(on.world, stage.STATIONS[0], firmware="cd" * 32)
        assert (await on.conformity())[0].code == "check/not-covered-firmware"

    play(tmp_path, scene)


def test_a_withdrawn_link_no_longer_counts(tmp_path: Path) -> None:
    async def scene(on: Stage) -> None:
        await register_type(on.world)
        claim_id, _ = await register_link(on.world, stage.STATIONS[0])
        assert (await on.conformity())[0].status is Status.PASS
        gone = ClaimWithdrawn(claim_id=claim_id, site_id=stage.SITE, reason=Withdrawal.THING_CHANGED)
        await on.world.states(stage.CSO, gone, STREAM)
        assert (await on.conformity())[0].code == "check/not-covered-no-link"

    play(tmp_path, scene)


def test_a_claim_revoked_after_its_registration_no_longer_counts(tmp_path: Path) -> None:
    async def scene(on: Stage) -> None:
        world = on.world
        _, claim = await register_type(world)
        await register_link(world, stage.STATIONS[0])
        assert (await on.conformity())[0].status is Status.PASS
        laboratory = stage.laboratory(world.made)
        serial = attributecert.parse(claim).info.serial
        laboratory.revoke(serial, Reason.PRIVILEGE_WITHDRAWN, world.clock.now_ms())
        world.clock.set_ms(world.clock.now_ms() + 1000)
        world.engines.status.add(laboratory.crl(world.clock.now_ms(), allow_earlier=True))
        world.directory.evidence_moved()
        found = (await on.conformity())[0]
        assert (found.status, found.code) == (Status.FAIL, "pki/revoked")

    play(tmp_path, scene)


def test_a_claim_whose_status_cannot_be_known_is_indeterminate_and_no_pass(tmp_path: Path) -> None:
    async def scene(on: Stage) -> None:
        await register_type(on.world)
        await register_link(on.world, stage.STATIONS[0])
        laboratory = stage.laboratory(on.world.made).certificate.subject
        others = [der for der in on.world.engines.status.ders() if x509.load_der_x509_crl(der).issuer != laboratory]
        on.world.directory.status = StatusSet(others)
        on.world.directory.evidence_moved()
        found = (await on.conformity())[0]
        assert (found.status, found.code) == (Status.INDETERMINATE, "pki/status-indeterminate")

    play(tmp_path, scene)


def test_after_a_restart_a_link_still_counts_and_its_signer_is_known_again(tmp_path: Path) -> None:
    async def scene(on: Stage) -> None:
        world = on.world
        await register_type(world)
        await register_link(world, stage.STATIONS[0])
        for party in (stage.CSO, stage.FO):
            world.directory.forget(thumbprint(world.made.parties[party].credentials[Purpose.SIGNING].chain[0]))
        world.directory.evidence_moved()
        world.memory = Memory(world.desk)
        assert (await on.conformity())[0].status is Status.PASS

    play(tmp_path, scene)


@pytest.mark.parametrize(
    "changes",
    [{"subject": ClaimKind.EVSE}, {"issuer": "FI-OTHER"}, {"things": ("11" * 32,)}, {"not_before_ms": 1_000}],
)
def test_a_registration_that_says_something_else_than_its_document_is_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    async def scene(on: Stage) -> None:
        size = on.world.desk.appender.head.size
        with pytest.raises(DocumentOther):
            await register_type(on.world, **changes)
        assert on.world.desk.appender.head.size == size

    play(tmp_path, scene)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    async def scene(on: Stage) -> bytes:
        await register_type(on.world)
        for station in stage.STATIONS:
            await register_link(on.world, station)
        found = await on.check()
        assert found.overall is Status.PASS, found
        return await on.world.bundle(on.fsr_id)

    return play(tmp_path_factory.mktemp("typed"), scene)


def test_the_check_is_run_again_from_the_bundle_to_the_same_bytes(bundle: bytes) -> None:
    report = report_of(bundle)
    checked = [line for line in report.lines if line.check == "credential check"]
    assert [line.detail for line in checked] == ["run again: PASS for 2 subjects, bit for bit"]
    assert sorted(line.check for line in report.lines if line.check in ("claim", "link")) == ["claim", "link", "link"]
    assert report.outcome is not Exit.REFUTED


def test_without_any_one_item_of_evidence_the_answer_is_another_and_says_so(bundle: bytes) -> None:
    whole = open_bundle(bundle)
    for name in ("certificates", "status", "attachments"):
        for at in range(len(getattr(whole, name))):
            report = report_of(changed(bundle, lambda value, name=name, at=at: value[name].pop(at)))
            assert report.exit_code != 0, (name, at)
            assert report.summary()


def test_a_changed_document_is_noticed_whether_or_not_its_name_follows(bundle: bytes) -> None:
    for at, attachment in enumerate(open_bundle(bundle).attachments):
        data = bytearray(attachment.data)
        data[len(data) // 2] ^= 1

        def change(value: Any, at: int = at, data: bytes = bytes(data), *, follows: bool) -> None:
            one = value["attachments"][at]
            one["data"] = base64.b64encode(data).decode()
            if follows:
                one["sha256"] = hashlib.sha256(data).hexdigest()
                value["attachments"].sort(key=lambda item: str(item["sha256"]))

        for follows in (False, True):
            assert report_of(changed(bundle, partial(change, follows=follows))).exit_code != 0

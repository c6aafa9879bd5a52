"""A log adopts another root while it goes on: what was signed before and after is verified by whoever trusts either
root, and nobody without a root's key can bring one in."""

import asyncio
import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from api.cli import audit as audit_command
from api.cli import files
from api.flows import receipts
from api.flows.roots import PaperForeign, RootBook, RootInUse, read_paper, require_possible
from api.flows.stamping import StampBook
from api.verification import json_receipt, log_roots
from api.verification.bundle_policy import Policy
from api.verification.errors import BundleUnusable, RootUnknown
from api.verification.log_roots import LogRoots, RootsUnreached, Told
from api.verification.report import Exit, Report
from api.verification.roots_in_time import RootNotInForce
from ledger.records import entry as entries
from ledger.records.log import PolicyAdopted, RootAdopted, RootRetired
from ledger.records.requests import RequestIssued
from ledger.rules.errors.log import RootUnvouched
from ledger.rules.fact import Evidence, VouchedRoot
from ledger.rules.rules_version import RULES_VERSION
from pki import csr, keys, oids, rollover, vouching
from pki.authority import Authority, Subscriber, create_root
from pki.ceremony import Ceremony, IssuedKey
from pki.errors import Refused as PkiRefused
from pki.hierarchy import Hierarchy
from pki.journal import MemoryJournal
from pki.roles import Group, Purpose, Role, Service
from pki.store.sqlite import SqliteStore
from pki.trust import encoded
from pki.vouching import Adoption, BadPaper, Retirement, UnfitRoot, Unvouched
from tests.support import world as stage
from tests.support.bundles import changed, codes, report_of
from tests.support.world import DAWN_MS, FO, HOUR_MS, MINUTE_MS, ORIGIN, World

pytestmark = pytest.mark.slow  # takes seconds

FROM_MS = DAWN_MS + 6 * HOUR_MS
"""When the second root begins."""
VKEY = "vkey"


@dataclass
class Kept:
    """What the world left."""

    world: World
    hierarchy: Hierarchy
    """With two roots."""
    old: bytes
    """Bundle of a request before the change."""
    new: bytes
    """Bundle of a request after it, issued under the second root."""
    index: int
    """Of the change."""
    folder: Path
    runner: asyncio.Runner

    def policy(self, *roots: Authority, development: bool = True) -> Policy:
        pems = tuple(root.certificate.public_bytes(Encoding.PEM).decode() for root in roots)
        return Policy(vkey=self.world.engines.log_keys.vkeys()[0], roots=pems, development=development)

    @property
    def first(self) -> Authority:
        return next(root for root in self.hierarchy.roots() if root.name == "root")

    @property
    def second(self) -> Authority:
        return self.hierarchy.root


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    with asyncio.Runner() as runner:
        found = runner.run(_story(tmp_path_factory.mktemp("roots"), runner))
        yield found
        runner.run(found.world.close())


def _stranger(*, development: bool = True, generation: int = 2) -> Authority:
    """A root that is of the right profile, and nobody's here."""
    return create_root(
        organisation="Flexledger",
        zone="flexledger.example",
        now_ms=stage.MADE_AT_MS,
        store=SqliteStore(),
        journal=MemoryJournal(),
        development=development,
        generation=generation,
    )


def adoption(root: Authority, by: Authority, *, log: str = ORIGIN, from_ms: int = FROM_MS) -> Adoption:
    return vouching.adopt(
        log,
        root.certificate,
        root.signer,
        by=by.certificate,
        by_signer=by.signer,
        from_ms=from_ms,
        now_ms=DAWN_MS,
    )


async def _story(folder: Path, runner: asyncio.Runner) -> Kept:
    made_later: list[Hierarchy] = []

    def follow(made: Ceremony) -> list[bytes]:
        hierarchy, _ = rollover.follow_root(made.hierarchy, now_ms=DAWN_MS - MINUTE_MS)
        hierarchy, issuing = rollover.follow_issuing(hierarchy, Group.FO, now_ms=DAWN_MS - MINUTE_MS)
        made_later.append(hierarchy)
        return [encoded(issuing.certificate)]

    data = folder / "data"
    data.mkdir()
    world = await World.open(data, crl_every_ms=HOUR_MS, more=follow)
    (hierarchy,) = made_later
    book = RootBook(world.desk, world.reader, folder / "papers")
    book.begin()
    fsc_ids = await stage.prepare(world)
    before = await stage.play(world, fsc_ids)
    old = await world.bundle(before.fsr_id)
    first = next(root for root in hierarchy.roots() if root.name == "root")
    world.at(FROM_MS - HOUR_MS // 2)
    await _refuse_strangers(world, book, folder / "papers", hierarchy, first)
    paper = vouching.encode(adoption(hierarchy.root, first))
    (folder / "papers" / "good.json").write_bytes(paper)
    size = world.desk.appender.head.size
    await book.once()
    index = world.desk.appender.head.size - 1
    assert index == size
    await book.once()
    assert world.desk.appender.head.size == size + 1  # it is said once
    _renew(world, hierarchy)
    # Before its time, what is under the second root is refused; the connection's certificate is under the first.
    with pytest.raises(RootNotInForce):
        await stage.issue(
            world, fsc_ids[:1], stage.congestion(FROM_MS + 3 * HOUR_MS), FROM_MS + 3 * HOUR_MS, FROM_MS + 4 * HOUR_MS
        )
    played = await stage.play(world, fsc_ids, start_at_ms=FROM_MS + 3 * HOUR_MS)
    new = await world.bundle(played.fsr_id)
    (data / "vkey").write_text(world.engines.log_keys.vkeys()[0] + "\n")
    _leave(world, hierarchy, folder / "pki")
    return Kept(world, hierarchy, old, new, index, data, runner)


async def _refuse_strangers(world: World, book: RootBook, papers: Path, hierarchy: Hierarchy, first: Authority) -> None:
    """What lies in the folder and is not a root's word for this log leaves no root in the log."""
    papers.mkdir()  # noqa: ASYNC240 -- a test
    stranger = _stranger()
    good = adoption(hierarchy.root, first)
    wrong = {
        "another-log": vouching.encode(adoption(hierarchy.root, first, log="other.example/log")),
        "stranger": vouching.encode(adoption(stranger, _stranger(generation=1))),
        "forged": vouching.encode(
            msgspec.structs.replace(good, by=vouching.digest(first.certificate), signature=b"\x30\x00")
        ),
        "moved": vouching.encode(msgspec.structs.replace(good, from_ms=FROM_MS + 1)),
        "swapped": vouching.encode(msgspec.structs.replace(good, root=encoded(stranger.certificate))),
        "own-root": vouching.encode(
            vouching.retire(
                ORIGIN,
                first.certificate,
                by=hierarchy.root.certificate,
                by_signer=hierarchy.root.signer,
                until_ms=FROM_MS,
            )
        ),
        "no-paper": b"{}",
    }
    for name, data in wrong.items():
        (papers / f"{name}.json").write_bytes(data)
    await book.once()
    await book.once()
    assert list(world.desk.state.anchors) == [vouching.digest(first.certificate)]


def _renew(world: World, hierarchy: Hierarchy) -> None:
    """The flexibility operator has a signing credential under the second root, and its lists are known."""
    key = keys.generate()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    certificate = hierarchy.issue(
        Role.FO,
        Purpose.SIGNING,
        csr.open_csr(request.public_bytes(Encoding.DER)),
        subscriber=Subscriber(party_id=FO, organisation="Aurora Flex", services=frozenset(Service)),
        now_ms=DAWN_MS - MINUTE_MS,
    )
    chain = (encoded(certificate), *hierarchy.intermediates(Role.FO))
    world.made.parties[FO].credentials[Purpose.SIGNING] = IssuedKey(key, certificate, chain)  # type: ignore[index]
    for hours in range(24):
        at_ms = DAWN_MS + hours * HOUR_MS
        for authority in (hierarchy.root, hierarchy.issuing[Group.FO]):
            world.engines.status.add(authority.crl(at_ms))
    world.directory.evidence_moved()


def _leave(world: World, hierarchy: Hierarchy, folder: Path) -> None:
    folder.mkdir()
    ders = {
        one
        for minted in (*world.made.parties.values(), *world.made.stations.values())
        if minted.role is not Role.EVU  # no person's certificate is left in a file
        for issued in minted.credentials.values()
        for one in issued.chain
    }
    ders |= {encoded(one.certificate) for one in hierarchy.authorities()}
    for der in ders:
        (folder / f"{hashlib.sha256(der).hexdigest()[:16]}.der").write_bytes(der)
    for der in world.engines.status.ders():
        (folder / f"{hashlib.sha256(der).hexdigest()[:16]}.crl").write_bytes(der)


def test_a_bundle_from_before_the_change_is_verified_as_ever(kept: Kept) -> None:
    for roots in ((kept.first,), (kept.first, kept.second)):
        report = report_of(kept.old, kept.policy(*roots))
        assert report.outcome is Exit.VERIFIED, report.of("REFUTED")  # type: ignore[arg-type]
    assert report_of(kept.old).outcome is Exit.VERIFIED


def test_who_trusts_the_old_root_the_new_one_or_both_verifies_what_stands_under_either(kept: Kept) -> None:
    """The new request rests on contracts that were signed under the old root."""
    for roots in ((kept.first,), (kept.second,), (kept.first, kept.second)):
        report = report_of(kept.new, kept.policy(*roots))
        assert report.outcome is Exit.VERIFIED, [one for one in report.lines if one.status == "REFUTED"]
        (line,) = [one for one in report.lines if one.check == "roots"]
        assert line.where == {"index": kept.index}
        assert vouching.digest(kept.second.certificate)[:16] in line.detail
    assert report_of(kept.new).outcome is Exit.VERIFIED


def test_the_report_says_which_root_is_believed_by_whose_word(kept: Kept) -> None:
    (said,) = [one for one in report_of(kept.new, kept.policy(kept.first)).lines if one.check == "anchors"]
    assert said.detail == "log key and 1 root are those of the policy; 1 root more by the word of these"
    (said,) = [one for one in report_of(kept.new, kept.policy(kept.first, kept.second)).lines if one.check == "anchors"]
    assert said.detail == "log key and 2 roots are those of the policy"


def test_who_trusts_the_new_root_alone_cannot_know_the_old_one_from_a_bundle_that_does_not_say(kept: Kept) -> None:
    report = report_of(kept.old, kept.policy(kept.second))
    assert report.outcome is Exit.REFUTED
    assert "api/anchor-mismatch" in codes(report)


def test_a_root_of_nobody_here_refutes_both(kept: Kept) -> None:
    for data in (kept.old, kept.new):
        assert "api/anchor-mismatch" in codes(report_of(data, kept.policy(_stranger())))


def _without_change(value: Any) -> None:
    value["entries"] = [one for one in value["entries"] if one["entry"]["type"] != RootAdopted.TYPE]


def test_a_change_that_is_left_out_or_altered_is_noticed(kept: Kept) -> None:
    hidden = report_of(changed(kept.new, _without_change), kept.policy(kept.first))
    assert hidden.outcome is Exit.REFUTED
    # Each later entry names the change that was in force.
    assert {"verify/stream-missing"} <= codes(hidden)

    def alter(value: Any) -> None:
        for one in value["entries"]:
            if one["entry"]["type"] == RootAdopted.TYPE:
                one["entry"]["rec"] += 1

    assert report_of(changed(kept.new, alter), kept.policy(kept.first)).outcome is Exit.REFUTED


# The service


def test_who_has_the_services_key_alone_brings_in_no_root(kept: Kept) -> None:
    """Signed by the service, with the forger's own signatures: the rule refuses it, and so does whoever verifies."""
    world = kept.world
    stranger, other = _stranger(), _stranger(generation=1)
    now_ms = world.clock.now_ms()
    paper = adoption(stranger, other, from_ms=now_ms + HOUR_MS)
    by = vouching.digest(kept.second.certificate)
    record = msgspec.structs.replace(log_roots.record_of(paper), by=by)
    roots = log_roots.folded(ORIGIN, [kept.first.certificate], log_roots.of_entries(world.reader.stream("log/policy")))
    assert log_roots.evidence_of(roots, record, now_ms) is None

    with pytest.raises(RootUnvouched):
        kept.runner.run(world.desk.say(record, "log/policy", evidence=Evidence()))
    assert list(world.desk.state.anchors) == [one.digest for one in roots.lives()]


def test_a_forged_change_that_stands_in_a_log_changes_nothing_for_who_verifies_it(kept: Kept) -> None:
    """Whoever has the service's key and the log's writes what he likes, past every rule; the roots did not sign it."""
    stranger = _stranger()
    record = log_roots.record_of(adoption(stranger, _stranger(generation=1)))
    forged = msgspec.structs.replace(record, by=vouching.digest(kept.first.certificate))
    policy = Told(0, DAWN_MS, PolicyAdopted(anchors=(forged.by,), rules=RULES_VERSION))
    changes = (policy, Told(1, DAWN_MS, forged))
    roots = log_roots.folded(ORIGIN, [kept.first.certificate, stranger.certificate], changes)
    assert [one.digest for one in roots.lives()] == [forged.by]


def test_the_services_directory_lets_nobody_in_before_or_after_a_roots_time(kept: Kept) -> None:
    world = kept.world
    signer = world.made.parties[FO].credentials[Purpose.SIGNING].chain[0]
    x5t = world.directory.add(signer)
    for at_ms in (DAWN_MS + HOUR_MS, FROM_MS - 1):
        with pytest.raises(RootNotInForce) as refused:
            world.directory.credential(x5t, at_ms)
        assert refused.value.code == "verify/root-not-in-force"
    assert world.directory.credential(x5t, FROM_MS).party_id == FO
    # What was proven once is not proven for a time at which the root does not count.
    with pytest.raises(RootNotInForce):
        world.directory.credential(x5t, FROM_MS - 1)


def test_a_receipt_is_for_who_trusts_the_root_of_its_own_entry(kept: Kept) -> None:
    world = kept.world
    service = Service_(world)
    newest = next(
        index
        for index in range(world.desk.appender.head.size - 1, 0, -1)
        if entries.decode(world.reader.entry(index)).type == RequestIssued.TYPE
    )
    oldest = next(
        index
        for index in range(world.desk.appender.head.size)
        if entries.decode(world.reader.entry(index)).type == RequestIssued.TYPE
    )
    for index, own, other in ((oldest, kept.first, kept.second), (newest, kept.second, kept.first)):
        data = kept.runner.run(receipts.as_json(service, index, world.principal(FO)))  # type: ignore[arg-type]
        receipt = json_receipt.read(data)
        for roots, outcome in (((own,), Exit.VERIFIED), ((own, other), Exit.VERIFIED), ((other,), Exit.REFUTED)):
            assert json_receipt.verify(receipt, policy=kept.policy(*roots)).outcome is outcome


class Service_:  # noqa: N801 -- stands for the service
    """As much of a service as a receipt asks for."""

    def __init__(self, world: World) -> None:
        self.desk, self.engines, self.directory = world.desk, world.engines, world.directory
        self.reader, self.memory = world.reader, world.memory
        self.stamps = StampBook(world.reader)
        self.witnessing = self
        self.policy = None

    async def covering(self, index: int) -> bytes:
        """A checkpoint over the entry."""
        del index
        return await self.desk.publisher.publish()


# The records, one by one


def _begun(kept: Kept, *changes: RootAdopted | RootRetired, at_ms: int = DAWN_MS) -> LogRoots:
    first = vouching.digest(kept.first.certificate)
    policy = Told(0, DAWN_MS, PolicyAdopted(anchors=(first,), rules=RULES_VERSION))
    told = [Told(number, at_ms, one) for number, one in enumerate(changes, start=1)]
    return log_roots.folded(ORIGIN, [kept.first.certificate], [policy, *told])


def test_a_change_is_taken_by_the_signatures_of_the_roots_alone(kept: Kept) -> None:
    good = log_roots.record_of(adoption(kept.second, kept.first))
    assert isinstance(good, RootAdopted)
    second, first = good.root, good.by
    assert [one.digest for one in _begun(kept, good).lives()] == [first, second]
    stranger = _stranger()
    unsigned = base64.b64encode(b"\x30\x06\x02\x01\x01\x02\x01\x01").decode()
    wrong = {
        "another log": log_roots.record_of(adoption(kept.second, kept.first, log="other.example/log")),
        "another time": msgspec.structs.replace(good, from_ms=good.from_ms + 1),
        "another certificate": msgspec.structs.replace(
            good, certificate=base64.b64encode(encoded(stranger.certificate)).decode()
        ),
        "another digest": msgspec.structs.replace(good, root=vouching.digest(stranger.certificate)),
        "a stranger's word": msgspec.structs.replace(
            log_roots.record_of(adoption(kept.second, _stranger(generation=1))), by=first
        ),
        "a root of nobody": log_roots.record_of(adoption(kept.second, _stranger(generation=1))),
        "no word of the old one": msgspec.structs.replace(good, signature=unsigned),
        "no word of the new one": msgspec.structs.replace(good, own_signature=unsigned),
        "not base64": msgspec.structs.replace(good, signature="MEU="[:-1]),
    }
    for why, record in wrong.items():
        assert [one.digest for one in _begun(kept, record).lives()] == [first], why
        assert log_roots.evidence_of(_begun(kept), record, DAWN_MS) is None, why
    assert log_roots.evidence_of(_begun(kept), good, DAWN_MS) == VouchedRoot(second, first)


def test_a_root_that_has_ended_or_not_begun_vouches_for_nobody(kept: Kept) -> None:
    third = create_root(
        organisation="Flexledger",
        zone="flexledger.example",
        now_ms=stage.MADE_AT_MS,
        store=SqliteStore(),
        journal=MemoryJournal(),
        development=True,
        generation=3,
    )
    second = log_roots.record_of(adoption(kept.second, kept.first))
    ended = vouching.retire(
        ORIGIN,
        kept.first.certificate,
        by=kept.second.certificate,
        by_signer=kept.second.signer,
        until_ms=FROM_MS + HOUR_MS,
    )
    roots = _begun(kept, second)
    by_second = log_roots.record_of(adoption(third, kept.second, from_ms=FROM_MS + HOUR_MS))
    with pytest.raises(Unvouched):
        roots.vouched(by_second, FROM_MS - 1)  # type: ignore[arg-type]
    assert roots.vouched(by_second, FROM_MS)  # type: ignore[arg-type]
    roots.take(Told(2, FROM_MS, log_roots.record_of(ended)))
    by_first = log_roots.record_of(adoption(third, kept.first, from_ms=FROM_MS + 2 * HOUR_MS))
    assert roots.vouched(by_first, FROM_MS + HOUR_MS - 1)  # type: ignore[arg-type]
    with pytest.raises(Unvouched):
        roots.vouched(by_first, FROM_MS + HOUR_MS)  # type: ignore[arg-type]
    assert [(one.from_ms, one.until_ms) for one in roots.windows()] == [(0, FROM_MS + HOUR_MS), (FROM_MS, None)]


def test_the_end_of_a_root_is_said_by_one_that_stays_and_never_by_itself(kept: Kept) -> None:
    first = vouching.digest(kept.first.certificate)
    roots = _begun(kept, log_roots.record_of(adoption(kept.second, kept.first)))
    with pytest.raises(Unvouched):
        vouching.retire(
            ORIGIN, kept.first.certificate, by=kept.first.certificate, by_signer=kept.first.signer, until_ms=FROM_MS
        )
    stranger = _stranger()
    forged = vouching.retire(
        ORIGIN, kept.first.certificate, by=stranger.certificate, by_signer=stranger.signer, until_ms=FROM_MS
    )
    claimed = msgspec.structs.replace(log_roots.record_of(forged), by=vouching.digest(kept.second.certificate))
    for record in (log_roots.record_of(forged), claimed):
        with pytest.raises(Unvouched):
            roots.vouched(record, FROM_MS)
    assert roots.lives()[0].digest == first
    assert roots.lives()[0].until_ms is None


def test_from_what_is_trusted_the_others_are_reached_or_the_log_is_a_strangers(kept: Kept) -> None:
    first, second = (vouching.digest(one.certificate) for one in (kept.first, kept.second))
    roots = _begun(kept, log_roots.record_of(adoption(kept.second, kept.first)))
    assert {one.digest for one in roots.reached({first})} == {first, second}
    assert {one.digest for one in roots.reached({second, "f" * 64})} == {first, second}
    with pytest.raises(RootsUnreached):
        roots.reached({"f" * 64})
    with pytest.raises(RootUnknown):
        LogRoots(ORIGIN, ()).take(Told(0, 0, PolicyAdopted(anchors=(first,), rules=RULES_VERSION)))


@pytest.mark.parametrize("fault", ["not development", "an issuing authority", "no certificate", "a weak one"])
def test_a_root_of_the_wrong_profile_is_not_vouched_for(kept: Kept, fault: str) -> None:
    good = adoption(kept.second, kept.first)
    other = {
        "not development": encoded(_stranger(development=False).certificate),
        "an issuing authority": encoded(kept.hierarchy.issuing[Group.FO].certificate),
        "no certificate": b"junk",
        "a weak one": _unfit_root(),
    }[fault]
    with pytest.raises((UnfitRoot, PkiRefused)) as refused:
        vouching.require_adopted(msgspec.structs.replace(good, root=other), by=kept.first.certificate, at_ms=DAWN_MS)
    assert refused.value.code in {"pki/unfit-root", "pki/bad-anchor", "pki/malformed"}


def _unfit_root() -> bytes:
    """Self-signed, and over as many authorities as somebody likes."""
    key = keys.generate_root()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Root G2")])
    moment = datetime.fromtimestamp(stage.MADE_AT_MS / 1000, tz=UTC)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1 << 158)
        .not_valid_before(moment)
        .not_valid_after(moment + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.CertificatePolicies([x509.PolicyInformation(oids.CP_TEST, None)]), critical=False)
        .sign(key, hashes.SHA384())
    )
    return made.public_bytes(Encoding.DER)


def test_a_paper_is_read_strictly(kept: Kept) -> None:
    for paper in (adoption(kept.second, kept.first), _retirement(kept)):
        assert vouching.parse(vouching.encode(paper)) == paper
    data = vouching.encode(adoption(kept.second, kept.first))
    for wrong in (b"", b"[]", data.replace(b"adopt-root", b"adopt"), data.replace(b'"log"', b'"lag"')):
        with pytest.raises(BadPaper) as refused:
            vouching.parse(wrong)
        assert refused.value.code == "pki/bad-paper"
    assert vouching.parse(data + b" " * (vouching.MAX_PAPER_BYTES - len(data)))
    with pytest.raises(BadPaper):
        vouching.parse(data + b" " * (vouching.MAX_PAPER_BYTES - len(data) + 1))


def test_a_paper_in_a_file_may_have_sixteen_kibibytes_and_no_more(
    kept: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service's folder and the command read the same bound; the settings are looked at before."""
    paper = adoption(kept.second, kept.first)
    data = vouching.encode(paper)
    file = tmp_path / "paper.json"
    file.write_bytes(data.ljust(16 * 1024))
    assert read_paper(file) == paper
    assert files.read_file(file, vouching.MAX_PAPER_BYTES) == data.ljust(16 * 1024)
    file.write_bytes(data.ljust(16 * 1024 + 1))
    with pytest.raises(BadPaper):
        read_paper(file)
    with pytest.raises(BundleUnusable) as refused:
        files.read_file(file, vouching.MAX_PAPER_BYTES)
    assert (refused.value.expected, refused.value.found) == ("at most 16384 bytes", "16385")


def _retirement(kept: Kept) -> Retirement:
    return vouching.retire(
        ORIGIN, kept.first.certificate, by=kept.second.certificate, by_signer=kept.second.signer, until_ms=FROM_MS
    )


def test_a_paper_for_another_log_or_against_the_services_own_root_is_not_taken(kept: Kept) -> None:
    roots = _begun(kept)
    own = x509.load_der_x509_certificate(kept.world.engines.service_key.certificate)
    issuers = kept.world.directory.issuers()
    with pytest.raises(PaperForeign):
        require_possible(adoption(kept.second, kept.first, log="other.example/log"), roots, own, issuers)
    with pytest.raises(RootInUse) as refused:
        require_possible(_retirement(kept), roots, own, issuers)
    assert refused.value.code == "api/root-in-use"


# The audit


def test_an_audit_walks_across_the_change(kept: Kept) -> None:
    for roots in ((kept.first,), (kept.second,), (kept.first, kept.second)):
        report = _audit(kept, kept.policy(*roots))
        assert report.outcome is not Exit.REFUTED, report.of("REFUTED")  # type: ignore[arg-type]
        assert [one.where for one in report.lines if one.check == "roots"] == [{"index": kept.index}]
        assert any(one.check == "signatures" and one.status == "VERIFIED" for one in report.lines)
    assert "verify/root-unreached" in codes(_audit(kept, kept.policy(_stranger())))


def _audit(kept: Kept, policy: Policy) -> Report:
    return audit_command.audit(kept.folder, policy)

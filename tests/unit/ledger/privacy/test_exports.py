"""Exports: recorded before they exist, verified by strangers, provable or unlinkable and never both."""

import io
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mlkem, x25519
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey

from api.cli import export_verify as command
from ledger.clock import SetClock
from ledger.errors import LedgerError
from ledger.privacy import disclosure_log, errors, export_verify, rights
from ledger.privacy.erasure import Eraser
from ledger.privacy.export_verify import VerifiedExport, verify_export
from ledger.privacy.exports import access, archive, intake, manifest, parts, policy, sealing
from ledger.privacy.exports.policy import ACCESS, SETTLEMENT, Column, Epoch, Hierarchy, ProvablePolicy
from ledger.privacy.exports.rows import ExportRow
from ledger.privacy.exports.writer import Exporter
from ledger.records import canonical, disclosure, jws, statement
from ledger.records.privacy import (
    DataDisclosed,
    ErasureBasis,
    LegalBasis,
    Profile,
    Purpose,
    RestrictionGround,
)
from ledger.tlog.errors import NoteUnverified, OriginMismatch
from ledger.tlog.notekeys import NoteSigner
from tests.support.exports import FIGURES, KEY, RESEARCH, load, research, self_signed, settle
from tests.support.privacy import NOW_MS, ORIGIN, Ledger, Log

pytestmark = pytest.mark.slow  # takes seconds


def hybrid_key() -> MLKEM768X25519PrivateKey:
    return MLKEM768X25519PrivateKey(mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate())


def verified(source: Path | dict[str, bytes], ledger: Ledger, **other: Any) -> VerifiedExport:
    arguments: dict[str, Any] = {"vkeys": [ledger.signer.verifier], "origin": ORIGIN}
    return verify_export(source, signer_key=KEY.public_key(), **{**arguments, **other})


def resigned(made: dict[str, bytes], **changes: Any) -> dict[str, bytes]:
    """What an exporter that holds the export key, and nothing else, can make of an export."""
    old = msgspec.json.decode(made[manifest.MANIFEST], type=manifest.Manifest)
    lines = tuple(
        manifest.FileLine(name=one.name, sha256=manifest.sha256(made[one.name]), size=len(made[one.name]))
        for one in old.files
    )
    data = manifest.encode(msgspec.structs.replace(old, **{"files": lines, **changes}))
    signature = jws.sign(data, KEY, {"typ": manifest.TYP}).encode()
    return {**made, manifest.MANIFEST: data, manifest.SIGNATURE: signature}


async def test_a_settlement_export_is_verified_by_a_stranger(
    exporter: Exporter, ledger: Ledger, log: Log, tmp_path: Path
) -> None:
    for n in range(5):
        ledger.add(f"evu-{n % 2}", FIGURES)
    released = await settle(exporter, ledger, tmp_path / "export.tar")
    found = verified(released.path, ledger)
    assert found.manifest_sha256 == released.manifest_sha256
    assert found.checkpoint is not None
    assert found.checkpoint.size == 5
    assert [row["index"] for row in found.rows] == [0, 1, 2, 3, 4]
    assert {row["record"]["energy_import_milliwh"] for row in found.rows} == {11_500_000}
    (said,) = log.records
    assert isinstance(said, DataDisclosed)
    assert said.manifest_sha256 == found.manifest_sha256
    assert (said.recipient, said.rows, said.purpose) == ("fo-1", 5, Purpose.SETTLEMENT)


async def test_what_the_policy_does_not_name_is_not_in_the_export(
    exporter: Exporter, ledger: Ledger, tmp_path: Path
) -> None:
    """A1, A17: neither the EVSE nor the person leaves with a settlement export, in any encoding of it."""
    ledger.add("evu-secret", FIGURES)
    released = await settle(exporter, ledger, tmp_path / "export.tar")
    for data in load(released.path).values():
        assert b"DE*ABC*E1" not in data
        assert b"evu-secret" not in data
        assert ledger.made[0][1][1].text.encode() not in data


async def test_the_same_rows_give_the_same_archive(exporter: Exporter, ledger: Ledger, tmp_path: Path) -> None:
    ledger.add("evu-1", FIGURES)
    ledger.add("evu-2", FIGURES)
    one = await settle(exporter, ledger, tmp_path / "1.tar")
    two = await settle(exporter, ledger, tmp_path / "2.tar")
    assert one.path.read_bytes() == two.path.read_bytes()
    with pytest.raises(errors.ExportRowInvalid):
        await settle(exporter, ledger, tmp_path / "3.tar", rows=list(reversed(ledger.rows())))


async def test_rows_may_come_one_by_one(exporter: Exporter, ledger: Ledger, tmp_path: Path) -> None:
    ledger.add("evu-1", FIGURES)

    async def stream() -> AsyncIterator[ExportRow]:
        for row in ledger.rows():
            yield row

    assert (await settle(exporter, ledger, tmp_path / "export.tar", rows=stream())).rows == 1


async def test_pseudonyms_hold_for_one_transaction_unless_the_policy_says_otherwise(
    exporter: Exporter, ledger: Ledger, tmp_path: Path
) -> None:
    """A12: one person in two requests has two names; a month's policy gives one, other recipients get others."""
    for name in ("fsr/one", "fsr/one", "fsr/two"):
        ledger.add("evu-1", FIGURES, stream=name)
    monthly = msgspec.structs.replace(SETTLEMENT, epoch=Epoch.MONTH)
    names = {}
    for name, other in {
        "default": {},
        "monthly": {"policy": monthly},
        "recipient": {"recipient": "fo-2"},
        "purpose": {"purpose": Purpose.AUDIT},
    }.items():
        released = await settle(exporter, ledger, tmp_path / f"{name}.tar", **other)
        names[name] = [row["subject"] for row in verified(released.path, ledger).rows]
    one, again, two = names["default"]
    assert one == again != two
    assert len(set(names["monthly"])) == 1
    assert not set(names["default"]) & {*names["monthly"], *names["recipient"], *names["purpose"]}


async def test_two_provable_exports_are_linkable_by_index(exporter: Exporter, ledger: Ledger, tmp_path: Path) -> None:
    """A13: a documented limit: a proof names its entry, so provable rows go to those who may know that only."""
    ledger.add("evu-1", FIGURES)
    one = verified((await settle(exporter, ledger, tmp_path / "1.tar")).path, ledger)
    two = verified((await settle(exporter, ledger, tmp_path / "2.tar", recipient="so-1")).path, ledger)
    assert one.rows[0]["subject"] != two.rows[0]["subject"]
    assert one.rows[0]["index"] == two.rows[0]["index"]


async def test_a_restricted_subject_is_left_out(exporter: Exporter, ledger: Ledger, log: Log, tmp_path: Path) -> None:
    """A17."""
    ledger.add("evu-1", FIGURES)
    ledger.add("evu-2", FIGURES)
    await rights.restrict(ledger.vault, log.record, "evu-1", ground=RestrictionGround.ACCURACY_CONTESTED)
    released = await settle(exporter, ledger, tmp_path / "export.tar")
    assert [row["index"] for row in verified(released.path, ledger).rows] == [1]


async def test_an_export_that_an_erasure_overtook_is_not_released(
    exporter: Exporter, ledger: Ledger, eraser: Eraser, log: Log, tmp_path: Path
) -> None:
    """A subject that was erased after its rows were read does not leave with them."""
    ledger.add("evu-1", FIGURES)
    rows = ledger.rows()
    await eraser.erase("evu-1", basis=ErasureBasis.OBJECTION)
    with pytest.raises(errors.ExportStale):
        await settle(exporter, ledger, tmp_path / "export.tar", rows=rows)
    assert log.of(DataDisclosed) == []
    assert not (tmp_path / "export.tar").exists()


async def test_erasure_tells_the_recipients_of_exports(
    exporter: Exporter, ledger: Ledger, eraser: Eraser, tmp_path: Path
) -> None:
    """A37: each under the pseudonym in its own export."""
    ledger.add("evu-1", FIGURES)
    one = verified((await settle(exporter, ledger, tmp_path / "1.tar")).path, ledger)
    two = verified((await settle(exporter, ledger, tmp_path / "2.tar", recipient="so-1")).path, ledger)
    receipt = await eraser.erase("evu-1", basis=ErasureBasis.OBJECTION)
    told = {(notice.recipient, notice.pseudonym, notice.manifest_sha256) for notice in receipt.notices}
    assert told == {
        ("fo-1", one.rows[0]["subject"], one.manifest_sha256),
        ("so-1", two.rows[0]["subject"], two.manifest_sha256),
    }


async def test_an_access_export_holds_everything_and_says_who_received_what(
    exporter: Exporter, ledger: Ledger, log: Log, tmp_path: Path
) -> None:
    """Art. 15: restricted or not, every disclosure, the recipients and their pseudonyms; the log learns no number."""
    ledger.add("evu-1", FIGURES)
    await settle(exporter, ledger, tmp_path / "1.tar")
    await rights.restrict(ledger.vault, log.record, "evu-1", ground=RestrictionGround.ACCURACY_CONTESTED)
    about = access.about(ledger.vault, "evu-1")
    released = await settle(
        exporter,
        ledger,
        tmp_path / "2.tar",
        policy=ACCESS,
        recipient=None,
        purpose=Purpose.SUBJECT_RIGHTS,
        legal_basis=LegalBasis.ACCESS_RIGHT,
        about=about,
    )
    found = verified(released.path, ledger)
    assert {name: found.rows[0]["record"][name] for name in FIGURES} == FIGURES
    told = msgspec.json.decode(load(released.path)[manifest.ABOUT])
    assert [one["recipient"] for one in told["recipients"]] == ["fo-1"]
    assert told["categories"] == [{"category": "meter", "retention": "P2Y", "values": 3, "attachments": 0}]
    said = log.records[-1]
    assert isinstance(said, DataDisclosed)
    assert said.recipient is msgspec.UNSET
    assert said.rows is msgspec.UNSET


@pytest.mark.parametrize("name", [manifest.RECORDS, manifest.TABLE, manifest.PROOFS, manifest.SCHEMA, manifest.README])
async def test_a_changed_file_is_refused(exporter: Exporter, ledger: Ledger, tmp_path: Path, name: str) -> None:
    """A15."""
    ledger.add("evu-1", FIGURES)
    files = load((await settle(exporter, ledger, tmp_path / "export.tar")).path)
    with pytest.raises(errors.ExportFileMismatch):
        verified({**files, name: files[name] + b" "}, ledger)
    with pytest.raises(errors.ExportFileMismatch):
        verified({one: data for one, data in files.items() if one != name}, ledger)


async def test_extra_and_missing_files_are_refused(exporter: Exporter, ledger: Ledger, tmp_path: Path) -> None:
    """A15: also when the manifest lists them."""
    ledger.add("evu-1", FIGURES)
    files = load((await settle(exporter, ledger, tmp_path / "export.tar")).path)
    with pytest.raises(errors.ExportFileMismatch):
        verified({**files, "notes.txt": b"x"}, ledger)
    for name in (manifest.MANIFEST, manifest.SIGNATURE):
        with pytest.raises(errors.ExportFileMismatch):
            verified({one: data for one, data in files.items() if one != name}, ledger)
    old = msgspec.json.decode(files[manifest.MANIFEST], type=manifest.Manifest)
    extra = manifest.FileLine(name="notes.txt", sha256=manifest.sha256(b"x"), size=1)
    for lines in ((*old.files, extra), old.files[1:], (*old.files, old.files[0])):
        with pytest.raises(errors.ExportFileMismatch):
            verified(resigned({**files, "notes.txt": b"x"}, files=lines), ledger)


async def test_a_changed_or_foreign_manifest_is_refused(exporter: Exporter, ledger: Ledger, tmp_path: Path) -> None:
    """A15: the signature is over all of it, by the expected key, and of the expected kind."""
    ledger.add("evu-1", FIGURES)
    files = load((await settle(exporter, ledger, tmp_path / "export.tar")).path)
    data = files[manifest.MANIFEST]
    stranger = ed25519.Ed25519PrivateKey.generate()
    for changed in (
        {manifest.MANIFEST: data.replace(b'"fo-1"', b'"fo-2"')},
        {manifest.SIGNATURE: jws.sign(data, stranger, {"typ": manifest.TYP}).encode()},
        {manifest.SIGNATURE: jws.sign(data, ec.generate_private_key(ec.SECP256R1()), {"typ": manifest.TYP}).encode()},
        {manifest.SIGNATURE: jws.sign(data, KEY, {"typ": "flex+sd-jwt"}).encode()},
        {manifest.SIGNATURE: jws.sign(data, KEY, {"typ": manifest.TYP, "crit": ["x"]}).encode()},
        {manifest.SIGNATURE: b"not a signature"},
        {manifest.SIGNATURE: b"\xff"},
    ):
        with pytest.raises(errors.ExportSignatureInvalid):
            verified({**files, **changed}, ledger)
    for bad in (b"[]", b"{ }", data.replace(b"{", b'{"extra":1,', 1)):
        signature = jws.sign(bad, KEY, {"typ": manifest.TYP}).encode()
        with pytest.raises(errors.ExportMalformed):
            verified({**files, manifest.MANIFEST: bad, manifest.SIGNATURE: signature}, ledger)
    with pytest.raises(errors.ExportMalformed):
        verified(resigned(files, format="flexledger-export/9"), ledger)


async def test_the_export_key_alone_invents_nothing(exporter: Exporter, ledger: Ledger, tmp_path: Path) -> None:
    """A15: a re-signed manifest over changed values is refused row by row."""
    ledger.add("evu-1", FIGURES)
    ledger.add("evu-2", FIGURES)
    files = load((await settle(exporter, ledger, tmp_path / "export.tar")).path)
    records, proofs, table = files[manifest.RECORDS], files[manifest.PROOFS], files[manifest.TABLE]
    lines, rows = proofs.splitlines(keepends=True), records.splitlines(keepends=True)
    other = disclosure.make(statement.new_salt(), "energy_import_milliwh", 99).text
    true = ledger.made[0][1][0].text
    assert true.encode() in proofs
    for changed in (
        {manifest.RECORDS: records.replace(b"11500000", b"99500000", 1)},
        {manifest.RECORDS: records.replace(b'"index":0', b'"index":1', 1)},
        {manifest.RECORDS: re.sub(b'"subject":"P1[A-Z2-7]+"', b'"subject":7', records, count=1)},
        {manifest.RECORDS: rows[0] * 2, manifest.PROOFS: lines[0] * 2},
        {manifest.TABLE: table.replace(b"11500000", b"99500000", 1)},
        {manifest.PROOFS: proofs.replace(true.encode(), other.encode())},
        {manifest.PROOFS: proofs.replace(f'"{true}"'.encode(), b"")},
        {manifest.PROOFS: proofs.replace(f'"{true}"'.encode(), f'"{true}","{true}"'.encode())},
        {manifest.PROOFS: proofs.replace(true.encode(), b"AAAA")},
        {manifest.PROOFS: proofs.replace(b'"path":["', b'"path":["00', 1)},
        {manifest.PROOFS: proofs.replace(b'"path":["', b'"path":["zz', 1)},
        {manifest.PROOFS: proofs.replace(b'"entry":"', b'"entry":"AAAA', 1)},
        {manifest.PROOFS: lines[0]},
        {manifest.PROOFS: lines[1] + lines[0]},
        {manifest.PROOFS: proofs[:-1]},
        {manifest.RECORDS: b"".join(reversed(rows)), manifest.PROOFS: lines[1] + lines[0]},
    ):
        assert any(files[name] != data for name, data in changed.items())
        with pytest.raises(errors.ExportRowMismatch):
            verified(resigned({**files, **changed}), ledger)
    with pytest.raises(errors.ExportRowMismatch):
        verified(resigned(files, rows=3), ledger)
    with pytest.raises(errors.ExportMalformed):
        verified(resigned({**files, manifest.PROOFS: lines[0] + b"{}\n"}), ledger)
    assert len(verified(resigned(files), ledger).rows) == 2


async def test_the_checkpoint_must_be_the_logs_own(exporter: Exporter, ledger: Ledger, tmp_path: Path) -> None:
    """A15: another log, another key, another tree."""
    ledger.add("evu-1", FIGURES)
    files = load((await settle(exporter, ledger, tmp_path / "export.tar")).path)
    with pytest.raises(OriginMismatch):
        verified(files, ledger, origin="log.example/other")
    with pytest.raises(NoteUnverified):
        verified(files, ledger, vkeys=[NoteSigner.generate(ORIGIN).verifier])
    for missing in ({"origin": None}, {"vkeys": []}):
        with pytest.raises(errors.ExportMalformed):
            verified(files, ledger, **missing)
    ledger.add("evu-2", FIGURES)
    with pytest.raises(errors.ExportRowMismatch):
        verified(resigned(files, checkpoint=ledger.checkpoint().decode()), ledger)
    with pytest.raises(errors.ExportMalformed):
        verified(resigned(files, checkpoint=None), ledger)


async def test_an_expired_export_is_refused_where_the_time_is_asked(
    exporter: Exporter, ledger: Ledger, tmp_path: Path
) -> None:
    ledger.add("evu-1", FIGURES)
    path = (await settle(exporter, ledger, tmp_path / "export.tar")).path
    last = NOW_MS + SETTLEMENT.keep_days * 86_400_000
    assert verified(path, ledger, now_ms=last).manifest.delete_at_ms == last
    with pytest.raises(errors.ExportExpired):
        verified(path, ledger, now_ms=last + 1)


async def test_a_folder_is_verified_like_the_archive(exporter: Exporter, ledger: Ledger, tmp_path: Path) -> None:
    """A33: what was unpacked is checked again; links and folders in it are refused."""
    ledger.add("evu-1", FIGURES)
    files = load((await settle(exporter, ledger, tmp_path / "export.tar")).path)
    folder = tmp_path / "unpacked"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    assert len(verified(folder, ledger).rows) == 1
    (folder / "link.json").symlink_to("/etc/hostname")
    with pytest.raises(errors.ExportMalformed):
        verified(folder, ledger)
    (folder / "link.json").unlink()
    (folder / "sub").mkdir()
    with pytest.raises(errors.ExportMalformed):
        verified(folder, ledger)
    with pytest.raises(errors.ExportMalformed):
        verified({**files, "../evil.json": b""}, ledger)


async def test_the_verifiers_limits_hold_on_both_sides(
    exporter: Exporter, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.add("evu-1", FIGURES)
    ledger.add("evu-2", FIGURES)
    path = (await settle(exporter, ledger, tmp_path / "export.tar")).path
    files = load(path)
    longest = max(len(line) for line in files[manifest.PROOFS].splitlines())
    for module, name, limit in (
        (export_verify, "MAX_LINES", 2),
        (export_verify, "MAX_LINE_BYTES", longest),
        (manifest, "MAX_MANIFEST_BYTES", len(files[manifest.MANIFEST])),
        (archive, "MAX_ARCHIVE_BYTES", path.stat().st_size),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, limit)
            assert len(verified(path, ledger).rows) == 2
            patch.setattr(module, name, limit - 1)
            with pytest.raises(errors.ExportTooLarge):
                verified(path, ledger)
    folder = tmp_path / "unpacked"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    total = sum(len(data) for data in files.values())
    with monkeypatch.context() as patch:
        patch.setattr(parts, "MAX_TOTAL_BYTES", total)
        assert len(verified(folder, ledger).rows) == 2
        patch.setattr(parts, "MAX_TOTAL_BYTES", total - 1)
        with pytest.raises(errors.ExportTooLarge):
            verified(folder, ledger)


async def test_the_writers_limits_hold_on_both_sides(
    exporter: Exporter, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.add("evu-1", FIGURES)
    ledger.add("evu-2", FIGURES)
    size = sum(len(row.entry_bytes) + sum(map(len, row.disclosures)) for row in ledger.rows())
    for number, (name, limit) in enumerate({"MAX_EXPORT_ROWS": 2, "MAX_EXPORT_BYTES": size}.items()):
        with monkeypatch.context() as patch:
            patch.setattr(intake, name, limit)
            await settle(exporter, ledger, tmp_path / f"{number}.tar")
            patch.setattr(intake, name, limit - 1)
            with pytest.raises(errors.ExportTooLarge):
                await settle(exporter, ledger, tmp_path / f"{number}-more.tar")


async def test_a_restricted_person_beside_the_subject_is_left_out_and_others_are_logged(
    exporter: Exporter, ledger: Ledger, log: Log, tmp_path: Path
) -> None:
    """A17: one entry may speak of several persons; each has its own right, and its own line in the disclosure log."""
    index = ledger.add("evu-1", FIGURES)
    second = ledger.add("evu-2", FIGURES)
    _, mine = ledger.made[index]
    _, theirs = ledger.made[second]
    ledger.keep_as_one("evu-1", (*mine, *theirs))
    everything = ProvablePolicy(version=1, profile=Profile.SETTLEMENT, disclose=frozenset(FIGURES))
    rows = ledger.rows([2])
    released = await settle(exporter, ledger, tmp_path / "1.tar", rows=rows, policy=everything)
    assert released.rows == 1
    assert len(disclosure_log.of(ledger.vault, "evu-1")) == len(disclosure_log.of(ledger.vault, "evu-2")) == 1
    await rights.restrict(ledger.vault, log.record, "evu-2", ground=RestrictionGround.ACCURACY_CONTESTED)
    await settle(exporter, ledger, tmp_path / "2.tar", rows=rows, policy=everything)
    proofs = load(tmp_path / "2.tar")[manifest.PROOFS]
    assert all(one.text.encode() in proofs for one in mine)
    assert not any(one.text.encode() in proofs for one in theirs)
    with pytest.raises(errors.ExportRowInvalid):
        await research(exporter, ledger, tmp_path / "3.tar", rows=[replace(one, subject=None) for one in rows])


async def test_an_entry_counts_once(exporter: Exporter, ledger: Ledger, tmp_path: Path) -> None:
    ledger.add("evu-1", FIGURES)
    with pytest.raises(errors.ExportRowInvalid):
        await settle(exporter, ledger, tmp_path / "export.tar", rows=ledger.rows() * 2)


async def test_a_disclosure_that_is_not_the_vaults_does_not_leave(
    exporter: Exporter, ledger: Ledger, tmp_path: Path
) -> None:
    ledger.add("evu-1", FIGURES)
    ledger.add("evu-1", FIGURES, keep=False)
    with pytest.raises(errors.ExportStale):
        await settle(exporter, ledger, tmp_path / "export.tar")


async def test_a_row_whose_disclosure_opens_nothing_is_refused(
    exporter: Exporter, ledger: Ledger, tmp_path: Path
) -> None:
    ledger.add("evu-1", FIGURES)
    foreign = disclosure.make(statement.new_salt(), "energy_import_milliwh", 1).text
    (row,) = ledger.rows()
    rows = [ExportRow(row.index, row.entry_bytes, (foreign,), row.subject, row.proof)]
    with pytest.raises(errors.ExportRowInvalid):
        await settle(exporter, ledger, tmp_path / "export.tar", rows=rows)
    rows = [ExportRow(row.index, b"not an entry", (), row.subject, row.proof)]
    with pytest.raises(errors.ExportRowInvalid):
        await settle(exporter, ledger, tmp_path / "export.tar", rows=rows)


async def test_an_unlinkable_export_has_no_index_no_hash_no_person(
    exporter: Exporter, ledger: Ledger, log: Log, tmp_path: Path
) -> None:
    """A14."""
    for n in range(9):
        ledger.add(f"evu-{n}", {**FIGURES, "evse_id": f"DE*ABC*E{n % 4}", "energy_import_milliwh": n * 100_000})
    released = await research(exporter, ledger, tmp_path / "export.tar")
    files = load(released.path)
    found = verify_export(released.path, signer_key=KEY.public_key())
    assert set(files) == {*manifest.FILES[Profile.RESEARCH], manifest.MANIFEST, manifest.SIGNATURE}
    assert found.checkpoint is None
    assert len(found.rows) == 9
    assert {frozenset(row) for row in found.rows} == {frozenset({"recorded", "place", "energy"})}
    everything = b"".join(files.values())
    for row in ledger.rows():
        assert row.entry_bytes not in everything
        assert not any(text.encode() in everything for text in row.disclosures)
    for word in (b"index", b"fsr-1", b"DE*ABC*E", b"evu-", b'"subject"', b"P1"):
        assert word not in everything.replace(manifest.SIGNATURE.encode(), b"").replace(files[manifest.SIGNATURE], b"")
    said = log.records[-1]
    assert isinstance(said, DataDisclosed)
    assert said.k == 3


async def test_too_few_subjects_make_no_export(exporter: Exporter, ledger: Ledger, log: Log, tmp_path: Path) -> None:
    """A18: k counts persons, not rows."""
    for n in range(30):
        ledger.add(f"evu-{n % 2}", FIGURES)
    with pytest.raises(errors.AnonymityUnreachable):
        await research(exporter, ledger, tmp_path / "export.tar")
    assert log.records == []


async def test_an_unlinkable_row_without_subject_is_refused(exporter: Exporter, ledger: Ledger, tmp_path: Path) -> None:
    ledger.add("evu-1", FIGURES)
    (row,) = ledger.rows()
    with pytest.raises(errors.ExportRowInvalid):
        await research(exporter, ledger, tmp_path / "export.tar", rows=[ExportRow(row.index, row.entry_bytes)])


async def test_a_changed_unlinkable_export_is_refused(exporter: Exporter, ledger: Ledger, tmp_path: Path) -> None:
    """A15."""
    for n in range(9):
        ledger.add(f"evu-{n}", FIGURES)
    files = load((await research(exporter, ledger, tmp_path / "export.tar")).path)
    records, table = files[manifest.RECORDS], files[manifest.TABLE]
    for changed in (
        {manifest.RECORDS: records.replace(b'"place"', b'"index":1,"place"', 1)},
        {manifest.RECORDS: records.replace(b"Wh", b"kWh", 1)},
        {manifest.TABLE: table.replace(b"Wh", b"kWh", 1)},
        {manifest.RECORDS: records + records.splitlines(keepends=True)[0]},
    ):
        with pytest.raises((errors.ExportRowMismatch, errors.ExportMalformed)):
            verify_export(resigned({**files, **changed}), signer_key=KEY.public_key())
    for other in ({"generalised": None}, {"checkpoint": "x"}):
        with pytest.raises(errors.ExportMalformed):
            verify_export(resigned(files, **other), signer_key=KEY.public_key())


async def test_provable_and_unlinkable_do_not_mix(exporter: Exporter, ledger: Ledger, tmp_path: Path) -> None:
    ledger.add("evu-1", FIGURES)
    path = tmp_path / "export.tar"
    for refused in (
        settle(exporter, ledger, path, checkpoint=None),
        settle(exporter, ledger, path, recipient=None),
        settle(exporter, ledger, path, about={}),
        settle(exporter, ledger, path, policy=ACCESS, recipient=None),
        settle(exporter, ledger, path, policy=ACCESS, about={}),
        research(exporter, ledger, path, checkpoint=ledger.checkpoint()),
    ):
        with pytest.raises(errors.ExportPolicyInvalid):
            await refused


CONTRADICTIONS: dict[str, tuple[msgspec.Struct, dict[str, Any]]] = {
    "research with proofs": (SETTLEMENT, {"profile": Profile.RESEARCH}),
    "everything to an organisation": (SETTLEMENT, {"disclose": None}),
    "version 0": (SETTLEMENT, {"version": 0}),
    "kept no day": (SETTLEMENT, {"keep_days": 0}),
    "restricted to an organisation": (SETTLEMENT, {"despite_restriction": True}),
    "k of one": (RESEARCH, {"k": 1}),
    "l of none": (RESEARCH, {"l": 0}),
    "l of nothing": (RESEARCH, {"l": 2}),
    "sensitive column absent": (RESEARCH, {"sensitive": "other"}),
    "no columns": (RESEARCH, {"columns": ()}),
    "columns twice": (RESEARCH, {"columns": RESEARCH.columns * 2}),
    "all suppressed": (RESEARCH, {"max_suppressed_permille": 1000}),
    "negative share": (RESEARCH, {"max_suppressed_permille": -1}),
    "exact time": (RESEARCH, {"columns": (Column(name="t", path="t", hierarchy=Hierarchy.TIME),)}),
    "level too high": (
        RESEARCH,
        {"columns": (Column(name="t", path="t", hierarchy=Hierarchy.PLACE, least=policy.MAX_LEVEL + 1),)},
    ),
    "divisor 0": (RESEARCH, {"columns": (Column(name="t", path="t", hierarchy=Hierarchy.ENERGY, divisor=0),)}),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_policy_that_contradicts_itself_is_refused(name: str) -> None:
    good, change = CONTRADICTIONS[name]
    with pytest.raises(errors.ExportPolicyInvalid):
        msgspec.structs.replace(good, **change)


@pytest.mark.parametrize("make", [x25519.X25519PrivateKey.generate, hybrid_key], ids=["classic", "hybrid"])
async def test_a_sealed_export_opens_for_its_recipient_alone(
    exporter: Exporter, ledger: Ledger, tmp_path: Path, make: Callable[[], Any]
) -> None:
    """A30."""
    ledger.add("evu-1", FIGURES)
    key = make()
    released = await settle(exporter, ledger, tmp_path / "export.sealed", seal_to=key.public_key())
    data = released.path.read_bytes()
    assert sealing.is_sealed(parts.FileOctets(io.BytesIO(data)))
    header, opened = sealing.open_sealed(data, key)
    assert (header.recipient, header.manifest_sha256) == ("fo-1", released.manifest_sha256)
    assert len(verified(archive.read(opened), ledger).rows) == 1
    assert b"P1" not in data.partition(b"\n")[0]
    for other, changed in (
        (make(), data),
        (key, data[:-1] + bytes([data[-1] ^ 1])),
        (key, data.replace(b'"fo-1"', b'"fo-2"')),
        (key, data.replace(b"\n", b"", 1)[:600]),
        (key, b"\n" + data),
        (key, data.partition(b"\n")[0] + b"\n"),
    ):
        with pytest.raises(errors.SealingRefused):
            sealing.open_sealed(changed, other)
    other_kind = hybrid_key() if isinstance(key, x25519.X25519PrivateKey) else x25519.X25519PrivateKey.generate()
    with pytest.raises(errors.SealingRefused):
        sealing.open_sealed(data, other_kind)


@pytest.mark.parametrize(
    ("named", "code"), [({}, 0), ({"manifest_sha256": "0" * 64}, 1), ({"recipient": "fo-2"}, 1)], ids=str
)
async def test_a_seal_that_names_another_export_than_is_inside_is_refuted(
    exporter: Exporter,
    ledger: Ledger,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    named: dict[str, str],
    code: int,
) -> None:
    """Anybody can seal to a public key: who has an export can put it under the name of another one."""
    ledger.add("evu-1", FIGURES)
    key = x25519.X25519PrivateKey.generate()
    released = await settle(exporter, ledger, tmp_path / "export.tar")
    says = {"recipient": "fo-1", "manifest_sha256": released.manifest_sha256, **named}
    seal = sealing.Seal(key.public_key(), **says)
    (tmp_path / "sealed").write_bytes(b"".join(seal.pieces([released.path.read_bytes()])))
    (tmp_path / "signer.pem").write_bytes(self_signed(KEY))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (tmp_path / "key.pem").chmod(0o600)
    found = command.run(
        tmp_path / "sealed",
        signer=tmp_path / "signer.pem",
        vkey=ledger.signer.verifier.vkey,
        origin=ORIGIN,
        key=tmp_path / "key.pem",
        at_ms=NOW_MS,
        json=False,
    )
    said = capsys.readouterr().out
    assert found == code, said
    assert said.startswith("verified" if code == 0 else "refuted: ledger/export-malformed"), said


async def test_errors_repeat_no_value(exporter: Exporter, ledger: Ledger, tmp_path: Path, clock: SetClock) -> None:
    """A26: what the verifier says of a changed row holds neither the old value nor the new one."""
    ledger.add("evu-1", {"energy_import_milliwh": 424_242})
    files = load((await settle(exporter, ledger, tmp_path / "export.tar")).path)
    changed = files[manifest.RECORDS].replace(b"424242", b"434343")
    with pytest.raises(LedgerError) as caught:
        verified(resigned({**files, manifest.RECORDS: changed}), ledger)
    assert "424242" not in str(caught.value)
    assert "434343" not in str(caught.value)
    assert canonical.encode({"at": clock.now_ms()})

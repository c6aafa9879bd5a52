"""Laws of the vault and its exports, over values that nobody picked."""

import asyncio
import csv
import io
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ledger.clock import SetClock
from ledger.privacy import errors, identifiers, months, openings, padding
from ledger.privacy.erasure import Eraser
from ledger.privacy.exports import archive, table
from ledger.privacy.exports.generalise import generalise
from ledger.privacy.exports.policy import Column, Hierarchy, UnlinkablePolicy
from ledger.privacy.opened import State
from ledger.privacy.vault import Vault
from ledger.records import disclosure, entry, jws, statement
from ledger.records.privacy import ErasureBasis, ErasureExecuted
from tests.support.crowd import anonymised
from tests.support.privacy import NOW_MS, Ledger, Log, digest_of, held

pytestmark = pytest.mark.slow  # takes seconds

PLACES = {f"E{n}": (f"site {n // 2}", f"zone {n // 4}") for n in range(12)}
LAW = settings(deadline=None)
"""The machine may be busy; the laws are not about time."""
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])

ids = st.from_regex(r"[A-Z]{2}[A-Z0-9]{3}C[A-Z0-9]{8,9}", fullmatch=True)


@FEW
@given(contract=ids, meter=st.integers(10**9, 2**50))
def test_no_personal_byte_is_in_the_log(contract: str, meter: int) -> None:
    """A1, A2: neither the value nor a plain hash of it; two entries of one person share no digest."""
    with tempfile.TemporaryDirectory() as folder:
        clock = SetClock(NOW_MS)
        vault = Vault.open(Path(folder) / "v", clock=clock, create=True)
        ledger = Ledger(vault, clock)
        for _ in range(2):
            ledger.add(contract, {"evu": contract, "meter": meter})
        logged = b"".join(ledger.entries) + b"".join(jws.parse(one).payload for one in _statements(ledger))
        unsalted = disclosure.digest(jws.encode_base64url(contract.encode()))
        for value in (contract, str(meter), unsalted):
            assert value.encode() not in logged
        first, second = ({one.digest for one in made} for _, made in ledger.made)
        assert not first & second
        stored = b"".join(file.read_bytes() for file in (Path(folder) / "v").iterdir())
        assert contract.encode() not in stored
        vault.close()


def _statements(ledger: Ledger) -> list[str]:
    return [entry.decode(one).stmt for one in ledger.entries]


@LAW
@given(opt=st.booleans())
def test_a_leaked_salt_reverses_a_digest_and_without_it_nothing_does(opt: bool) -> None:
    """A21: the salt is what hides a small value; it is erased with the value."""
    made = disclosure.make(statement.new_salt(), "consent", opt)
    salt = jws.decode_base64url(made.salt)
    assert [guess for guess in (True, False) if disclosure.make(salt, "consent", guess).digest == made.digest] == [opt]
    wrong = bytes(len(salt))
    assert all(disclosure.make(wrong, "consent", guess).digest != made.digest for guess in (True, False))


@LAW
@given(data=st.binary(max_size=20_000))
def test_padding_comes_off_and_hides_the_length(data: bytes) -> None:
    """A19."""
    padded = padding.pad(data)
    assert padding.unpad(padded) == data
    assert len(padded) == padding.bucket(len(data))
    assert padding.bucket(len(data)) >= len(data) + padding.LENGTH_BYTES
    assert padding.bucket(len(data) + 1) >= padding.bucket(len(data))
    assert padding.bucket(len(data)) <= max(64, 2 * (len(data) + 4))


@LAW
@given(data=st.binary(max_size=200), at=st.integers(0, 300), bit=st.integers(1, 255))
def test_padding_that_is_not_ours_is_refused(data: bytes, at: int, bit: int) -> None:
    padded = bytearray(padding.pad(data))
    filling = len(padded) - padding.LENGTH_BYTES - len(data)
    assume(filling > 0)
    padded[len(padded) - 1 - at % filling] ^= bit
    with pytest.raises(errors.TamperedData):
        padding.unpad(bytes(padded))


@LAW
@given(name=st.text(max_size=40))
def test_a_normalised_identifier_is_its_own_normal_form(name: str) -> None:
    """A31."""
    try:
        normal = identifiers.normalise(name)
    except errors.SubjectNameRefused:
        return
    assert identifiers.normalise(normal) == normal
    assert identifiers.normalise(f" {normal.upper()}\u200b") == normal
    assert normal.isascii()


@FEW
@given(
    owners=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    erased=st.sets(st.integers(0, 3)),
)
def test_erasure_takes_exactly_what_is_theirs_and_every_digest_has_its_opening(
    owners: list[int], erased: set[int]
) -> None:
    """A4, A11: whatever the order and the number, others are untouched, and openings verify for their digest only."""

    async def play(folder: Path) -> None:
        vault, log = Vault.open(folder, clock=SetClock(NOW_MS), create=True), Log()
        kept = [(owner, held(number, f"evu-{owner}")) for number, owner in enumerate(owners)]
        vault.keep([one for _, one in kept])
        eraser = Eraser(vault, log.record, pause_s=0)
        for owner in erased & set(owners):
            await eraser.erase(f"evu-{owner}", basis=ErasureBasis.CONSENT_WITHDRAWN)
        stones = {one.handle: one for one in log.of(ErasureExecuted) if isinstance(one, ErasureExecuted)}
        for owner, one in kept:
            found = vault.open_many([digest_of(one)])[digest_of(one)]
            if owner not in erased:
                assert found.text == one.text
                continue
            assert found.state is State.ERASED
            opening = eraser.opening(digest_of(one))
            stone = stones[opening.handle]
            openings.verify_opening(opening, digest_of(one), stone.manifest_root, stone.manifest_size)
            assert stone.manifest_size & (stone.manifest_size - 1) == 0
            for _, other in kept[:3]:
                if other is not one:
                    with pytest.raises(errors.OpeningInvalid):
                        openings.verify_opening(opening, digest_of(other), stone.manifest_root, stone.manifest_size)
        vault.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder) / "v"))


facts = st.lists(
    st.tuples(
        st.integers(0, 9).map(lambda n: bytes([n]) * 16),
        st.fixed_dictionaries(
            {
                "recorded": st.integers(NOW_MS, NOW_MS + 10**9),
                "place": st.sampled_from([*PLACES, "unknown"]),
                "energy": st.integers(0, 80_000),
                "choice": st.sampled_from(["IN", "OUT", "LATER"]),
            }
        ),
    ),
    min_size=1,
    max_size=60,
)


@LAW
@given(facts=facts, k=st.integers(2, 5), wanted=st.integers(1, 2), share=st.sampled_from([0, 100, 500]))
def test_k_and_l_hold_for_every_group_that_leaves(
    facts: list[tuple[bytes, dict[str, Any]]], k: int, wanted: int, share: int
) -> None:
    """A18: k distinct subjects, l distinct sensitive values, no more suppressed than allowed: or nothing leaves."""
    policy = UnlinkablePolicy(
        version=1,
        k=k,
        l=wanted,
        sensitive="choice",
        max_suppressed_permille=share,
        columns=(
            Column(name="recorded", path="r", hierarchy=Hierarchy.TIME, least=1),
            Column(name="place", path="p", hierarchy=Hierarchy.PLACE),
            Column(name="energy", path="e", hierarchy=Hierarchy.ENERGY),
            Column(name="choice", path="c", hierarchy=Hierarchy.EXACT),
        ),
    )
    try:
        found = anonymised(facts, policy, PLACES)
    except errors.AnonymityUnreachable:
        distinct = {uid for uid, _ in facts}
        values = {fact["choice"] for _, fact in facts}
        assert len(distinct) < k or len(values) < wanted
        return
    assert found.suppressed * 1000 <= share * len(facts)
    assert len(found.rows) + found.suppressed == len(facts)
    groups: dict[tuple[Any, ...], int] = defaultdict(int)
    for row in found.rows:
        groups[tuple(row[name] for name in ("recorded", "place", "energy"))] += 1
    subjects: dict[tuple[Any, ...], set[bytes]] = defaultdict(set)
    shown: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for uid, fact in facts:
        key = tuple(
            generalise(fact[name], hierarchy, found.levels[name], PLACES)
            for name, hierarchy in (
                ("recorded", Hierarchy.TIME),
                ("place", Hierarchy.PLACE),
                ("energy", Hierarchy.ENERGY),
            )
        )
        subjects[key].add(uid)
        shown[key].add(fact["choice"])
    for key in groups:
        assert len(subjects[key]) >= k
        assert len(shown[key]) >= wanted


@LAW
@given(rows=st.lists(st.fixed_dictionaries({"a": st.text(max_size=20), "b": st.integers()}), max_size=8))
def test_the_table_parses_and_no_cell_is_a_formula(rows: list[dict[str, Any]]) -> None:
    """A16, A32."""
    parsed = list(csv.reader(io.StringIO(table.render(("a", "b"), rows).decode(), newline=""), strict=True))
    assert [len(line) for line in parsed] == [2] * (len(rows) + 1)
    for line, row in zip(parsed[1:], rows, strict=True):
        assert line[0][:1] not in set("=+-@\t\r\n＝＋－＠")
        assert int(line[1]) == row["b"]


names = st.from_regex(r"[a-z][a-z0-9]{0,10}\.[a-z]{3,5}", fullmatch=True)


@LAW
@given(files=st.dictionaries(names, st.binary(max_size=1500), max_size=6))
def test_an_archive_gives_back_its_files(files: dict[str, bytes]) -> None:
    assert archive.read(archive.write(files)) == files


@LAW
@given(data=st.binary(max_size=2048), at=st.integers(0, 4000), bit=st.integers(1, 255))
def test_reading_an_archive_ends_in_files_or_a_coded_refusal(data: bytes, at: int, bit: int) -> None:
    """A33: hostile bytes never escape as another exception."""
    whole = bytearray(archive.write({"a.json": data}))
    whole[at % len(whole)] ^= bit
    for hostile in (data, bytes(whole)):
        try:
            archive.read(hostile)
        except (errors.ExportMalformed, errors.ExportTooLarge):
            continue


@LAW
@given(
    count=st.integers(1, 900),
    unit=st.sampled_from("DMY"),
    at_ms=st.integers(0, 4_000_000_000_000),
)
def test_nothing_is_due_before_it_was_kept_long_enough(count: int, unit: str, at_ms: int) -> None:
    """A22: counted from the end of the month in which it was kept."""
    due = months.due_at_ms(f"P{count}{unit}", months.month_of(at_ms))
    days = {"D": 1, "M": 28, "Y": 365}[unit] * count
    assert due >= at_ms + days * months.MS_PER_DAY

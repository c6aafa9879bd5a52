"""Whatever is changed in a bundle is noticed, and named."""

import base64
import hashlib
import random
from typing import Any

import msgspec
import pytest

from api.errors import ApiError
from api.verification import bundle_format
from api.verification.bundle import open_bundle
from api.verification.errors import BundleUnusable
from api.verification.report import Exit, Status
from ledger.errors import LedgerError
from ledger.records import disclosure, entry, statement
from ledger.records.credentials import CheckRecorded
from ledger.records.errors import NotCanonical
from tests.support import logs
from tests.support.bundles import Change, Story, changed, codes, report_of

pytestmark = pytest.mark.slow  # takes seconds

SEED = 20_260_120
POSITIONS = 120


def outcome(data: bytes) -> tuple[int, str]:
    """The exit code of the command, and the message."""
    try:
        report = report_of(data)
    except (ApiError, LedgerError) as error:
        return 2, str(error)
    return report.exit_code, report.summary()


def flipped(data: bytes, at: int, rng: random.Random) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def replaced(data: bytes, at: int, rng: random.Random) -> bytes:
    return data[:at] + bytes([rng.choice([one for one in range(33, 127) if one != data[at]])]) + data[at + 1 :]


def removed(data: bytes, at: int, _rng: random.Random) -> bytes:
    return data[:at] + data[at + 1 :]


@pytest.mark.slow
@pytest.mark.parametrize("which", ["settled", "erased"])
@pytest.mark.parametrize("way", [flipped, replaced, removed])
def test_no_byte_can_be_changed_unnoticed(story: Story, way: Any, which: str) -> None:
    data: bytes = getattr(story, which)
    rng = random.Random(f"{SEED}{way.__name__}")
    for at in rng.sample(range(len(data)), POSITIONS):
        code, message = outcome(way(data, at, rng))
        assert code != 0, f"byte {at}: ...{data[max(0, at - 30) : at + 10]!r}"
        assert message


@pytest.mark.parametrize("which", ["settled", "erased", "droop_erased"])
@pytest.mark.parametrize("kind", ["status", "certificates"])
def test_evidence_that_was_changed_and_put_in_its_new_place_is_noticed(story: Story, which: str, kind: str) -> None:
    """Lists are in the order of digests, so a change alone is nearly always out of order; whoever forges sorts again."""
    data: bytes = getattr(story, which)
    rng = random.Random(f"{SEED}{kind}")
    for number in range(len(msgspec.json.decode(data)[kind])):
        for way in (flipped, flipped, flipped):
            code, message = outcome(
                changed(data, lambda value, way=way, number=number: _forge(value[kind], number, way, rng))
            )
            assert code != 0, f"{kind} {number}"
            assert message


def _forge(found: list[str], number: int, way: Any, rng: random.Random) -> None:
    der = base64.b64decode(found[number])
    # Not in the head of the structure, where it would be no certificate or list at all.
    found[number] = base64.b64encode(way(der, rng.randrange(20, len(der)), rng)).decode()
    found.sort(key=lambda one: hashlib.sha256(base64.b64decode(one)).digest())


def test_a_list_of_another_key_is_surplus_also_where_nobody_can_say_what_it_was_for(story: Story) -> None:
    """What a forger made in an authority's name proves nothing, so nothing rests on it, not even that nothing is known."""

    def rename(value: dict[str, Any]) -> None:
        for number, text in enumerate(value["status"]):
            der = base64.b64decode(text)
            at = der.find(b"\x80\x14") + 2  # the authority's key identifier, 20 octets
            value["status"][number] = base64.b64encode(der[:at] + b"forged" + der[at + 6 :]).decode()
        value["status"].sort(key=lambda one: hashlib.sha256(base64.b64decode(one)).digest())

    assert "verify/surplus" in codes(report_of(changed(story.erased, rename)))


def test_a_root_of_a_kind_of_key_that_nobody_knows_is_refused_and_no_crash(story: Story) -> None:
    def strange(value: dict[str, Any]) -> None:
        der = base64.b64decode(value["anchors"]["roots"][0])
        known = bytes.fromhex("06072a8648ce3d0201")  # id-ecPublicKey
        assert known in der
        value["anchors"]["roots"][0] = base64.b64encode(der.replace(known, known[:-1] + b"\x7f")).decode()

    assert outcome(changed(story.settled, strange))[0] in (1, 2)


def test_the_untouched_bundle_verifies(story: Story) -> None:
    assert outcome(story.settled)[0] == 0


# The file


def test_a_space_is_named_by_its_offset(story: Story) -> None:
    data = story.settled.replace(b',"entries":', b', "entries":', 1)
    with pytest.raises(NotCanonical) as caught:
        open_bundle(data)
    assert caught.value.where["offset"] == data.index(b' "entries":')


def test_a_newline_at_the_end_is_refused(story: Story) -> None:
    with pytest.raises(NotCanonical):
        open_bundle(story.settled + b"\n")


def test_a_member_twice_is_refused(story: Story) -> None:
    with pytest.raises(NotCanonical):
        open_bundle(story.settled[:-1] + b',"origin":"log.example/world"}')


def test_an_unknown_member_is_refused(story: Story) -> None:
    with pytest.raises(BundleUnusable):
        open_bundle(changed(story.settled, lambda value: value.update(zz=1)))


def test_what_is_not_json_is_named_by_its_offset(story: Story) -> None:
    data = b"{!" + story.settled[2:]
    with pytest.raises(BundleUnusable) as caught:
        open_bundle(data)
    assert caught.value.where["offset"] == 1


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 5000])
def test_what_is_no_bundle_is_unusable(data: bytes) -> None:
    with pytest.raises((BundleUnusable, NotCanonical)):
        open_bundle(data)


def test_another_spelling_of_base64_is_refused(story: Story) -> None:
    def respell(value: Any) -> None:
        for one in value["attachments"]:
            text = one["data"]
            if text.endswith("="):
                last = text.rstrip("=")[-1]
                alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
                one["data"] = text.rstrip("=")[:-1] + alphabet[alphabet.index(last) + 1] + "=" * text.count("=")
                return
        raise AssertionError("no padded attachment")

    with pytest.raises((NotCanonical, BundleUnusable)):
        open_bundle(changed(story.settled, respell))


def test_a_newline_inside_a_hash_is_refused(story: Story) -> None:
    def stretch(value: Any) -> None:
        value["entries"][3]["proof"][0] += "\n"

    with pytest.raises(BundleUnusable):
        open_bundle(changed(story.settled, stretch))


@pytest.mark.parametrize("name", ["entries", "disclosures", "certificates", "status", "attachments"])
def test_a_list_out_of_order_or_with_a_repeat_is_refused(story: Story, name: str) -> None:
    def swap(value: Any) -> None:
        value[name][0], value[name][1] = value[name][1], value[name][0]

    def repeat(value: Any) -> None:
        value[name].insert(0, value[name][0])

    for change in (swap, repeat):
        with pytest.raises(BundleUnusable) as caught:
            open_bundle(changed(story.settled, change))
        assert caught.value.where == {"list": name, "position": 1}


def test_a_list_at_its_limit_is_read_and_beyond_it_refused(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_format, "MAX_BYTES", len(story.settled))
    open_bundle(story.settled)
    monkeypatch.setattr(bundle_format, "MAX_BYTES", len(story.settled) - 1)
    with pytest.raises(BundleUnusable):
        open_bundle(story.settled)


def test_seventeen_roots_are_too_many(story: Story) -> None:
    def many(value: Any) -> None:
        value["anchors"]["roots"] *= 17

    with pytest.raises(BundleUnusable):
        open_bundle(changed(story.settled, many))


# Entries


def entry_at(value: Any, position: int) -> Any:
    return value["entries"][position]["entry"]


def test_an_edited_entry_is_named_by_index_stream_and_seq(story: Story) -> None:
    bundle = open_bundle(story.settled)
    position = 12
    entry = msgspec.json.decode(bundle.entries[position].entry)

    def edit(value: Any) -> None:
        entry_at(value, position)["rec"] += 1

    report = report_of(changed(story.settled, edit))
    (line,) = [line for line in report.of(Status.REFUTED) if line.check == "inclusion"]
    assert line.code == "ledger/entry-not-included"
    assert line.where["index"] == bundle.entries[position].index
    assert (line.where["stream"], line.where["seq"]) == (entry["stream"], entry["seq"])


def test_an_entry_left_out_of_the_closed_stream_is_missed(story: Story) -> None:
    bundle = open_bundle(story.settled)
    stream = f"fsr/{bundle.fsr_id}"
    places = [n for n, one in enumerate(bundle.entries) if msgspec.json.decode(one.entry)["stream"] == stream]
    for position in places:
        report = report_of(changed(story.settled, lambda value, at=position: value["entries"].pop(at)))
        assert report.exit_code != 0 or position == places[-1]


def test_the_closing_entry_left_out_leaves_the_stream_open(story: Story) -> None:
    report = report_of(changed(story.settled, lambda value: value["entries"].pop()))
    assert "verify/stream-open" in codes(report, Status.UNDECIDED)


def test_an_entry_left_out_of_the_middle_of_another_stream_is_missed(story: Story) -> None:
    bundle = open_bundle(story.settled)
    names = [msgspec.json.decode(one.entry)["stream"] for one in bundle.entries]
    for name in set(names):
        first = names.index(name)
        if names.count(name) > 1:
            report = report_of(changed(story.settled, lambda value, at=first: value["entries"].pop(at)))
            assert report.outcome is Exit.REFUTED, name


def test_a_whole_stream_left_out_is_missed(story: Story) -> None:
    for kind in ("site/", "log/", "fsc/"):

        def drop(value: Any, kind: str = kind) -> None:
            value["entries"] = [one for one in value["entries"] if not one["entry"]["stream"].startswith(kind)]

        assert report_of(changed(story.settled, drop)).outcome is Exit.REFUTED, kind


def test_an_entry_of_another_request_does_not_belong(story: Story) -> None:
    other = msgspec.json.decode(story.erased)["entries"][-1]

    def add(value: Any) -> None:
        value["entries"].append(other)

    assert "ledger/entry-not-included" in codes(report_of(changed(story.settled, add)))


# Evidence


def test_every_attachment_is_needed(story: Story) -> None:
    count = len(open_bundle(story.settled).attachments)
    for position in range(count):
        report = report_of(changed(story.settled, lambda value, at=position: value["attachments"].pop(at)))
        assert report.exit_code != 0
        assert "verify/evidence-absent" in codes(report, Status.INDETERMINATE)


def test_every_certificate_is_needed(story: Story) -> None:
    for position in range(len(open_bundle(story.settled).certificates)):
        report = report_of(changed(story.settled, lambda value, at=position: value["certificates"].pop(at)))
        assert report.exit_code != 0, position


def test_every_revocation_list_that_a_check_names_is_needed(story: Story) -> None:
    bundle = open_bundle(story.settled)
    entries = [entry.decode(bytes(one.entry)) for one in bundle.entries]
    records = [statement.parse_statement(one.stmt).record for one in entries]
    named = {digest for one in records if isinstance(one, CheckRecorded) for digest in one.evidence}
    positions = [n for n, crl in enumerate(bundle.status) if hashlib.sha256(crl).hexdigest() in named]
    assert positions
    for position in positions:
        report = report_of(changed(story.settled, lambda value, at=position: value["status"].pop(at)))
        assert report.exit_code != 0, position


def test_a_changed_attachment_is_named(story: Story) -> None:
    def change(value: Any) -> None:
        raw = bytearray(base64.b64decode(value["attachments"][2]["data"]))
        raw[5] ^= 1
        value["attachments"][2]["data"] = base64.b64encode(raw).decode()

    report = report_of(changed(story.settled, change))
    (line,) = [line for line in report.lines if line.check == "attachments"]
    assert (line.status, line.code, line.where["position"]) == (Status.REFUTED, "verify/foreign", 2)


def test_a_foreign_disclosure_is_surplus(story: Story) -> None:
    text = disclosure.make(b"s" * 32, "evse_id", "FI*NGC*E9").text

    def add(value: Any) -> None:
        value["disclosures"] = sorted([*value["disclosures"], text])

    report = report_of(changed(story.settled, add))
    (line,) = [line for line in report.of(Status.REFUTED) if line.check == "surplus"]
    assert (line.code, line.where["list"]) == ("verify/surplus", "disclosures")


@pytest.mark.parametrize("name", ["certificates", "status", "attachments"])
def test_what_another_bundle_needs_is_surplus_here(story: Story, name: str) -> None:
    mine, theirs = msgspec.json.decode(story.mandatory), msgspec.json.decode(story.droop)
    extra = [one for one in theirs[name] if one not in mine[name]]
    assert extra

    def add(value: Any) -> None:
        value[name] = sorted([*value[name], extra[0]], key=_key)

    report = report_of(changed(story.mandatory, add))
    assert "verify/surplus" in codes(report)
    assert {line.where["list"] for line in report.of(Status.REFUTED)} == {name}


def _key(one: Any) -> str:
    return one["sha256"] if isinstance(one, dict) else hashlib.sha256(base64.b64decode(one)).hexdigest()


def test_disclosures_kept_back_leave_the_checks_indeterminate_never_passed(story: Story) -> None:
    report = report_of(changed(story.settled, lambda value: value.update(disclosures=[], attachments=[])))
    assert {line.check for line in report.of(Status.REFUTED)} == {"surplus"}
    assert report.of(Status.INDETERMINATE)
    verified = {line.check for line in report.of(Status.VERIFIED)}
    assert not verified & {"credential check", "samples", "meter values", "service record", "proof of work"}


def test_a_single_disclosure_kept_back_never_accuses_anybody(story: Story) -> None:
    for position in range(len(open_bundle(story.settled).disclosures)):
        report = report_of(changed(story.settled, lambda value, at=position: value["disclosures"].pop(at)))
        accused = [line for line in report.of(Status.REFUTED) if line.check != "surplus"]
        assert not accused, (position, accused)


def test_erasures_left_out_are_indeterminate_not_erased(story: Story) -> None:
    def drop(value: Any) -> None:
        value["erasures"] = []
        value["entries"] = [one for one in value["entries"] if not one["entry"]["stream"].startswith("privacy/")]

    report = report_of(changed(story.erased, drop))
    assert {line.check for line in report.of(Status.REFUTED)} == {"surplus"}
    assert "verify/evidence-absent" in codes(report, Status.INDETERMINATE)
    assert not report.of(Status.ERASED)


def test_a_false_opening_explains_nothing(story: Story) -> None:
    def forge(value: Any) -> None:
        for one in value["erasures"]:
            one["salt"] = "00" * 32

    report = report_of(changed(story.erased, forge))
    assert "ledger/opening-invalid" in codes(report)
    assert not report.of(Status.ERASED)


# The checkpoint


def _checkpoint(change: Any) -> Change:
    def apply(value: Any) -> None:
        value["checkpoint"] = change(value["checkpoint"])

    return apply


def test_a_signature_line_that_nobody_can_check_is_refused(story: Story) -> None:
    def cosign(text: str) -> str:
        body = text.split("\n\n", maxsplit=1)[0] + "\n"
        return text + logs.signer().sign(body)

    report = report_of(changed(story.settled, _checkpoint(cosign)))
    assert "verify/checkpoint-lines" in codes(report)


def test_the_same_signature_line_twice_is_refused(story: Story) -> None:
    report = report_of(
        changed(story.settled, _checkpoint(lambda text: text + text.rstrip("\n").rpartition("\n")[2] + "\n"))
    )
    assert "verify/checkpoint-lines" in codes(report)


def test_a_checkpoint_of_another_size_is_refused(story: Story) -> None:
    size = int(open_bundle(story.settled).checkpoint.split("\n")[1])
    report = report_of(
        changed(story.settled, _checkpoint(lambda text: text.replace(f"\n{size}\n", f"\n{size + 1}\n", 1)))
    )
    assert "ledger/note-unverified" in codes(report)

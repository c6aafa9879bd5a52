"""A receipt, and every file that `flexledger verify` takes: what it is, whom it needs, and what it never hangs on."""

import os
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner

from api.cli.main import app
from api.verification import evidence_file
from api.verification.bundle import open_bundle
from api.verification.bundle_format import MAX_BYTES
from api.verification.bundle_policy import Policy, encode_policy, policy_of
from ledger.clock import SetClock
from ledger.tlog import checkpoint, note, proof
from ledger.tlog.note import Cosigner, NoteSigner
from pki import ceremony
from tests.support import logs
from tests.support import world as stage
from tests.support.bundles import Story, changed

pytestmark = pytest.mark.slow  # takes seconds

WITNESS = Cosigner.generate("witness.example/aurora", SetClock(1_795_532_000_123))


class Case:
    """A policy and a receipt with its entry inside, as files."""

    def __init__(self, story: Story, folder: Path) -> None:
        self.bundle = open_bundle(story.settled)
        self.folder = folder
        self.policy = policy_of(self.bundle)
        one = self.bundle.entries[3]
        self.index, self.entry = one.index, bytes(one.entry)
        self.path = tuple(bytes.fromhex(item) for item in one.proof)
        self.note = self.bundle.checkpoint.encode()
        self.write_policy(self.policy)

    def write_policy(self, policy: Policy) -> None:
        (self.folder / "policy.json").write_bytes(encode_policy(policy))

    def receipt(self, *, index: int | None = None, extra: bytes | None = None, signed: bytes | None = None) -> Path:
        data = proof.encode(self.index if index is None else index, self.path, signed or self.note, extra)
        (self.folder / "one.tlog-proof").write_bytes(data)
        return self.folder / "one.tlog-proof"

    def run(self, file: Path, *more: str | Path, policy: bool = True) -> tuple[int, str]:
        options = ["--policy", str(self.folder / "policy.json")] if policy else []
        result = CliRunner().invoke(app, ["verify", str(file), *map(str, more), *options])
        return result.exit_code, result.output


@pytest.fixture
def case(story: Story, tmp_path: Path) -> Case:
    return Case(story, tmp_path)


def test_a_receipt_that_brings_its_entry_is_verified(case: Case) -> None:
    code, text = case.run(case.receipt(extra=case.entry))
    assert code == 0, text
    assert text.rstrip().splitlines()[-1] == f"receipt of entry {case.index}: VERIFIED (4 verified)"


def test_a_receipt_without_its_entry_is_verified_with_it(case: Case) -> None:
    (case.folder / "entry.json").write_bytes(case.entry)
    assert case.run(case.receipt())[0] == 2
    assert case.run(case.receipt(), "--entry", case.folder / "entry.json")[0] == 0
    (case.folder / "entry.json").write_bytes(case.entry.replace(b'"seq":', b'"seq":1'))
    code, text = case.run(case.receipt(), "--entry", case.folder / "entry.json")
    assert (code, "ledger/proof-invalid" in text) == (1, True)


def test_a_receipt_needs_a_policy_because_it_names_no_key(case: Case) -> None:
    code, text = case.run(case.receipt(extra=case.entry), policy=False)
    assert (code, "--policy" in text) == (2, True)


def test_a_receipt_at_another_index_or_of_another_log_is_refuted(case: Case) -> None:
    assert case.run(case.receipt(index=case.index + 1, extra=case.entry))[0] == 1
    case.write_policy(msgspec.structs.replace(case.policy, vkey=NoteSigner.generate(case.bundle.origin).vkey))
    code, text = case.run(case.receipt(extra=case.entry))
    assert (code, "ledger/note-unverified" in text) == (1, True)


def test_a_quorum_that_nobody_met_refutes_and_one_that_was_met_is_said(case: Case) -> None:
    asked = f"witness aurora {WITNESS.vkey}\nquorum aurora\n"
    case.write_policy(msgspec.structs.replace(case.policy, witnesses=asked))
    code, text = case.run(case.receipt(extra=case.entry))
    assert (code, "ledger/quorum-missing" in text) == (1, True)
    cosigned = note.add_signatures(case.note, [WITNESS.sign(note.parse_text(case.note))])
    code, text = case.run(case.receipt(extra=case.entry, signed=cosigned))
    assert (code, "cosigned by aurora: the quorum aurora is met" in text) == (0, True)


def test_a_policy_may_name_the_logs_other_key_while_it_changes_keys(case: Case) -> None:
    fresh = NoteSigner.generate(case.bundle.origin)
    case.write_policy(
        msgspec.structs.replace(case.policy, vkey=fresh.vkey, witnesses=f"log {case.policy.vkey}\nquorum none\n")
    )
    assert case.run(case.receipt(extra=case.entry))[0] == 0


def test_a_bundle_with_cosignatures_is_judged_by_the_policys_witnesses(story: Story, case: Case) -> None:
    cosigned = note.add_signatures(case.note, [WITNESS.sign(note.parse_text(case.note))]).decode()

    def add(value: dict[str, object]) -> None:
        value["checkpoint"] = cosigned
        value["anchors"]["vkeys"] = [WITNESS.vkey]  # type: ignore[index]

    bundle = case.folder / "bundle.json"
    bundle.write_bytes(changed(story.settled, add))
    code, text = case.run(bundle)
    assert (code, "cosigned by witness.example/aurora, under keys that nobody here vouches for" in text) == (0, True)
    stranger = Cosigner.generate("witness.example/other", SetClock(0)).vkey
    for vkey, expected in ((WITNESS.vkey, 0), (stranger, 1)):
        case.write_policy(msgspec.structs.replace(case.policy, witnesses=f"witness w {vkey}\nquorum w\n"))
        assert case.run(bundle)[0] == expected

    bundle.write_bytes(changed(story.settled, lambda value: value.update(checkpoint=cosigned)))
    assert "verify/checkpoint-lines" in case.run(bundle)[1]
    bundle.write_bytes(changed(story.settled, lambda value: value["anchors"].update(vkeys=[WITNESS.vkey])))
    assert "verify/checkpoint-lines" in case.run(bundle)[1]


def test_evidence_is_verified_by_the_same_command(case: Case) -> None:
    def signed(root: bytes) -> bytes:
        return checkpoint.sign(checkpoint.Checkpoint(logs.ORIGIN, 5, root), [logs.signer()])

    file = case.folder / "evidence.json"
    file.write_bytes(
        evidence_file.encode(signed(bytes(32)), signed(b"1" * 32), origin=logs.ORIGIN, vkeys=[logs.signer().vkey])
    )
    code, text = case.run(file, policy=False)
    assert (code, "no policy was given" in text.splitlines()[-1]) == (0, True)
    code, text = case.run(file)
    assert (code, "api/anchor-mismatch" in text) == (1, True)
    case.write_policy(msgspec.structs.replace(case.policy, vkey=logs.signer().vkey))
    assert case.run(file)[0] == 0


def test_without_a_policy_the_last_line_says_so(story: Story, case: Case) -> None:
    bundle = case.folder / "bundle.json"
    bundle.write_bytes(story.settled)
    assert "no policy was given" in case.run(bundle, policy=False)[1].splitlines()[-1]
    assert "no policy was given" not in case.run(bundle)[1]


@pytest.mark.parametrize("text", ["log x\nquorum none\n", "quorum nobody\n"])
def test_a_policy_whose_witnesses_cannot_be_read_is_unusable(case: Case, text: str) -> None:
    case.write_policy(msgspec.structs.replace(case.policy, witnesses=text))
    code, said = case.run(case.receipt(extra=case.entry))
    assert (code, "ledger/tlog-policy-malformed" in said) == (2, True)


def test_other_roots_are_the_cause_and_not_a_list_of_what_follows(story: Story, case: Case) -> None:
    other = ceremony.perform(stage.SPEC, tls_now_ms=stage.MADE_AT_MS, signing_now_ms=stage.DAWN_MS - stage.HOUR_MS)
    roots = tuple(root.public_bytes(Encoding.PEM).decode() for root in other.anchors.certificates)
    case.write_policy(Policy(vkey=case.policy.vkey, roots=roots, development=True))
    bundle = case.folder / "bundle.json"
    bundle.write_bytes(story.settled)
    code, text = case.run(bundle)
    assert code == 1
    assert text.count("verify/surplus") == 1


def test_what_is_no_regular_file_is_refused_at_once_in_plain_words(case: Case) -> None:
    os.mkfifo(case.folder / "pipe")
    for name, words in (("pipe", "a pipe"), (".", "a folder"), ("absent", "No such file or directory")):
        code, text = case.run(case.folder / name)
        assert (code, words in text) == (2, True), text
        assert "Error" not in text


def test_a_file_that_is_too_large_is_named_with_its_size(case: Case) -> None:
    large = case.folder / "large"
    with large.open("wb") as file:
        file.truncate(MAX_BYTES + 4711)
    code, text = case.run(large)
    assert (code, f"found {MAX_BYTES + 4711}" in text) == (2, True)
